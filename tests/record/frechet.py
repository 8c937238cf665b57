"""Compute `tests/data/metrics/frechet_golden.json` for the sets beside it, in 50-digit arithmetic.

    python -m tests.record.frechet

The Frechet distance is |m_x - m_y|^2 + tr S_x + tr S_y - 2 tr (S_x S_y)^(1/2), covariances with divisor N - 1; the
last trace is the sum of the roots of the eigenvalues of S_x^(1/2) S_y S_x^(1/2), here by way of the smaller of N and d.
The kernel distance is the unbiased squared MMD of (x . y / d + 1)^3. Needs mpmath, which torch brings.
"""

from __future__ import annotations

import json
from pathlib import Path

import mpmath as mp
import numpy as np

HERE = Path(__file__).parents[1] / "data" / "metrics"
mp.mp.dps = 50


def frechet(x: np.ndarray, y: np.ndarray) -> float:
    means, centred = [], []
    for values in (x, y):
        rows = mp.matrix(values.tolist())
        mean = [mp.fsum(rows[:, i]) / rows.rows for i in range(rows.cols)]
        scale = mp.sqrt(rows.rows - 1)
        means.append(mean)
        centred.append(
            mp.matrix([[(rows[n, i] - mean[i]) / scale for i in range(rows.cols)] for n in range(rows.rows)])
        )
    apart = mp.fsum((a - b) ** 2 for a, b in zip(*means, strict=True))
    spread = mp.fsum(mp.fsum(v**2 for v in values) for values in centred)
    a, b = centred
    # the singular values of A B^T are those of R_a R_b^T, where A = Q_a R_a
    few = min(a.rows, b.rows) <= a.cols
    product = a * b.T if few else mp.qr(a, mode="skinny")[1] * mp.qr(b, mode="skinny")[1].T
    gram = product * product.T if product.rows <= product.cols else product.T * product
    roots = mp.fsum(mp.sqrt(max(value, 0)) for value in mp.eigsy(gram, eigvals_only=True))
    return float(apart + spread - 2 * roots)


def kernel(x: np.ndarray, y: np.ndarray) -> float:
    def cubes(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return (a @ b.T / a.shape[1] + 1) ** 3

    parts = [(cubes(v, v).sum() - np.trace(cubes(v, v))) / (len(v) * (len(v) - 1)) for v in (x, y)]
    return float(sum(parts) - 2 * cubes(x, y).mean())


def main() -> None:
    file = HERE / "frechet_golden.json"
    table = json.loads(file.read_text())
    with np.load(HERE / "frechet_golden.npz") as stored:
        sets = {name: stored[name].astype(np.float64) for name in stored.files}
    for name, case in table["cases"].items():
        x = sets[f"{name}__x"]
        y = sets.get(f"{name}__y", x)
        if len(x) > 1:
            case["frechet"] = frechet(x, y)
            case["kernel"] = kernel(x, y)
    file.write_text(json.dumps(table, indent=0) + "\n")


if __name__ == "__main__":
    main()
