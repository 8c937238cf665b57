"""Fail when something in the package, the baselines or the benchmarks is used by nothing but tests.

    python .ci/dead_code.py [ROOT]

vulture finds the names that no line uses. Taken away from its list are the classes and functions that a string
`module:name` stands for, as in the registry, the options that a baseline's `sent` names, and what
`CALLED_FROM_OUTSIDE` names with its caller. ROOT is a source tree, by default this one.
"""

from __future__ import annotations

import ast
import re
import sys
from fnmatch import fnmatch
from pathlib import Path

from vulture import Vulture

FOLDERS = ("toraeval", "baselines", "benchmarks", ".ci")
# file:kind name, as a pattern -> who uses it
CALLED_FROM_OUTSIDE = {
    ".ci/docs_site.py:function on_*": "mkdocs, as a hook",
    "toraeval/__init__.py:function __getattr__": "Python, for names that the module lacks",
    "toraeval/__init__.py:function __dir__": "Python, for `dir(toraeval)`",
    "toraeval/models/tora/generator.py:function __new__": "Python, to make an instance",
    "baselines/unet/rival.py:function __new__": "Python, to make an instance",
    "toraeval/video/decoding.py:function __call__": "whoever takes pictures",
    "toraeval/api/evaluation.py:variable error_T": "a field of a result that callers of the package read",
    "toraeval/api/torch_metrics.py:variable *": "torchmetrics reads what a metric says of itself",
    "toraeval/report/collect.py:method licences": "the templates of the page",
    "toraeval/report/site/*:variable *": "the templates of the page",
    "toraeval/store/tables/tidy.py:method _repr_html_": "notebooks",
    "toraeval/pages/loopback.py:*": "http.server",
    "toraeval/trajectories/safe_pickle.py:method find_class": "pickle",
    "toraeval/video/*:attribute thread_*": "PyAV reads these attributes of a stream",
    "benchmarks/peers.py:attribute thread_type": "PyAV",
    "toraeval/config/source.py:*": "Hydra, for a source of settings and a search path",
    "toraeval/cli/jobs.py:attribute *": "Hydra, as its own settings",
    "toraeval/training/recipes/nano.py:attribute benchmark": "cuDNN's own setting",
    "toraeval/models/tora_cogvideox/config.py:variable *": "keys of a published config.json",
    "toraeval/models/tora_cogvideox/transformer.py:attribute pos_embedding": "the embedding of diffusers reads it",
    "toraeval/stats/paired.py:variable *": "fields of a result that callers of the package read",
    "baselines/dragnuwa/driver.py:attribute __path__": "Python, to find the modules of a package",
    "baselines/ltx_motion_track/driver.py:attribute decode_video_by_frame": "the upstream pipeline calls it",
    "baselines/wan_move/driver.py:attribute param_dtype": "the upstream configuration",
    "toraeval/metrics/mc_bench_dm.py:function block_distance": "users who have the tracks of the published script",
    "benchmarks/open_sora.py:method from_seqlens": "the upstream network",
    "benchmarks/open_sora.py:method register_module": "the upstream network",
}


def named_in_strings(root: Path) -> set[str]:
    """Return what stands behind the colon of a string `module:name`, and the options in a tuple `sent`."""
    names: set[str] = set()
    for path in (*root.glob("toraeval/**/*.py"), *root.glob("baselines/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                names |= set(re.findall(r"\w:([A-Za-z_]\w*)$", node.value))
            elif isinstance(node, ast.Assign) and "sent" in {ast.unparse(target) for target in node.targets}:
                names |= {item.value for item in ast.walk(node.value) if isinstance(item, ast.Constant)}
    return names


def dead(root: Path) -> list[str]:
    """Return one line for each name of a source tree that nothing uses, and for each exemption that fits nothing."""
    finder = Vulture()
    finder.scavenge([str(root / folder) for folder in FOLDERS if (root / folder).exists()])
    by_string, lines = named_in_strings(root), []
    needed: set[str] = set()
    for item in finder.get_unused_code(min_confidence=60):
        place = f"{Path(item.filename).resolve().relative_to(root).as_posix()}:{item.typ} {item.name}"
        exempt = {pattern for pattern in CALLED_FROM_OUTSIDE if fnmatch(place, pattern)}
        needed |= exempt
        if not exempt and item.name not in by_string:
            lines.append(
                f"{item.filename}:{item.first_lineno}: {item.message}: delete it, or let something use it"
            )
    stale = CALLED_FROM_OUTSIDE.keys() - needed
    return lines + [
        f".ci/dead_code.py: the exemption {pattern} no longer fits anything" for pattern in sorted(stale)
    ]


def main() -> int:
    found = dead(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[1]).resolve())
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
