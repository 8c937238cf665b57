"""The three stages of one sample: generate, track, score; each one is skipped when its key matches.

Shape legend: N objects, T frames.
"""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, field
from typing import Any

from toraeval.metrics.shared.reference import share_reference
from toraeval.run.plan import Plan
from toraeval.store.disk import is_disk_full
from toraeval.store.keys import score_key, tracks_key, video_key
from toraeval.store.slot import Slot, StoredTracks, sample_id
from toraeval.trackers.shared.base import follow
from toraeval.types import Case, MissingAsset, Score, UserError, Video
from toraeval.video import video_sha256

# A clip that took longer than this is on disk before tracking starts, so that a crash does not cost it.
DEAR_S = 20.0


@dataclass(frozen=True)
class Outcome:
    """What became of one sample.

    Attributes:
        sample: its id.
        frames: its length.
        computed: stages that ran; empty when everything was cached.
        failed: True if it has a failure row.
        error: one line, empty unless failed.
        exit_code: 0, or what the error asks for: 2 for the user's errors, 1 for anything else.
    """

    sample: str
    frames: int
    computed: tuple[str, ...] = ()
    failed: bool = False
    error: str = ""
    exit_code: int = 0


def process(plan: Plan, order: int, case: Case, seed: int) -> Outcome:
    """Bring one sample up to date; an error becomes a failure row and stops no other sample.

    Raises:
        MissingAsset: weights or a dependency are absent, which no other sample would survive either.
        UserError: the disk is full.
    """
    work = _Sample(plan, order, case, seed, plan.slot(case, seed))
    name = sample_id(case.id, seed)
    try:
        work.run()
    except MissingAsset:
        raise
    except Exception as error:
        if is_disk_full(error):
            raise UserError(
                f"the disk of {plan.options.results} is full; everything finished so far is kept: "
                "free some space and run the same command again"
            ) from error
        line = error_line(error)
        work.slot.save_failure(plan.facts(order, case, seed), line, traceback.format_exc())
        code = error.exit_code if isinstance(error, UserError) else 1
        return Outcome(name, case.frames, tuple(work.computed), True, line, code)
    work.slot.clear_failure()
    return Outcome(name, case.frames, tuple(work.computed))


def error_line(error: BaseException) -> str:
    """Return an error as one line; the user's errors without the name of their class."""
    text = " ".join(str(error).split())
    if isinstance(error, UserError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def is_current(plan: Plan, case: Case, seed: int) -> bool:
    """Return True if every asked-for stage of a sample is already on disk."""
    sample = _Sample(plan, 0, case, seed, plan.slot(case, seed))
    return sample.slot.failure() is None and sample.is_current()


def has_video(plan: Plan, case: Case, seed: int) -> bool:
    """Return True if the video of a sample was made before, kept or not."""
    sample = _Sample(plan, 0, case, seed, plan.slot(case, seed))
    return sample.slot.video_meta(sample.key) is not None


@dataclass
class _Sample:
    plan: Plan
    order: int
    case: Case
    seed: int
    slot: Slot
    computed: list[str] = field(default_factory=list)
    video: Video | None = None

    @property
    def key(self) -> str:
        case = self.case
        generator = dict(self.plan.fingerprints["generator"])
        if hasattr(self.plan.generator, "case_fingerprint"):
            generator["case"] = self.plan.generator.case_fingerprint(case)
        return video_key(generator, case.content_hash, case.frames, case.height, case.width, self.seed)

    def is_current(self) -> bool:
        stages = self.plan.options.stages
        meta = self.slot.video_meta(self.key)
        if meta is None or ("generate" in stages and not self._has_files()):
            return False
        tracks = self.slot.load_tracks(self._tracks_key(meta["sha256"]))
        if ("track" in stages or "score" in stages) and tracks is None:
            return False
        if "score" not in stages or tracks is None:
            return True
        return not self._missing_metrics(tracks.key, meta["sha256"])

    def run(self) -> None:
        stages = self.plan.options.stages
        meta = self._generate() if "generate" in stages else self.slot.video_meta(self.key)
        if meta is None:
            raise UserError(
                f"case {self.case.id}: there is no video yet; add generate to stages: 'stages=[generate,track,score]'"
            )
        tracks = None
        try:
            if "track" in stages:
                tracks = self._track(meta["sha256"])
            if "score" in stages:
                self._score(tracks, meta)
        except Exception:
            if self.video is not None and not self.slot.has_lossless():
                # the next attempt need not generate again
                self.slot.save_video_meta({**meta, "lossless_sha256": self.slot.save_lossless(self.video)})
            raise
        if "score" in stages:
            self.slot.trim(self.plan.options.keep)

    # --- generate -------------------------------------------------------------------------------------------

    def _has_files(self) -> bool:
        keep = self.plan.options.keep
        if keep == "lossless":
            return self.slot.has_lossless() and self.slot.has_preview()
        return keep == "none" or self.slot.has_preview()

    def _generate(self) -> dict[str, Any]:
        meta = self.slot.video_meta(self.key)
        if meta is not None and self._has_files():
            return meta
        video, seconds = self._video_again(meta) if meta else self._make()
        options = self.plan.options
        files = {name: (meta or {}).get(name) for name in ("preview", "lossless_sha256")}
        if options.keep != "none" and not self.slot.has_preview():
            files["preview"] = self.slot.save_preview(video)
        one_go = "track" in options.stages and "score" in options.stages
        wanted = options.keep == "lossless" or not one_go or seconds > DEAR_S
        # without metadata, a file that lies there is of an attempt that was cut off
        if wanted and (meta is None or not self.slot.has_lossless()):
            files["lossless_sha256"] = self.slot.save_lossless(video)
        known, meta = meta, {**(meta or self._new_meta(video, seconds)), **files}
        if meta != known:
            self.slot.save_video_meta(meta)
        self.computed.append("generate")
        return meta

    def _make(self) -> tuple[Video, float]:
        generator = self.plan.ready_generator
        start = time.perf_counter()
        video = generator.generate(self.case, self.seed)
        seconds = time.perf_counter() - start
        self._check(video)
        self.video = video
        return video, seconds

    def _check(self, video: Video) -> None:
        case = self.case
        asked = (case.frames, case.height, case.width)
        got = (video.num_frames, video.height, video.width)
        if asked != got:
            raise UserError(
                f"case {case.id}: {self.plan.model} returned {got[0]} frames of {got[2]}x{got[1]}, "
                f"asked were {asked[0]} of {asked[2]}x{asked[1]}"
            )

    def _new_meta(self, video: Video, seconds: float) -> dict[str, Any]:
        sha256 = video_sha256(video)
        counts = {"sha256": sha256, "frames": video.num_frames, **_length_facts(video)}
        return {
            "key": self.key,
            **counts,
            "height": video.height,
            "width": video.width,
            "fps": float(video.fps),
            "seed": self.seed,
            "prompt": self.case.prompt,
            "prompt_sent": video.info.get("prompt", self.case.prompt),
            "seconds": round(seconds, 4),
            "info": dict(video.info),
            "facts": self.plan.facts(self.order, self.case, self.seed, counts),
        }

    def _video_again(self, meta: dict[str, Any]) -> tuple[Video, float]:
        """Return the clip that `meta` describes: from memory, from its file, or generated again."""
        if self.video is None:
            self.video = self.slot.load_video(meta["sha256"])
        if self.video is None:
            video, _ = self._make()
            found = video_sha256(video)
            if found != meta["sha256"]:
                self.video = None
                raise UserError(
                    f"case {self.case.id}: generated again, the video hashes to {found[:12]} instead of "
                    f"{meta['sha256'][:12]}: {self.plan.model} does not repeat itself on this machine; "
                    f"delete {self.slot.folder} to start this case over"
                )
        assert self.video is not None
        return self.video, float(meta["seconds"])

    # --- track ----------------------------------------------------------------------------------------------

    def _tracks_key(self, video_sha256: str) -> str:
        return tracks_key(video_sha256, self.plan.fingerprints["tracker"], self.case.content_hash)

    def _track(self, video_sha256: str) -> StoredTracks:
        key = self._tracks_key(video_sha256)
        stored = self.slot.load_tracks(key)
        if stored is not None:
            return stored
        meta = self.slot.video_meta(self.key)
        assert meta is not None
        video, _ = self._video_again(meta)
        start = time.perf_counter()
        tracks = follow(self.plan.tracker, self.case, video)
        seconds = round(time.perf_counter() - start, 4)
        self.slot.save_tracks(self.case, tracks, key, video_sha256, seconds)
        self.computed.append("track")
        return StoredTracks(tracks, key, seconds)

    # --- score ----------------------------------------------------------------------------------------------

    def _missing_metrics(self, tracks: str, video_sha256: str) -> dict[str, str]:
        stored = self.slot.scores()
        keys = {
            name: score_key(tracks, video_sha256, metric.fingerprint(), self.case.content_hash)
            for name, metric in self.plan.metrics.items()
        }
        return {name: key for name, key in keys.items() if stored.get(name, {}).get("key") != key}

    def _score(self, tracks: StoredTracks | None, meta: dict[str, Any]) -> None:
        sha256 = meta["sha256"]
        if tracks is None:
            tracks = self.slot.load_tracks(self._tracks_key(sha256))
        if tracks is None:
            raise UserError(
                f"case {self.case.id}: there are no tracks yet; add track: 'stages=[track,score]'"
            )
        missing = self._missing_metrics(tracks.key, sha256)
        if not missing:
            return
        start = time.perf_counter()
        case = share_reference(self.case)
        fresh: dict[str, tuple[str, Score]] = {}
        for name, key in missing.items():
            metric = self.plan.metrics[name]
            video = self._video_again(meta)[0] if metric.needs_video else self.video
            fresh[name] = (key, metric.score(case, tracks.tracks, video))
        seconds = round(time.perf_counter() - start, 4)
        facts = self.plan.facts(self.order, self.case, self.seed, meta)
        self.slot.save_scores(fresh, facts, seconds)
        self.computed.append("score")


def _length_facts(video: Video) -> dict[str, Any]:
    """Return how the length was reached, from the names that generators use in `Video.info`."""
    return {
        "generated": video.info.get("generated", video.num_frames),
        "length_mode": video.info.get("length_mode", "exact"),
        "reading": "; ".join(video.info.get("reading", ())),
    }
