"""Our kernels as operators of PyTorch: checked by its own checks, compiled whole, exported and run elsewhere."""

import pytest
import torch
from torch._subclasses import FakeTensorMode

import verydeep as vd
from tests.engine.nets import ODD, error, images, net, weights
from verydeep.backends.check import sample_weights
from verydeep.backends.pytorch import build
from verydeep.engine import operators
from verydeep.engine.library import instruction_sets
from verydeep.errors import ConfigError, SpecError

pytestmark = pytest.mark.usefixtures("compiled")


@pytest.fixture(scope="module")
def engine():
    network = vd.network("vgg11_lrn", input=(3, 64, 48), width=1 / 8, fc=(24, 16), classes=7)
    return vd.Engine(network, sample_weights(network))


@pytest.mark.parametrize(
    "name", [*ODD, "vgg16_1x1", "vgg13_bn", "alexnet_2012", "nin", "googlenet", "resnet18", "resnet20_cifar", "lenet5"]
)
def test_the_module_computes_what_the_engine_does(name):
    engine, batch = vd.Engine(net(name), weights(name)), torch.tensor(images((2, *net(name).input)))
    module = engine.module()
    assert error(module(batch), engine(batch).numpy()) <= 1e-6
    assert torch.equal(module(batch.contiguous(memory_format=torch.channels_last)), module(batch))


def test_an_exported_module_takes_any_batch_and_calls_our_operators(engine, tmp_path):
    example = (torch.tensor(images((2, 3, 64, 48))),)
    exported = torch.export.export(engine.module(), example, dynamic_shapes=({0: torch.export.Dim("n")},))
    called = {str(node.target) for node in exported.graph.nodes if node.op == "call_function"}
    assert {f"verydeep.{name}.default" for name in ("conv2d", "linear", "pool2d", "lrn")} <= called
    assert not [name for name in called if name.startswith(("aten.conv", "aten.linear", "aten.relu"))]
    torch.export.save(exported, tmp_path / "engine.pt2")
    again = torch.export.load(tmp_path / "engine.pt2").module()
    for n in (1, 2, 5):
        batch = torch.tensor(images((n, 3, 64, 48), seed=n))
        assert torch.equal(again(batch), engine(batch))


def test_the_module_is_compiled_in_one_graph(engine):
    torch._dynamo.reset()
    compiled = torch.compile(engine.module(), fullgraph=True, backend="aot_eager")
    batch = torch.tensor(images((2, 3, 64, 48)))
    assert torch.equal(compiled(batch), engine(batch))


def test_a_dense_network_is_a_module_for_a_size():
    network = vd.network("vgg11", input=(3, 32, 32), width=1 / 8, fc=(24, 16), classes=7)
    arrays = sample_weights(network)
    full = vd.Engine(vd.dense(network), vd.dense_weights(network, arrays))
    batch = torch.tensor(images((1, 3, 64, 96)))
    module = full.module((64, 96))
    assert module(batch).shape == (1, 7, 2, 3)
    assert torch.equal(module(batch), full(batch))
    with pytest.raises(ConfigError, match="takes images of 32x32, not of 64x96"):
        vd.Engine(network, arrays).module((64, 96))


def convolution(**changes):
    """Arguments of `conv2d` for a 3x3 convolution from 3 to 8 channels, with packed weights."""
    network = vd.Network("n", (3, 12, 10), (vd.Block("b", (vd.conv("c", 8, padding=1), vd.ReLU("r"))),))
    step = vd.Engine(network, sample_weights(network)).module().steps[0]
    names = ("channels", "kernel", "stride", "padding", "dilation", "groups", "method", "form", "relu", "pool")
    given = {name: getattr(step, name) for name in names} | changes
    x = torch.randn(2, 3, 12, 10)
    added = given.pop("added", None)
    return (given.pop("x", x), step.packed, step.bias, added, *given.values())


def calls():
    """Operators with arguments that together reach every branch of theirs."""
    x = torch.randn(2, 5, 9, 8)
    return {
        "conv2d": (operators.conv2d, convolution()),
        "conv2d last": (operators.conv2d, convolution(x=x[:, :3].contiguous(memory_format=torch.channels_last))),
        "conv2d sum": (operators.conv2d, convolution(added=torch.randn(2, 8, 12, 10), relu=False)),
        "linear": (operators.linear, (torch.randn(3, 20), torch.randn(7, 20), torch.randn(7), 7, True)),
        "linear bf16": (operators.linear, (torch.randn(3, 20), torch.randn(7, 20).bfloat16(), None, 7, False)),
        "maximum": (operators.pool2d, (x, "max", [3, 2], [2, 2], [1, 0, 0, 1], "ceil")),
        "whole mean": (operators.pool2d, (x, "average", [], [1, 1], [0, 0, 0, 0], "floor")),
        "lrn": (operators.lrn, (x, 5, 1e-4, 0.75, 2.0)),
    }


@pytest.mark.parametrize(
    "name", ["conv2d", "conv2d last", "conv2d sum", "linear", "linear bf16", "maximum", "whole mean", "lrn"]
)
def test_pytorch_finds_nothing_wrong_with_an_operator(name):
    operator, arguments = calls()[name]
    assert set(torch.library.opcheck(operator, arguments).values()) == {"SUCCESS"}
    y = operator(*arguments)
    assert y.ndim == 2 or y.is_contiguous(memory_format=torch.channels_last)


def test_a_convolution_by_name_is_that_of_pytorch():
    network = vd.Network("n", (3, 12, 10), (vd.Block("b", (vd.conv("c", 8, padding=1), vd.ReLU("r"))),))
    model, x = build(network, sample_weights(network)), torch.randn(2, 3, 12, 10)
    arguments = convolution(x=x)
    assert error(torch.ops.verydeep.conv2d(*arguments), model(x).detach().numpy()) <= 1e-6


def test_weights_that_are_packed_for_another_instruction_set_are_refused():
    other = next(name for name in ("avx512", "avx2", "neon") if name != instruction_sets()[0])
    with pytest.raises(ConfigError, match=f"these weights are packed for {other}, and .* runs here") as refused:
        operators.conv2d(*convolution(form=f"{other} float32"))
    assert refused.value.code == "ISA-UNAVAILABLE"


def test_half_precision_weights_are_half_as_large_in_the_module(engine):
    half = vd.Engine(engine.network, sample_weights(engine.network), precision="bf16")
    batch = torch.tensor(images((2, 3, 64, 48)))
    assert error(half.module()(batch), half(batch).numpy()) <= 1e-6
    (fc, *_), (small, *_) = ([step for step in one.module().steps if hasattr(step, "rows")] for one in (engine, half))
    assert fc.rows.nbytes == 2 * small.rows.nbytes


def rows(precision):
    """x, rows, bias and outputs of a layer from 20 numbers to 7, as the module of an engine has them."""
    network = vd.Network("n", (20, 1, 1), (vd.Block("b", (vd.Flatten("flat"), vd.Linear("fc", 7))),))
    step = vd.Engine(network, sample_weights(network), precision=precision).module().steps[-1]
    return [torch.randn(3, 20), step.rows, step.bias, 7, True]


X, PACKED, ROWS, BIAS, ADDED = 0, 1, 1, 2, 3
MAP = torch.zeros(2, 3, 12, 10)
WRONG = {  # operator, which argument, by what it is replaced, what is said
    "x in half": (
        "conv2d",
        X,
        MAP.half(),
        r"takes x as float32 \(n, channels, height, width\) on cpu, not float16",
    ),
    "x in bfloat16": ("conv2d", X, MAP.bfloat16(), "not bfloat16"),
    "x in double": ("conv2d", X, MAP.double(), r"not float64 \(2, 3, 12, 10\) on cpu"),
    "x of three axes": ("conv2d", X, MAP[0], r"not float32 \(3, 12, 10\)"),
    "x elsewhere": ("conv2d", X, MAP.to("meta"), "on meta"),
    "more channels": ("conv2d", X, torch.zeros(2, 40, 12, 10), "takes packed as uint8"),
    "packed cut off": ("conv2d", PACKED, lambda packed: packed[:-1], "takes packed as uint8"),
    "packed as numbers": ("conv2d", PACKED, lambda packed: packed.view(torch.float32), "takes packed as uint8"),
    "a short bias": ("conv2d", BIAS, torch.zeros(7), r"takes bias as float32 \(8\) on cpu, not float32 \(7\)"),
    "bias in half": ("conv2d", BIAS, torch.zeros(8).half(), "takes bias as"),
    "added cut off": ("conv2d", ADDED, torch.zeros(2, 8, 12, 9), r"takes added as float32 \(2, 8, 12, 10\)"),
    "fewer added": ("conv2d", ADDED, torch.zeros(1, 8, 12, 10), "takes added as"),
    "added in double": ("conv2d", ADDED, torch.zeros(2, 8, 12, 10).double(), "takes added as"),
    "row in half": ("float32", X, torch.zeros(3, 20).half(), "verydeep::linear takes x as float32"),
    "row too long": (
        "float32",
        X,
        torch.zeros(3, 21),
        r"takes x as float32 \(n, 20\) on cpu, not float32 \(3, 21\)",
    ),
    "row of a map": ("float32", X, torch.zeros(3, 20, 1, 1), "takes x as"),
    "rows missing": ("float32", ROWS, torch.zeros(6, 20), r"takes rows as float32 or bfloat16 \(7, inputs\)"),
    "rows in double": ("float32", ROWS, torch.zeros(7, 20).double(), "takes rows as"),
    "rows' bias": ("float32", BIAS, torch.zeros(6), "takes bias as"),
    "half rows, long row": ("bf16", X, torch.zeros(3, 21), r"takes x as float32 \(n, 20\)"),
    "quarter rows, row in half": ("int8", X, torch.zeros(3, 20).half(), "verydeep::linear takes x as float32"),
    "quarter rows, long row": ("int8", X, torch.zeros(3, 21), r"takes rows as int8 \(176\)"),
    "quarter rows cut off": ("int8", ROWS, torch.zeros(167, dtype=torch.int8), r"not int8 \(167\)"),
    "pool in half": ("pool2d", X, MAP.half(), "verydeep::pool2d takes x as"),
    "pool of three axes": ("pool2d", X, MAP[0], "verydeep::pool2d takes x as"),
    "lrn in double": ("lrn", X, MAP.double(), "verydeep::lrn takes x as"),
}


def right(operator):
    """An operator, with arguments that it takes."""
    match operator:
        case "conv2d":
            return operators.conv2d, list(convolution())
        case "pool2d":
            return operators.pool2d, [MAP, "max", [2, 2], [2, 2], [0, 0, 0, 0], "floor"]
        case "lrn":
            return operators.lrn, [MAP, 5, 1e-4, 0.75, 2.0]
        case precision:
            return operators.linear, rows(precision)


@pytest.mark.parametrize("wrong", WRONG)
def test_a_tensor_that_a_kernel_would_read_wrongly_is_refused_in_one_line(wrong):
    name, number, other, said = WRONG[wrong]
    operator, arguments = right(name)
    assert operator(*arguments).isfinite().all()
    arguments[number] = other(arguments[number]) if callable(other) else other
    with pytest.raises(ConfigError, match=said) as refused:
        operator(*arguments)
    assert (refused.value.code, "\n" in str(refused.value)) == ("ENGINE-IMAGES", False)


@pytest.mark.parametrize("wrong", ["x in half", "packed cut off", "row too long", "pool in half", "lrn in double"])
def test_it_is_refused_where_an_operator_is_traced_too(wrong):
    name, number, other, said = WRONG[wrong]
    operator, arguments = right(name)
    arguments[number] = other(arguments[number]) if callable(other) else other
    with FakeTensorMode() as mode, pytest.raises(ConfigError, match=said):
        operator(*[mode.from_tensor(one) if isinstance(one, torch.Tensor) else one for one in arguments])


def test_words_and_numbers_that_no_kernel_has_are_refused():
    with pytest.raises(ConfigError, match="takes pool as none, floor, ceil, not 'max'"):
        operators.conv2d(*convolution(pool="max"))
    with pytest.raises(SpecError, match="size must be odd"):
        operators.lrn(MAP, 4, 1e-4, 0.75, 2.0)


def test_a_method_that_no_kernel_has_is_refused():
    with pytest.raises(ConfigError, match=r"no kernel for 3 channels by method 5, packed as .* float32") as refused:
        operators.conv2d(*convolution(method=5))
    assert refused.value.code == "ENGINE-IMAGES"


def test_a_bias_may_have_gaps():
    arguments = list(convolution())
    expected = operators.conv2d(*arguments)
    wide = torch.full((16,), 9.0)
    wide[::2] = arguments[BIAS]
    arguments[BIAS] = wide[::2]
    assert torch.equal(operators.conv2d(*arguments), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.half, torch.double])
def test_a_module_refuses_images_of_another_precision(engine, dtype):
    with pytest.raises(ConfigError, match="takes x as float32") as refused:
        engine.module()(torch.zeros(2, 3, 64, 48, dtype=dtype))
    assert refused.value.code == "ENGINE-IMAGES"


@pytest.mark.parametrize("precision", ["float32", "bf16", "int8"])
def test_a_module_refuses_images_of_other_channels_and_of_another_size(engine, precision):
    module = vd.Engine(engine.network, sample_weights(engine.network), precision=precision).module()
    for shape in ((2, 4, 64, 48), (2, 1, 64, 48), (3, 64, 48)):
        with pytest.raises(ConfigError, match=r"images are \(n, 3, height, width\), not") as refused:
            module(torch.zeros(shape))
        assert refused.value.code == "ENGINE-IMAGES"
    with pytest.raises(ConfigError, match="verydeep::linear takes"):
        module(torch.zeros(2, 3, 96, 96))
