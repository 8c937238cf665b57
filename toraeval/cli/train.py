"""`train`: train a model, or resume where training stopped."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import Any

from toraeval.cli.jobs import Done

HELP = """Train a model or a network of the benchmark, or resume where training stopped: same command, same folder.

  python -m toraeval train model=tora size=nano
  python -m toraeval train model=motionctrl size=nano samples=10000
  python -m toraeval train minutes=30 device=cuda
  python -m toraeval train start=shipped folder=finetuning

The full model: dense flow, then sparse trajectories; several GPUs through torchrun:

  python -m toraeval train size=tiny start=random vae=random text_encoder=random precision=fp32 clips=8 \\
      'buckets={32x48: {17: [1.0, 2]}}' 'stage_steps=[2,2]' folder=trial
  torchrun --nproc-per-node=8 -m toraeval train size=xl2 data=DIR start=DIT vae=VAE text_encoder=T5 device=cuda \\
      batches_per_step=8 folder=full

The learned tracker and the networks of the scores fvd and clipsim:

  python -m toraeval train model=shapes_tracker minutes=15
  python -m toraeval train model=shapes_clip
  python -m toraeval train model=shapes_video                # looks at frames with shapes_clip

What belongs to the training of the embedded models:

  python -m toraeval train task=tune model=motionctrl      # learning rates: half, once, twice the default
  python -m toraeval train task=steps model=motionctrl     # sampling steps: 1, 2, 4 or 8
  python -m toraeval train task=validate model=motionctrl  # validation loss of the shipped weights
  python -m toraeval train task=evaluate                   # TrajError of a run
  python -m toraeval train task=trials                     # short runs that choose the recipe
  python -m toraeval train task=long_run status=true       # all embedded models; how far they are
"""


def execute(config: dict[str, Any], command: str) -> Done:
    """Do what the options name.

    Raises:
        UserError: an option that is unknown, out of range or of another training.
        MissingAsset: weights that are not there.
    """
    from toraeval.config.training import training_options

    chosen = training_options(config)
    return Done(resolve_name(f"toraeval.training.recipes.{chosen.made_by}")(chosen))
