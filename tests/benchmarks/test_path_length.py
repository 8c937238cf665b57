"""The counter of entered functions: what counts, once each, and what is counted apart."""

from __future__ import annotations

from benchmarks import path_length
from toraeval.geometry import paths
from toraeval.store import slot


def test_functions_count_by_name_and_bodies_apart() -> None:
    function = path_length._entry(paths.to_canvas.__code__)
    assert function is not None
    assert (function[0], function[2:]) == ("toraeval/geometry/paths.py", ("to_canvas", False))
    body = path_length._entry(compile("x = 1", slot.__file__, "exec"))
    assert body == ("toraeval/store/slot.py", 1, "<module>", True)
    lambdas = [c for c in slot.Slot.save_scores.__code__.co_consts if hasattr(c, "co_name")]
    assert lambdas
    assert all(path_length._entry(code) is None for code in lambdas)
    assert path_length._entry(path_length.main.__code__) is None
    template = compile("x = 1", str(path_length.ROOT / "toraeval/report/templates/case.html.j2"), "exec")
    assert path_length._entry(template) is None
    assert path_length.summary({function, body}).splitlines() == [
        "1 functions in 1 files",
        "2 functions and bodies of modules and classes in 2 files",
    ]


def test_what_a_command_enters_is_seen_and_its_exit_code_kept() -> None:
    code, entered = path_length.trace(["--version"])
    assert code == 0
    assert ("toraeval/__main__.py", "main") in {(file, name) for file, _, name, _ in entered}
