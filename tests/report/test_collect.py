"""Which runs may share a table, and what is read from them."""

import numpy as np
import pytest

from toraeval.report.collect import collect
from toraeval.types import UserError


def test_rows_come_in_one_order_whatever_the_order_of_the_folders(bench):
    (forward,) = collect(bench)
    (backward,) = collect(reversed(bench))
    listed = [(entry.frames, entry.label) for entry in forward.entries]
    assert listed == [(entry.frames, entry.label) for entry in backward.entries]
    assert listed == [(f, m) for f in (6, 12) for m in ("ground_truth", "tora", "static")]


def test_different_fingerprints_never_share_a_table(make_run, tmp_path):
    runs = [make_run(tmp_path, "tora", 6), make_run(tmp_path, "static", 6, fingerprint="another")]
    with pytest.raises(
        UserError, match=r"different fingerprints.*static at 6 frames has another|another.*static"
    ):
        collect(runs)


def test_other_suites_and_sizes_form_groups_of_their_own(make_run, tmp_path):
    runs = [
        make_run(tmp_path, "tora", 6),
        make_run(tmp_path, "tora", 6, suite="other-v1"),
        make_run(tmp_path, "tora", 6, size=(32, 32)),
    ]
    assert [group.name for group in collect(runs)] == [
        "other-v1-lucas_kanade-64x48",
        "test-v1-lucas_kanade-32x32",
        "test-v1-lucas_kanade-64x48",
    ]


def test_two_runs_of_one_model_are_told_apart(make_run, tmp_path):
    runs = [make_run(tmp_path, "tora", 6, key="aaaa"), make_run(tmp_path, "tora", 6, key="bbbb")]
    (group,) = collect(runs)
    assert [entry.label for entry in group.entries] == ["tora [aaaa]", "tora [bbbb]"]


def test_only_restricts_every_run(bench):
    (group,) = collect(bench, only={"line-000"})
    assert all(list(entry.cases["sample"]) == ["line-000"] for entry in group.entries)
    with pytest.raises(UserError, match="no sample to report"):
        collect(bench, only={"unknown"})


def test_no_run_and_no_run_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match="no run folder given"):
        collect([])
    with pytest.raises(UserError, match=r"record\.json"):
        collect([tmp_path])


def test_curves_average_objects_and_seeds(make_run, tmp_path):
    run = make_run(tmp_path, "static", 6, seeds=(0, 1))
    (group,) = collect([run])
    entry = group.entries[0]
    stored = [entry.run.load_case(f"curve-001{s}").arrays["traj_error/errors_NT"] for s in ("", ".seed1")]
    expected = np.mean([errors[:, 1:].mean(axis=0) for errors in stored], axis=0)
    np.testing.assert_allclose(entry.curves()["curve-001"][1:], expected)
    assert np.isnan(entry.curves()["curve-001"][0])
