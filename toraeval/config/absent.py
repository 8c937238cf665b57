"""Options that are given without a value: empty, or null where they take none."""

from __future__ import annotations

from typing import Any

from omegaconf import AnyNode, DictConfig

from toraeval.types import UserError


def check_given(what: str, options: DictConfig, key: str, value: object, of_part: bool = False) -> None:
    """Refuse an empty text, which as a path would be the current folder, and null where the option takes none.

    Args:
        what: whose option it is, for the message.
        options: as they are unless given.
        key: of the option, with dots.
        value: as given.
        of_part: whether a class declares the option, so that one of another type than `TYPES` has checks of its own.

    Raises:
        UserError: such a value.
    """
    node: Any = options
    for part in key.split("."):
        node = node._get_node(part)
    default = None if node._is_missing() else node._value()
    if value is None:
        takes_none = node._is_optional() and (of_part or default is None or not isinstance(node, AnyNode))
        refused, told = not takes_none, "null"
    else:
        refused, told = value == "" and default != "", ""
    if refused:
        plain = isinstance(default, str | int | float)
        raise UserError(
            f"{what}: {key}={told} gives no value; give one, or leave the option out"
            + (
                f" for its default, {str(default).lower() if isinstance(default, bool) else default}"
                if plain
                else ""
            )
        )
