"""What a class declares about itself: its options with type, default and one line each, and its plain attributes.

The source is parsed, nothing is imported: the signature of the constructor (or the fields of `options_class`) and the
`Args:` or `Attributes:` of the docstrings are the only place where an option is described. Only what cannot be told
from the source, e.g. a default that is computed, is asked of the imported class.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING as NO_DEFAULT
from dataclasses import dataclass, field, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

TYPES: dict[str, Any] = {
    "int": int,
    "float": float,
    "bool": bool,
    "str": str,
    "str | Path": str,
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
        return _from_source(module, name)
    except Unreadable:
        return _from_class(getattr(importlib.import_module(module), name))


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


def _offered(name: str) -> bool:
    """Return True for what a user may set; `name` picks the class, and what begins with `_` is for tests."""
    return name != "name" and not name.startswith("_")


class _Source:
    """The top level of a module as it is written."""

    def __init__(self, name: str) -> None:
        origin, self.is_package = _place(name)
        self.name = name
        try:
            tree = ast.parse(Path(origin).read_bytes())
        except (OSError, SyntaxError, ValueError) as error:
            raise Unreadable(f"{origin}: {error}") from error
        self.defined: dict[str, ast.expr | ast.ClassDef] = {}
        self.imported: dict[str, tuple[str, str]] = {}
        for node in tree.body:
            if isinstance(node, ast.ClassDef):
                self.defined[node.name] = node
            elif isinstance(node, ast.ImportFrom):
                origin = self._absolute(node)
                self.imported |= {a.asname or a.name: (origin, a.name) for a in node.names}
            elif isinstance(node, ast.Import):
                self.imported |= {a.asname: (a.name, "") for a in node.names if a.asname}
            else:
                self.defined |= dict(_assigned(node))

    def _absolute(self, node: ast.ImportFrom) -> str:
        parts = self.name.split(".")
        base = parts[: len(parts) - node.level + self.is_package] if node.level else []
        return ".".join([*base, *([node.module] if node.module else [])])

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
        if isinstance(node, ast.List | ast.Tuple):
            return type(ast.literal_eval(ast.unparse(type(node)([], ast.Load()))))(map(self.value, node.elts))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "list" and len(node.args) == 1:
            return list(self.value(node.args[0]))
        try:
            return ast.literal_eval(node)
        except ValueError as error:
            raise Unreadable(f"{self.name}: {ast.unparse(node)} is computed") from error


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


def _assigned(node: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
        yield node.target.id, node.value
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Name):
                yield target.id, node.value


def _lineage(source: _Source, node: ast.ClassDef) -> list[tuple[_Source, ast.ClassDef]]:
    """Return a class and its bases, nearest first; what lies in libraries without source ends it."""
    found = [(source, node)]
    for base in node.bases:
        base = base.value if isinstance(base, ast.Subscript) else base
        named = base.id if isinstance(base, ast.Name) and base.id not in source.defined else None
        if named and source.imported.get(named, ("builtins",))[0] in ABSTRACT:
            continue
        owner, definition = source.look_up(base)
        if isinstance(definition, ast.ClassDef):
            found += _lineage(owner, definition)
    return [item for place, item in enumerate(found) if item not in found[place + 1 :]]


def _from_source(module: str, name: str) -> Declared:
    source, node = _source(module).find(name)
    if not isinstance(node, ast.ClassDef):
        raise Unreadable(f"{module}:{name} is not a class statement")
    lineage = _lineage(source, node)
    facts: dict[str, Any] = {}
    for owner, item in reversed(lineage):
        for statement in item.body:
            for key, value in _assigned(statement):
                try:
                    facts[key] = owner.value(value)
                except Unreadable:
                    facts.pop(key, None)
    named = [
        (owner, value) for owner, item in lineage for key, value in _pairs(item) if key == "options_class"
    ]
    if named:
        owner, chosen = named[0][0].look_up(named[0][1])
        assert isinstance(chosen, ast.ClassDef)
        lineage = _lineage(owner, chosen)
    texts: dict[str, str] = {}
    for _, item in reversed(lineage):
        texts |= described(ast.get_docstring(item))
    found = (
        _fields(lineage) if any(map(_is_dataclass, (item for _, item in lineage))) else _signature(lineage)
    )
    options = (Option(key, kind, value, texts.get(key, "")) for key, kind, value in found if _offered(key))
    return Declared(tuple(options), facts)


def _pairs(item: ast.ClassDef) -> Iterator[tuple[str, ast.expr]]:
    for statement in item.body:
        yield from _assigned(statement)


def _is_dataclass(item: ast.ClassDef) -> bool:
    return any(ast.unparse(word).split("(")[0].endswith("dataclass") for word in item.decorator_list)


def _fields(lineage: list[tuple[_Source, ast.ClassDef]]) -> list[tuple[str, Any, Any]]:
    """Return name, type and default of the fields of a dataclass; annotations of a base that is none are no fields."""
    found: dict[str, tuple[str, Any, Any]] = {}
    for source, item in reversed(lineage):
        for node in item.body if _is_dataclass(item) else ():
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                name, kind = node.target.id, ast.unparse(node.annotation)
                if not kind.startswith("ClassVar"):
                    found[name] = (name, TYPES.get(kind, Any), _default(source, node.value))
    return list(found.values())


def _default(source: _Source, node: ast.expr | None) -> Any:
    """Return the default of a field or parameter, also one inside `field(...)`."""
    if node is None or ast.unparse(node) == "MISSING":
        return REQUIRED
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "field":
        given = {word.arg: word.value for word in node.keywords}
        factory = given.get("default_factory")
        if isinstance(factory, ast.Lambda):
            return source.value(factory.body)
        if factory is not None and ast.unparse(factory) in ("list", "dict"):
            return {"list": [], "dict": {}}[ast.unparse(factory)]
        return _default(source, given.get("default"))
    return source.value(node)


def _signature(lineage: list[tuple[_Source, ast.ClassDef]]) -> list[tuple[str, Any, Any]]:
    """Return name, type and default of the parameters of the nearest constructor."""
    for source, item in lineage:
        for node in item.body:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                given = node.args
                plain = [*given.posonlyargs, *given.args][1:]
                defaults = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
                return [
                    (
                        word.arg,
                        TYPES.get(ast.unparse(word.annotation or ast.Name("Any")), Any),
                        _default(source, value),
                    )
                    for word, value in zip(
                        [*plain, *given.kwonlyargs], [*defaults, *given.kw_defaults], strict=True
                    )
                ]
    return []


def _from_class(cls: Any) -> Declared:
    """Return the same of an imported class."""
    made = getattr(cls, "options_class", cls)
    texts: dict[str, str] = {}
    for base in reversed(inspect.getmro(made)):
        texts |= described(base.__doc__)
    if is_dataclass(made):
        hints = typing.get_type_hints(made)
        defaults = {
            item.name: item.default_factory() if item.default_factory is not NO_DEFAULT else item.default
            for item in fields(made)
        }
    elif made.__init__ is object.__init__:
        hints, defaults = {}, {}
    else:
        hints = typing.get_type_hints(made.__init__)
        every = list(inspect.signature(made.__init__).parameters.values())[1:]
        defaults = {p.name: p.default for p in every if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
    options = tuple(
        Option(
            name,
            hint if (hint := hints.get(name, Any)) in TYPES.values() else Any,
            REQUIRED if default in (NO_DEFAULT, inspect.Parameter.empty) else default,
            texts.get(name, ""),
        )
        for name, default in defaults.items()
        if _offered(name)
    )
    return Declared(options, {key: getattr(cls, key) for key in dir(cls) if not key.startswith("_")})
