"""The calibrate verb: files it writes, resuming, and its errors."""

import numpy as np
import pandas as pd
import pytest

from toraeval.__main__ import main
from toraeval.run.calibration import conditions
from toraeval.types import Tracks


class Standing:
    """A tracker that never moves."""

    name = "standing"
    version = "1"
    calls = 0

    def fingerprint(self):
        return {"name": self.name}

    def track(self, video, queries):
        type(self).calls += 1
        points = np.repeat(np.asarray(queries)[:, None], video.num_frames, 1)
        return Tracks(points, np.ones(points.shape[:2], bool))


@pytest.fixture(autouse=True)
def few(monkeypatch):
    monkeypatch.setattr(conditions, "SCENES", ("line", "crossing"))
    monkeypatch.setattr(conditions, "DAMAGED_FRAMES", 3)
    monkeypatch.setattr(Standing, "calls", 0)
    # the verb takes classes by their place; this file is imported under a name of pytest's own
    monkeypatch.setattr("toraeval.trackers.lucas_kanade.Standing", Standing, raising=False)


TRACKER = "tracker=toraeval.trackers.lucas_kanade:Standing"


def test_writes_table_page_and_figure_and_goes_on(tmp_path, capsys):
    words = ["calibrate", TRACKER, "frames=4", "degrade=blur_2,h264", f"results={tmp_path}"]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "| standing" in shown
    table = pd.read_csv(tmp_path / "trackers.csv")
    assert set(table[table["group"] == "damage"]["value"]) >= {"blur_2", "h264"}
    clean = table[table["group"] == "all"].iloc[0]
    assert clean["floor"] > 10
    assert clean["clips"] == 2
    assert "calibrate tracker=" in (tmp_path / "trackers.md").read_text()
    assert (tmp_path / "trackers.png").stat().st_size > 1000
    assert Standing.calls == 6
    assert main([*words, "count=1"]) == 0
    assert Standing.calls == 6


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tracker=lucas_kanad"], "unknown tracker 'lucas_kanad'. Did you mean 'lucas_kanade'"),
        (["degrade=rain"], "degrade=rain; allowed: blur_2"),
        (["frames=many"], "frames=many; allowed: whole numbers"),
        (["frames=1"], "frames >= 2"),
        (["frames=[]"], "frames=[] names nothing; allowed: one or more, e.g. 'frames=[16,64,128]'"),
        (["tracker=[dis_flow,dis_flow]"], "tracker names dis_flow twice; allowed: each once"),
        (["split=train"], "allowed: validation, test"),
        (["tacker=lucas_kanade"], "tracker"),
        (["lucas_kanade"], "is not an option"),
    ],
)
def test_wrong_options_are_one_line(tmp_path, capsys, words, message):
    assert main(["calibrate", f"results={tmp_path}", *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "trackers.csv").exists()


def test_help_explains_every_option(capsys):
    assert main(["calibrate", "--help"]) == 0
    text = capsys.readouterr().out
    for key in ("tracker=", "frames=", "count=", "degrade=", "split=", "results="):
        assert f"\n  {key}" in text
