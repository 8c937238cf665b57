"""Own clips with references are judged by networks that were trained on photographs."""

from __future__ import annotations

from toraeval.cli.score import with_reference_metrics
from toraeval.config import default_metrics


def test_references_bring_backbones_for_photographs():
    default = {name: {"name": name} for name in default_metrics("score")}
    metrics = with_reference_metrics({"references": "x", "metrics": default})["metrics"]
    assert metrics["fvd"]["backbone"] == metrics["lpips"]["backbone"] == "efficientnet_lite0"
    assert "class_kept" in default, "it compares a clip with its own first frame"
    assert {"fid", "ssim", "psnr", *default} == set(metrics) - {"fvd", "lpips"}
    assert all(options["name"] == name for name, options in metrics.items())
