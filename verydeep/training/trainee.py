"""What training changes: the network, its optimiser, the running average and the best weights so far."""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from verydeep.backends import pytorch
from verydeep.processes import Processes
from verydeep.settings.config import Config
from verydeep.spec import Network
from verydeep.training.checkpoint import Checkpoint
from verydeep.training.kernels import compiled
from verydeep.training.lookahead import Lookahead
from verydeep.training.memory import keep_large_blocks
from verydeep.training.optimizer import optimizer_for, restore, state_of
from verydeep.training.queue import Queue, can_queue
from verydeep.training.rates import factors, still
from verydeep.training.shortcuts import take_shortcuts
from verydeep.weights.initial import Weights


@dataclass(slots=True, eq=False)
class Trainee:
    """The arrays of a run, and the model as the loop calls it."""

    model: nn.Sequential
    called: nn.Module  # the model, or its wrapper that averages gradients over processes
    optimizer: Optimizer
    average: AveragedModel | None  # exponential moving average of the weights
    queue: Queue | None  # of steps that a GPU has been given; None where each step is waited for
    lookahead: Lookahead | None  # slow average that the weights are pulled to
    best: dict[str, Tensor]  # of the best validation so far; empty where the last weights are kept

    def parameters(self) -> dict[str, nn.Parameter]:
        """Learned arrays by canonical name."""
        return _parameters(self.model)

    def follow(self, *, step: int, steps: int) -> None:
        """After step number `step` (counted from 1) of `steps`: what comes behind the weights takes them up."""
        if self.lookahead is not None:
            self.lookahead.follow(step=step, steps=steps)
        if self.average is not None:
            self.average.update_parameters(self.model)

    def share_statistics(self, processes: Processes) -> None:
        """Give all processes the mean of their running statistics, so that all hold one and the same model."""
        if processes.world > 1:
            processes.average([buffer for buffer in self.model.buffers() if buffer.is_floating_point()])

    def evaluated(self) -> nn.Module:
        """The model whose accuracy counts: the average where there is one."""
        return self.average.module if self.average is not None else self.model

    def keep_as_best(self) -> None:
        """Remember the evaluated weights."""
        self.best = {name: tensor.detach().clone() for name, tensor in pytorch.tensors(self.evaluated()).items()}

    def final(self) -> Weights:
        """The weights that the run ends with: the best ones where they were kept."""
        if self.best:
            return {name: tensor.cpu().numpy() for name, tensor in self.best.items()}
        return pytorch.get_weights(self.evaluated())

    def weights(self) -> dict[str, Tensor]:
        """The model's arrays by canonical name."""
        return {name: tensor.detach() for name, tensor in pytorch.tensors(self.model).items()}

    def state(self) -> dict[str, Tensor]:
        """Everything else that the next step depends on."""
        state = {f"optimizer/{name}": value for name, value in state_of(self.optimizer, self.parameters()).items()}
        if self.average is not None:
            averaged = pytorch.tensors(self.average.module)
            state |= {f"average/{name}": tensor.detach() for name, tensor in averaged.items()}
            state["averaged"] = self.average.n_averaged
        if self.lookahead is not None:
            state |= {f"lookahead/{name}": tensor for name, tensor in self.lookahead.slow.items()}
        return state | {f"best/{name}": tensor for name, tensor in self.best.items()}

    def restore(self, checkpoint: Checkpoint) -> None:
        """Take up the arrays of a checkpoint."""
        pytorch.set_weights(self.model, checkpoint.weights)
        restore(self.optimizer, self.parameters(), _under("optimizer/", checkpoint.state))
        if self.average is not None:
            pytorch.set_weights(self.average.module, _under("average/", checkpoint.state))
            self.average.n_averaged.copy_(checkpoint.state["averaged"])
        if self.lookahead is not None:
            self.lookahead.restore(_under("lookahead/", checkpoint.state))
        device = next(self.model.parameters()).device
        self.best = {name: tensor.to(device) for name, tensor in _under("best/", checkpoint.state).items()}

    def forget_best(self) -> None:
        """Let the last weights count."""
        self.best = {}


def trainee(network: Network, arrays: Weights, config: Config, processes: Processes) -> Trainee:
    """The network with its first weights, ready for step 0."""
    if processes.device.type == "cpu":
        keep_large_blocks()
    model = pytorch.build(network, arrays, layout=config.layout).to(processes.device)
    if processes.device.type == "cpu":
        take_shortcuts(model, precision=config.precision)
    learned = _parameters(model)
    for name in still(network, config):
        learned[name].requires_grad_(False)
    called = compiled(model, config)
    if processes.world > 1:
        ids = [processes.device.index] if processes.device.type == "cuda" else None
        called = DistributedDataParallel(called, device_ids=ids)
    average = None
    if config.ema:
        average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=True)
    lookahead = Lookahead(pytorch.tensors(model), every=config.lookahead) if config.lookahead else None
    optimizer = optimizer_for(learned, config, factors=factors(network, config))
    queue = Queue(processes.device) if can_queue(processes) else None
    return Trainee(model, called, optimizer, average, queue, lookahead, best={})


def _parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    arrays = pytorch.tensors(model)
    return {name: tensor for name, tensor in arrays.items() if isinstance(tensor, nn.Parameter)}


def _under(prefix: str, arrays: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in arrays.items() if name.startswith(prefix)}


def bytes_to_save(learner: Trainee, config: Config) -> int:
    """What a checkpoint will take once the optimiser has taken a step, but for headers."""
    learned = sum(parameter.nbytes for parameter in learner.parameters().values())
    momentum = learned * (2 if config.optimizer == "adamw" else 1 if config.momentum else 0)
    weights = sum(tensor.nbytes for tensor in learner.weights().values())
    return weights * (1 + (config.ema > 0) + (config.lookahead > 0) + (config.patience > 0)) + momentum
