"""The inside of a worker process: tasks come through a pipe, and what became of them goes back."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from toraeval import registry
from toraeval.run.costs import model_of
from toraeval.run.line import Line
from toraeval.run.outcome import Outcome
from toraeval.run.parts import Builder
from toraeval.run.plan import Plan, plan_by
from toraeval.run.request import Sample
from toraeval.store import record
from toraeval.types import UserError

Recipe = tuple[str, Mapping[str, Any]]


def work_for(
    pipe: Connection,
    tables: Mapping[str, Mapping[str, registry.Entry]],
    recipes: Sequence[Recipe],
    environment: Mapping[str, str],
    threads: int,
    depth: int,
) -> None:
    """Do the tasks that come through a pipe until it is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):  # both are the parent's to handle
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    _use_threads(threads)
    registry.restore(tables)
    parts, talking = _Parts(recipes), threading.Lock()

    def tell(key: Any, said: Outcome | BaseException | None) -> None:
        if isinstance(said, Outcome):
            said = replace(said, peak_mb=record.peak_memory_mb())
        elif isinstance(said, Exception):
            said = portable(said)
        elif said is not None:
            os._exit(1)
        with talking, suppress(OSError):  # nobody listens any more
            pipe.send((key, said))

    line, orders = Line(depth, tell), SimpleQueue[tuple[int, str, int, bool]]()
    threading.Thread(target=_listen, args=(pipe, orders, line), daemon=True).start()
    while True:
        place, case, seed, alone = orders.get()
        key = (place, case, seed)
        try:
            if line.add(key, *parts.find(place, case, seed), alone=alone):
                tell(key, None)
        except Exception as error:
            tell(key, error)


def _listen(pipe: Connection, orders: SimpleQueue[tuple[int, str, int, bool]], line: Line) -> None:
    """Take orders while a clip is made; when the pipe is closed, keep what is behind and end."""
    with suppress(EOFError, OSError):
        while True:
            orders.put(pipe.recv())
    line.stop()
    os._exit(0)


class _Parts:
    """The parts of one process, each built once: every length of a model shares its weights."""

    def __init__(self, recipes: Sequence[Recipe]) -> None:
        self._recipes = recipes
        self._builder = Builder()
        self._model: tuple[str, Plan] | None = None
        self._plan: tuple[int, Plan] | None = None

    def find(self, place: int, case: str, seed: int) -> tuple[Plan, Sample]:
        """Return a plan and one of its samples."""
        if self._plan is None or self._plan[0] != place:
            self._plan = place, self._made(place)
        plan = self._plan[1]
        return plan, next(s for s in plan.samples if (s.case.id, s.seed) == (case, seed))

    def _made(self, place: int) -> Plan:
        planner, config = self._recipes[place]
        plan = plan_by(planner, config, self._builder)
        if "model" not in config:
            return plan
        options = model_of(plan)
        if self._model is not None and self._model[0] == options:
            former = self._model[1]
            plan = replace(plan, generator=former.generator)
            vars(plan).update({key: value for key, value in vars(former).items() if key == "ready_generator"})
        self._model = options, plan  # another model's memory is free again
        return plan


def _use_threads(number: int) -> None:
    import cv2
    import torch

    torch.set_num_threads(number)
    cv2.setNumThreads(number)


def portable(error: Exception) -> Exception:
    """Return an error that another process can read."""
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        plain = UserError(str(error))
        plain.exit_code = getattr(error, "exit_code", 1)
        return plain
    return error


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
