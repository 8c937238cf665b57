"""What the value of an option may be: stated beside the option, checked and told in one way."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from toraeval.types import UserError


@dataclass(frozen=True)
class Numbers:
    """Finite numbers from `low` to `high`.

    Attributes:
        low: the least one.
        high: the largest one; every finite number from `low` if not given.
        above: `low` itself is not allowed.
    """

    low: float
    high: float = math.inf
    above: bool = False

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high and value < math.inf and not (self.above and value == self.low)

    def __str__(self) -> str:
        low, high = f"{self.low:.9g}", f"{self.high:.9g}"
        if self.high < math.inf:
            return f"above {low}, up to {high}" if self.above else f"{low} to {high}"
        return f"more than {low}" if self.above else f"at least {low}"


POSITIVE = Numbers(0, above=True)
COUNT = Numbers(1)
NOT_NEGATIVE = Numbers(0)
SHARE = Numbers(0, 1)


Limit = Numbers | Collection[Any]
"""Numbers, or words as a tuple or the keys of a table."""


def check_option(what: str, name: str, value: Any, allowed: Limit) -> None:
    """Refuse a value that is not allowed; None stands for a default and always is.

    Args:
        what: that has the option, for the message.
        name: of the option.
        value: of it; of a list, each one counts, and there must be one.
        allowed: words or numbers.

    Raises:
        UserError: such a value.
    """
    values = value if isinstance(value, list | tuple) else [value]
    if value is None or (values and all(one in allowed for one in values)):
        return
    told = str(allowed) if isinstance(allowed, Numbers) else ", ".join(map(str, allowed))
    raise UserError(f"{what}: {name}={value}; allowed: {told}")


def check_once(what: str, values: Iterable[Any]) -> None:
    """Refuse a list that names something twice.

    Args:
        what: the list, for the message, e.g. `bench: frames`.
        values: its items.

    Raises:
        UserError: such a list.
    """
    seen: list[Any] = []
    for value in values:
        if value in seen:
            raise UserError(f"{what} names {value} twice; allowed: each once")
        seen.append(value)


def check_options(what: str, options: object, **allowed: Limit) -> None:
    """Refuse options of an object of which one is not as allowed, see `check_option`."""
    for name, limit in allowed.items():
        check_option(what, name, getattr(options, name), limit)
