"""The fairness page on made-up records, and the rules it states on the weights that are shipped."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from benchmarks import fairness
from toraeval.training.engine.log import write_rows
from toraeval.types import MissingAsset

STEPS = ((1, 5.0, 0), (2, 4.0, 1), (4, 4.5, 0))


def write(
    root: Path,
    model: str,
    width: int = 100,
    clips: int = 50,
    tries: int = 3,
    device: str = "cpu",
    seconds: int = 600,
) -> None:
    """One model's weights, card and tables; it has 10 `width` parameters, of which `width` read the paths."""
    weights = fairness.weights_path(root, model)
    weights.parent.mkdir(parents=True)
    prefix, motion = ("dit", "fuser") if model in ("tora", "wan_move") else ("unet", "motion_encoder")
    tensors = {
        f"{prefix}.body_blocks.0": np.zeros((9, width), np.float32),
        f"{prefix}.{motion}.w": np.zeros(width, np.float32),
        "vae.basis": np.zeros((7, 7), np.float32),
    }
    save_file(tensors, str(weights))
    card = {
        "clips_seen": clips,
        "steps": 20,
        "training_seconds": seconds,
        "hardware": f"2 process(es) on {device}, x86_64",
        "clips_rendered": {"17": 9344, "33": 864},
        "config": {"seed": 0, "lr_matrix": 0.002, "lr_other": 0.001},
    }
    weights.with_suffix(".json").write_text(json.dumps(card))
    tables = root / "docs" / "models"
    losses = [{"loss": f"{1 / (k + 1):.5f}"} for k in range(10)]
    write_rows(tables / f"{model}_nano_log.csv", losses)
    if tries:
        rates = [{"rate": 2.0**k, "lr_matrix": 0.002 * 2**k, "chosen": int(k == 1)} for k in range(tries)]
        write_rows(tables / f"{model}_tuning.csv", rates)
    rows = [{"steps": n, "traj_error": error, "chosen": chosen} for n, error, chosen in STEPS]
    write_rows(tables / f"{model}_steps.csv", rows)
    validation = [{"kind": kind, "loss": loss} for kind, loss in (("fast", 0.3), ("slow", 0.1), ("all", 0.2))]
    write_rows(tables / f"{model}_validation.csv", validation)


def page(root: Path) -> str:
    assert fairness.main(root) == 0
    return (root / "docs" / "fairness.md").read_text()


def row(text: str, title: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {title}"))
    return [cell.strip() for cell in line.split("|")[2:-1]]


def test_equal_models_keep_every_rule(tmp_path: Path) -> None:
    for model, width in (("tora", 100), ("wan_move", 102), ("motionctrl", 105), ("dragnuwa", 110)):
        write(tmp_path, model, width)
    text = page(tmp_path)
    assert row(text, "parameters") == ["1,000", "1,020", "1,050", "1,100"]
    assert row(text, "of which read the paths") == ["100", "0", "105", "110"]
    assert row(text, "clips seen") == ["50"] * 4
    assert row(text, "time of training") == ["10 min, wall clock"] * 4
    assert row(text, "clips per second") == ["0.1"] * 4
    assert row(text, "learning rates tried") == ["3"] * 4
    assert row(text, "sampling steps chosen") == ["2"] * 4
    assert row(text, "validation loss, slow") == ["0.1"] * 4
    assert row(text, "training loss") == [f"{sum(1 / k for k in range(6, 11)) / 5:.4f}"] * 4
    assert row(text, "clips rendered") == ["9,344 of 17, 864 of 33"] * 4
    assert text.count("- holds: ") == 5
    assert "does not hold" not in text
    assert "Learning rate of tora" in text  # the search preferred another one than it was trained with


def test_what_is_unequal_is_said(tmp_path: Path) -> None:
    write(tmp_path, "tora", 100, clips=50)
    write(tmp_path, "wan_move")
    write(tmp_path, "motionctrl", 111, clips=47)
    write(tmp_path, "dragnuwa", 100, tries=0)
    text = page(tmp_path)
    assert "**does not hold**: parameters within 10% of each other: the largest has 11.0% more" in text
    assert "**does not hold**: clips seen within 5% of each other: 47, 50" in text
    assert "**does not hold**: the same number of learning rates tried: 0, 3" in text
    assert row(text, "learning rates tried") == ["3", "3", "3", "none"]
    assert row(text, "rate that the search chose") == ["2.0", "2.0", "2.0", "not searched"]


def test_a_budget_on_a_gpu_is_stated_in_its_seconds(tmp_path: Path) -> None:
    for model, seconds in (("tora", 900), ("wan_move", 950), ("motionctrl", 1000), ("dragnuwa", 1350)):
        write(tmp_path, model, device="cuda", clips=180_000, seconds=seconds)
    text = page(tmp_path)
    assert row(text, "time of training") == [f"{s} s of the GPU" for s in ("900", "950", "1,000", "1,350")]
    assert row(text, "clips per second") == ["200.0", "189.5", "180.0", "133.3"]
    assert "tora 900, wan_move 950, motionctrl 1,000, dragnuwa 1,350: the longest took 50% more" in text
    assert "- **Seconds of a GPU.**" in text


def test_missing_weights_name_their_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, "tora")
    assert fairness.main(tmp_path) == MissingAsset.exit_code
    assert "train the model with: python -m toraeval train model=wan_move" in capsys.readouterr().err


def test_the_shipped_models_are_comparable() -> None:
    absent = [m for m in fairness.MODELS if not fairness.weights_path(fairness.ROOT, m).exists()]
    if absent:
        pytest.skip(f"weights of {', '.join(absent)} are not shipped yet")
    models = [fairness.collect(fairness.ROOT, name) for name in fairness.MODELS]
    sizes = [m.parameters for m in models]
    assert max(sizes) <= 1.1 * min(sizes)
    assert [m.card["parameters"] for m in models] == sizes
    assert len({m.card["clips_seen"] for m in models}) == 1


def test_the_committed_page_says_what_cards_logs_and_tables_say() -> None:
    written = (fairness.ROOT / "docs" / "fairness.md").read_text()
    assert written == fairness.render([fairness.collect(fairness.ROOT, model) for model in fairness.MODELS])
    assert "does not hold" not in written
