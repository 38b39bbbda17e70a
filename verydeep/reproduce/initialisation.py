"""Trainings that show why first weights matter: the remark of section 3.1 (arXiv:1409.1556), at full depth and small.

"The initialisation of the network weights is important, since bad initialisation can stall learning due to the
instability of gradient in deep nets." All five blocks of the columns A, D and E, thin, on the embedded digits enlarged
to 32 pixels: a run takes seconds.
"""

NETS = ("A", "D", "E")  # 8, 13 and 16 convolutions
DEEPER = ("D", "E")
READINGS = ("paper", "caffe")  # of "10^-2 variance": that, or a deviation of 0.01
REMEDIES = ("glorot", "he")  # the paper's footnote, and He et al., arXiv:1502.01852

SETTINGS: dict[str, object] = {
    "data": "digits",
    "recipe": "plain",
    "size": 32,
    "scale": (32, 32),
    "flip": False,  # digits mean something else in a mirror
    "width": 0.2,  # at which a variance of 1e-2 suits net A of unit pixels: of wider layers each enlarges the signal
    "fc": (256, 256),
    "normalize": "mean",  # as in the paper: the pixels keep their deviation, which is 96 here
    "lr": 0.01,  # the paper's, and its momentum, L2 multiplier and dropout
    "schedule": "constant",
    "warmup": 0.0,
    "clip": 1.0,  # so that what diverges ends at chance; without it such a run stops at a loss that is not finite
    "batch": 64,
    "epochs": 10,
    "precision": "bf16",
}
UNIT: dict[str, object] = {"normalize": "mean-std"}  # pixels of deviation 1: a signal that thin layers can carry


def initialisation_runs() -> dict[str, dict[str, object]]:
    """Fields of `Config` by name of the run; `grow_from` names another run of the same dict, which comes first."""
    runs = {f"{net} {rule}": SETTINGS | {"net": net, "init": rule} for rule in (*READINGS, *REMEDIES) for net in NETS}
    runs |= {f"{net} batch norm": SETTINGS | {"net": f"{net}_bn", "init": "he"} for net in NETS}
    runs |= {f"{net} paper unit pixels": SETTINGS | UNIT | {"net": net, "init": "paper"} for net in NETS}
    for net in DEEPER:
        runs[f"{net} grown"] = SETTINGS | {"net": net, "grow_from": "A glorot", "init": "glorot"}
        grown = {"net": net, "grow_from": "A paper unit pixels"}
        runs[f"{net} grown unit pixels"] = SETTINGS | UNIT | grown | {"init": "he"}
        runs[f"{net} grown, the rest paper unit pixels"] = SETTINGS | UNIT | grown | {"init": "paper"}
    return runs
