"""Everything that is missing is found before anything runs, and listed once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from toraeval import assets, registry
from toraeval.run import requirements
from toraeval.run.parts import Builder
from toraeval.run.requirements import MissingParts
from toraeval.types import MissingAsset, Requirement, UserError

CHECKOUT = Requirement(
    "checkout of their code", "model rival", False, "git clone X", "no folder Y", "MIT", 50
)


class Rival:
    """Says itself what it needs; cannot even be built without a GPU when `strict`."""

    name = "rival"

    def __init__(self, strict: bool = False, device: str = "cpu") -> None:
        if strict:
            raise UserError("rival: device=cuda is not there")

    def requirements(self) -> list[Requirement]:
        return [CHECKOUT, Requirement("an interpreter", "model rival", True)]

    def fingerprint(self) -> dict[str, Any]:
        raise MissingAsset("rival: no checkout; run: git clone X")


class Silent:
    """Says nothing but fails when its fingerprint is asked for."""

    name = "silent"

    def fingerprint(self) -> dict[str, Any]:
        raise MissingAsset("silent: no weights at Z; run: python -m toraeval train silent")


@pytest.fixture(autouse=True)
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path))
    tables = registry.snapshot()
    registry.register("model", "rival", "tests.run.test_requirements:Rival")
    registry.register(
        "model",
        "silent",
        registry.Entry("tests.run.test_requirements:Silent", modules=("no_such_package",), extra="x"),
    )
    registry.register("metric", "silent", "tests.run.test_requirements:Silent")
    yield
    registry.restore(tables)


def test_a_part_says_itself_what_it_needs() -> None:
    assert requirements.missing_of("model", {"name": "rival"}, Builder()) == [CHECKOUT]


def test_packages_and_files_of_the_registry_line_are_looked_for() -> None:
    found = requirements.missing_of("tracker", {"name": "cotracker3_offline"}, Builder())
    assert [item.what for item in found] == ["weights cotracker3_offline"]
    assert "sha256=" in found[0].command
    assert (found[0].size_mb, found[0].licence) == (102, "CC BY-NC 4.0 (no commercial use)")
    (package,) = requirements.missing_of("model", {"name": "silent"}, Builder())
    assert (package.what, package.command) == ("package no_such_package", "pip install -e '.[x]'")


def test_options_decide_what_is_needed(tmp_path: Path) -> None:
    assert requirements.missing_of("model", {"name": "tora", "size": "nano"}, Builder()) == []
    xl2 = requirements.of_entry("model", "tora", {"size": "xl2"})
    assert [item.what for item in xl2] == [
        "weights opensora_stdit_v3",
        "weights opensora_vae_v1_2",
        "weights t5_v1_1_xxl",
    ]
    assert requirements.of_entry("tracker", "cotracker3_offline", {"checkpoint": str(tmp_path)}) == []


def test_a_fingerprint_that_fails_is_a_missing_file_with_its_command() -> None:
    (item,) = requirements.missing_of("metric", {"name": "silent"}, Builder())
    assert item.command == "python -m toraeval train silent"
    assert "no weights at Z" in item.reason


def test_a_gpu_is_needed_where_one_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    found = requirements.missing_of("model", {"name": "rival", "strict": True, "device": "cuda"}, Builder())
    assert [item.what for item in found] == ["a CUDA GPU"]
    with pytest.raises(UserError, match="is not there"):
        requirements.missing_of("model", {"name": "rival", "strict": True}, Builder())


def test_a_command_with_a_line_of_its_own_is_not_in_the_reason_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rival, "requirements", lambda self: [])
    (found,) = requirements.missing_of("model", {"name": "rival"}, Builder())
    assert (found.reason, found.command) == ("rival: no checkout", "git clone X")


def test_one_message_lists_everything_with_size_licence_command_and_cost() -> None:
    models = [{"name": "rival"}, {"name": "tora", "size": "xl2"}]
    wanted = {
        "tracker": {"name": "cotracker3_offline"},
        "metrics": {"traj_error": {"name": "traj_error"}},
    }
    with pytest.raises(MissingParts) as caught:
        requirements.require(wanted, models)
    report = caught.value.report
    assert caught.value.exit_code == 3
    assert report.startswith("5 missing:")
    for words in (
        "missing: checkout of their code, 0.1 GB for model rival; licence: MIT\n",
        "run: git clone X",
        "missing: weights t5_v1_1_xxl, 19.0 GB for model tora; licence: Apache-2.0",
        "downloads: about 25.6 GB",
        "cost: model tora size=xl2: weights alone 12.7 GB",
        "cost: tracker cotracker3_offline: 0.36 GB + 0.088 GB per frame",
    ):
        assert words in report, words
    assert "\n" not in str(caught.value)


def test_what_several_parts_need_is_listed_once() -> None:
    lacking = [
        Requirement("package clip", f"metric {name}", False, "pip install clip", f"{name} needs it")
        for name in ("clipsim", "jedi", "clipsim")
    ]
    report = requirements.describe([*lacking, Requirement(requirements.GPU, "model ati", False)], [])
    assert report.startswith(
        "2 missing:\nmissing: package clip for metric clipsim, metric jedi\n    clipsim needs it\n"
    )
    assert report.count("run: pip install clip") == 1


def test_downloads_that_do_not_fit_the_disk_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = [Requirement("weights a", "model a", False, "fetch a", "", "MIT", 12_000)]
    for free_gb, warned in ((20, False), (5, True)):
        monkeypatch.setattr(
            shutil, "disk_usage", lambda place, free=free_gb: SimpleNamespace(free=free * 1e9)
        )
        report = requirements.describe(missing, [])
        assert f"downloads: about 12.0 GB into {assets.cache_dir()}, {free_gb}.0 GB free" in report
        assert ("warning: 7.0 GB more than is free there" in report) == warned


def test_a_suite_that_is_not_there_is_listed_beside_what_is_to_be_downloaded(tmp_path: Path) -> None:
    wanted = {
        "suite": {"name": "movebench", "path": str(tmp_path / "none")},
        "tracker": {"name": "cotracker3_offline"},
        "metrics": {},
    }
    with pytest.raises(MissingParts) as caught:
        requirements.require(wanted, [{"name": "ati", "size": "upstream"}])
    report = caught.value.report
    assert "missing: usable cases for suite movebench\n    suite movebench: " in report
    assert "none does not exist; give its folder with suite.path=DIR" in report
    assert "downloads: about 16.7 GB, and 1 of unknown size, into " in report
    wanted["suite"] = {"name": "shapes"}
    with pytest.raises(MissingParts) as caught:
        requirements.require(wanted, [{"name": "ati", "size": "upstream"}])
    assert "usable cases" not in caught.value.report


def test_nothing_is_raised_when_all_is_there() -> None:
    builder = requirements.require(
        {"model": {"name": "static"}, "tracker": {"name": "lucas_kanade"}, "metrics": {}}
    )
    assert builder.build("tracker", {"name": "lucas_kanade"}) is builder.build(
        "tracker", {"name": "lucas_kanade"}
    )
    assert requirements.collect([("model", {"name": "tora", "size": "nano"})], Builder()) == ([], [])


def test_a_length_that_cannot_be_made_is_told_before_anything_is_downloaded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path))
    shared = {"tracker": {"name": "lucas_kanade"}, "metrics": {}, "height": 480, "width": 832}
    ati = {"name": "ati", "size": "upstream"}
    with pytest.raises(UserError, match=r"frames=82; allowed: 1 to 81"):
        requirements.require({**shared, "model": ati, "frames": 82})
    with pytest.raises(MissingParts, match="weights ati_upstream"):
        requirements.require({**shared, "model": ati, "frames": 81})
    with pytest.raises(UserError, match=r"steps=0; allowed"):
        requirements.require({**shared, "model": {**ati, "steps": 0}, "frames": 81})


def test_a_bench_is_planned_without_torch(tmp_path: Path) -> None:
    script = (
        "import sys; from toraeval.__main__ import main\n"
        f"code = main(['bench', 'limit=1', 'frames=[16]', 'dry_run=true', 'results={tmp_path}'])\n"
        "assert code == 0, code\n"
        "print('torch' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[-1] == "False"
