"""Frechet distance: reference values, streaming, bias in N, intervals, errors."""

import json

import numpy as np
import pytest
import scipy.linalg

from toraeval.metrics.shared import set_distances
from toraeval.metrics.shared.set_distances import Moments, distance_of_sets, frechet_distance
from toraeval.types import UserError

CASES = [
    "full_rank_128x16", "unequal_N_64_48_d32", "ill_conditioned_100x32", "singular_16x400", "singular_8x400",
    "singular_46x100", "identical_60x24", "identical_singular_16x400", "near_singular_rank3_60x48",
    "exact_rank3_60x48", "constant_features_40x20", "dead_dims_40x20", "two_videos_2x400", "dup_resampled_64x32",
    "huge_scale_100x12", "tiny_scale_100x12", "mean_shift_only_96x10",
]  # fmt: skip


@pytest.fixture(scope="module")
def golden(data_dir):
    with np.load(data_dir / "metrics" / "frechet_golden.npz") as stored:
        sets = {name: stored[name].astype(np.float64) for name in stored.files}
    return json.loads((data_dir / "metrics" / "frechet_golden.json").read_text())["cases"], sets


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_reference_values(golden, name, pieces):
    cases, sets = golden
    x = sets[f"{name}__x"]
    y = sets.get(f"{name}__y", x)
    found = distance_of_sets(np.array_split(x, pieces), np.array_split(y, pieces))
    moments = []
    for features in (x, y):
        moments.append(Moments(features.shape[1]))
        for piece in np.array_split(features, pieces):
            moments[-1].add(piece)
    for value in (found, frechet_distance(*moments)):
        assert value == pytest.approx(cases[name]["frechet"], rel=1e-6, abs=1e-9)
        assert value >= 0


def test_streamed_moments_are_those_of_the_whole_set():
    rng = np.random.default_rng(0)
    features = rng.normal(3, 2, (90, 7)) @ rng.normal(size=(7, 7))
    moments = Moments(7)
    for piece in np.array_split(features, 13):
        moments.add(piece)
    assert moments.count == 90
    assert moments.factor_KD.shape == (7, 7)
    np.testing.assert_allclose(moments.mean_D, features.mean(0))
    np.testing.assert_allclose(moments.factor_KD.T @ moments.factor_KD / 89, np.cov(features.T))


def test_one_sample_or_a_broken_one_is_refused():
    two = Moments(3).add(np.eye(3)[:2])
    with pytest.raises(UserError, match="needs 2"):
        frechet_distance(Moments(3).add(np.ones((1, 3))), two)
    with pytest.raises(UserError, match="3 against 4"):
        frechet_distance(two, Moments(4))
    with pytest.raises(UserError, match="sample 1 holds a number that is not finite"):
        Moments(3).add(np.array([[0.0, 1, 2], [np.nan, 1, 2]]))
    with pytest.raises(UserError, match="expected"):
        Moments(3).add(np.ones(3))


def sets(videos, shift=0.0, clips=4, features=5, seed=1):
    rng = np.random.default_rng(seed)
    return [rng.normal(shift, 1, (clips, features)) for _ in range(videos)]


def test_interval_holds_the_estimate_and_narrows_with_the_set():
    widths = []
    for videos in (10, 40):
        first, second = sets(videos), sets(videos, 1.0, seed=2)
        low, high = set_distances.bootstrap_interval(first, second, 100)
        assert low < distance_of_sets(first, second) < high
        widths.append(high - low)
        assert (low, high) == set_distances.bootstrap_interval(first, second, 100)
    assert widths[1] < widths[0]


def test_draws_of_few_wide_vectors_have_the_distance_of_the_drawn_sets():
    rng = np.random.default_rng(3)
    first = [
        rng.gamma(2.0, size=(1 + k % 3, 64)) for k in range(12)
    ]  # as of cases with other numbers of seeds
    second = [rng.gamma(2.2, size=(2, 64)) for _ in range(12)]
    draws = np.random.default_rng(0).integers(12, size=(40, 12))
    drawn = [distance_of_sets([first[k] for k in draw], [second[k] for k in draw]) for draw in draws]
    expected = np.quantile(drawn, (0.025, 0.975)) - np.mean(drawn) + distance_of_sets(first, second)
    np.testing.assert_allclose(set_distances.bootstrap_interval(first, second, 40), expected, rtol=1e-10)


def test_equal_sets_have_no_interval():
    same = sets(8)
    assert set_distances.bootstrap_interval(same, same, 20) == (0.0, 0.0)


def test_small_sets_are_biased_and_the_extrapolation_is_less_so():
    first, second = sets(60, clips=2), sets(60, clips=2, seed=2)  # one distribution: the truth is 0
    plain, beyond = distance_of_sets(first, second), set_distances.at_infinite_size(first, second)
    assert beyond is not None
    assert plain > 0.1
    assert abs(beyond) < 0.5 * plain


def test_extrapolation_needs_more_samples_than_features():
    assert (
        set_distances.at_infinite_size(sets(10, clips=1, features=20), sets(10, clips=1, features=20)) is None
    )
    assert set_distances.at_infinite_size(sets(2, clips=50), sets(2, clips=50)) is None


@pytest.mark.parametrize("spread", [1.0, 1e-7])
def test_many_wide_features_have_the_distance_of_their_covariances(spread):
    """With and without a Cholesky factor: a nearly flat direction leaves it out."""
    rng = np.random.default_rng(0)
    scale = np.ones(256)
    scale[0] = spread
    first, second = rng.normal(size=(600, 256)) * scale, rng.normal(0.1, 1.2, (700, 256)) * scale
    (m1, c1), (m2, c2) = ((x.mean(0), np.cov(x, rowvar=False)) for x in (first, second))
    root = scipy.linalg.sqrtm(c1)
    roots = np.sqrt(np.linalg.eigvalsh(root @ c2 @ root).clip(0)).sum()
    expected = np.square(m1 - m2).sum() + np.trace(c1) + np.trace(c2) - 2 * roots
    assert distance_of_sets([first], [second]) == pytest.approx(expected, rel=1e-7)
