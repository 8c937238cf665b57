"""Clips one behind the other: while one is generated, those before it are written, tracked and scored."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Hashable
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from toraeval.run.outcome import Outcome
from toraeval.run.plan import Plan
from toraeval.run.request import Sample
from toraeval.run.sample import encode, make, measure, process, settle
from toraeval.run.work import Step, Stopped, Work

DRAIN_S = 6.0
"""Seconds in which a line that is stopped ends the stage it is in and stores its clips."""

Key = Hashable
Told = Callable[[Key, Outcome | BaseException], None]
_Queue = SimpleQueue[tuple[Key, Work] | None]


class Line:
    """Works on samples; one thread writes the clips that are made, a second one tracks and scores them.

    The first clip of a run is done on its own: models and networks that are loaded for it may draw from the global
    random generators. A model that draws from them for every clip stays alone, so that nothing comes between its draws.

    Args:
        depth: clips at most that are written, tracked and scored while another one is generated; 0: one by one.
        told: called with the key of each sample and its outcome, or the error that no other one would survive either,
            in the order of `add`; also from other threads.

    Attributes:
        left: samples that are behind; with more than `depth` another clip would have to wait.
    """

    def __init__(self, depth: int, told: Told) -> None:
        self._depth, self._told = depth, told
        self.left = 0
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._steady: set[Path] = set()
        self._made: _Queue = SimpleQueue()
        self._written: _Queue = SimpleQueue()
        if depth:
            for todo, step, then in (
                (self._made, encode, self._written.put),
                (self._written, measure, self._end),
            ):
                threading.Thread(target=_work_off, args=(todo, step, then), daemon=True).start()

    def add(self, key: Key, plan: Plan, sample: Sample, alone: bool = False) -> bool:
        """Generate a clip here; returns whether the rest is done behind, False if it is done already.

        Args:
            key: for `told`.
            plan, sample: what is to be done.
            alone: do all of it here, when everything before is done.

        Raises:
            MissingAsset, UserError: as of `process`, of a sample that is done here.
        """
        if not self._depth:
            self._told(key, process(plan, sample))
            return False
        alone = alone or plan.run_dir not in self._steady or "ready_generator" not in vars(plan)
        if alone:
            self.wait()
        work = Work(plan, sample, self._stopping.is_set)
        before = _global_state() if alone else None
        work.do(make)
        if not alone:
            with self._changed:
                self.left += 1
            self._made.put((key, work))
            if work.error is not None:
                self.wait()  # it may be the end of everything
            return True
        if work.made_s is not None and _global_state() == before:
            self._steady.add(plan.run_dir)
        for step in (encode, measure):
            work.do(step)
        self._told(key, settle(work))
        return False

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until nothing is behind."""
        with self._changed:
            self._changed.wait_for(lambda: not self.left, timeout_s)

    def stop(self) -> None:
        """Begin no further stage, keep the clips that are made, and end; what is kept needs not be made again."""
        self._stopping.set()
        self.wait(DRAIN_S)
        self._made.put(None)

    def _end(self, item: tuple[Key, Work] | None) -> None:
        if item is None:
            return
        key, work = item
        try:
            if not isinstance(work.error, Stopped):
                self._told(key, settle(work))
        except BaseException as error:
            self._told(key, error)
        finally:
            with self._changed:
                self.left -= 1
                self._changed.notify_all()


def _work_off(todo: _Queue, step: Step, then: Callable[[tuple[Key, Work] | None], None]) -> None:
    while _one(todo, step, then):
        pass


def _one(todo: _Queue, step: Step, then: Callable[[tuple[Key, Work] | None], None]) -> bool:
    """Do a step for the next sample; a function of its own, so that no clip is held while the next one is awaited."""
    item = todo.get()
    if item is not None:
        item[1].do(step, BaseException)
    then(item)
    return item is not None


def _global_state() -> tuple[Any, ...]:
    """Return the state of the global random generators, to be compared."""
    _, keys, *rest = np.random.get_state(legacy=True)
    states: list[Any] = [random.getstate(), np.asarray(keys).tobytes(), *rest]
    if (torch := sys.modules.get("torch")) is not None:
        states.append(bytes(torch.get_rng_state().numpy()))
        if torch.cuda.is_initialized():
            states += [bytes(state.numpy()) for state in torch.cuda.get_rng_state_all()]
    return tuple(states)
