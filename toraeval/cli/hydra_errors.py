"""What Hydra and OmegaConf say in many lines, as one line for the user."""

from __future__ import annotations

from omegaconf.errors import OmegaConfBaseException

NOISE = (
    "full_key:", "object_type=", "reference_type=", "To append to your config", "See https://", "Config search path",
    "provider=",
)  # fmt: skip
HEADING = "raised while composing config:"
"""What Hydra's messages hold beside the reason: starts and ends of lines."""


def explain(error: Exception) -> str:
    """Return one line for what Hydra or OmegaConf says in several."""
    cause = error.__cause__ if isinstance(error.__cause__, OmegaConfBaseException) else error
    key = getattr(cause, "full_key", None)
    told = reason(cause)
    if "Ambiguous value" in told or told.startswith("Sweep parameters"):
        return ambiguous(str(cause).splitlines()[0])
    if "is not a ListConfig" in told:
        return f"{key} takes a list; with one value: '{key}=[VALUE]'"
    return f"{key}: {told}" if key and key not in told else told


def ambiguous(what: str) -> str:
    """Return what to do about several values, after what was given."""
    return f"{what}: several values, one run after the other, need -m; a list needs brackets: 'key=[a,b]'"


def reason(error: BaseException) -> str:
    """Return the lines of a message that say something to the user, as one."""
    lines = [line.strip() for line in str(error).splitlines()]
    told = [line for line in lines if line and not line.startswith(NOISE) and not line.endswith(HEADING)]
    return " ".join(told) or (reason(error.__cause__) if error.__cause__ else type(error).__name__)
