"""Optional packages: probed by importing them, because a package can be installed and still not import."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

from toraeval.types import MissingAsset, one_line

SOURCE = Path(__file__).resolve().parents[1]
"""The clone that holds the package, if it was not installed as a wheel."""


class MissingDependency(MissingAsset):
    """An optional package is absent or broken; exit code 3."""


@dataclass(frozen=True)
class Probe:
    """What importing a module gave.

    Attributes:
        module: name that was imported.
        ok: True if it imports.
        version: version string, or None where unknown.
        reason: why it does not import, one line; empty if it does.
        absent: True if the package is not installed at all (False also when it is broken).
    """

    module: str
    ok: bool
    version: str | None = None
    reason: str = ""
    absent: bool = False


@cache
def probe(module: str) -> Probe:
    """Import `module` once and remember the outcome with its reason.

    torchvision beside a CPU build of torch raises RuntimeError on import, other binaries OSError:
    both count as broken, not as absent.
    """
    try:
        loaded = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] == module.split(".")[0]:
            return Probe(module, False, reason="not installed", absent=True)
        return Probe(module, False, _version(module), f"broken: {one_line(error)}")
    except (ImportError, RuntimeError, OSError) as error:
        return Probe(module, False, _version(module), f"broken: {one_line(error)}")
    return Probe(module, True, _version(module) or getattr(loaded, "__version__", None))


@cache
def found(module: str) -> Probe:
    """Look for `module` without importing it: quick, and blind to a package that is installed and broken."""
    if importlib.util.find_spec(module.split(".")[0]) is None:
        return Probe(module, False, reason="not installed", absent=True)
    return Probe(module, True, _version(module))


def install_command(extra: str | None = None, source: Path = SOURCE) -> str:
    """Return the command that installs an extra of this project: in a clone from its folder, else by name."""
    extras = f"[{extra}]" if extra else ""
    return (
        f"pip install -e '.{extras}'"
        if (source / "pyproject.toml").is_file()
        else f"pip install 'toraeval{extras}'"
    )


def lacking(state: Probe, feature: str, extra: str | None = None) -> str:
    """Return what to tell of a package that is absent or broken, with the command that helps."""
    package = state.module.split(".")[0]
    install = install_command(extra) if extra else f"pip install {package}"
    cure = install if state.absent else f"pip uninstall {package} (it is installed, but does not import)"
    return f"{feature} needs the package {package}: {state.reason}; run: {cure}"


def require(module: str, feature: str, extra: str | None = None) -> ModuleType:
    """Return the imported module.

    Args:
        module: name to import.
        feature: what needs it, for the message.
        extra: the extra of this project that installs it.

    Raises:
        MissingDependency: the module is absent or broken, with the command that helps.
    """
    state = probe(module)
    if not state.ok:
        raise MissingDependency(lacking(state, feature, extra))
    return importlib.import_module(module)


def _version(module: str) -> str | None:
    distributions = {
        "cv2": "opencv-python-headless",
        "PIL": "pillow",
        "hydra": "hydra-core",
        "yaml": "PyYAML",
    }
    name = module.split(".")[0]
    try:
        return importlib.metadata.version(distributions.get(name, name))
    except importlib.metadata.PackageNotFoundError:
        return None
