"""Program of the child process: loads a driver, tells that it is ready, and serves jobs until it is asked to stop.

Run by the interpreter of the upstream environment as `python serve.py DRIVER.py`, in the upstream checkout. It needs
Python 3.8, the standard library and numpy. A driver is a file with two functions: `load(settings)`, whose settings name
the `checkpoint`, returns the loaded model and JSON-able facts about it; `make(model, job)` returns the frames of a job
as an array (T, H, W, 3), uint8 or floats from 0 to 1.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import queue
import sys
import threading
import traceback
from typing import Any

from protocol import FRAMES, PROTOCOL, decode, encode  # type: ignore[import-not-found]  # this script's folder


def main() -> None:
    """Serve until `shutdown`; a parent that is gone ends the process at once."""
    # Upstream code prints to stdout; only this stream speaks the protocol.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    here = os.path.dirname(os.path.abspath(__file__))
    # Nothing of this folder may hide a module of the checkout that has the same name.
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder or ".") != here]

    def say(kind: str, **fields: Any) -> None:
        out.write(encode(kind, **fields))
        out.flush()

    messages: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(messages,), daemon=True).start()
    try:
        driver = _module(sys.argv[1])
        settings = messages.get()["settings"]
        weights = settings["checkpoint"]
        sha256 = (
            _sha256(weights) if os.path.isfile(weights) else None
        )  # of a folder, the fingerprint has the hash
        facts = {"python": platform.python_version(), "checkpoint_sha256": sha256}
        model, told = driver.load(settings)
    except BaseException as error:
        missing = isinstance(error, (ImportError, FileNotFoundError))
        say("failed", id=None, error=_line(error), traceback=traceback.format_exc(), missing=missing)
        raise
    say("ready", protocol=PROTOCOL, facts={**facts, **told})
    while True:
        message = messages.get()
        if message["kind"] == "shutdown":
            return
        try:
            _save(os.path.join(message["folder"], FRAMES), driver.make(model, message))
        except Exception as error:
            say(
                "failed",
                id=message["id"],
                error=_line(error),
                traceback=traceback.format_exc(),
                missing=False,
            )
            _free_memory()
            continue
        say("done", id=message["id"])


def _listen(messages: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        message = decode(line)
        if message is not None:
            messages.put(message)
            if message["kind"] == "shutdown":
                return
    os._exit(1)


def _module(path: str) -> Any:
    spec = importlib.util.spec_from_file_location("toraeval_driver", path)
    if spec is None or spec.loader is None:
        raise ImportError("no driver at " + path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _sha256(path: str) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def _save(path: str, frames: Any) -> None:
    import numpy as np

    np.save(path, frames, allow_pickle=False)


def _free_memory() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def _line(error: BaseException) -> str:
    return type(error).__name__ + ": " + " ".join(str(error).split())


if __name__ == "__main__":
    main()
