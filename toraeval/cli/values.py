"""Values of key=value pairs of the verbs that are not Hydra applications."""

from __future__ import annotations

import json

from toraeval.types import UserError


def pair(verb: str, key: str, text: str) -> tuple[int, int] | None:
    """Return `[W,H]` as two whole numbers, or None for an empty text.

    Raises:
        UserError: something else.
    """
    if not text:
        return None
    try:
        sides = json.loads(text)
    except ValueError:
        sides = None
    if (
        not isinstance(sides, list)
        or len(sides) != 2
        or any(type(side) is not int or side < 1 for side in sides)
    ):
        raise UserError(
            f"{verb}: {key}={text}; allowed: two whole numbers in brackets, e.g. '{key}=[512,512]'"
        )
    return sides[0], sides[1]


def whole(verb: str, key: str, text: str, least: int, most: int) -> int | None:
    """Return a whole number, or None for an empty text.

    Raises:
        UserError: not a number, or outside `least` to `most`.
    """
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()) or not least <= int(text) <= most:
        raise UserError(f"{verb}: {key}={text}; allowed: whole numbers from {least} to {most}")
    return int(text)
