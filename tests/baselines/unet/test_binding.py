"""Entity binding of the U-Nets: copies along the paths enter beside the first frame, in training as in generation."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from baselines.unet.config import tiny
from baselines.unet.generator import EmbeddedRival
from toraeval.models.shared.nano.caption_encoder import tokenise
from toraeval.models.shared.nano.copies import copied_latents
from toraeval.models.shared.nano.linear_patches import LinearPatchAutoencoder
from toraeval.models.shared.nano.pipeline import ClipRequest
from toraeval.training.data.batch import Batch
from toraeval.training.recipes.learners import learner
from toraeval.trajectories.displacement import displacement_maps

DESIGNS = ("motionctrl", "dragnuwa")
PATH = np.linspace((100.0, 100.0), (200.0, 150.0), 17)[None]


@pytest.fixture
def vae() -> LinearPatchAutoencoder:
    torch.manual_seed(0)
    made = LinearPatchAutoencoder(8)
    made.basis.copy_(torch.linalg.qr(torch.randn(made.basis.shape[::-1]))[0].T)
    return made


@pytest.mark.parametrize("design", DESIGNS)
def test_copies_change_the_prediction_and_none_are_zeros(make_network, design: str) -> None:
    network = make_network(design, binding="entity")
    assert network.conv_in.weight.shape[1] == 9 * (8 + 8 + 9)  # noisy, of the first frame, of the copies
    given = {"y": torch.zeros(1, 1, 2, 8), "motion": None, "fps": torch.tensor([8.0])}
    noise, time, first = torch.randn(1, 8, 5, 4, 4), torch.tensor([1000.0]), torch.randn(1, 8, 1, 4, 4)
    copies = torch.randn(1, 9, 5, 4, 4)
    without, zeros, some = (
        network.predict_clean(noise, time, None, first, copies=c, **given)
        for c in (None, torch.zeros_like(copies), copies)
    )
    assert torch.equal(without, zeros)
    assert not torch.allclose(without, some)


@pytest.mark.parametrize("design", DESIGNS)
def test_training_and_generation_are_given_the_same(make_network, vae, design: str) -> None:
    network, kind = make_network(design, binding="entity"), learner(design)
    first = torch.randn(16, 16, 8)
    motion = kind.motion(network.config, vae, PATH, first)
    maps = torch.from_numpy(displacement_maps(PATH, 512, 512))
    assert torch.equal(motion, torch.cat((maps, copied_latents(vae, first, PATH)), -1))
    assert torch.equal(kind.motion(tiny(design), vae, PATH, first), maps)
    words = torch.tensor([tokenise("a red disc")])
    batch = Batch(torch.zeros(1, 8, 5, 16, 16), motion[None], words, 17, 512, 512, torch.tensor([8.0]))
    trained = kind.inputs(network, batch, torch.zeros(1, dtype=torch.bool), torch.zeros(1, 8, 1, 16, 16))
    request = ClipRequest("key", 0, "a red disc", np.zeros((1, 512, 512, 3), np.uint8), PATH, 8.0)
    told = EmbeddedRival.conditions(network, vae, request, first.permute(2, 0, 1)[None, :, None], 1)
    torch.testing.assert_close(told["copies"], trained["copies"])
    for ours, theirs in zip(told["motion"], trained["motion"], strict=True):
        torch.testing.assert_close(ours, theirs)


def test_unguided_halves_keep_the_copies(make_network, vae) -> None:
    network = make_network("motionctrl", binding="entity")
    request = SimpleNamespace(size=(512, 512), tracks_NT2=PATH, prompt="a red disc")
    told = EmbeddedRival.conditions(network, vae, request, torch.randn(1, 8, 1, 16, 16), 2)
    assert torch.equal(told["copies"][0], told["copies"][1])
    assert told["copies"].abs().sum() > 0


def test_an_unknown_binding_is_refused() -> None:
    with pytest.raises(ValueError, match="binding 'name' is not one of none, entity"):
        tiny("dragnuwa", binding="name")
