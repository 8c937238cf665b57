"""`train`: train a model, or resume where training stopped."""

from __future__ import annotations

from typing import Any

from toraeval.cli.jobs import Done

HELP = """Train Tora or an embedded rival, or resume where training stopped: same command, same folder.

  python -m toraeval train model=tora size=nano
  python -m toraeval train model=motionctrl size=nano samples=47412
  python -m toraeval train minutes=30 device=cuda
  python -m toraeval train start=shipped folder=finetuning

The full model: dense flow, then sparse trajectories; several GPUs through torchrun:

  python -m toraeval train size=tiny start=random vae=random text_encoder=random precision=fp32 clips=8 \\
      'buckets={32x48: {17: [1.0, 2]}}' 'stage_steps=[2,2]' folder=trial
  torchrun --nproc-per-node=8 -m toraeval train size=xl2 data=DIR start=DIT vae=VAE text_encoder=T5 device=cuda \\
      batches_per_step=8 folder=full
"""


def execute(config: dict[str, Any], command: str) -> Done:
    """Hand the options to the training package."""
    if config["size"] in ("xl2", "tiny"):
        from toraeval.training.recipes import full_size

        return Done(full_size.main(config))
    from toraeval.training.recipes import train

    return Done(int(train.main(config)))
