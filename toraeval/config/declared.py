"""What a class declares about itself: its options with type, default and one line each, and its plain attributes.

The source is parsed, nothing is imported: the signature of the constructor (or the fields of `options_class`) and the
`Args:` or `Attributes:` of the docstrings are the only place where an option is described. Only what cannot be known
from the source, e.g. a default that is computed, is asked of the imported class.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

TYPES: dict[str, Any] = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "str | Path": str,
    "str | os.PathLike[str]": str,
    "int | None": int | None,
    "float | None": float | None,
    "bool | None": bool | None,
    "str | None": str | None,
    "Path | None": str | None,
    "list[int]": list[int],
    "list[float]": list[float],
    "list[str]": list[str],
}
"""Types that are checked, as they are written; an option of any other type is left to the part itself."""
REQUIRED = "???"
"""In place of the default of an option that has none, as OmegaConf writes it."""
ABSTRACT = ("typing", "abc", "builtins")
ENTRY = re.compile(r"(\w+(?:, \w+)*): +(.*)")


class Unreadable(Exception):
    """The source does not tell; the message says what."""


@dataclass(frozen=True)
class Option:
    """One option.

    Attributes:
        name: keyword argument.
        type: one of `TYPES`, or Any.
        default: value if not given; `REQUIRED` where it has to be.
        text: one line: meaning, unit, range; empty where nothing is said.
    """

    name: str
    type: Any
    default: Any
    text: str


@dataclass(frozen=True)
class Declared:
    """What a class says about itself.

    Attributes:
        options: in the order of the signature, without `name`, which picks the class.
        facts: class attributes with plain values, e.g. `version`.
    """

    options: tuple[Option, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)


@cache
def declaration(target: str) -> Declared:
    """Return what the class at `module:Class` declares.

    Raises:
        ImportError, AttributeError: there is no such class. Whatever else an import raises where it is needed.
    """
    module, _, name = target.partition(":")
    try:
        return _read(module, name)
    except Unreadable:  # e.g. made by a function, or named through `from elsewhere import *`
        cls = getattr(importlib.import_module(module), name)
        return _read(cls.__module__, cls.__qualname__)


def described(doc: str | None) -> dict[str, str]:
    """Return the lines of the sections `Args:` and `Attributes:` of a docstring by name."""
    found: dict[str, str] = {}
    names: list[str] = []
    inside = False
    for line in inspect.cleandoc(doc or "").splitlines():
        if not line.startswith(" "):
            inside = line in ("Args:", "Attributes:") or (inside and not line)
            continue
        entry = ENTRY.match(line[4:]) if inside else None
        if entry:
            names = entry[1].split(", ")
            found |= dict.fromkeys(names, entry[2])
        elif inside:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


class _Source:
    """The top level of a module as it is written."""

    def __init__(self, name: str) -> None:
        origin, is_package = _place(name)
        self.name, package = name, name if is_package else name.rpartition(".")[0]
        try:
            tree = ast.parse(Path(origin).read_bytes())
        except (OSError, SyntaxError, ValueError) as error:
            raise Unreadable(f"{origin}: {error}") from error
        self.defined: dict[str, ast.expr | ast.ClassDef] = dict(_assigned(tree.body))
        self.imported: dict[str, tuple[str, str]] = {}
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                self.defined[node.name] = node
            elif isinstance(node, ast.ImportFrom):
                origin = resolve_name("." * node.level + (node.module or ""), package)
                self.imported |= {a.asname or a.name: (origin, a.name) for a in node.names}
            elif isinstance(node, ast.Import):
                self.imported |= {a.asname: (a.name, "") for a in node.names if a.asname}

    def find(self, name: str) -> tuple[_Source, ast.expr | ast.ClassDef]:
        """Return the definition of a name, and the module that it stands in."""
        if name in self.defined:
            return self, self.defined[name]
        if name not in self.imported:
            raise Unreadable(f"{self.name} does not define {name}")
        module, attribute = self.imported[name]
        return _source(module).find(attribute)

    def look_up(self, node: ast.expr) -> tuple[_Source, ast.expr | ast.ClassDef]:
        """Return what `NAME` or `module.NAME` stands for."""
        if isinstance(node, ast.Name):
            return self.find(node.id)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, attribute = self.imported.get(node.value.id, ("", ""))
            if module:
                return _source(f"{module}.{attribute}".rstrip(".")).find(node.attr)
        raise Unreadable(f"{self.name}: {ast.unparse(node)}")

    def value(self, node: ast.expr) -> Any:
        """Return the value of a literal, or of the name of one."""
        if isinstance(node, ast.Name | ast.Attribute):
            source, found = self.look_up(node)
            if isinstance(found, ast.expr):
                return source.value(found)
        try:
            return ast.literal_eval(node)
        except ValueError as error:
            raise Unreadable(f"{self.name}: {ast.unparse(node)} is computed") from error

    def computed(self, node: ast.expr) -> Any:
        """Return the same; what is not a literal is worked out in the imported module."""
        try:
            return self.value(node)
        except Unreadable:
            return eval(ast.unparse(node), dict(vars(importlib.import_module(self.name))))


@cache
def _source(name: str) -> _Source:
    return _Source(name)


def _place(name: str) -> tuple[str, bool]:
    """Return the file of a module, and whether it is a package; unlike `find_spec` no parent is imported."""
    path, spec, whole = None, None, ""
    for part in name.split("."):
        whole = f"{whole}.{part}".lstrip(".")
        spec = getattr(sys.modules.get(whole), "__spec__", None)
        for finder in sys.meta_path if spec is None else ():
            spec = finder.find_spec(whole, path) if hasattr(finder, "find_spec") else None
            if spec is not None:
                break
        if spec is None:
            raise Unreadable(f"there is no module {whole}")
        path = spec.submodule_search_locations
    if spec is None or not (spec.origin or "").endswith(".py"):
        raise Unreadable(f"{name} has no source")
    return str(spec.origin), path is not None


def _assigned(body: list[ast.stmt]) -> Iterator[tuple[str, ast.expr]]:
    for node in body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            yield from ((target.id, node.value) for target in targets if isinstance(target, ast.Name))


def _bases(source: _Source, node: ast.ClassDef) -> Iterator[ast.expr]:
    """Yield the bases of a class that may hold anything about its options."""
    for base in node.bases:
        base = base.value if isinstance(base, ast.Subscript) else base
        named = base.id if isinstance(base, ast.Name) and base.id not in source.defined else None
        if named is None or source.imported.get(named, ("builtins",))[0] not in ABSTRACT:
            yield base


def _lineage(source: _Source, node: ast.ClassDef) -> list[tuple[_Source, ast.ClassDef]]:
    """Return a class and its bases whose source can be read, nearest first."""
    found = [(source, node)]
    for base in _bases(source, node):
        with suppress(Unreadable):
            owner, definition = source.look_up(base)
            if isinstance(definition, ast.ClassDef):
                found += _lineage(owner, definition)
    return [item for place, item in enumerate(found) if item not in found[place + 1 :]]


def _read(module: str, name: str) -> Declared:
    source, node = _source(module).find(name)
    if not isinstance(node, ast.ClassDef):
        raise Unreadable(f"{module}:{name} is not a class statement")
    lineage = _lineage(source, node)
    facts: dict[str, Any] = {}
    for owner, item in reversed(lineage):
        for key, value in _assigned(item.body):
            facts.pop(key, None)
            with suppress(Unreadable):
                facts[key] = owner.value(value)
    for owner, item in lineage:
        if "options_class" in dict(_assigned(item.body)):
            owner, chosen = owner.look_up(dict(_assigned(item.body))["options_class"])
            assert isinstance(chosen, ast.ClassDef)
            lineage = _lineage(owner, chosen)
            break
    texts: dict[str, str] = {}
    for _, item in reversed(lineage):
        texts |= described(ast.get_docstring(item))
    dataclasses = [
        (owner, item)
        for owner, item in lineage
        if any(ast.unparse(word).split("(")[0].endswith("dataclass") for word in item.decorator_list)
    ]
    options = (
        Option(name, TYPES.get(kind, Any), value, texts.get(name, ""))
        for name, kind, value in (_fields(dataclasses) if dataclasses else _signature(lineage))
        if name != "name" and not name.startswith("_")  # the one picks the class, the others are for tests
    )
    return Declared(tuple(options), facts)


def _fields(lineage: list[tuple[_Source, ast.ClassDef]]) -> list[tuple[str, str, Any]]:
    """Return name, type and default of the fields of dataclasses, given nearest first."""
    found: dict[str, tuple[str, str, Any]] = {}
    for source, item in reversed(lineage):
        for node in item.body:
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                name, kind = node.target.id, ast.unparse(node.annotation)
                if not kind.startswith("ClassVar"):
                    found[name] = (name, kind, _default(source, node.value))
    return list(found.values())


def _default(source: _Source, node: ast.expr | None) -> Any:
    """Return the default of a field or parameter, also one inside `field(...)`."""
    if node is None or ast.unparse(node) == "MISSING":
        return REQUIRED
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "field":
        given = {word.arg: word.value for word in node.keywords}
        factory = given.get("default_factory")
        if factory is None:
            return _default(source, given.get("default"))
        return (
            source.computed(factory.body) if isinstance(factory, ast.Lambda) else source.computed(factory)()
        )
    return source.computed(node)


def _signature(lineage: list[tuple[_Source, ast.ClassDef]]) -> list[tuple[str, str, Any]]:
    """Return name, type and default of the parameters of the nearest constructor."""
    for source, item in lineage:
        for node in item.body:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                plain = [*node.args.posonlyargs, *node.args.args][1:]
                defaults = [None] * (len(plain) - len(node.args.defaults)) + list(node.args.defaults)
                given = zip(plain + node.args.kwonlyargs, defaults + node.args.kw_defaults, strict=True)
                return [
                    (word.arg, ast.unparse(word.annotation or ast.Name("Any")), _default(source, value))
                    for word, value in given
                ]
    for source, item in lineage:
        for base in _bases(source, item):
            source.look_up(base)  # the constructor may stand in one that cannot be read
    return []
