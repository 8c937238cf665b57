"""Processes that do tasks, each with its own parts; one that dies is replaced. Numbers don't depend on how many."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any

from toraeval import registry
from toraeval.machine import cpu_count
from toraeval.run.costs import count, gpu_count, overlap
from toraeval.run.ending import plan_places
from toraeval.run.line import DRAIN_S, Line
from toraeval.run.outcome import Outcome
from toraeval.run.plan import Plan
from toraeval.run.queue import Ended, Task, WorkEngine
from toraeval.run.worker import work_for

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def _environment(changed: Mapping[str, str]) -> Iterator[None]:
    """Give variables to what starts meanwhile: libraries read them when they are loaded, before a process has its own.

    The BLAS of numpy began a thread for each core in every process, and they waited for each other at full speed.
    """
    before = dict(os.environ)
    os.environ.update(changed)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextmanager
def engine_for(plans: Sequence[Plan], tasks: Sequence[Task]) -> Iterator[WorkEngine]:
    """Give the engine that the options ask for: this process, or several."""
    number = count(plans, [task.sample for task in tasks])
    depth = overlap(plans, number)
    with Workers(plans, number, depth) if number > 1 else Here(plans, depth) as engine:
        yield engine


class Here(AbstractContextManager["Here"]):
    """The engine that does every task in this process, until memory or a GPU gives out: then another one goes on.

    Args:
        plans: that tasks belong to.
        depth: of its line.
    """

    def __init__(self, plans: Sequence[Plan], depth: int = 0) -> None:
        self._said: SimpleQueue[tuple[Any, Outcome | BaseException]] = SimpleQueue()
        self._plans, self._depth = plans, depth
        self._line = Line(depth, lambda task, said: self._said.put((task, said)))
        self._model = ""
        self._other: Workers | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._line.stop()
        finally:
            if self._other is not None:
                self._other.__exit__(kind, error, trace)

    def idle(self) -> list[str]:
        if not self._said.empty() or (self._other is not None and self._line.left):
            return []
        if self._other is not None:
            return self._other.idle()
        return [] if self._line.left > self._depth else [self._model]

    def busy(self) -> set[str]:
        return set() if self._other is None else self._other.busy()

    def give(self, task: Task) -> None:
        if self._other is not None:
            self._other.give(task)
            return
        self._model = task.model
        self._line.add(task, task.plan, task.sample)

    def ended(self, timeout_s: float | None) -> list[Ended]:
        if self._other is not None and self._said.empty() and not self._line.left:
            return self._other.ended(timeout_s)
        try:
            task, said = self._said.get(timeout=timeout_s)
        except Empty:
            return []
        if isinstance(said, BaseException):
            raise said
        if said.broken:
            self._other = self._other or Workers(self._plans, 1, self._depth)
            self._other.retry_alone(task)
        return [Ended(task, said, said.error if said.broken else "")]


Key = tuple[int, str, int]  # place of the plan, case, seed


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    gpu: int | None
    model: str = ""
    tasks: dict[Key, Task] = field(default_factory=dict)
    making: Key | None = None  # what it has not made yet; the others are behind


class Workers(AbstractContextManager["Workers"]):
    """The engine of several processes.

    Args:
        plans: that tasks belong to.
        number: of processes; they start when there is something to do.
        depth: of the line of each.
    """

    def __init__(self, plans: Sequence[Plan], number: int, depth: int = 0) -> None:
        self._number, self._depth = number, depth
        self._places = plan_places(plans)
        self._recipes = [(plan.planner, dict(plan.config)) for plan in plans]
        self._gpus = gpu_count(plans)
        self._workers: list[_Worker] = []
        self._alone: set[Task] = set()
        # a fork of a process whose libraries run threads can hang; macOS may not fork after its frameworks are loaded
        self._context = multiprocessing.get_context("spawn" if sys.platform == "darwin" else "forkserver")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.pipe.close()  # one that waits for a task ends by itself, and so does one with clips behind
        end = time.monotonic() + DRAIN_S + 1
        for worker in self._workers:
            if worker.tasks and self._depth:
                worker.process.join(max(0.0, end - time.monotonic()))
            if worker.tasks:
                worker.process.kill()
        for worker in self._workers:
            worker.process.join()
        self._workers.clear()

    def idle(self) -> list[str]:
        return [worker.model for worker in self._free()] + [""] * (self._number - len(self._workers))

    def _free(self) -> list[_Worker]:
        """Return the processes that can make a clip now, those with nothing behind first."""
        free = [w for w in self._workers if w.making is None and len(w.tasks) <= self._depth]
        return sorted(free, key=lambda worker: len(worker.tasks))

    def busy(self) -> set[str]:
        return {worker.model for worker in self._workers if worker.tasks}

    def retry_alone(self, task: Task) -> None:
        """Note that a process died with this task; others that were beside it may be to blame."""
        self._alone.add(task)

    def give(self, task: Task) -> None:
        free = self._free()
        same = next((worker for worker in free if worker.model == task.model), None)
        starts = len(self._workers) < self._number and (same is None or bool(same.tasks))
        worker = self._start() if starts else same or free[0]
        key = (self._places[id(task.plan)], task.sample.case.id, task.sample.seed)
        worker.tasks[key], worker.model, worker.making = task, task.model, key
        with suppress(OSError):  # it died; its end of the pipe says so when it is waited for
            worker.pipe.send((*key, task in self._alone))

    def ended(self, timeout_s: float | None) -> list[Ended]:
        at_work = {worker.pipe: worker for worker in self._workers if worker.tasks}
        done = []
        for pipe in wait(list(at_work), timeout_s):
            worker = at_work[pipe]  # type: ignore[index]
            try:
                key, said = worker.pipe.recv()
            except (EOFError, OSError):
                how = self._buried(worker)
                done += [Ended(task, None, how) for task in self._lost(worker)]
                continue
            if worker.making == key:
                worker.making = None
            if said is None:  # made; the rest is done behind the next one
                continue
            if isinstance(said, BaseException):
                raise said
            task = worker.tasks.pop(key)
            if said.broken:
                how = self._buried(worker)
                self.retry_alone(task)
                done += [Ended(task, said, said.error)]
                done += [Ended(other, None, how) for other in self._lost(worker)]
            else:
                done.append(Ended(task, said))
        return done

    def _lost(self, worker: _Worker) -> list[Task]:
        """Return the tasks that a dead process leaves."""
        self._alone.update(worker.tasks.values())
        return list(worker.tasks.values())

    def _start(self) -> _Worker:
        import torch  # noqa: F401 - the record tells of it; the processes need it for themselves

        taken = [worker.gpu for worker in self._workers]
        gpu = min(range(self._gpus), key=taken.count) if self._gpus > 1 else None
        threads = max(1, cpu_count() // self._number)
        ours, theirs = self._context.Pipe()
        environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
        if gpu is not None:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
            environment["CUDA_VISIBLE_DEVICES"] = visible[gpu] if len(visible) > gpu else str(gpu)
        if self._context.get_start_method() == "forkserver":
            # what is loaded here is loaded once for all of them
            loaded = sorted(name for name in sys.modules if name.partition(".")[0] == "toraeval")
            multiprocessing.set_forkserver_preload(
                ["torch", *(name for name in loaded if name != "toraeval.__main__")]
            )
        given = (theirs, registry.snapshot(), self._recipes, environment, threads, self._depth)
        child = self._context.Process(target=work_for, args=given, daemon=True)  # type: ignore[attr-defined]
        with _environment({name: environment[name] for name in THREAD_VARIABLES}):
            child.start()
        theirs.close()
        worker = _Worker(child, ours, gpu)
        self._workers.append(worker)
        return worker

    def _buried(self, worker: _Worker) -> str:
        """Take a dead process off the list and return how it died, in words."""
        worker.pipe.close()
        worker.process.join(timeout=10)
        if worker.process.exitcode is None:
            worker.process.kill()
            worker.process.join()
        self._workers.remove(worker)
        code = worker.process.exitcode or 0
        if code >= 0:
            return f"exit code {code}"
        name = signal.Signals(-code).name
        return f"{name}, out of memory?" if name == "SIGKILL" else name
