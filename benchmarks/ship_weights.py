"""Put trained weights where the package ships them, their common autoencoder once, and say what all weights weigh.

    python -m benchmarks.ship_weights FOLDER

FOLDER holds `<model>_nano.safetensors` of every embedded model, as `train task=long_run` leaves them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from toraeval.models.shared.nano.checkpoint import AUTOENCODER, ship
from toraeval.training.recipes.learners import LEARNERS
from toraeval.types import MissingAsset, UserError

ROOT = Path(__file__).resolve().parents[1]
MODEL_MB, ALL_MB = 16, 60
"""Most that the weights of one model, and all weights of the repository together, may take."""


def main(folder: Path, root: Path = ROOT) -> list[str]:
    """Ship the weights of a folder and return what there is to say.

    Raises:
        MissingAsset: a model has no file there; the shared autoencoder has to fit all of them.
        UserError: see `checkpoint.ship`; or a model or all of them are too large.
    """
    files = {name: folder / f"{name}_nano.safetensors" for name in LEARNERS}
    absent = [str(path) for path in files.values() if not path.exists()]
    if absent:
        raise MissingAsset(
            f"ship_weights: {', '.join(absent)} missing; all of {', '.join(LEARNERS)} go together"
        )
    targets = {name: _below(root, learner.shipped()) for name, learner in LEARNERS.items()}
    ship(files, targets, _below(root, AUTOENCODER))
    shipped = sorted(
        path for part in ("toraeval", "baselines") for path in (root / part).rglob("*.safetensors")
    )
    sizes = {path: path.stat().st_size / 1e6 for path in shipped}
    large = [path for path in targets.values() if sizes[path] > MODEL_MB]
    total = sum(sizes.values())
    if large or total > ALL_MB:
        raise UserError(
            f"ship_weights: {total:.1f} MB in all (allowed: {ALL_MB}), more than {MODEL_MB} MB in "
            f"{', '.join(map(str, large)) or 'no file'}; train smaller networks"
        )
    return [
        *(f"{path.relative_to(root)}: {size:.1f} MB" for path, size in sizes.items()),
        f"together: {total:.1f} MB",
    ]


def _below(root: Path, path: Path) -> Path:
    """Return where a file of this checkout lies in another one."""
    return root / path.resolve().relative_to(ROOT)


if __name__ == "__main__":
    try:
        print("\n".join(main(Path(sys.argv[1]))))
    except UserError as error:
        sys.exit(f"error: {error}")
