"""The ablation bench over fake training and a fake model: its rows, files, refusals and dry run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.cli.conftest import Ran
from tests.fake_parts import FakeModel
from toraeval import registry
from toraeval.config.verbs import AblationsConfig
from toraeval.run import ablations
from toraeval.training.recipes.ablations import BACKBONE, DEFAULT, GROUPS, Trained, variants

Cli = Callable[..., Ran]
SHIFTS = {"default": 1, "backbone": 9, "cross_attention": 3}


class ShiftedTora(FakeModel):
    """Is off by as many pixels as its weights file says."""

    name = "tora"

    def __init__(self, weights: str, **_: Any) -> None:
        super().__init__(shift=int(Path(weights).read_text()))


def trained(folder: Path) -> Iterator[Trained]:
    # a second seed for a few only, which saves half of the clips
    twice = [variant for variant in variants() if variant.name in ("default", "cross_attention", "entity")]
    for variant, seed in [*((v, 0) for v in (BACKBONE, *variants())), *((v, 1) for v in twice)]:
        weights = folder / f"{variant.name}-{seed}.txt"
        # a second seed of cross-attention is as good as the default
        again = seed and variant.name == "cross_attention"
        weights.write_text(str(1 if again else SHIFTS.get(variant.name, 2)))
        card = {
            "steps": 5, "clips_seen": 70, "training_seconds": 90, "parameters": 100, "motion_parameters": 10,
            "last_loss": 0.5,
        }  # fmt: skip
        yield Trained(variant, weights, card, seed)


@pytest.fixture
def bench(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    registry.register("model", "tora", "tests.cli.test_ablations:ShiftedTora")
    registry.register("suite", "shapes", "tests.fake_parts:FakeSuite")
    monkeypatch.setattr(ablations, "train_all", lambda options: trained(tmp_path))

    def plain(config: Any, options: Any, item: Trained) -> dict[str, Any]:
        shared = {name: config[name] for name in ablations.SHARED}
        model = {"name": "tora", "weights": str(item.weights)}
        return {**shared, "suite": {"name": "shapes"}, "model": model, "frames": config["frames"][0]}

    monkeypatch.setattr(ablations, "variant_run", plain)
    return lambda *argv: cli("bench", "preset=ablations", "height=64", "width=64", *argv)


FAKE_TRACKER = ("tracker=fake_tracker", "frames=[8]", "metric=[traj_error]")


@pytest.mark.long
def test_every_group_gets_its_rows_and_the_default_stands_in_each(bench: Cli) -> None:
    ran = bench(*FAKE_TRACKER)
    assert ran.code == 0, ran.err
    rows = pd.read_csv("results/ablations.csv")
    assert list(rows["ablation"].unique()) == [*GROUPS, "reference"]
    defaults = rows[rows["variant"].str.endswith("(default)")]
    assert len(defaults) == len(GROUPS)
    assert set(defaults["traj_error"]) == {1.0}
    assert defaults["difference"].isna().all()
    others = rows.set_index("variant")
    assert others.loc["cross-attention", "traj_error"] == 2.0
    assert others.loc["cross-attention", "difference"] == 1.0
    assert others.loc["cross-attention", ["seeds", "best_seed", "worst_seed", "seeds_worse"]].tolist() == [
        2,
        1,
        3,
        1,
    ]
    assert others.loc["entity", "seeds_worse"] == 2
    assert (
        others.loc["cross-attention", "cases_needed"] == 6
    )  # all cases differ alike, and fewer have no test
    assert defaults["cases_needed"].isna().all()
    assert others.loc["no paths (common start)", "traj_error"] == 9.0
    assert set(rows["minutes"]) == {3.0, 1.5}
    text = Path("results/ablations.md").read_text()
    assert "70 clips seen of 4,096" in text
    assert Path("results/ablations.png").read_bytes().startswith(b"\x89PNG")
    again = bench(*FAKE_TRACKER)
    assert "nothing to do" in again.out


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("frames=[16,64]", "frames=[16, 64]; allowed: one length"),
        ("models=[static]", "models=['static']; allowed: [tora]"),
        ("ablations.steps=0", "ablations: steps=0; allowed: at least 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(bench: Cli, override: str, message: str) -> None:
    ran = bench("tracker=fake_tracker", override)
    assert ran.code == 2
    assert message in ran.err


def test_dry_run_trains_nothing(bench: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablations, "train_all", lambda options: pytest.fail("trained"))
    ran = bench(*FAKE_TRACKER, "dry_run=true")
    assert ran.code == 0
    assert "31 training runs" in ran.out


def test_a_variant_is_tora_with_its_weights_on_the_chosen_split(tmp_path: Path) -> None:
    item = Trained(DEFAULT, tmp_path / "w.safetensors", {})
    config = {name: None for name in ablations.SHARED} | {"model_options": {}, "frames": [16]}
    run = ablations.variant_run(config, AblationsConfig(split="test", cases=4), item)
    assert run["suite"] == {"name": "shapes", "split": "test", "count": 4}
    assert (run["model"]["name"], run["model"]["weights"], run["frames"]) == ("tora", str(item.weights), 16)
    json.dumps(run)
