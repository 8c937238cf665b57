"""Wrong names, keys and values: one line each, exit code 2, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl

Cli = Callable[..., Any]


@pytest.mark.usefixtures("composed_once")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("model=torra",),
            "unknown model 'torra'. Did you mean 'tora'? Allowed: tora, tora_cogvideox, ",
        ),
        (("metric=traj_eror",), "unknown metric 'traj_eror'. Did you mean 'traj_error'?"),
        (("metric=[traj_error,fvdd]",), "unknown metric 'fvdd'"),
        (("tracker=lucas",), "unknown tracker 'lucas'. Did you mean 'lucas_kanade'?"),
        (("suite=shape",), "unknown suite 'shape'. Did you mean 'shapes'?"),
        (("preset=smok",), "unknown preset 'smok'. Did you mean 'smoke'?"),
        (("+preset=smok",), "unknown preset 'smok'. Did you mean 'smoke'?"),
        (("fraems=16",), "unknown option of run 'fraems'. Did you mean 'frames'?"),
        (("+fraems=16",), "unknown option of run 'fraems'. Did you mean 'frames'?"),
        (("modl=tora",), "Did you mean 'model'?"),
        (("model.stpes=4",), "unknown option of run 'model.stpes'. Did you mean 'model.steps'?"),
        (("model=static", "model.steps=4"), "unknown option of run 'model.steps'"),
        (("metrics.traj_error.x=1",), "unknown option of run 'metrics.traj_error.x'"),
        (("frames=abc",), "frames=abc; allowed: a whole number"),
        (("frames=16.5",), "frames=16.5; allowed: a whole number"),
        (("model.steps=many",), "model.steps=many; allowed: a whole number"),
        (("seeds=0",), "seeds"),
        (("frames=[",), "'frames=[' is not an option"),
        (("frames",), "'frames' is not an option"),
        (("~frames",), "nothing can be deleted"),
        (("model=static,tora",), "need -m"),
        (
            ("frames=16,32",),
            "Ambiguous value for argument 'frames=16,32': several values, one run after the other",
        ),
        (("model=[static,tora]",), "model=[static,tora]: one model is allowed; several"),
        (("-m", "model=static,torra"), "unknown model 'torra'"),
        (("frames=0", "model=static"), "frames=0: allowed are 2 to 1024"),
        (("frames=1", "model=static"), "frames=1: allowed are 2 to 1024"),
        (("frames=-4", "model=static"), "frames=-4: allowed are 2 to 1024"),
        (("frames=1025", "model=static"), "frames=1025: allowed are 2 to 1024"),
        (("height=500",), "sides divisible by 64"),
        (("width=0", "model=static"), "width=0: allowed are 16 to 4096"),
        (("seeds=[]", "model=static"), "seeds=[]: allowed are different whole numbers"),
        (("seeds=[1,1]", "model=static"), "seeds=[1, 1]: allowed are different whole numbers"),
        (("limit=0", "model=static"), "limit=0: allowed are whole numbers >= 1"),
        (("workers=0", "model=static"), "workers=0: allowed are auto and 1 to 64"),
        (("workers=all", "model=static"), "workers=all: allowed are auto and 1 to 64"),
        (("keep=lossles", "model=static"), "unknown value of keep 'lossles'. Did you mean 'lossless'?"),
        (("stages=[generat]", "model=static"), "unknown stage 'generat'. Did you mean 'generate'?"),
        (("stages=[]", "model=static"), "name at least one stage"),
        (
            ("samples=[00_lin_1obj]", "model=static"),
            "unknown case '00_lin_1obj'. Did you mean '00_line_1obj'?",
        ),
        (
            ("results=null",),
            "results=null gives no value; give one, or leave the option out for its default, results",
        ),
        (
            ("results=",),
            "results= gives no value; give one, or leave the option out for its default, results",
        ),
        (("results=''",), "results= gives no value"),
        (
            ("overlap=null",),
            "overlap=null gives no value; give one, or leave the option out for its default, auto",
        ),
        (("floor=null",), "leave the option out for its default, true"),
        (("frames=NULL",), "frames=null gives no value"),
        (("seeds=null",), "seeds=null gives no value"),
        (("model.weights=",), "model.weights= gives no value"),
        (("tracker=null",), "run: tracker=null chooses none; allowed: lucas_kanade"),
        (("metric=null",), "run: metric=null chooses none; allowed: traj_error"),
        (("metric=[fvd,psnr,fvd]",), "run: metric names fvd twice; allowed: each once"),
        (("metric=[]",), "run: metric=[] names none; to stop before scoring: 'stages=[generate,track]'"),
        (
            ("model=static", "executor=slurm", "cluster.jobs=-1", "dry_run=true", "limit=1"),
            "cluster.jobs=-1: allowed are whole numbers from 1",
        ),
        (("stages=[track,track]", "model=static"), "stages names track twice"),
        (("samples=[00_line_1obj,00_line_1obj]", "model=static"), "samples names 00_line_1obj twice"),
        (("model=precomputed",), "run: model.videos is missing; give it as model.videos=VALUE"),
        (("suite=movebench",), "see: python -m toraeval run suite=movebench --help"),
        (("suite=folder", "model=static"), "suite.path is missing"),
    ],
)
def test_wrong_arguments_of_run(cli: Cli, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    ran = cli("run", *arguments)
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert message in ran.err
    assert ran.err.count("\n") == 1, "one line"
    assert ran.out == ""
    assert not list(tmp_path.glob("results/runs/[!.]*")), "nothing was started"


@pytest.mark.usefixtures("composed_once")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("models=[torra]",), "unknown model 'torra'. Did you mean 'tora'?"),
        (("modls=[tora]",), "unknown option of bench 'modls'. Did you mean 'models'?"),
        (("model=tora",), "unknown option of bench 'model'. Did you mean 'models'?"),
        (("models=[static]", "model_options.tora.steps=3"), "unknown model in model_options 'tora'"),
        (("model_options.tora.stpes=3",), "unknown option of model tora 'stpes'. Did you mean 'steps'?"),
        (("model_options.tora.steps=many",), "model_options.tora: Value 'many'"),
        (("models=[precomputed]",), "model precomputed needs videos"),
        (
            ("models=[precomputed]", "model_options.precomputed.videos="),
            "precomputed: videos= gives no value",
        ),
        (("models=[tora]", "model_options.tora.precision=null"), "tora: precision=null gives no value"),
        (("models=[static,tora,static]",), "bench: models names static twice; allowed: each once"),
        (("models=[static]", "frames=[16,16]"), "bench: frames names 16 twice; allowed: each once"),
        (("models=[static]", "sizes=[[64,64],[64,64]]"), "bench: sizes names [64, 64] twice"),
        (("models=[]",), "models and frames must name at least one each"),
        (("frames=[16,0]", "models=[static]"), "frames=0: allowed are 2 to 1024"),
        (("frames=16",), "frames takes a list; with one value: 'frames=[VALUE]'"),
        (("models=static",), "models takes a list; with one value: 'models=[VALUE]'"),
        (("height=100", "models=[static,tora]"), "sides divisible by 64"),
    ],
)
def test_wrong_arguments_of_bench(cli: Cli, arguments: tuple[str, ...], message: str) -> None:
    ran = cli("bench", *arguments)
    assert (ran.code, ran.err.count("\n")) == (2, 1), ran.err
    assert message in ran.err


def test_a_command_composes_its_settings_once(
    cli: Cli, fake: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    composed: list[Any] = []
    load = ConfigLoaderImpl.load_configuration
    monkeypatch.setattr(
        ConfigLoaderImpl,
        "load_configuration",
        lambda *given, **named: composed.append(named) or load(*given, **named),
    )
    assert cli("run", "model=fake_model", "model.shift=3", *fake, "limit=1").code == 0
    assert len(composed) == 1


def test_plus_before_a_known_key_is_accepted(cli: Cli, fake: tuple[str, ...]) -> None:
    ran = cli("run", "model=fake_model", *fake, "+preset=smoke", "+keep=none", "--cfg", "job")
    assert ran.code == 0
    assert "limit: 2" in ran.out
    assert "keep: none" in ran.out


def test_command_line_wins_over_the_preset(cli: Cli) -> None:
    assert "limit: 5" in cli("run", "preset=smoke", "limit=5", "--cfg", "job").out
    assert "limit: 5" in cli("run", "limit=5", "preset=smoke", "--cfg", "job").out


def test_bench_lists_follow_the_preset(cli: Cli) -> None:
    out = cli("bench", "preset=smoke", "--cfg", "job").out
    assert (yaml.safe_load(out)["limit"], yaml.safe_load(out)["frames"]) == (2, [16])
    assert yaml.safe_load(cli("bench", "--cfg", "job").out)["frames"] == [16, 64, 128]
    assert "bench" not in yaml.safe_load(cli("run", "preset=smoke", "--cfg", "job").out)


def test_ones_own_folder_holds_parts_and_presets(cli: Cli, tmp_path: Path, fake: tuple[str, ...]) -> None:
    for name, text in (
        ("model/quick.yaml", "defaults:\n  - /schema/model/tora@_here_\n  - _self_\n\nsteps: 3\n"),
        (
            "preset/mine.yaml",
            "# @package _global_\nlimit: 1\nbench:\n  models: [fake_model]\n  frames: [8]\n",
        ),
    ):
        (tmp_path / "own, mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own, mine" / name).write_text(text)
    own = ("--config-dir", "own, mine")
    made = yaml.safe_load(cli("run", "model=quick", "preset=mine", *own, "--cfg", "job").out)
    assert (made["model"]["name"], made["model"]["steps"], made["limit"]) == ("tora", 3, 1)
    ran = cli("bench", "preset=mine", *fake[:-1], *own, "dry_run=true")
    assert "fake_model 8f: 1 sample," in ran.out, ran.err
    assert "Did you mean 'mine'?" in cli("run", "preset=mnie", *own).err


def test_parts_without_a_yaml_file_have_their_constructors_options(cli: Cli, fake: tuple[str, ...]) -> None:
    out = cli("run", "model=fake_model", "model.shift=5", *fake, "--cfg", "job").out
    assert "shift: 5" in out
    ran = cli("run", "model=fake_model", "model.shift=far", *fake)
    assert "model.shift=far; allowed: a whole number" in ran.err
