"""Names of models, suites, trackers and metrics, and where their classes live; nothing is imported until used."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from toraeval.types import UserError

KINDS = ("model", "suite", "tracker", "metric")
ENTRY_POINT_GROUP = "toraeval"


@dataclass(frozen=True)
class Entry:
    """One component.

    Attributes:
        target: `module:Class`.
        summary: what it is, in a few words.
        licence: licence of the code or weights a user depends on.
        modules: optional packages it imports.
        extra: the extra of this project that installs them.
        assets: names in `toraeval.assets` that must be fetched.
        option_assets: further ones that an option's value needs, by `option=value`.
        origin: what named a part that is not ours: a distribution or the command; empty for ours.
    """

    target: str
    summary: str = ""
    licence: str = "Apache-2.0"
    modules: tuple[str, ...] = ()
    extra: str | None = None
    assets: tuple[str, ...] = ()
    option_assets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    origin: str = ""

    def assets_for(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Return what must be fetched for these options."""
        chosen = [f"{key}={value}" for key, value in options.items()]
        return self.assets + tuple(a for choice in chosen for a in self.option_assets.get(choice, ()))


_TABLES: dict[str, dict[str, Entry]] = {
    "model": {
        "tora": Entry(
            "toraeval.models.tora.generator:Tora", "trajectory-guided diffusion transformer",
            option_assets={"size=xl2": ("opensora_stdit_v3", "opensora_vae_v1_2", "t5_v1_1_xxl")}),
        "tora_cogvideox": Entry(
            "toraeval.models.tora_cogvideox.generator:ToraCogVideoX", "the published Tora weights, on CogVideoX-5B",
            licence="Apache-2.0 code, CogVideoX License weights", modules=("diffusers", "transformers"),
            extra="cogvideox",
            option_assets={
                "variant=t2v": ("tora_cogvideox_t2v",),
                "variant=i2v": ("tora_cogvideox_i2v", "cogvideox_5b_i2v"),
            }),
        "motionctrl": Entry(
            "toraeval.baselines.motionctrl.generator:MotionCtrl", "MotionCtrl: trajectory features in a video U-Net",
            option_assets={"size=upstream": ("motionctrl_upstream",)}),
        "dragnuwa": Entry(
            "toraeval.baselines.dragnuwa.generator:DragNUWA", "DragNUWA: multi-scale flow in a video U-Net",
            option_assets={"size=upstream": ("dragnuwa_upstream",)}),
        "wan_move": Entry(
            "toraeval.baselines.wan_move.generator:WanMove", "Wan-Move: first-frame latents copied along the path",
            option_assets={"size=upstream": ("wan_move_upstream",)}),
        "ati": Entry(
            "toraeval.baselines.ati.generator:ATI", "ATI on Wan2.1 14B: first-frame features blended along the path",
            option_assets={"size=upstream": ("ati_upstream", "ati_wan_parts")}),
        "ltx_motion_track": Entry(
            "toraeval.baselines.ltx_motion_track.generator:LTXMotionTrack",
            "LTX-2.3 22B: a guide video of coloured trails",
            licence="LTX-2 Community License; text encoder: Gemma Terms of Use",
            option_assets={
                "size=upstream": ("ltx_motion_track_upstream", "ltx_motion_track_lora", "ltx_motion_track_gemma"),
            }),
        "wan_fun_control": Entry(
            "toraeval.baselines.wan_fun_control.generator:WanFunControl",
            "Wan2.1-Fun 1.3B: a control video of white spots",
            option_assets={"size=upstream": ("wan_fun_control_upstream",)}),
        "ground_truth": Entry("toraeval.models.ground_truth:GroundTruth", "the suite's own render: the floor"),
        "second_take": Entry(
            "toraeval.models.second_take:SecondTake", "another real take of the scene: what reality repeats"),
        "static": Entry("toraeval.models.static:Static", "the first frame repeated: no control at all"),
        "cut_and_drag": Entry(
            "toraeval.models.cut_and_drag:CutAndDrag", "the object's patch moved along its path: copied pixels"),
        "precomputed": Entry("toraeval.models.precomputed:Precomputed", "a folder of your own videos"),
    },
    "suite": {
        "shapes": Entry("toraeval.suites.shapes.suite:Shapes", "procedural clips with exact tracks"),
        "photos": Entry(
            "toraeval.suites.photos.suite:Photos", "photographs and photo cut-outs in motion, with exact tracks",
            licence="Apache-2.0; photographs: CC0, public domain, CC BY"),
        "folder": Entry("toraeval.suites.folder.suite:Folder", "your own prompts, trajectories and first frames"),
        "movebench": Entry(
            "toraeval.suites.movebench:MoveBench", "Wan-Move's benchmark: real clips, captions, tracked points",
            licence="MIT; clips: Pexels"),
        "mc_bench": Entry(
            "toraeval.suites.mc_bench:MCBench", "MotionPro's benchmark: drawn paths on real first frames"),
        "magicdata": Entry(
            "toraeval.suites.magicdata:MagicData", "MagicMotion's data: real clips with masks and boxes"),
        "davis": Entry(
            "toraeval.suites.davis:Davis", "DAVIS: real clips, paths from object masks",
            licence="CC BY 4.0 for the authors' own clips"),
        "tapvid": Entry(
            "toraeval.suites.tapvid:TAPVid", "TAP-Vid and RoboTAP: real clips with points tracked by people",
            licence="CC BY 4.0"),
        "kubric": Entry("toraeval.suites.kubric:Kubric", "rendered clips with exact tracks (CoTracker's export)"),
        "flexbench": Entry(
            "toraeval.suites.flexbench:FlexBench", "FlexTraj's benchmark: dense tracks and segments",
            licence="not stated"),
    },
    "tracker": {
        "lucas_kanade": Entry(
            "toraeval.trackers.lucas_kanade:LucasKanade", "pyramidal Lucas-Kanade, re-anchored to the first frame"),
        "shapes_tracker": Entry(
            "toraeval.trackers.shapes_tracker:ShapesTracker",
            "learned on the world `shapes`: blurred, noisy or faded objects"),
        "dis_flow": Entry("toraeval.trackers.dis_flow:DISFlow", "dense optical flow, chained"),
        "tapnextpp": Entry(
            "toraeval.trackers.tapnextpp:TAPNextPP", "TAPNext++: causal, tuned on clips of 1024 frames",
            licence="Apache-2.0", assets=("tapnextpp",)),
        "alltracker": Entry(
            "toraeval.trackers.alltracker:AllTracker", "AllTracker: dense flow from frame 0, in windows",
            licence="MIT", option_assets={"size=full": ("alltracker",), "size=tiny": ("alltracker_tiny",)}),
        "cotracker3_offline": Entry(
            "toraeval.trackers.cotracker:CoTracker3Offline", "CoTracker3, whole clip at once", licence="CC BY-NC 4.0",
            assets=("cotracker3_offline",)),
        "cotracker3_online": Entry(
            "toraeval.trackers.cotracker:CoTracker3Online", "CoTracker3, sliding window", licence="CC BY-NC 4.0",
            assets=("cotracker3_online",)),
    },
    "metric": {
        "traj_error": Entry("toraeval.metrics.traj_error:TrajError", "mean L1 distance from the given path"),
        "lost_error": Entry("toraeval.metrics.traj_error:LostError", "the same, and losing the object never pays"),
        "objmc": Entry("toraeval.metrics.distances:ObjMC", "mean Euclidean distance from the given path"),
        "epe": Entry("toraeval.metrics.distances:EPE", "the same over all points, as MoveBench"),
        "tapvid": Entry("toraeval.metrics.tapvid:TapVid", "Average Jaccard of the tracked path"),
        "aj_rd": Entry("toraeval.metrics.aj_rd:AJRD", "Average Jaccard after re-appearance"),
        "mc_bench_dm": Entry("toraeval.metrics.mc_bench_dm:MCBenchDM", "Co-tracker_DM of MC-Bench"),
        "mc_bench_dm_published": Entry(
            "toraeval.metrics.mc_bench_dm:MCBenchDMPublished", "the same where its published script is right"),
        "final_error": Entry("toraeval.metrics.distances:FinalError", "distance in the last frame"),
        "direction_error": Entry("toraeval.metrics.movement:DirectionError", "angle of movement"),
        "speed_error": Entry("toraeval.metrics.movement:SpeedError", "difference of speeds"),
        "path_distance": Entry("toraeval.metrics.path_distance:PathDistance", "right path, wrong time"),
        "survival": Entry("toraeval.metrics.distances:Survival", "time until the path is first left"),
        "box_iou": Entry("toraeval.metrics.overlap:BoxIoU", "overlap of the box at the tracked point"),
        "mask_iou": Entry("toraeval.metrics.overlap:MaskIoU", "overlap of the object's pixels"),
        "motion_amount": Entry("toraeval.metrics.movement:MotionAmount", "share of the way travelled"),
        "flicker": Entry("toraeval.metrics.looks:Flicker", "restlessness of the quiet parts"),
        "appearance_drift": Entry("toraeval.metrics.looks:AppearanceDrift", "change of the object's look"),
        "object_survival": Entry("toraeval.metrics.looks:ObjectSurvival", "objects still themselves at the end"),
        "fvd": Entry(
            "toraeval.metrics.fvd:FVD", "Frechet and kernel distance of video features",
            licence="Apache-2.0; i3d, videomae: see their assets",
            option_assets={"backbone=i3d": ("fvd_i3d",), "backbone=videomae": ("fvd_videomae",)}),
        "jedi": Entry("toraeval.metrics.jedi:JEDi", "quadratic MMD of video features, as JEDi"),
        "clipsim": Entry(
            "toraeval.metrics.clipsim:ClipSim", "do the frames show what the prompt says",
            licence="Apache-2.0; clip_vit_b32: MIT", option_assets={"backbone=clip_vit_b32": ("clip_vit_b32",)}),
        "lpips": Entry(
            "toraeval.metrics.lpips:LPIPS", "perceptual distance from the reference clip",
            licence="Apache-2.0; alex, vgg: BSD-3-Clause",
            option_assets={"backbone=alex": ("lpips_alex",), "backbone=vgg": ("lpips_vgg",)}),
        "fid": Entry("toraeval.metrics.fid:FID", "Frechet distance of the features of single frames"),
        "class_kept": Entry("toraeval.metrics.class_kept:ClassKept", "do frames show what the first one showed"),
        "ssim": Entry("toraeval.metrics.pictures:SSIM", "structural similarity to the reference clip"),
        "psnr": Entry("toraeval.metrics.pictures:PSNR", "signal-to-noise ratio against the reference clip"),
    },
}  # fmt: skip


UNAVAILABLE: dict[str, dict[str, str]] = {
    "model": {
        "tora2": "a paper (ACM MM 2025) without published code or weights",
        "tora3": "a paper (arXiv 2604.09057, video with sound) without published code or weights",
    }
}
"""Names that people look for and nobody can run, by kind, with the reason."""


def register(kind: str, name: str, target: str | Entry) -> None:
    """Add or replace a component; `target` is `module:Class` or a full `Entry`."""
    _table(kind)[name] = target if isinstance(target, Entry) else Entry(target)


def snapshot() -> dict[str, dict[str, Entry]]:
    """Return a copy of all tables, for worker processes."""
    _load_entry_points()
    return {kind: dict(table) for kind, table in _TABLES.items()}


def restore(tables: Mapping[str, Mapping[str, Entry]]) -> None:
    """Put the tables of `snapshot` in place."""
    for kind, table in tables.items():
        _table(kind).clear()
        _table(kind).update(table)


def names(kind: str) -> list[str]:
    """Return the registered names of a kind, in the order of registration."""
    _load_entry_points()
    return list(_table(kind))


def entry(kind: str, name: str) -> Entry:
    """Return the entry of a component: a registered name, or `module:Class` for one that is not registered.

    Raises:
        UserError: unknown name, with the nearest one.
    """
    _load_entry_points()
    found = _table(kind).get(name)
    if found is None and ":" in name:
        return Entry(name, "given as module:Class", licence="see its own", origin="the command")
    if found is None:
        raise UserError(unknown(kind, name, _table(kind)) + f"; run: python -m toraeval list {kind}s")
    return found


def load(kind: str, name: str) -> Any:
    """Import and return the class of a component.

    Raises:
        UserError: unknown name, a target that does not exist, or a part from elsewhere that does not import.
    """
    found = entry(kind, name)
    module, _, attribute = found.target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:
        if not found.origin:
            absent = isinstance(error, ModuleNotFoundError) and module.startswith(error.name or "")
            if not absent and not isinstance(error, AttributeError):
                raise
            raise UserError(
                f"{kind} {name}: {found.target} cannot be imported ({error}); its registry line is wrong"
            ) from error
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(
            f"{kind} {name}: {found.target}, named by {found.origin}, cannot be imported ({reason})"
        ) from error


def build(kind: str, config: Mapping[str, Any]) -> Any:
    """Return an instance made from `config`: its `name` picks the class, the rest are keyword arguments."""
    options = dict(config)
    name = options.pop("name")
    cls = load(kind, name)
    try:
        return cls(**options)
    except TypeError as error:
        if "unexpected keyword" not in str(error) and "required" not in str(error):
            raise
        raise UserError(f"{kind} {name}: {error}; see: python -m toraeval run --help") from error


def unknown(what: str, value: str, allowed: Iterable[str]) -> str:
    """Return the message for a wrong name: the value, the nearest allowed ones, all allowed ones.

    Of a name in `UNAVAILABLE` it says why nothing can be run.
    """
    choices = list(allowed)
    reason = UNAVAILABLE.get(what, {}).get(value.lower())
    if reason:
        return f"{what} {value} is not available: {reason}. Allowed: {', '.join(choices) or 'none'}"
    folded = {choice.lower(): choice for choice in choices}
    near = difflib.get_close_matches(value.lower(), folded, n=1, cutoff=0.5)
    hint = f" Did you mean '{folded[near[0]]}'?" if near else ""
    return f"unknown {what} '{value}'.{hint} Allowed: {', '.join(choices) or 'none'}"


def _table(kind: str) -> dict[str, Entry]:
    if kind not in _TABLES:
        raise UserError(unknown("kind", kind, KINDS))
    return _TABLES[kind]


@cache
def _load_entry_points() -> None:
    """Read what other distributions publish as `<kind>.<name> = module:Class`; built-in names stay ours."""
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        kind, _, name = point.name.partition(".")
        if kind in _TABLES and name and name not in _TABLES[kind]:
            origin = point.dist.name if point.dist else "another distribution"
            _TABLES[kind][name] = Entry(
                point.value, f"from {origin}", licence="see its distribution", origin=origin
            )
