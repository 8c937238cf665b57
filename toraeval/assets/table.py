"""What can be downloaded: source, SHA-256 as far as published, licence, size."""

from __future__ import annotations

from dataclasses import dataclass

from toraeval.registry import unknown
from toraeval.types import UserError


@dataclass(frozen=True)
class Asset:
    """One downloadable file.

    Attributes:
        url: where it comes from.
        filename: name in the cache.
        sha256: expected hash (hex), or None where its publisher states none: then the user has to give it.
        licence: licence of the file, printed before downloading.
        size_mb: rough size, or None where unknown.
        used_by: what needs it.
    """

    url: str
    filename: str
    sha256: str | None
    licence: str
    size_mb: int | None
    used_by: str


@dataclass(frozen=True)
class Snapshot:
    """Files of a Hugging Face repository at one commit.

    Attributes:
        repo: `owner/name` on huggingface.co.
        licence: licence of the files as far as known, printed before downloading.
        size_mb: estimate; the true size is known when the download starts.
        used_by: what needs it.
        patterns: which files, as shell patterns. Of a folder with safetensors files, no pickles are taken.
        folder: folder in the cache, by default the snapshot's name; several snapshots may share one.
        strip: leading part of file names that is left out in the cache.
        pickles: take pickles beside safetensors files, too, because they hold other networks.
    """

    repo: str
    licence: str
    size_mb: int | None
    used_by: str
    patterns: tuple[str, ...] = ("*.json", "*.model", "*.safetensors", "*.bin", "*.pth", "*.pt")
    folder: str = ""
    strip: str = ""
    pickles: bool = False

    @property
    def url(self) -> str:
        """Page of the repository."""
        return f"https://huggingface.co/{self.repo}"


_LTX_LICENCE = "LTX-2 Community License (free below 10 million USD of revenue, and for evaluation)"
_WAN_NETWORKS = ("*.safetensors", "*.json")
_WAN_PARTS = (
    "Wan2.1_VAE.pth",
    "models_t5_umt5-xxl-enc-bf16.pth",
    "models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth",
    "google/*",
    "xlm-roberta-large/*",
)
_OPEN_SORA_LICENCE = "Apache-2.0 (that of the Open-Sora repository; see the page)"
_COGVIDEOX_LICENCE = "CogVideoX License (research free, commercial use needs registration; no redistribution)"
_COTRACKER = "https://huggingface.co/facebook/cotracker3/resolve/main"

ASSETS: dict[str, Asset | Snapshot] = {
    "cotracker3_offline": Asset(
        f"{_COTRACKER}/scaled_offline.pth",
        "cotracker3_scaled_offline.pth",
        None,
        "CC BY-NC 4.0 (no commercial use)",
        102,
        "tracker=cotracker3_offline",
    ),
    "cotracker3_online": Asset(
        f"{_COTRACKER}/scaled_online.pth",
        "cotracker3_scaled_online.pth",
        None,
        "CC BY-NC 4.0 (no commercial use)",
        102,
        "tracker=cotracker3_online",
    ),
    "tapnextpp": Asset(
        "https://storage.googleapis.com/dm-tapnet/tapnextpp/tapnextpp_ckpt.pt",
        "tapnextpp_ckpt.pt",
        None,
        "Apache-2.0",
        1000,
        "tracker=tapnextpp",
    ),
    "alltracker": Asset(
        "https://huggingface.co/aharley/alltracker/resolve/main/alltracker.pth",
        "alltracker.pth",
        None,
        "MIT",
        66,
        "tracker=alltracker",
    ),
    "alltracker_tiny": Asset(
        "https://huggingface.co/aharley/alltracker/resolve/main/alltracker_tiny.pth",
        "alltracker_tiny.pth",
        None,
        "MIT",
        26,
        "tracker=alltracker tracker.size=tiny",
    ),
    "opensora_stdit_v3": Snapshot(
        "hpcai-tech/OpenSora-STDiT-v3", _OPEN_SORA_LICENCE, 4800, "model=tora size=xl2: transformer"
    ),
    "opensora_vae_v1_2": Snapshot(
        "hpcai-tech/OpenSora-VAE-v1.2", _OPEN_SORA_LICENCE, 1600, "model=tora size=xl2: autoencoder"
    ),
    "t5_v1_1_xxl": Snapshot(
        "DeepFloyd/t5-v1_1-xxl",
        "Apache-2.0 (that of T5 v1.1; see the page)",
        19000,
        "model=tora size=xl2: text encoder",
    ),
    "tora_cogvideox_t2v": Snapshot(
        "Alibaba-Research-Intelligence-Computing/Tora_T2V_diffusers",
        _COGVIDEOX_LICENCE,
        22000,
        "model=tora_cogvideox variant=t2v: all parts",
    ),
    "tora_cogvideox_i2v": Snapshot(
        "Alibaba-Research-Intelligence-Computing/Tora",
        _COGVIDEOX_LICENCE,
        12000,
        "model=tora_cogvideox variant=i2v: transformer",
        ("tora/i2v/*.pt",),
        strip="tora/i2v/",
    ),
    "cogvideox_5b_i2v": Snapshot(
        "THUDM/CogVideoX-5b-I2V",
        _COGVIDEOX_LICENCE,
        10000,
        "model=tora_cogvideox variant=i2v: text encoder and autoencoder",
        ("vae/*", "text_encoder/*", "tokenizer/*", "scheduler/*"),
        "tora_cogvideox_i2v",
    ),
    "motionctrl_upstream": Snapshot(
        "TencentARC/MotionCtrl",
        "see the page (code: Apache-2.0)",
        None,
        "model=motionctrl size=upstream: weights",
        ("motionctrl.pth",),
    ),
    "dragnuwa_upstream": Snapshot(
        "benjamin-paine/dragnuwa-pruned-safetensors",
        "see the page (code: MIT; built on Stable Video Diffusion, whose licence applies)",
        None,
        "model=dragnuwa size=upstream: weights, a third party's half-precision copy",
        ("dragnuwa-svd-pruned.fp16.safetensors",),
    ),
    "wan_move_upstream": Snapshot(
        "Ruihang/Wan-Move-14B-480P",
        "Apache-2.0",
        None,
        "model=wan_move size=upstream: all parts",
        (*_WAN_NETWORKS, *_WAN_PARTS),
        pickles=True,
    ),
    "ati_upstream": Snapshot(
        "bytedance-research/ATI",
        "Apache-2.0",
        None,
        "model=ati: transformer",
        _WAN_NETWORKS,
    ),
    "ati_wan_parts": Snapshot(
        "Wan-AI/Wan2.1-I2V-14B-480P",
        "Apache-2.0",
        16600,
        "model=ati: autoencoder, text encoder, picture encoder",
        _WAN_PARTS,
        "ati_upstream",
    ),
    "ltx_motion_track_upstream": Snapshot(
        "Lightricks/LTX-2.3",
        _LTX_LICENCE,
        44000,
        "model=ltx_motion_track: distilled checkpoint and upscaler",
        ("ltx-2.3-22b-distilled-1.1.safetensors", "ltx-2.3-spatial-upscaler-x2-1.1.safetensors"),
    ),
    "ltx_motion_track_lora": Snapshot(
        "Lightricks/LTX-2.3-22b-IC-LoRA-Motion-Track-Control",
        _LTX_LICENCE,
        None,
        "model=ltx_motion_track: the LoRA that follows the guide video",
        ("ltx-2.3-22b-ic-lora-motion-track-control-ref0.5.safetensors",),
        "ltx_motion_track_upstream",
    ),
    "ltx_motion_track_gemma": Snapshot(
        "google/gemma-3-12b-it-qat-q4_0-unquantized",
        "Gemma Terms of Use (to be accepted on the page)",
        24000,
        "model=ltx_motion_track: text encoder",
        ("*.json", "*.model", "*.safetensors"),
        "ltx_motion_track_upstream/gemma",
    ),
    "wan_fun_control_upstream": Snapshot(
        "alibaba-pai/Wan2.1-Fun-V1.1-1.3B-Control",
        "Apache-2.0",
        19000,
        "model=wan_fun_control: all parts",
        (*_WAN_NETWORKS, *_WAN_PARTS),
        pickles=True,
    ),
    # The hashes of the next four files are stated by several projects that use them, not by their publishers.
    "fvd_i3d": Asset(
        "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
        "i3d_torchscript.pt",
        "bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
        "Apache-2.0 (Kinetics I3D of DeepMind, converted for StyleGAN-V; see those repositories)",
        51,
        "metric=fvd backbone=i3d",
    ),
    "fvd_videomae": Asset(
        "https://huggingface.co/OpenGVLab/VideoMAE2/resolve/97d119d270aca7a1217fff7f413c0c543eb325d9/"
        "mae-g/vit_g_hybrid_pt_1200e_ssv2_ft.pth",
        "vit_g_hybrid_pt_1200e_ssv2_ft.pth",
        "5a210a92f035dff30c53b46157b612e7a1a5d3c99700e1b2d71da5c399ca7e70",
        "as stated on huggingface.co/OpenGVLab/VideoMAE2 (code: MIT)",
        2020,
        "metric=fvd backbone=videomae",
    ),
    "lpips_alex": Asset(
        "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
        "alexnet-owt-7be5be79.pth",
        "7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        "BSD-3-Clause (torchvision); trained on ImageNet, whose terms allow research",
        244,
        "metric=lpips backbone=alex",
    ),
    "lpips_vgg": Asset(
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        "vgg16-397923af.pth",
        "397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        "BSD-3-Clause (torchvision); trained on ImageNet, whose terms allow research",
        553,
        "metric=lpips backbone=vgg",
    ),
    "clip_vit_b32": Snapshot(
        "openai/clip-vit-base-patch32",
        "MIT (that of OpenAI's CLIP repository; see the page)",
        605,
        "metric=clipsim backbone=clip_vit_b32",
        (
            "config.json",
            "tokenizer*.json",
            "vocab.json",
            "merges.txt",
            "special_tokens_map.json",
            "model.safetensors",
            "pytorch_model.bin",
        ),
    ),
}


def get(name: str) -> Asset | Snapshot:
    """Return the table's line for `name`.

    Raises:
        UserError: unknown name.
    """
    if name not in ASSETS:
        raise UserError(unknown("asset", name, ASSETS) + "; run: python -m toraeval fetch")
    return ASSETS[name]


def fetch_command(name: str) -> str:
    """Return the command that downloads an asset."""
    asset = get(name)
    needs_hash = isinstance(asset, Asset) and asset.sha256 is None
    return f"python -m toraeval fetch {name}" + (" sha256=HASH" if needs_hash else "")
