"""Malformed inputs of every reader: one line or a value, no traceback, no long wait, nothing written elsewhere."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.suite_damage import spoil
from tests.robust import inputs
from tests.robust.inputs import Reader
from tests.robust.watch import Slow, Watched, hurried, watching
from toraeval.__main__ import main
from toraeval.cli import overrides
from toraeval.trajectories.formats import PATH_SUFFIXES
from toraeval.types import UserError

pytestmark = [pytest.mark.robust, pytest.mark.timeout(600)]
LONGEST_LINE = 3000
READERS = (
    inputs.path_file, inputs.folder_suite, inputs.prompts, inputs.manifest, inputs.training_table, inputs.video,
    inputs.picture, inputs.weights, inputs.embedded_weights, inputs.config, inputs.votes,
)  # fmt: skip


def problem(reader: Callable[[], object], seen: Watched) -> str:
    """Return what is wrong with how an input was taken, empty for a value or one line."""
    seen.taken()
    try:
        with hurried():
            reader()
    except UserError as error:
        text = str(error)
        if "\n" in text or len(text) > LONGEST_LINE:
            return f"a message of {len(text)} characters in {text.count(chr(10)) + 1} lines: {text[:200]}"
    except (Exception, Slow) as error:
        return f"{type(error).__name__}: {str(error)[:200]}"
    return ", ".join(seen.taken())


def texts(content: bytes, draw: random.Random) -> bytes:
    """Return a text file with a value of it replaced by one that nobody expects."""
    value = json.dumps(draw.choice(inputs.odd_values())).encode()
    words = content.split(b",")
    words[draw.randrange(len(words))] = value
    return b",".join(words)


def damage(file: Path, others: list[Path], draw: random.Random) -> str:
    """Damage a file; a text also by odd values in it."""
    content = file.read_bytes()
    if file.suffix in (".json", ".jsonl", ".csv", ".txt", ".yaml") and draw.random() < 0.4:
        file.write_bytes(texts(content, draw))
        return "value"
    return spoil(file, others, draw)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_damaged_files(
    reader: Reader, tmp_path: Path, data_dir: Path, malformed: int, record_property: Callable[[str, object], None]
) -> None:  # fmt: skip
    known = inputs.examples(tmp_path / "sound", data_dir)
    sound, all_files = known[reader], [file for files in known.values() for file in files]
    draw = random.Random(reader.__name__)
    wrong, tried = [], 0
    with watching(tmp_path / "nothing is written") as seen:
        for number in range(malformed):
            file = sound[number % len(sound)]
            root = file.relative_to(tmp_path / "sound").parts[0]
            with seen.pause():
                place = tmp_path / "damaged" / f"{number}"
                shutil.copytree(tmp_path / "sound" / root, place)
                copy = place / file.relative_to(tmp_path / "sound" / root)
                how = damage(copy, all_files, draw)
            found = problem(lambda copy=copy: reader(copy), seen)
            tried += 1
            if found:
                wrong.append(f"{how} {copy.name}, try {number}: {found}")
    assert wrong == []
    record_property("malformed inputs of readers", tried)


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.__name__)
def test_sound_files_are_read(reader: Reader, tmp_path: Path, data_dir: Path) -> None:
    read = 0
    for file in inputs.examples(tmp_path, data_dir)[reader]:
        try:
            reader(file)
            read += 1
        except UserError:
            continue
    assert read, "else the damaged ones say nothing"


def test_damaged_paths_at_the_command_line(
    tmp_path: Path, data_dir: Path, malformed: int, capsys: pytest.CaptureFixture[str],
    record_property: Callable[[str, object], None],
) -> None:  # fmt: skip
    sound = inputs.examples(tmp_path / "sound", data_dir)[inputs.path_file]
    draw, wrong = random.Random(0), []
    with watching(tmp_path / "out") as seen:
        for number in range(malformed):
            with seen.pause():
                file = tmp_path / f"{number}" / sound[number % len(sound)].name
                shutil.copytree(sound[number % len(sound)].parent, file.parent)
                how = damage(file, sound, draw)
                (tmp_path / "out").mkdir(exist_ok=True)
            argv = ["convert", str(file), str(tmp_path / "out" / f"{number}.json")]
            codes: list[int] = []
            found = problem(lambda argv=argv, codes=codes: codes.append(main(argv)), seen)
            printed = capsys.readouterr()
            if found or codes[0] not in (0, 2) or "Traceback" in printed.err + printed.out:
                wrong.append(f"{how} {file.name}: {codes} {found} {printed.err[:300]}")
    assert wrong == []
    record_property("malformed inputs of the command line", malformed)


KEYS = st.sampled_from(
    (
        "cases",
        "id",
        "prompt",
        "tracks",
        "points",
        "visible",
        "canvas",
        "fps",
        "width",
        "height",
        "case",
        "file",
        "seed",
    )
)
VALUES = st.recursive(
    st.none() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(inputs.odd_values()),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8) | KEYS, inner, max_size=5),
    max_leaves=20,
)  # fmt: skip
CELLS = st.lists(st.text(max_size=12), min_size=1, max_size=6).map(",".join)
TEXTS = st.one_of(
    VALUES.map(json.dumps),
    st.lists(CELLS, max_size=6).map("\n".join),
    st.text(max_size=200),
)
CONTENTS = TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=300)
CASES = settings(
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
NAMES = st.sampled_from([f"a{suffix}" for suffix in sorted(PATH_SUFFIXES)])
TEXT_READERS: dict[Reader, tuple[str, ...]] = {
    inputs.folder_suite: ("cases.json",),
    inputs.prompts: ("prompts.txt",),
    inputs.manifest: ("manifest.json", "manifest.jsonl", "manifest.csv"),
    inputs.training_table: ("metadata.csv", "metadata.jsonl"),
    inputs.weights: ("w.safetensors.index.json", "w.pth", "w.safetensors"),
    inputs.config: ("model/mine.yaml",),
    inputs.votes: ("votes.csv",),
    inputs.video: ("a.mp4", "a.gif", "a.webp"),
    inputs.picture: ("a.png", "a.jpg"),
}


@pytest.mark.parametrize("reader", [inputs.path_file, *TEXT_READERS], ids=lambda reader: reader.__name__)
def test_made_up_files(
    reader: Reader, tmp_path: Path, malformed: int, record_property: Callable[[str, object], None]
) -> None:
    names = NAMES if reader is inputs.path_file else st.sampled_from(TEXT_READERS[reader])
    tried = 0
    with watching(tmp_path / "nothing is written") as seen:

        @settings(CASES, max_examples=malformed)
        @given(name=names, content=CONTENTS)
        def one(name: str, content: bytes) -> None:
            nonlocal tried
            tried += 1
            with seen.pause():
                file = tmp_path / f"{tried}" / name
                file.parent.mkdir(parents=True)
                file.write_bytes(content)
            assert problem(lambda: reader(file), seen) == ""

        one()
    record_property("made-up inputs of readers", tried)


def test_made_up_options(
    tmp_path: Path, malformed: int, record_property: Callable[[str, object], None]
) -> None:
    known = st.sampled_from(
        [*overrides.keys("run"), "model.seed", "suite.path", "hydra.job.name", "+x", "~model"]
    )
    option = st.builds(
        lambda key, value: f"{key}={value}", known | st.text(max_size=10), VALUES | st.text(max_size=30)
    )
    tried = 0
    with watching(tmp_path) as seen:

        @settings(CASES, max_examples=malformed)
        @given(words=st.lists(option | st.text(max_size=12), min_size=1, max_size=3))
        def one(words: list[str]) -> None:
            nonlocal tried
            tried += 1
            assert problem(lambda: overrides.check("run", words, False), seen) == ""

        one()
    record_property("made-up options", tried)
