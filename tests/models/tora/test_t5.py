"""T5 features: those of transformers, kept on disk, with the encoder loaded only when it has to be."""

from __future__ import annotations

import gc
import shutil
import weakref
from pathlib import Path

import pytest
import torch

from toraeval.models.tora.conditions.t5 import T5Captions
from toraeval.types import MissingAsset, UserError

WORDS = "a red ball moves to the left while two dogs run over green water"
PROMPTS = ["a red ball", "two dogs run over the water"]


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import sentencepiece
    from transformers import T5Config, T5EncoderModel

    folder = tmp_path_factory.mktemp("t5")
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([WORDS, *PROMPTS] * 20),
        model_prefix=str(folder / "spiece"),
        vocab_size=30,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    torch.manual_seed(0)
    config = T5Config(vocab_size=30, d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    T5EncoderModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORAEVAL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "captions"


@pytest.mark.parametrize("masked", [True, False])
def test_features_are_those_of_transformers(encoder_folder: Path, masked: bool) -> None:
    from transformers import AutoTokenizer, T5EncoderModel

    captions = T5Captions(encoder_folder, max_length=40, precision="fp32", mask_padding=masked)
    features, mask = captions.encode(PROMPTS)
    tokens = AutoTokenizer.from_pretrained(encoder_folder)(
        PROMPTS, max_length=40, padding="max_length", truncation=True, return_tensors="pt"
    )
    model = T5EncoderModel.from_pretrained(encoder_folder)
    expected = model(tokens.input_ids, tokens.attention_mask if masked else None).last_hidden_state
    assert features.shape == (2, 1, 40, 32)
    assert torch.allclose(features[:, 0], expected, atol=1e-5)
    assert mask.dtype == torch.int64
    assert torch.equal(mask, tokens.attention_mask)


def test_mask_changes_features(encoder_folder: Path) -> None:
    with_mask, _ = T5Captions(encoder_folder, 40, precision="fp32").encode(PROMPTS)
    without, _ = T5Captions(encoder_folder, 40, precision="fp32", mask_padding=False).encode(PROMPTS)
    assert (with_mask - without).abs().max() > 1e-3


def test_known_captions_need_no_encoder(
    encoder_folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = T5Captions(encoder_folder, 40, cache=cache).encode(PROMPTS)
    assert len(list(cache.iterdir())) == 2
    again = T5Captions(encoder_folder, 40, cache=cache)
    monkeypatch.setattr(again, "_load", lambda: pytest.fail("the encoder was loaded"))
    for old, new in zip(first, again.encode(PROMPTS[::-1]), strict=True):
        assert torch.equal(old.flip(0), new)
    assert first[0].dtype == torch.bfloat16
    with pytest.raises(pytest.fail.Exception):
        again.encode(["another caption"])


def test_every_part_of_the_key_counts(encoder_folder: Path, cache: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(encoder_folder, other)
    (other / "config.json").write_text((other / "config.json").read_text() + " ")
    for folder, length, precision, masked in (
        (encoder_folder, 40, "bf16", True),
        (encoder_folder, 41, "bf16", True),
        (encoder_folder, 40, "fp32", True),
        (encoder_folder, 40, "bf16", False),
        (other, 40, "bf16", True),
    ):
        before = len(list(cache.glob("*"))) if cache.exists() else 0
        T5Captions(folder, length, precision=precision, cache=cache, mask_padding=masked).encode(PROMPTS[:1])
        assert len(list(cache.iterdir())) == before + 1


def test_neighbours_do_not_matter(encoder_folder: Path) -> None:
    captions = T5Captions(encoder_folder, 40, precision="fp32")
    assert torch.equal(captions.encode(PROMPTS)[0][1], captions.encode(PROMPTS[1:])[0][0])


def test_release_frees_the_encoder(encoder_folder: Path) -> None:
    captions = T5Captions(encoder_folder, 40)
    captions.encode(PROMPTS)
    weights = [weakref.ref(p) for p in captions._encoder.parameters()]
    captions.release()
    gc.collect()
    assert all(weight() is None for weight in weights)
    assert captions.encode(PROMPTS)[0].shape == (2, 1, 40, 32)


def test_folders_as_diffusers_writes_them(encoder_folder: Path, tmp_path: Path) -> None:
    for part, pattern in (("tokenizer", "spiece.model"), ("text_encoder", "[cm]o*")):
        (tmp_path / "pipe" / part).mkdir(parents=True)
        for file in encoder_folder.glob(pattern):
            shutil.copy(file, tmp_path / "pipe" / part)
    both = [
        T5Captions(f, 40, precision="fp32").encode(PROMPTS)[0] for f in (encoder_folder, tmp_path / "pipe")
    ]
    assert torch.equal(*both)


def test_missing_and_damaged_files(encoder_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingAsset, match=r"is absent.*python -m toraeval fetch t5_v1_1_xxl"):
        T5Captions(tmp_path / "none")
    broken = tmp_path / "broken"
    shutil.copytree(encoder_folder, broken)
    weights = broken / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match="not a readable safetensors file"):
        T5Captions(broken).encode(PROMPTS)
    weights.unlink()
    with pytest.raises(MissingAsset, match="holds no weights"):
        T5Captions(broken).fingerprint()
    (broken / "spiece.model").unlink()
    with pytest.raises(MissingAsset, match="no tokenizer"):
        T5Captions(broken)


def test_weights_that_lack_tensors_are_refused(encoder_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    lacking = tmp_path / "lacking"
    shutil.copytree(encoder_folder, lacking)
    tensors = load_file(lacking / "model.safetensors")
    del tensors["encoder.final_layer_norm.weight"]
    save_file(tensors, lacking / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"lacks 1 weights.*final_layer_norm"):
        T5Captions(lacking, 40).encode(PROMPTS)


def test_wrong_options(encoder_folder: Path) -> None:
    with pytest.raises(UserError, match="precision=fp16; allowed: bf16, fp32"):
        T5Captions(encoder_folder, precision="fp16")
    with pytest.raises(UserError, match="max_length=0"):
        T5Captions(encoder_folder, max_length=0)
    for nothing in ([], "a red ball"):
        with pytest.raises(UserError, match="list of at least one caption"):
            T5Captions(encoder_folder).encode(nothing)


def test_an_encoder_of_another_width_is_refused(encoder_folder: Path, tmp_path: Path) -> None:
    T5Captions(encoder_folder, 40, width=32)
    with pytest.raises(
        UserError, match=r"gives 32 numbers per token, the network takes 4096; .*fetch t5_v1_1_xxl"
    ):
        T5Captions(encoder_folder, 40, width=4096)
    broken = tmp_path / "broken"
    shutil.copytree(encoder_folder, broken)
    (broken / "config.json").write_text("[]")
    with pytest.raises(UserError, match=r"config\.json states no width"):
        T5Captions(broken, 40, width=32)
