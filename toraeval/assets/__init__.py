"""The only downloader: every file has a source, a SHA-256, a licence, and one place in the cache.

Single files have their SHA-256 in the table or from the user. Snapshots of Hugging Face repositories take theirs from
the repository at one commit; commit and hashes are then kept in `<cache>/toraeval.lock.json` and
hold from then on.
"""

from toraeval.assets.cache import cache_dir, files_sha256, need_disk, offline, remembered_sha256
from toraeval.assets.contents import require_numbers, stand_in
from toraeval.assets.files import fetch, path
from toraeval.assets.snapshots import LOCK_FILE, locked_revision
from toraeval.assets.table import ASSETS, Asset, Snapshot, fetch_command, get

__all__ = [
    "ASSETS",
    "LOCK_FILE",
    "Asset",
    "Snapshot",
    "cache_dir",
    "fetch",
    "fetch_command",
    "files_sha256",
    "get",
    "locked_revision",
    "need_disk",
    "offline",
    "path",
    "remembered_sha256",
    "require_numbers",
    "stand_in",
]
