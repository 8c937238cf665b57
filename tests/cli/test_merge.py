"""`merge`: parts that two machines made become the tables of one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import PARTS
from tests.fake_parts import FakeModel
from toraeval.store.sealed import read_json, write_json

pytestmark = pytest.mark.timeout(300)

Cli = Callable[..., Any]


def tables(results: Path) -> dict[str, bytes]:
    found = {path.relative_to(results): path for path in results.glob("runs/**/*.csv")}
    return {str(name): path.read_bytes() for name, path in found.items() if path.name != "timings.csv"}


def test_two_parts_give_the_tables_of_the_whole(cli: Cli, fake: tuple[str, ...], tmp_path: Path) -> None:
    command = ("run", "model=fake_model", *PARTS, "frames=8", "metric=[traj_error,tapvid,psnr]")
    assert cli(*command, "results=whole").code == 0
    assert cli(*command, "samples=[alpha,beta]", "results=a").code == 0
    assert cli(*command, "samples=[beta,gamma]", "results=b").code == 0
    ran = cli("merge", "a", "b", "out=both")
    assert (ran.code, ran.err) == (0, "")
    assert "2 runs of 2 folders in both" in ran.out
    assert tables(tmp_path / "both") == tables(tmp_path / "whole")
    FakeModel.calls.clear()
    again = cli(*command, "results=both")
    assert "nothing to do: 3 of 3 cases cached" in again.out
    assert FakeModel.calls == []
    refused = cli("merge", "a", "b", "out=both")
    assert (refused.code, "exists and is not an empty folder" in refused.err) == (2, True)


def test_scores_of_both_are_kept_and_failures_give_way(cli: Cli, tmp_path: Path) -> None:
    command = ("run", "model=fake_model", *PARTS, "frames=8")
    assert cli(*command, "metric=[traj_error]", "model.bad=beta", "results=a").code == 1
    assert cli(*command, "metric=[final_error]", "results=b").code == 0
    assert cli("merge", "a", "b", "out=both").code == 0
    (score,) = tmp_path.glob("both/runs/*/fake_model/*/cases/alpha/score.json")
    assert set((read_json(score) or {})["metrics"]) == {"traj_error", "final_error"}
    assert not list(tmp_path.glob("both/runs/*/fake_model/*/cases/beta/failure.json"))


def test_two_results_that_differ_are_refused(cli: Cli, fake: tuple[str, ...], tmp_path: Path) -> None:
    command = ("run", "model=fake_model", *fake, "floor=false")
    for results in ("a", "b"):
        assert cli(*command, f"results={results}").code == 0
    (meta,) = tmp_path.glob("b/runs/*/fake_model/*/cases/beta/video.json")
    write_json(meta, {**(read_json(meta) or {}), "sha256": "0" * 64})
    ran = cli("merge", "a", "b", "out=both")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "cases/beta hold different videos of one sample" in ran.err
    assert not list(tmp_path.glob("*both*"))


def test_a_part_of_another_version_names_its_command_with_the_new_folder(
    cli: Cli, fake: tuple[str, ...], tmp_path: Path
) -> None:
    command = ("run", "model=fake_model", *fake, "floor=false")
    for results, sample in (("a", "alpha"), ("b", "beta")):
        assert cli(*command, f"samples=[{sample}]", f"results={results}").code == 0
        (record,) = tmp_path.glob(f"{results}/runs/*/fake_model/*/record.json")
        made = read_json(record) or {}
        write_json(
            record,
            {
                **made,
                "command": f"python -m toraeval run results={results} frames=8",
                "config": {**made["config"], "frames": 16},
            },
        )
    ran = cli("merge", "a", "b", "out=both")
    assert "; python -m toraeval run frames=8 results=both writes them" in ran.err


def test_without_a_target_the_folders_are_kept_in_the_advice(cli: Cli) -> None:
    assert "python -m toraeval merge a b out=both" in cli("merge", "a", "b").err


@pytest.mark.parametrize("words", [(), ("a",), ("a", "b"), ("a", "b", "out=c")])
def test_wrong_words_are_one_line(cli: Cli, words: tuple[str, ...]) -> None:
    ran = cli("merge", *words)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
