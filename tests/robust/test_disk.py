"""A disk that fills up or is read-only: one line, and the same command completes the run once that is mended."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.robust import small_bench
from tests.robust.conftest import Whole

pytestmark = [pytest.mark.robust, pytest.mark.timeout(3000)]
PAGE = 4096
SHARES = (0.05, 0.3, 0.55, 0.7, 0.85, 0.97)
"""Sizes of the disk, as shares of what the finished results need."""
PLACES = (
    "", "runs", "runs/.jobs", "runs/shapes-v2/static/*", "runs/shapes-v2/static/*/cases",
    "runs/shapes-v2/static/*/cases/01_curve_1obj", "runs/shapes-v2/ground_truth/*", "cache/features", "samples",
    "report", "report/clips",
)  # fmt: skip
"""Folders of every stage: planning, the samples, tables, features, figures and the page."""

REASONS = (
    "No space left",
    "is full",
    "takes no larger file",
    "File too large",
    "Read-only file system",
    "Permission denied",
)


def mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@contextmanager
def mounted(folder: Path, size: int) -> Iterator[Path]:
    """Put a disk of its own size under a folder, where this user may mount one."""
    folder.mkdir(parents=True)
    if shutil.which("mount") is None or not mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)):
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nobody write into a folder; root may write anywhere, so that for root it is mounted so."""
    if os.geteuid() != 0:
        modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*")) if path.is_dir()}
        for path in modes:
            path.chmod(0o555)
        try:
            yield
        finally:
            for path, mode in modes.items():
                path.chmod(mode)
        return
    if not mount("--bind", str(folder), str(folder)):
        pytest.skip("this is root, whom modes don't stop, and nothing can be mounted here")
    try:
        assert mount("-o", "remount,bind,ro", str(folder))
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def require_one_line(code: int, words: str) -> None:
    """See that a bench ended with what failed and no traceback."""
    assert code in (1, 2), words
    assert "Traceback" not in words, words
    assert any(reason in words for reason in REASONS), words


def pages(folder: Path) -> int:
    """Return the bytes that files take on a disk that gives whole pages."""
    return sum(-(-path.stat().st_size // PAGE) * PAGE for path in folder.rglob("*") if path.is_file())


def test_a_disk_that_fills_up(
    tmp_path: Path, whole: Whole, damages: int, record_property: Callable[[str, object], None]
) -> None:
    small_bench.finish(tmp_path / "sized" / "results", 1)
    needed = pages(tmp_path / "sized")
    shares = SHARES if damages > 1 else SHARES[1::3]
    full = 0
    for number, share in enumerate(shares):
        size = int(share * needed) // PAGE * PAGE
        with mounted(tmp_path / f"{number}", size) as disk:
            results = disk / "results"
            log = tmp_path / f"{number}.log"
            code, words = small_bench.start(results, tweak="roomy", log=log).ended()
            if code != 0:  # what is written last may need less at once than in the end
                full += 1
                require_one_line(code, words)
            assert mount("-o", f"remount,size={8 * needed}", str(disk))
            small_bench.finish(results)
            small_bench.require_equal(results, whole(1))
    assert full
    record_property("full disks survived", full)


def test_files_that_may_not_grow(
    tmp_path: Path, whole: Whole, damages: int, record_property: Callable[[str, object], None]
) -> None:
    """As a full disk, for everybody: no file may exceed a share of the largest one."""
    small_bench.finish(tmp_path / "sized" / "results")
    sizes = sorted(path.stat().st_size for path in (tmp_path / "sized").rglob("*") if path.is_file())
    full = 0
    for number, share in enumerate(SHARES if damages > 1 else SHARES[1::3]):
        results = tmp_path / f"{number}" / "results"
        largest = max(4 * PAGE, int(share * sizes[-1]))  # what it says must find room
        code, words = small_bench.start(results, largest=largest).ended()
        full += 1
        require_one_line(code, words)
        small_bench.finish(results)
        small_bench.require_equal(results, whole(1))
    record_property("limits on files survived", full)


def test_too_little_room_is_said_before_the_start(tmp_path: Path) -> None:
    code, words = small_bench.start(tmp_path / "results", tweak="cramped", log=tmp_path / "log").ended()
    assert code == 2
    assert "are needed" in words, words


def test_read_only_folders(
    tmp_path: Path, whole: Whole, damages: int, record_property: Callable[[str, object], None]
) -> None:
    results = tmp_path / "results"
    small_bench.finish(results)
    places = PLACES if damages > 1 else PLACES[3:6]
    refused = 0
    for place in places:
        folder = next(iter(results.glob(place))) if place else results
        remove_below(folder)
        with read_only(folder):
            code, words = small_bench.start(results).ended()
            if code != 0:
                refused += 1
                require_one_line(code, words)
        small_bench.finish(results)
        small_bench.require_equal(results, whole(1))
    assert refused
    record_property("read-only folders survived", len(places))


def remove_below(folder: Path) -> None:
    """Remove the files of a folder, so that the next command has to write there."""
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()
