"""Which file belongs to which clip: by name, never by order.

Names are matched exactly, then without regard to case and Unicode form (NFC, NFD), then by number (`video_1` with
`traj_01`). What fits in no such way stays alone; the caller says so or refuses.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)*")  # 7.5 is one number
_WORD = re.compile(r"([^\W\d_]*)[\W_]*$")  # the letters before a number
_OBJECT = re.compile(r"(?i)(?P<name>.+)\.obj(?:ect)?[-_]?(?P<number>[0-9]+)")
_PLAIN_NUMBER = re.compile(r"(?P<name>.+)\.(?P<number>[0-9]+)")


@dataclass(frozen=True)
class Pairing:
    """What `pair_names` found.

    Attributes:
        partner: name -> name of its partner.
        rule: name -> how its partner was found: `name`, `name without case or accents' form`, `number`.
        alone: names without partner, in their order.
        left_over: partners without name, in their order.
    """

    partner: Mapping[str, str]
    rule: Mapping[str, str]
    alone: tuple[str, ...] = ()
    left_over: tuple[str, ...] = ()

    def described(self) -> str:
        """Return the rules that were used, with how many pairs each made."""
        rules = list(self.rule.values())
        return ", ".join(f"{rules.count(rule)} by {rule}" for rule in dict.fromkeys(rules))


def pair_names(names: Sequence[str], partners: Sequence[str]) -> Pairing:
    """Pair two lists of different names; the order of either does not matter."""
    found: dict[str, str] = {}
    rule: dict[str, str] = {}
    for how, pairs in (
        ("name", _equal),
        ("name, upper and lower case or Unicode form aside", _folded),
        ("number", _numbered),
    ):
        open_names = [name for name in names if name not in found]
        taken = set(found.values())
        open_partners = [partner for partner in partners if partner not in taken]
        for name, partner in pairs(open_names, open_partners).items():
            found[name], rule[name] = partner, how
    taken = set(found.values())
    alone = tuple(name for name in names if name not in found)
    return Pairing(found, rule, alone, tuple(partner for partner in partners if partner not in taken))


def _equal(names: Sequence[str], partners: Sequence[str]) -> dict[str, str]:
    known = set(partners)
    return {name: name for name in names if name in known}


def _folded(names: Sequence[str], partners: Sequence[str]) -> dict[str, str]:
    return _by_key({name: fold(name) for name in names}, {name: fold(name) for name in partners})


def _numbered(names: Sequence[str], partners: Sequence[str]) -> dict[str, str]:
    """Pair by number if every name of both lists has one and all of them find a partner."""
    ours, theirs = _numbers(names), _numbers(partners)
    found = _by_key(ours, theirs) if ours and theirs else {}
    return found if len(found) == len(names) == len(partners) else {}


def _by_key(ours: Mapping[str, object], theirs: Mapping[str, object]) -> dict[str, str]:
    """Pair what has equal keys, where a key is unique on both sides."""
    left, right = list(ours.values()), list(theirs.values())
    by_key = {key: name for name, key in theirs.items()}
    return {name: by_key[key] for name, key in ours.items() if left.count(key) == 1 and right.count(key) == 1}


def fold(name: str) -> str:
    """Return a name without regard to case and Unicode form."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _numbers(names: Sequence[str]) -> dict[str, object]:
    """Return the number by which names differ, nothing where the words around it differ.

    Of `clip_00_512` and `clip_01_512` that is 0 and 1; a single name is known by all its numbers. Several numbers count
    with the words before them, since those of `seed1_prompt2` and `prompt1_seed2` mean other things; without words, as
    in dates, they say nothing.
    """
    if not names or len({_NUMBER.sub("#", fold(name)) for name in names}) > 1:
        return {}
    rows = {name: _numbers_of(name) for name in names}
    columns = list(zip(*rows.values(), strict=True))
    distinct = [i for i, column in enumerate(columns) if len(set(column)) > 1 or len(names) == 1]
    if len(distinct) < 2:
        return {name: row[distinct[0]] for name, row in rows.items()} if distinct else {}
    words = [_words(names[0])[i] for i in distinct]
    if "" in words or len(set(words)) < len(words):
        return {}
    return {
        name: frozenset(zip(words, (row[i] for i in distinct), strict=True)) for name, row in rows.items()
    }


def _numbers_of(name: str) -> tuple[tuple[int, ...], ...]:
    """Return the numbers of a name, each as its parts between points."""
    return tuple(tuple(map(int, number.split("."))) for number in _NUMBER.findall(name))


def _words(name: str) -> list[str]:
    """Return the letters before each number of a name, folded."""
    return [found[1] for part in _NUMBER.split(fold(name))[:-1] if (found := _WORD.search(part))]


def numbered_alike(name: str, others: Sequence[str]) -> list[str]:
    """Return those of `others` that differ by a number which `name` has too."""
    mine = set(_numbers_of(name))
    return [other for other, number in _numbers(others).items() if number in mine] if len(others) > 1 else []


def named_in(name: str, others: Sequence[str]) -> list[str]:
    """Return those of `others` whose name stands in `name` as whole words."""
    return [
        other for other in others if re.search(rf"(?<![^\W_]){re.escape(fold(other))}(?![^\W_])", fold(name))
    ]


@dataclass(frozen=True)
class Grouped:
    """File names gathered by the clip that they belong to.

    Attributes:
        members: name -> names of its files, by object number.
        doubtful: names that end in a number and may be an object's or a name of their own, with the clip in question.
    """

    members: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    doubtful: Mapping[str, str] = field(default_factory=dict)


def gather_objects(stems: Iterable[str], clips: Iterable[str]) -> Grouped:
    """Gather `walk.obj1`, `walk.obj2`, ... under `walk`; every other name stands for itself.

    A trailing number alone (`walk.1`, `Wan2.1`, `cat_cfg7.5`) is part of the name. Where a clip `walk` is there and
    none is called `walk.1`, the name is doubtful: the caller refuses it.
    """
    known = set(clips)
    members: dict[str, list[tuple[int, str]]] = {}
    doubtful: dict[str, str] = {}
    for stem in stems:
        explicit = None if stem in known else _OBJECT.fullmatch(stem)
        plain = _PLAIN_NUMBER.fullmatch(stem)
        if plain and stem not in known and plain["name"] in known:
            doubtful[stem] = plain["name"]
        name, number = (explicit["name"], int(explicit["number"])) if explicit else (stem, 0)
        members.setdefault(name, []).append((number, stem))
    return Grouped(
        {name: tuple(stem for _, stem in sorted(found)) for name, found in members.items()}, doubtful
    )


def gather_numbered(stems: Iterable[str], names: Iterable[str]) -> dict[str, list[tuple[int, str]]]:
    """Gather `fox.obj1`, ... and complete rows `fox.1`, `fox.2`, ... under `fox`; other numbers belong to the name.

    `cat_cfg7.0` and `cat_cfg7.5`, or `Wan2.1` alone, are not such a row and stand for themselves.

    Args:
        stems: names of trajectory files.
        names: names of other files of cases, which belong to no object.

    Returns:
        name -> (object number, stem), by number; 0 where there is none.
    """
    taken = set(names)
    given = list(stems)
    rows: dict[str, set[int]] = {}
    for stem in given:
        plain = _PLAIN_NUMBER.fullmatch(stem)
        if plain and stem not in taken:
            rows.setdefault(plain["name"], set()).add(int(plain["number"]))
    found: dict[str, list[tuple[int, str]]] = {}
    for stem in given:
        plain, explicit = _PLAIN_NUMBER.fullmatch(stem), _OBJECT.fullmatch(stem)
        numbers = rows.get(plain["name"], set()) if plain else set()
        row = len(numbers) > 1 and numbers == set(range(1, len(numbers) + 1))
        one = explicit or (plain if plain and row and stem not in taken else None)
        name, number = (one["name"], int(one["number"])) if one else (stem, 0)
        found.setdefault(name, []).append((number, stem))
    return {name: sorted(members) for name, members in found.items()}
