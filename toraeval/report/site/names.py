"""File names of the page, made from names that anybody may have chosen."""

from __future__ import annotations

import hashlib
import re

LONGEST = 50


def slug(text: str) -> str:
    """Return a name of ASCII letters, digits, `-`, `_`, `.` that leads nowhere and stays apart from others' names."""
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "_", text)[:LONGEST].strip("._-")
    return safe if safe == text and safe else f"{safe or 'x'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def case_slug(case: str, frames: int) -> str:
    """Return the name of a case at one length; 0 is each clip's own."""
    return slug(case) if frames == 0 else f"{slug(case)}_{frames:03d}f"
