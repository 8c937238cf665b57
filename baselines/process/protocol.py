"""Lines that a wrapper and its child process exchange: one marked JSON object per line.

Both sides import this file, the child under the upstream environment's Python, so it needs 3.8 and the standard
library only. Parent to child: `start` (settings of the driver), `job` (id, folder and what the driver asks for),
`shutdown`. Child to parent: `ready` (facts), `done` (id) and `failed` (id or null, error, traceback, missing). Arrays
travel as .npy files in the job's folder.
"""

from __future__ import annotations

import json
from typing import Any

PROTOCOL = 1
MARK = "toraeval-message "
FRAMES = "frames.npy"  # written by the child: (T, H, W, 3), uint8, or floats from 0 to 1


def encode(kind: str, **fields: Any) -> str:
    """Return a message as one line."""
    return MARK + json.dumps({"kind": kind, **fields}) + "\n"


def decode(line: str) -> dict[str, Any] | None:
    """Return the message in a line, or None for anything else that a program may print."""
    if not line.startswith(MARK):
        return None
    try:
        message = json.loads(line[len(MARK) :])
    except ValueError:
        return None
    return message if isinstance(message, dict) and "kind" in message else None
