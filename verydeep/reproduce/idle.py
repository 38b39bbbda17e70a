"""Options that a table has no use for: refused, as one that does nothing misleads."""

from collections.abc import Mapping

from verydeep.errors import ConfigError

IDLE = {
    "initialisation": ("--scale imagenet", "--data", "--epochs", "--test-images", "--crop-images", "--workers"),
    **dict.fromkeys(("table3", "table4"), ("--crop-images",)),  # no crops
    **dict.fromkeys(("table5", "table6", "table7"), ("--test-images",)),  # crops are among what is compared
    "table8": ("--data", "--epochs", "--test-images", "--crop-images", "--jobs", "--workers"),
    "table9": ("--data", "--epochs", "--test-images", "--crop-images", "--jobs", "--workers"),
    "table11": ("--test-images", "--crop-images"),
}


def refuse_idle(table: str, *, given: Mapping[str, bool]) -> None:
    """ConfigError, code OPTIONS-DISAGREE, where an option was given that a table has no use for."""
    idle = [option for option in IDLE.get(table, ()) if given.get(option)]
    if idle:
        raise ConfigError(
            f"{table} has no use for {', '.join(idle)}",
            code="OPTIONS-DISAGREE",
            hint="Leave it out: what is trained and tested for it is fixed." if len(idle) == 1 else "Leave them out.",
        )
