"""Train the embedded metric networks: `python -m toraeval.training.recipes.metric_nets net=video|clip minutes=12`.

The same command in the same folder goes on where it stopped; when the minutes are used up, the weights and their card
are written into the package. `minutes` is training time, added up over restarts; rendering the pool comes on top.
"""

from __future__ import annotations

import csv
import json
import math
import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from toraeval.metrics.shared.networks import dual_encoder, shipped, video_net
from toraeval.metrics.shared.networks.video_net import VideoNet
from toraeval.models.shared.weight_files import write_safetensors
from toraeval.suites.shapes.world import WORLD_SEED
from toraeval.training.data.metric_net_data import FIRST_SCENE, Pool, draw_clips, draw_pairs, vocabulary
from toraeval.training.engine.exchange import finish_step_on_interrupt
from toraeval.training.recipes.metric_net_losses import Heads, clip_loss, pair_loss
from toraeval.types import UserError

HELD_OUT = 10_000_000  # scenes further on in the training split that no network is trained on
CHECKED = 256  # of them
# A picture costs a tenth of a clip, and contrast needs many others in a batch.
DEFAULTS: dict[str, dict[str, Any]] = {
    "video": {"scenes": 6000, "batch": 32},
    "clip": {"scenes": 16000, "batch": 96},
}


@dataclass(frozen=True)
class Options:
    """Options of a run.

    Attributes:
        net: `video` or `clip`.
        scenes: size of the rendered pool.
        batch: clips or pairs of a step.
        minutes: training time in all.
        lr: highest learning rate of AdamW.
        threads: of torch.
        folder: state and pool; keep it to go on later.
        export: weight file to write, by default the one of the package.
        pictures: weights of net=clip, whose picture encoder net=video looks with; by default the shipped ones.
        seed: of weights and draws.
    """

    net: str
    scenes: int
    batch: int
    minutes: float = 12.0
    lr: float = 2e-3
    threads: int = 2
    folder: str = "training_state/metric_nets"
    export: str | None = None
    pictures: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.net not in shipped.NETS:
            raise UserError(f"net={self.net}; allowed: {', '.join(shipped.NETS)}")
        for name, low in (
            ("minutes", 0),
            ("scenes", self.batch - 1),
            ("batch", 3),
            ("lr", 0),
            ("threads", 0),
        ):
            if not getattr(self, name) > low:
                raise UserError(f"{name}={getattr(self, name)}; allowed: more than {low}")


class Trainer:
    """Network, optimiser and counters of one run.

    Args:
        options: see `Options`.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.folder = Path(options.folder) / options.net
        self.card: dict[str, Any] = {} if options.net == "video" else {"words": vocabulary()}
        torch.manual_seed(options.seed)
        self.net = shipped.build(options.net, self.card)
        if isinstance(self.net, VideoNet):
            self.net.pictures.load_state_dict(picture_encoder(options.pictures).state_dict())
        for layer in self.net.modules():  # the layout in which convolutions on a CPU are fastest
            if isinstance(layer, nn.Conv2d):
                layer.weight.data = layer.weight.data.contiguous(memory_format=torch.channels_last)
        self.heads = Heads() if options.net == "video" else nn.Module()
        everything = [p for part in (self.net, self.heads) for p in part.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(everything, lr=options.lr, betas=(0.9, 0.98), weight_decay=0.02)
        side = video_net.SIDE if options.net == "video" else dual_encoder.SIDE
        self.pool = Pool(Path(options.folder), options.net, options.scenes, side)
        self.step, self.seconds, self.stopping = 0, 0.0, False
        self._resume()

    def _resume(self) -> None:
        file = self.folder / "state.pt"
        if not file.exists():
            return
        saved = torch.load(file, weights_only=True)
        before = {name: saved["options"].get(name) for name in ("net", "scenes", "batch", "seed")}
        now = {name: getattr(self.options, name) for name in before}
        if now != before:
            raise UserError(f"{file} was begun with {before}, not {now}; give those, or another folder=PATH")
        self.net.load_state_dict(saved["net"])
        self.heads.load_state_dict(saved["heads"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.step, self.seconds = saved["step"], saved["seconds"]

    def save(self) -> None:
        """Write the whole state under a temporary name and rename it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {
            "options": asdict(self.options),
            "net": self.net.state_dict(),
            "heads": self.heads.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        temporary = self.folder / "state.pt.tmp"
        torch.save(state, temporary)
        os.replace(temporary, self.folder / "state.pt")

    @property
    def progress(self) -> float:
        """Share of the minutes that is used up."""
        return self.seconds / (60 * self.options.minutes)

    def rate(self) -> float:
        """Return the learning rate: 100 steps of warm-up, then a cosine down to zero."""
        shape = 0.5 * (1 + math.cos(math.pi * min(1.0, self.progress)))
        return self.options.lr * min(1.0, (self.step + 1) / 100) * shape

    def loss(self, pool: Pool, seed: tuple[int, ...]) -> tuple[Tensor, dict[str, Any]]:
        """Return the loss of a batch and what it can be judged by."""
        if isinstance(self.net, dual_encoder.DualEncoder):
            loss, found = pair_loss(self.net, draw_pairs(pool, self.options.batch, seed))
            return loss, {"found": found}
        batch = draw_clips(pool, self.options.batch, seed)
        outputs = self.heads(self.net(batch.clip_BTCHW))
        right = {name: (outputs[name].argmax(1) == batch.labels[name]).float().mean()
                 for name in ("count", "background", "drift", "family")}  # fmt: skip
        looks = ((outputs["looks"] > 0) == (batch.labels["looks"] > 0)).all(1).float().mean()
        way = (outputs["motion"] - batch.labels["motion"]).abs().mean()
        return clip_loss(outputs, batch), {**right, "looks": looks, "motion_error": way}

    def update(self) -> float:
        """Make one step and return its loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        with torch.autocast("cpu", torch.bfloat16):
            loss, _ = self.loss(self.pool, (self.options.seed, self.step))
        loss.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        return float(loss.detach())

    def stop(self) -> None:
        """Stop after the step that runs; `run` then saves."""
        self.stopping = True

    def run(self, say: Callable[[str], None]) -> None:
        """Train until the minutes are used up or `stop` is called, saving once a minute."""
        self.pool.fill()
        self.net.train()
        began, saved, losses = time.perf_counter() - self.seconds, time.perf_counter(), []
        try:
            while self.progress < 1.0 and not self.stopping:
                losses.append(self.update())
                self.seconds = time.perf_counter() - began
                if self.step % 50 == 0:
                    mean = sum(losses) / len(losses)
                    say(f"step {self.step}, {self.seconds:.0f} s, loss {mean:.4f}")
                    self._log(mean)
                    losses.clear()
                if time.perf_counter() - saved > 60:
                    self.save()
                    saved = time.perf_counter()
        finally:
            self.save()

    def _log(self, loss: float) -> None:
        file = self.folder / "log.csv"
        self.folder.mkdir(parents=True, exist_ok=True)
        new = not file.exists()
        with file.open("a", newline="") as handle:
            writer = csv.writer(handle)
            if new:
                writer.writerow(("step", "seconds", "loss"))
            writer.writerow((self.step, round(self.seconds), f"{loss:.5f}"))

    @torch.no_grad()
    def judge(self) -> dict[str, float]:
        """Return the means of what the network gets right on scenes it has never seen."""
        self.net.eval()
        folder = Path(self.options.folder) / "held_out"
        pool = Pool(folder, self.options.net, CHECKED, self.pool.side, HELD_OUT)
        pool.fill()
        rounds = max(1, CHECKED // self.options.batch)
        results = []
        for number in range(rounds):
            loss, facts = self.loss(pool, (1, self.options.seed, number))
            results.append({"loss": float(loss), **{name: float(value) for name, value in facts.items()}})
        return {name: round(sum(r[name] for r in results) / rounds, 4) for name in results[0]}

    def export(self) -> Path:
        """Write weights (as 16-bit floats) and their card, and return the weight file."""
        net = self.options.net
        target = Path(self.options.export) if self.options.export else shipped.weights_file(net)
        card = {
            "net": net,
            "net_version": shipped.NET_VERSION,
            **self.card,
            "licence": "Apache-2.0",
            "parameters": sum(p.numel() for p in self.net.parameters()),
            "data": "procedural world `shapes`, training split (toraeval.suites.shapes.world)",
            "scenes": [FIRST_SCENE, FIRST_SCENE + self.options.scenes],
            "world_seed": WORLD_SEED,
            "steps": self.step,
            "samples_seen": self.step * self.options.batch,
            "training_seconds": round(self.seconds),
            "hardware": f"{self.options.threads} CPU thread(s), {platform.machine()}",
            "torch": torch.__version__,
            "held_out": self.judge(),
            "held_out_scenes": [FIRST_SCENE + HELD_OUT, FIRST_SCENE + HELD_OUT + CHECKED],
        }
        write_safetensors(target, self.net.state_dict(), card, torch.float16)
        target.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
        return target


def picture_encoder(file: str | None) -> nn.Module:
    """Return the picture encoder of `clipsim_shapes`.

    Raises:
        MissingAsset: there are no weights yet.
        UserError: a damaged file.
    """
    net = shipped.load("clip", Path(file) if file else None)
    assert isinstance(net, dual_encoder.DualEncoder)
    return net.image


def parse(arguments: list[str]) -> Options:
    """Return the options given as `name=value` words.

    Raises:
        UserError: an unknown option, a value of the wrong kind, or no network.
    """
    kinds = {field.name: str(field.type) for field in fields(Options)}
    given: dict[str, Any] = {}
    for word in arguments:
        name, _, value = word.partition("=")
        if name not in kinds or not value:
            raise UserError(f"unknown option '{word}'; allowed: {', '.join(f'{k}=...' for k in kinds)}")
        try:
            given[name] = {"int": int, "float": float}.get(kinds[name], str)(value)
        except ValueError as error:
            raise UserError(f"{word}: {value} is no number") from error
    if "net" not in given:
        raise UserError(f"name a network: net={'|'.join(shipped.NETS)}")
    return Options(**DEFAULTS.get(given["net"], DEFAULTS["video"]) | given)


def main(arguments: list[str]) -> int:
    """Train with the options of the command line and return the exit code."""

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)  # noqa: T201

    try:
        options = parse(arguments)
        torch.set_num_threads(options.threads)
        trainer = Trainer(options)
        with finish_step_on_interrupt(trainer.stop):
            trainer.run(say)
        say(f"written: {trainer.export()}")
    except UserError as error:
        say(f"error: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("stopped; the same command goes on")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
