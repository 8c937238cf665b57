"""The repositories of other people's models: which commit, how to make their environment, which weights."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fork:
    """One repository that holds the code.

    Attributes:
        url: to clone.
        commit: the one that the wrapper was written against.
        files: files by which a checkout of it is recognised, relative to its root.
        licence: of the code.
        optional: packages of the program that this fork does without.
    """

    url: str
    commit: str
    files: tuple[str, ...]
    licence: str
    optional: tuple[str, ...] = ()


@dataclass(frozen=True)
class Program:
    """A rival's own code.

    Attributes:
        forks: repositories that hold it, the recommended one first.
        weights: asset with the weights.
        weights_file: the file of that asset; empty where the program is given the whole folder.
        python: version of the environment.
        environment: commands that make it; `{checkout}` stands for the folder.
        packages: distributions that must be there, and whose versions are recorded.
        notes: what else has to be known.
        further: other assets that lie in the same folder.
    """

    forks: dict[str, Fork]
    weights: str
    weights_file: str
    python: str
    environment: tuple[str, ...]
    packages: tuple[str, ...]
    notes: tuple[str, ...]
    further: tuple[str, ...] = ()


_CLIP = (
    "OpenCLIP ViT-H-14 (laion2b_s32b_b79k, MIT, about 3.9 GB) is downloaded by the upstream code into its own cache "
    "at the first start."
)
_WAN_PACKAGES = (
    "torch",
    "torchvision",
    "diffusers",
    "transformers",
    "easydict",
    "ftfy",
    "flash_attn",
    "numpy",
)
_WAN_ENVIRONMENT = (
    "conda create -y -p {checkout}/env python=3.10",
    "{checkout}/env/bin/pip install 'torch>=2.4' torchvision packaging ninja wheel",
    "{checkout}/env/bin/pip install --no-build-isolation -r {checkout}/requirements.txt",
)
PROGRAMS: dict[str, Program] = {
    "motionctrl": Program(
        {
            "main": Fork(
                "https://github.com/TencentARC/MotionCtrl",
                "6242d55414d3f4ad690bf0934889660f78e81b6e",
                ("main/evaluation/motionctrl_inference.py", "configs/inference/config_both.yaml"),
                "Apache-2.0",
            )
        },
        "motionctrl_upstream",
        "motionctrl.pth",
        "3.10",
        (
            "conda create -y -p {checkout}/env python=3.10.6",
            "{checkout}/env/bin/pip install -r {checkout}/requirements.txt",
        ),
        ("torch", "torchvision", "xformers", "pytorch-lightning", "omegaconf", "open_clip_torch", "numpy"),
        (
            "Branch main (VideoCrafter) is the one that controls objects; branch svd controls the camera only.",
            "A CUDA GPU is needed: the upstream sampler moves its tables to one.",
            _CLIP,
        ),
    ),
    "dragnuwa": Program(
        {
            "bensonbs": Fork(
                "https://github.com/bensonbs/DragNUWA-Fork",
                "428bf918fbb059966e3e5ba032550c9307cb7bb2",
                ("DragNUWA_demo.py", "DragNUWA_net.py"),
                "MIT",
            ),
            "comfyui": Fork(
                "https://github.com/chaojie/ComfyUI-DragNUWA",
                "bd9f53fed49c24e220108249fe9744c5e61542a8",
                ("nodes.py", "DragNUWA_net.py", "model_util.py"),
                "MIT",
                ("deepspeed",),
            ),
        },
        "dragnuwa_upstream",
        "dragnuwa-svd-pruned.fp16.safetensors",
        "3.8",
        (
            "conda create -y -p {checkout}/env python=3.8",
            "{checkout}/env/bin/pip install -r {checkout}/environment.txt safetensors",
        ),
        (
            "torch",
            "torchvision",
            "xformers",
            "open_clip_torch",
            "omegaconf",
            "deepspeed",
            "safetensors",
            "numpy",
        ),
        (
            "The official repository (ProjectNUWA/DragNUWA) holds no code any more; these forks keep version 1.5.",
            "The fork comfyui needs no deepspeed; its packages are in requirements.txt.",
            "The download is a third party's half-precision copy. The original drag_nuwa_svd.pth (Google Drive id "
            "1Z4JOley0SJCb35kFF4PCc6N6P1ftfX4i; SHA-256 and licence not known) works too: model.checkpoint=FILE.",
            "A CUDA GPU with xformers is needed.",
            _CLIP,
        ),
    ),
    "wan_move": Program(
        {
            "main": Fork(
                "https://github.com/ali-vilab/Wan-Move",
                "27409bee073a9920a1c67a9bdded7662039cdbae",
                ("wan/wan_move.py", "wan/modules/trajectory.py"),
                "Apache-2.0",
            )
        },
        "wan_move_upstream",
        "",
        "3.10",
        (*_WAN_ENVIRONMENT, "{checkout}/env/bin/pip install decord"),
        (*_WAN_PACKAGES, "decord", "imageio"),
        (
            "A CUDA GPU of 40 GB suffices with the defaults dtype=bf16 offload=true t5_cpu=true (the authors' README).",
            "The program imports decord, which its requirements do not name, and sets HF_ENDPOINT to a mirror for its "
            "own process.",
        ),
    ),
    "ati": Program(
        {
            "main": Fork(
                "https://github.com/bytedance/ATI",
                "168b4435c2e84b5215f194b46aca6bf8df92823c",
                ("wan/image2video.py", "wan/modules/motion_patch.py", "wan/utils/motion.py"),
                "Apache-2.0",
            )
        },
        "ati_upstream",
        "",
        "3.10",
        _WAN_ENVIRONMENT,
        _WAN_PACKAGES,
        (
            "A CUDA GPU for a model of 14 billion parameters is needed; the authors state no figure.",
            "The authors' weights are the transformer alone; autoencoder and encoders are those of Wan2.1 I2V 14B "
            "480P, which belong in the same folder and are fetched there.",
        ),
        ("ati_wan_parts",),
    ),
    "ltx_motion_track": Program(
        {
            "main": Fork(
                "https://github.com/Lightricks/LTX-2",
                "400fd31054597515f47125691032c04b1c3ee24e",
                (
                    "packages/ltx-pipelines/src/ltx_pipelines/ic_lora.py",
                    "packages/ltx-pipelines/src/ltx_pipelines/iclora_utils.py",
                ),
                "LTX-2 Community License",
            )
        },
        "ltx_motion_track_upstream",
        "",
        "3.12",
        ("UV_PROJECT_ENVIRONMENT={checkout}/env uv sync --project {checkout}",),
        ("torch", "ltx-core", "ltx-pipelines", "transformers", "safetensors", "av", "numpy"),
        (
            "A CUDA GPU is needed; offload=cpu or disk and quantization=fp8-cast make do with less of it.",
            "The licence is free for companies below 10 million USD of revenue, and for evaluation.",
            "Gemma 3 has terms of its own: accept them on its page and log in with `hf auth login` first.",
        ),
        ("ltx_motion_track_lora", "ltx_motion_track_gemma"),
    ),
    "wan_fun_control": Program(
        {
            "main": Fork(
                "https://github.com/aigc-apps/VideoX-Fun",
                "804a4258e2608f855ccaec8fffa279e75a3b89c6",
                (
                    "examples/wan2.1_fun/predict_v2v_control.py",
                    "videox_fun/pipeline/pipeline_wan_fun_control.py",
                ),
                "Apache-2.0",
            )
        },
        "wan_fun_control_upstream",
        "",
        "3.10",
        (
            "conda create -y -p {checkout}/env python=3.10",
            "{checkout}/env/bin/pip install torch torchvision -r {checkout}/requirements.txt",
        ),
        ("torch", "diffusers", "transformers", "accelerate", "omegaconf", "opencv-python", "numpy"),
        (
            "The smallest of the newer models (1.3 billion parameters), the one for cards of 12 to 16 GB; the authors "
            "state no figure, memory=sequential_cpu_offload needs least.",
        ),
    ),
}
