"""Processes that do tasks, each with its own parts; one that dies is replaced. Numbers don't depend on how many."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Any

from toraeval import registry
from toraeval.machine import cpu_count
from toraeval.run.capacity import count, gpu_count
from toraeval.run.costs import model_of
from toraeval.run.ending import plan_places
from toraeval.run.parts import Builder
from toraeval.run.plan import Plan
from toraeval.run.queue import Ended, Engine, Task
from toraeval.run.sample import Outcome, process
from toraeval.store import record
from toraeval.types import UserError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@contextmanager
def engine_for(plans: Sequence[Plan], tasks: Sequence[Task]) -> Iterator[Engine]:
    """Give the engine that the options ask for: this process, or several."""
    number = count(plans, tasks)
    with Workers(plans, number) if number > 1 else Here(plans) as engine:
        yield engine


class Here:
    """The engine that does every task in this process, until memory or a GPU gives out: then another one goes on.

    Args:
        plans: that tasks belong to.
    """

    def __init__(self, plans: Sequence[Plan]) -> None:
        self._ended: list[Ended] = []
        self._model = ""
        self._other = Workers(plans, 1)
        self._broken = False

    def __enter__(self) -> Here:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._other.__exit__(kind, error, trace)

    def idle(self) -> list[str]:
        if self._broken and not self._ended:
            return self._other.idle()
        return [] if self._ended else [self._model]

    def busy(self) -> set[str]:
        return self._other.busy()

    def give(self, task: Task) -> None:
        if self._broken:
            self._other.give(task)
            return
        self._model = task.model
        outcome = process(task.plan, task.sample)
        self._broken = outcome.broken
        self._ended.append(Ended(task, outcome, outcome.error if outcome.broken else ""))

    def ended(self, timeout_s: float | None) -> list[Ended]:
        done, self._ended = self._ended, []
        return done or self._other.ended(timeout_s)


@dataclass
class _Worker:
    process: BaseProcess
    pipe: Connection
    gpu: int | None
    model: str = ""
    task: Task | None = None


class Workers:
    """The engine of several processes.

    Args:
        plans: that tasks belong to.
        number: of processes; they start when there is something to do.
    """

    def __init__(self, plans: Sequence[Plan], number: int) -> None:
        self._number = number
        self._places = plan_places(plans)
        self._recipes = [(plan.planner, dict(plan.config)) for plan in plans]
        self._gpus = gpu_count(plans)
        self._workers: list[_Worker] = []
        # a fork of a process whose libraries run threads can hang; macOS may not fork after its frameworks are loaded
        self._context = multiprocessing.get_context("spawn" if sys.platform == "darwin" else "forkserver")

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.pipe.close()  # one that waits for a task ends by itself
            if worker.task is not None:
                worker.process.kill()
        for worker in self._workers:
            worker.process.join()
        self._workers.clear()

    def idle(self) -> list[str]:
        loaded = [worker.model for worker in self._workers if worker.task is None]
        return loaded + [""] * (self._number - len(self._workers))

    def busy(self) -> set[str]:
        return {worker.model for worker in self._workers if worker.task is not None}

    def give(self, task: Task) -> None:
        free = [worker for worker in self._workers if worker.task is None]
        worker = next((worker for worker in free if worker.model == task.model), None)
        if worker is None:
            starts = len(self._workers) < self._number
            worker = self._start() if starts else free[0]
        worker.task, worker.model = task, task.model
        with suppress(OSError):  # it died; its end of the pipe says so when it is waited for
            worker.pipe.send((self._places[id(task.plan)], task.sample.case.id, task.sample.seed))

    def ended(self, timeout_s: float | None) -> list[Ended]:
        at_work = {worker.pipe: worker for worker in self._workers if worker.task is not None}
        done = []
        for pipe in wait(list(at_work), timeout_s):
            worker = at_work[pipe]  # type: ignore[index]
            task, worker.task = worker.task, None
            assert task is not None
            try:
                said = worker.pipe.recv()
            except (EOFError, OSError):
                done.append(Ended(task, None, self._buried(worker)))
                continue
            if isinstance(said, BaseException):
                raise said
            if said.broken:
                self._buried(worker)
                done.append(Ended(task, said, said.error))
            else:
                done.append(Ended(task, said))
        return done

    def _start(self) -> _Worker:
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
            multiprocessing.set_forkserver_preload([name for name in loaded if name != "toraeval.__main__"])
        child = self._context.Process(  # type: ignore[attr-defined]
            target=_work, args=(theirs, registry.snapshot(), self._recipes, environment, threads), daemon=True
        )
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


Recipe = tuple[str, Mapping[str, Any]]


def _work(
    pipe: Connection,
    tables: Mapping[str, Mapping[str, registry.Entry]],
    recipes: Sequence[Recipe],
    environment: Mapping[str, str],
    threads: int,
) -> None:
    """Do the tasks that come through a pipe until it is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):  # both are the parent's to handle
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    os.environ.clear()
    os.environ.update(environment)
    _use_threads(threads)
    registry.restore(tables)
    parts = _Parts(recipes)
    while True:
        try:
            place, case, seed = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            outcome = parts.process(place, case, seed)
            said: Outcome | BaseException = replace(outcome, peak_mb=record.peak_memory_mb())
        except Exception as error:
            said = portable(error)
        pipe.send(said)


class _Parts:
    """The parts of one process, each built once: every length of a model shares its weights."""

    def __init__(self, recipes: Sequence[Recipe]) -> None:
        self._recipes = recipes
        self._builder = Builder()
        self._model: tuple[str, Plan] | None = None
        self._plan: tuple[int, Plan] | None = None

    def process(self, place: int, case: str, seed: int) -> Outcome:
        """Bring one sample of one plan up to date."""
        if self._plan is None or self._plan[0] != place:
            self._plan = place, self._made(place)
        plan = self._plan[1]
        return process(plan, next(s for s in plan.samples if (s.case.id, s.seed) == (case, seed)))

    def _made(self, place: int) -> Plan:
        planner, config = self._recipes[place]
        module, _, function = planner.partition(":")
        plan: Plan = getattr(importlib.import_module(module), function)(config, self._builder)
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
