"""VideoMAE: equal to transformers' implementation with the same weights, and checkpoint loading."""

import pytest
import torch

from toraeval.metrics.shared.networks import videomae
from toraeval.metrics.shared.networks.videomae import VideoMAE, ViTSize
from toraeval.types import UserError

TINY = ViTSize(width=16, depth=2, heads=2, hidden=24, frames=4, side=28, classes=3)


@pytest.fixture
def checkpoint(tmp_path):
    network = VideoMAE(TINY)
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.3)
    file = tmp_path / "tiny.pth"
    torch.save({"module": network.half().state_dict()}, file)
    return file


def test_features_are_those_of_transformers(checkpoint):
    transformers = pytest.importorskip("transformers")
    ours = videomae.load(checkpoint, "cpu", TINY)
    config = transformers.VideoMAEConfig(
        image_size=28, patch_size=14, num_frames=4, tubelet_size=2, hidden_size=16, num_hidden_layers=2,
        num_attention_heads=2, intermediate_size=24, use_mean_pooling=True, num_labels=3, layer_norm_eps=1e-6,
    )  # fmt: skip
    theirs = transformers.VideoMAEForVideoClassification(config).eval()
    state = {}
    for name, value in ours.state_dict().items():
        if name.endswith("qkv.weight"):
            for part, piece in zip(("query", "key", "value"), value.chunk(3), strict=True):
                state[name.replace("qkv", part)] = piece
        else:
            state[name] = value
    renames = {
        "patch_embed.proj": "videomae.embeddings.patch_embeddings.projection", "blocks": "videomae.encoder.layer",
        "attn.query": "attention.attention.query", "attn.key": "attention.attention.key",
        "attn.value": "attention.attention.value", "attn.q_bias": "attention.attention.query.bias",
        "attn.v_bias": "attention.attention.value.bias", "attn.proj": "attention.output.dense",
        "norm1": "layernorm_before", "norm2": "layernorm_after", "mlp.fc1": "intermediate.dense",
        "mlp.fc2": "output.dense", "head": "classifier",
    }  # fmt: skip
    for old, new in renames.items():
        state = {name.replace(old, new): value for name, value in state.items()}
    theirs.load_state_dict(state)
    theirs.fc_norm.eps = 1e-6
    clip = torch.rand(2, 4, 3, 28, 28)
    with torch.no_grad():
        expected = theirs.fc_norm(theirs.videomae(clip)[0].mean(1))
        torch.testing.assert_close(ours(clip), expected, rtol=1e-4, atol=1e-5)


def test_published_size_has_the_published_number_of_parameters():
    with torch.device("meta"):
        count = sum(p.numel() for p in VideoMAE().parameters())
    assert 1.0e9 < count < 1.03e9


def test_files_that_do_not_fit_are_refused(checkpoint):
    with pytest.raises(UserError, match="fetch fvd_videomae"):
        videomae.load(checkpoint, "cpu")
    checkpoint.write_bytes(b"nothing")
    with pytest.raises(UserError, match="does not hold"):
        videomae.load(checkpoint, "cpu", TINY)
