"""Table 11: what D and E, and both, reach on other data sets, over several trainings, beside the paper's figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from verydeep.errors import ConfigError
from verydeep.run import Run
from verydeep.transfer import baselines
from verydeep.transfer.experiment import Plan, features, refuse_undoable
from verydeep.transfer.judge import Row, joined, judge
from verydeep.transfer.labelled import Labelled


@dataclass(frozen=True, slots=True)
class Published:
    """A row of the paper's table, in percent: mAP by the rule of its year, and mean class recall with its spread."""

    name: str
    voc2007: float
    voc2012: float
    caltech101: tuple[float, float]
    caltech256: tuple[float, float]


PUBLISHED = (  # nets trained with jittered scales, arXiv:1409.1556, appendix B
    Published("D", 89.3, 89.0, (91.8, 1.0), (85.0, 0.2)),
    Published("E", 89.3, 89.0, (92.3, 0.5), (85.1, 0.3)),
    Published("D & E", 89.7, 89.3, (92.7, 0.5), (86.2, 0.3)),
)


def rows(runs: Mapping[str, Sequence[Run]], labelled: Labelled, *, plan: Plan | None = None) -> tuple[Row, ...]:
    """A row for each network, one for all of them together where there are several, and the baselines of the plan.

    A row has a value for every training and partition. Trainings are put together in their order: the first of each
    network, the second of each, and so on.

    Args:
        runs: By the networks' names, such as "D" and "E"; as many of each.
        labelled: The data set, from `sets.load`.
        plan: What is done.

    Raises:
        ConfigError: code OPTIONS-DISAGREE; not as many runs of each network.
        All that `transfer` raises.
    """
    plan = plan or Plan()
    if len({len(of_one) for of_one in runs.values()}) != 1 or not all(runs.values()):
        counts = ", ".join(f"{name}: {len(of_one)}" for name, of_one in runs.items())
        raise ConfigError(
            f"networks are put together one training of each at a time, and there are {counts or 'none'}",
            code="OPTIONS-DISAGREE",
            hint="Give as many runs of each.",
        )
    refuse_undoable([run for of_one in runs.values() for run in of_one], labelled, plan)
    found = {name: [features(run, labelled, plan) for run in of_one] for name, of_one in runs.items()}
    if len(runs) > 1:
        found[" & ".join(runs)] = [np.concatenate(each, axis=1) for each in zip(*found.values(), strict=True)]
    if "random" in plan.baselines:
        for name, of_one in runs.items():
            found[f"{name}, untrained"] = [features(baselines.untrained(run), labelled, plan) for run in of_one]
    if "pixels" in plan.baselines:
        channels = next(iter(runs.values()))[0].preprocessing.channels
        found["pixels"] = [baselines.pixels(labelled.images, channels=channels)]
    return tuple(
        joined(name, [judge(name, array, labelled, seed=plan.seed, grid=plan.costs) for array in arrays])
        for name, arrays in found.items()
    )
