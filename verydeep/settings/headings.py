"""The headings under which `verydeep train --help` lists the fields of `Config`, in their order there."""

from cyclopts import Group, Parameter

MAIN = Parameter(group=Group("Main options", sort_key=1))
NETWORK = Parameter(group=Group("Network", sort_key=2))
DATA = Parameter(group=Group("Data", sort_key=3))
AUGMENTATION = Parameter(group=Group("Augmentation", sort_key=4))
OPTIMISATION = Parameter(group=Group("Optimisation", sort_key=5))
MACHINE = Parameter(group=Group("Machine and checkpoints", sort_key=6))
UNLISTED = Parameter(show=False)
SEVERAL = Parameter(consume_multiple=True)  # --fc 512 512
