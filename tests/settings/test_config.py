"""One typed record: a YAML file, then the environment, then the command line."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from verydeep.errors import ConfigError
from verydeep.settings.config import Config, checked
from verydeep.settings.recipes import RECIPES, recipe, resolve
from verydeep.settings.sources import from_environment, from_yaml


def test_a_record_comes_back_from_its_yaml():
    config = resolve({"data": "fashion-mnist", "fc": (64, 32), "scale": (30, 40), "size": 28, "grow_from": "a-run"})
    assert checked(yaml.safe_load(config.to_yaml())) == config


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_knows_its_name_and_comes_back_from_yaml(name):
    config = recipe(name)
    assert config.recipe == name
    assert checked(yaml.safe_load(config.to_yaml())) == config


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_as_reviewed(name, golden):
    golden(f"recipe_{name}.yaml", recipe(name).to_yaml())


def test_an_unknown_option_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError) as caught:
        checked({"lerning_rate": 1, "bach": 3})
    assert caught.value.exit_code == 2
    with pytest.raises(ConfigError, match=r"there is no option 'bach'\. Did you mean batch\?"):
        checked({"bach": 3})


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("batch", 0, "batch is 0: it should be greater than or equal to 1"),
        ("batch", 1.5, "batch is 1.5"),
        ("lr", float("nan"), "lr is nan"),
        ("lr", -1, "lr is -1: it should be greater than 0"),
        ("dropout", 1.0, "dropout is 1.0: it should be less than 1"),
        ("crop", "middle", "crop is 'middle': it should be 'random', 'center' or 'random-size'"),
        ("fc", (64, 0), "fc is \\(64, 0\\)"),
        ("seed", -1, "seed is -1"),
    ],
)
def test_a_value_out_of_range_is_refused_with_option_value_and_range(option, value, said):
    with pytest.raises(ConfigError, match=said):
        checked({option: value})


def test_a_zero_stands_for_no_hidden_layer():
    assert checked({"fc": (0,)}).fc == ()


@settings(suppress_health_check=[HealthCheck.too_slow])  # the first draw makes the tables of all letters
@given(st.dictionaries(st.sampled_from(sorted(Config.model_fields)), st.one_of(st.none(), st.integers(), st.text())))
def test_any_value_of_any_option_gives_a_record_or_one_clear_error(values):
    try:
        assert isinstance(checked(values), Config)
    except ConfigError as error:
        assert error.line().startswith("verydeep: error[OPTION-VALUE]: ")
        assert "\n" not in error.line()


@pytest.mark.parametrize("text", ["- a list", "just words", "lr: [", "lr: !!python/object:os.system x", "\x00"])
def test_a_file_that_holds_no_options_is_refused(tmp_path: Path, text):
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        from_yaml(file)


def test_an_empty_file_sets_nothing(tmp_path: Path):
    file = tmp_path / "config.yaml"
    file.write_text("")
    assert from_yaml(file) == {}


def test_variables_set_options_and_verydeep_data_is_the_data_root(monkeypatch):
    monkeypatch.setenv("VERYDEEP_LR", "0.5")
    monkeypatch.setenv("VERYDEEP_FC", "[8, 4]")
    monkeypatch.setenv("VERYDEEP_DATA", "somewhere")
    found = from_environment()
    assert (found["lr"], found["fc"], found["data_root"]) == ("0.5", ["8", "4"], "somewhere")
    assert checked(found).fc == (8, 4)
    assert checked(found).data_root == Path("somewhere")


def test_a_wrong_variable_is_named(monkeypatch):
    monkeypatch.setenv("VERYDEEP_EPOCHS", "many")
    with pytest.raises(ConfigError, match="VERYDEEP_EPOCHS: epochs is 'many'"):
        from_environment()


def test_the_recipe_suits_the_data():
    assert resolve({}).recipe == "digits"
    assert resolve({"data": "fashion-mnist"}).recipe == "fashion"
    assert resolve({"data": "mnist"}).recipe == "mnist"
    assert resolve({"data": "cifar100"}).recipe == "cifar"
    assert resolve({"data": "folder"}).recipe == "photographs"


def test_characters_are_not_mirrored_whatever_the_network():
    assert resolve({"data": "digits", "net": "lenet5"}).flip is False
    assert resolve({"data": "fashion-mnist", "net": "lenet5"}).flip is True
    assert resolve({"data": "digits", "net": "lenet5", "flip": True}).flip is True


def test_the_recipe_suits_the_network():
    assert resolve({"net": "D"}).recipe == "plain"
    assert resolve({"net": "D_bn"}).recipe == "normed"
    assert resolve({"arch": "1x8", "batch_norm": True}).recipe == "normed"


def test_a_named_network_takes_the_place_of_the_recipes_own():
    config = resolve({"data": "fashion-mnist", "recipe": "fashion", "net": "lenet5"})
    assert (config.net, config.arch, config.batch_norm, config.fc) == ("lenet5", None, False, None)


def test_what_is_given_comes_before_the_recipe():
    assert resolve({"epochs": 3}).epochs == 3
    assert resolve({"epochs": recipe("plain").epochs, "recipe": "digits"}).epochs == recipe("plain").epochs


def test_cifar_sprint_has_the_published_numbers_for_a_mean_loss_of_its_own_batch():
    config = recipe("cifar-sprint")
    summed = 11.5 / (1024 * (1 + 1 / (1 - 0.85)))  # the published rate of a summed loss
    assert config.lr == pytest.approx(summed * config.batch)
    per_step = 0.0153 * config.batch / (1024 * (1 + 1 / (1 - 0.85)))
    assert config.lr * config.weight_decay == pytest.approx(per_step)
    assert 50_000 % config.batch == 0  # batches of one size: compiled once
    assert resolve({"data": "cifar10", "recipe": "cifar-sprint"}) == config.updated(data="cifar10")


def test_another_network_need_not_be_one_that_whitens():
    assert resolve({"data": "cifar10", "recipe": "cifar-sprint", "net": "vgg11_bn"}).whiten is False
    assert resolve({"data": "cifar10", "recipe": "cifar-sprint", "net": "nin", "whiten": True}).whiten is True


def test_a_logit_scale_is_refused_where_its_arithmetic_does_not_hold():
    with pytest.raises(ConfigError, match="logit_scale is worked out for optimizer sgd") as caught:
        resolve({"recipe": "cifar-sprint", "optimizer": "adamw"})
    assert caught.value.code == "OPTIONS-DISAGREE"


def test_an_unknown_recipe_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match=r"no recipe is called 'fasion'\. Did you mean fashion\?"):
        resolve({"recipe": "fasion"})


@pytest.mark.parametrize("arch", ["", "x", "1x", "2-64", "1x16 2x32", "1x16,,2x32"])
def test_an_arch_is_convolutions_x_channels(arch):
    with pytest.raises(ConfigError, match="CONVSxCHANNELS"):
        checked({"arch": arch})
    assert Config(arch="1x16,2x32").arch_blocks() == ((1, 16), (2, 32))


def test_the_paper_recipe_has_the_numbers_of_section_3_1():
    config = resolve({"data": "imagenet", "recipe": "paper"})
    assert (config.net, config.size, config.scale, config.epochs) == ("A", 224, (256, 256), 74)
    assert (config.batch, config.lr, config.momentum, config.weight_decay) == (256, 1e-2, 0.9, 5e-4)
    assert (config.schedule, config.factor, config.drops, config.last_plateau) == ("plateau", 0.1, 3, "ends")
    assert (config.crop, config.flip, config.color, config.normalize) == ("random", True, 0.1, "mean")
    assert (config.decayed, config.dropout, config.nesterov, config.smoothing) == ("all", None, False, 0.0)


def test_the_chain_of_the_paper_changes_s_and_the_rate_and_nothing_else():
    for name, scale, small in (("paper-384", (384, 384), (48, 48)), ("paper-jitter", (256, 512), (32, 64))):
        config = recipe(name)
        assert config == recipe("paper").updated(recipe=name, net="D", scale=scale, lr=1e-3)
        assert recipe(name.replace("paper", "laptop").replace("384", "48")).scale == small
    for name in ("laptop-48", "laptop-jitter"):
        changed = {"recipe", "scale", "lr", "epochs"}
        same = set(Config.model_fields) - changed
        assert recipe(name).model_dump(include=same) == recipe("laptop").model_dump(include=same)


def test_the_laptop_scale_has_an_eighth_of_the_papers_pixels():
    for large, small in (("paper", "laptop"), ("paper-384", "laptop-48"), ("paper-jitter", "laptop-jitter")):
        of_paper, of_laptop = recipe(large), recipe(small)
        assert of_paper.size == 8 * (of_laptop.size or 0)
        assert of_paper.scale == tuple(8 * side for side in of_laptop.scale or ())


def test_every_column_is_as_thin_as_the_laptop_recipes_own():
    own = recipe("laptop")
    for name in ("A", "A-LRN", "B", "C", "E", "shallow", "vgg13_bn"):
        config = resolve({"recipe": "laptop", "net": name})
        assert (config.net, config.blocks, config.width, config.fc) == (name, 3, own.width, own.fc)
    assert resolve({"recipe": "laptop"}).flip is True  # the data set of the recipe counts, not that of no recipe
    other = resolve({"recipe": "laptop", "net": "lenet5"})
    assert (other.blocks, other.width, other.fc) == (None, 1.0, None)
    assert resolve({"recipe": "photographs", "net": "D"}).width == 1.0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"grow_from": "run-a"}, "start_from run-256 gives all weights, and grow_from run-a some"),
        ({"whiten": True}, "start_from run-256 gives all weights, and whiten"),
        ({"logit_scale": 0.5}, "start_from run-256 gives all weights, and logit_scale 0.5"),
    ],
)
def test_a_run_has_one_beginning(settings, said):
    with pytest.raises(ConfigError, match=said) as caught:
        resolve({"net": "D", "start_from": "somewhere/run-256", **settings})
    assert caught.value.code == "OPTIONS-DISAGREE"


def test_blocks_are_those_of_a_named_net():
    with pytest.raises(ConfigError, match="blocks 3 belongs to net, and there is none") as caught:
        resolve({"arch": "1x16,2x32", "blocks": 3})
    assert caught.value.code == "OPTIONS-DISAGREE"
