"""What others published, with the page that each figure was read on: `conf/reference/*.yaml`."""

from __future__ import annotations

from dataclasses import dataclass, fields

import yaml  # type: ignore[import-untyped]

from toraeval.config import conf_dir

TORA = "tora_paper"


@dataclass(frozen=True)
class PublishedValue:
    """One figure: `read` says where on the page `source` it stands."""

    model: str
    frames: int
    metric: str
    direction: str
    value: float
    source: str
    read: str


@dataclass(frozen=True)
class PublishedClaim:
    """A range that a paper claims in words."""

    frames: int
    metric: str
    low: float
    high: float
    text: str
    source: str
    read: str


@dataclass(frozen=True)
class Published:
    """The figures of one paper; `missing` says what could not be read."""

    title: str
    arxiv: str
    setting: str
    values: tuple[PublishedValue, ...]
    claims: tuple[PublishedClaim, ...]
    missing: str


def published(name: str = TORA) -> Published:
    """Return the figures of one paper."""
    content = yaml.safe_load((conf_dir() / "reference" / f"{name}.yaml").read_text(encoding="utf-8"))
    values = tuple(PublishedValue(**value) for value in content["values"])
    claims = tuple(PublishedClaim(**claim) for claim in content["claims"])
    plain = {field.name: str(content[field.name]) for field in fields(Published) if field.type == "str"}
    return Published(**plain, values=values, claims=claims)
