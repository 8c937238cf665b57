"""What of a sample is on disk already, by its keys; what is absent is to be done."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from toraeval.run.plan import Plan
from toraeval.run.request import Sample
from toraeval.store.keys import digest
from toraeval.store.slot import KEPT, Slot


def tracks_key(plan: Plan, sample: Sample, meta: dict[str, Any]) -> str:
    """Return the key of a clip's tracks; the case gives the start points."""
    return digest("tracks", meta["sha256"], plan.fingerprints["tracker"], sample.case.content_hash)


def missing_metrics(plan: Plan, sample: Sample, slot: Slot, tracks: str, video: str) -> dict[str, str]:
    """Return the metrics, with their keys, whose stored value is absent or another's; `tracks` is the tracks' key."""
    stored = slot.scores()
    keys = {
        name: digest("score", tracks, video, fingerprint, sample.case.content_hash)
        for name, fingerprint in plan.fingerprints["metrics"].items()
    }
    return {name: key for name, key in keys.items() if stored.get(name, {}).get("key") != key}


def is_current(plan: Plan, sample: Sample) -> bool:
    """Return True if every asked-for stage of a sample is already on disk."""
    slot, stages = plan.slot(sample), plan.options.stages
    meta = slot.video_meta(plan.video_key(sample))
    if slot.failure() is not None or meta is None:
        return False
    if "generate" in stages and not all(map(slot.has, KEPT[plan.options.keep])):
        return False
    if "track" not in stages and "score" not in stages:
        return True
    key = tracks_key(plan, sample, meta)
    return (slot.tracks_meta() or {}).get("key") == key and (
        "score" not in stages or not missing_metrics(plan, sample, slot, key, meta["sha256"])
    )


def open_samples(plan: Plan) -> list[Sample]:
    """Return the asked-for samples for which something is still to be done."""
    return [sample for sample in plan.samples if not is_current(plan, sample)]


def without_video(plan: Plan, samples: Iterable[Sample]) -> list[Sample]:
    """Return the samples that are still to be generated; a video that was made once and not kept counts as made."""
    if "generate" not in plan.options.stages:
        return []
    return [s for s in samples if plan.slot(s).video_meta(plan.video_key(s)) is None]
