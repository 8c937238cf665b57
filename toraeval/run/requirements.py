"""What parts need before anything runs: packages, weights, checkouts, a GPU; collected into one message."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from toraeval import assets, optional, registry
from toraeval.run.parts import Builder
from toraeval.types import MissingAsset, Part, Requirement, UserError

COSTS: dict[str, tuple[str, str]] = {
    "model tora size=xl2": (
        "weights alone 12.7 GB in bf16 (parameters x 2 bytes; 9.5 GB the text encoder), activations on top",
        "memory and time not measured on a GPU; 30 steps with guidance by default",
    ),
    "model tora_cogvideox": (
        "26 GB of GPU memory in the authors' code, 21 GB with networks offloaded in turn and tiles",
        "about 180 s per clip of 49 frames at 720x480 on an A100, 90 s on an H100 (all of CogVideo's README for "
        "CogVideoX-5B, 50 steps); longer clips cost more than in proportion; this code was not measured on a GPU",
    ),
    "model wan_move size=upstream": (
        "40 GB of GPU memory with the defaults dtype=bf16 offload=true t5_cpu=true (the authors' README)",
        "81 frames at 832x480 in 40 steps with guidance; time not measured",
    ),
    "model ati": (
        "GPU memory as Wan2.1 I2V 14B, no figure by the authors; weights stay on the CPU while unused (offload=true)",
        "81 frames at 832x480 in 40 steps with guidance; time not measured",
    ),
    "model ltx_motion_track": (
        "22 billion parameters: 44 GB in bf16, half with quantization=fp8-cast (parameters x bytes); less with "
        "offload=cpu or disk",
        "8 steps at half size and 3 at full size, no guidance; time not measured",
    ),
    "model wan_fun_control": (
        "19 GB of weights (the authors' table), most of it the text encoder; one network at a time on the GPU with "
        "memory=model_cpu_offload, one layer with sequential_cpu_offload",
        "up to 81 frames at 832x480 in 50 steps with guidance; time not measured",
    ),
    "tracker cotracker3_offline": (
        "0.36 GB + 0.088 GB per frame, 11.6 GB at 128 frames, less with chunk_frames (measured on a CPU)",
        "",
    ),
    "tracker cotracker3_online": ("1.8 GB at any length (measured on a CPU)", ""),
}
"""Memory and time of large parts, by kind, name and deciding option; where the number comes from stands beside it."""

GPU = "a CUDA GPU"
OWN_FILES = ("weights", "checkpoint")
"""Options that name the user's own file, so that nothing need be fetched."""


class MissingParts(MissingAsset):
    """Several things are absent; `report` lists all of them, the message itself is one line."""

    def __init__(self, missing: list[Requirement], costs: list[str]) -> None:
        self.report = describe(missing, costs)
        names = ", ".join(dict.fromkeys(item.what for item in missing))
        commands = "; ".join(dict.fromkeys(item.command for item in missing if item.command))
        super().__init__(f"missing: {names}; run: {commands or 'see the reasons'}")


def of_entry(
    kind: str,
    name: str,
    options: Mapping[str, Any],
    look: Callable[[str], optional.Probe] = optional.probe,
) -> list[Requirement]:
    """Return the packages, files and hardware that a registered part needs with these options.

    Args:
        kind, name: the part.
        options: its options.
        look: how a package is looked for: by importing it, or quicker.
    """
    entry, part = registry.entry(kind, name), f"{kind} {name}"
    found = []
    for module in entry.modules:
        command = optional.install_command(entry.extra) if entry.extra else f"pip install {module}"
        state = look(module)
        reason = "" if state.ok else optional.lacking(state, part, entry.extra)
        found.append(Requirement(f"package {module}", part, state.ok, command, reason))
    own = any(options.get(key) not in (None, "", "checkpoint") for key in OWN_FILES)
    found += [] if own else [_of_asset(asset, part) for asset in entry.assets_for(options)]
    device = str(options.get("device") or "")
    if device.startswith("cuda"):
        import torch

        ready = torch.cuda.is_available()
        found.append(
            Requirement(GPU, part, ready, reason=f"device={device}; use a machine with a GPU, or device=cpu")
        )
    return found


def _of_asset(name: str, part: str) -> Requirement:
    asset = assets.get(name)
    reason = ""
    try:
        assets.path(name)
    except MissingAsset as error:
        reason = str(error)
    command = assets.fetch_command(name)
    return Requirement(f"weights {name}", part, not reason, command, reason, asset.licence, asset.size_mb)


def missing_of(kind: str, options: Mapping[str, Any], builder: Builder) -> list[Requirement]:
    """Return what a part lacks: what its class says with `requirements()`, its registry line, and its fingerprint.

    Args:
        kind: model, tracker, metric or suite.
        options: its `name` and keyword arguments.
        builder: builds it.

    Raises:
        UserError: options that no download can mend.
    """
    values = dict(options)
    name = str(values.pop("name"))
    own = [Path(str(values[key])).expanduser() for key in OWN_FILES if values.get(key)]
    assets.require_numbers(own, f"{kind} {name}", "give the file itself")
    missing = [item for item in of_entry(kind, name, values) if not item.present]
    try:
        part: Part = builder.build(kind, options)
        told = {item.what for item in missing}
        missing += [item for item in part.requirements() if not item.present and item.what not in told]
        part.fingerprint()
    except MissingAsset as error:
        if not missing:  # otherwise it is what stands in the list already
            text = " ".join(str(error).split())
            command = text.rpartition("run: ")[2] if "run: " in text else ""
            reason = text.removesuffix(f"; run: {command}")  # the command has a line of its own
            missing.append(Requirement(f"files of {kind} {name}", f"{kind} {name}", False, command, reason))
    except UserError:
        if not any(item.what == GPU for item in missing):  # the part says the same of the device
            raise
    return missing


Choice = tuple[str, Mapping[str, Any]]
"""Kind and options (with their `name`) of a part."""


def cost(key: str) -> str:
    """Return a line of `COSTS` as it is printed."""
    return f"{key}: {'; '.join(words for words in COSTS[key] if words)}"


def collect(chosen: Iterable[Choice], builder: Builder) -> tuple[list[Requirement], list[str]]:
    """Return what parts lack, each thing once per part, and what the large ones cost in memory and time."""
    missing: list[Requirement] = []
    costs: list[str] = []
    for kind, options in chosen:
        missing += [item for item in missing_of(kind, options, builder) if item not in missing]
        for key in COSTS:
            named, _, choice = key.partition(f"{kind} {options['name']}")
            option, _, value = choice.strip().partition("=")
            fits = named == "" and (not choice or (choice[0] == " " and str(options.get(option)) == value))
            if fits and cost(key) not in costs:
                costs.append(cost(key))
    return missing, costs


def describe(missing: list[Requirement], costs: list[str]) -> str:
    """Return one message: every missing thing with its reason, size, licence and command; then memory and time."""
    missing = _merged(missing)
    lines = [f"{len(missing)} missing:"]
    for item in missing:
        size = f", {item.size_mb / 1000:.1f} GB" if item.size_mb else ""
        licence = f"; licence: {item.licence}" if item.licence else ""
        lines.append(f"missing: {item.what}{size} for {item.needed_by}{licence}")
        if item.reason and not item.licence:
            lines.append(f"    {item.reason}")
        if item.command:
            lines.append(f"    run: {item.command}")
    sizes = {item.what: item.size_mb for item in missing if item.licence}
    total, unknown = sum(size or 0 for size in sizes.values()), sum(not size for size in sizes.values())
    if total:
        place = assets.cache_dir()
        while not place.exists() and place != place.parent:
            place = place.parent
        free = shutil.disk_usage(place).free / 1e9
        more = f", and {unknown} of unknown size," if unknown else ""
        lines.append(
            f"downloads: about {total / 1000:.1f} GB{more} into {assets.cache_dir()}, {free:.1f} GB free"
        )
        if total / 1000 > free:
            lines.append(
                f"warning: {total / 1000 - free:.1f} GB more than is free there; free some space, fetch fewer models, "
                "or name another disk with TORAEVAL_CACHE=DIR"
            )
    lines += [f"cost: {line}" for line in costs]
    return "\n".join(lines)


def _merged(missing: list[Requirement]) -> list[Requirement]:
    """Return each missing thing once, with all parts that need it and the reason of the first."""
    same: dict[tuple[str, str], list[Requirement]] = {}
    for item in missing:
        same.setdefault((item.what, item.command), []).append(item)
    return [
        replace(items[0], needed_by=", ".join(dict.fromkeys(item.needed_by for item in items)))
        for items in same.values()
    ]


def require(config: Mapping[str, Any], models: Iterable[Mapping[str, Any]] | None = None) -> Builder:
    """Build the parts that a resolved config names and refuse to start while anything is missing.

    Args:
        config: of run, bench or score.
        models: options of the models of a bench, in place of `config["model"]`.

    Raises:
        MissingParts: lists everything at once.
        UserError: options that cannot work, or, before anything is downloaded for it, a length or size that the one
            model cannot make.
    """
    single = config.get("model") if models is None and "frames" in config else None
    if models is None:
        models = [config["model"]] if "model" in config else []
    chosen = [("model", options) for options in models]
    chosen += [("tracker", config["tracker"])]
    chosen += [("metric", options) for options in config["metrics"].values()]
    builder = Builder()
    missing, costs = collect(chosen, builder)
    if missing:
        if single is not None:
            with contextlib.suppress(MissingAsset):
                builder.build("model", single).check(config["frames"], config["height"], config["width"])
        raise MissingParts(missing + _of_suite(config.get("suite"), builder), costs)
    return builder


def _of_suite(options: Mapping[str, Any] | None, builder: Builder) -> list[Requirement]:
    """Return what is wrong with the files of a suite, so that it is said before anything is downloaded for it."""
    if options is None:
        return []
    try:
        builder.build("suite", options)
    except UserError as error:
        part = f"suite {options['name']}"
        return [Requirement("usable cases", part, False, "", str(error))]
    return []
