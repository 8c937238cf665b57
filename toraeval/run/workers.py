"""Several processes over the samples of one run; the numbers do not depend on how many."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Any

from toraeval import registry
from toraeval.machine import cpu_count
from toraeval.run.plan import Plan
from toraeval.run.request import Sample
from toraeval.run.sample import Outcome, process
from toraeval.types import UserError

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")

_plan: Plan | None = None


def process_in_pool(plan: Plan, todo: list[Sample]) -> Iterator[Outcome]:
    """Yield the outcome of every sample as it finishes.

    Raises:
        UserError: a worker was killed, most often for memory.
    """
    workers = min(plan.options.workers, len(todo))
    context = multiprocessing.get_context("spawn")  # fork after torch has started its threads can hang
    with _threads_each(max(1, cpu_count() // workers)):
        pool = ProcessPoolExecutor(
            workers, context, initializer=_start, initargs=(registry.snapshot(), plan.planner, plan.config)
        )
        futures = [pool.submit(_process, case.id, seed) for _, case, seed in todo]
    try:
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise UserError(
            f"a worker process died (out of memory?) with workers={workers}; what is finished is kept: "
            f"run the same command again with workers={max(1, workers // 2)}"
        ) from error
    except BaseException:
        for worker in multiprocessing.active_children():
            worker.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _threads_each(count: int) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, str(count)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _start(
    tables: Mapping[str, Mapping[str, registry.Entry]], planner: str, config: Mapping[str, Any]
) -> None:
    global _plan
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_die_with_parent, daemon=True).start()
    registry.restore(tables)
    module, _, function = planner.partition(":")
    _plan = getattr(importlib.import_module(module), function)(config)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _process(case_id: str, seed: int) -> Outcome:
    assert _plan is not None
    sample = next(s for s in _plan.samples if (s.case.id, s.seed) == (case_id, seed))
    return process(_plan, sample)
