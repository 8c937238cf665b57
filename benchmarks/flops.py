"""Count the multiply-adds of the diffusion transformer, two operations each, without running it."""

from __future__ import annotations

from toraeval.models.shared.network.config import STDiTConfig


def text_flops(config: STDiTConfig, batch: int, tokens: int) -> int:
    """Operations of projecting `tokens` caption tokens and every block's keys and values; once per sampling run."""
    width = config.hidden_size
    projection = config.caption_channels * width + width * width
    return 2 * batch * tokens * (projection + 2 * config.depth * 2 * width * width)


def forward_flops(config: STDiTConfig, batch: int, grid: tuple[int, int, int], text_tokens: int) -> int:
    """Operations of one forward pass with the captions' keys and values given and without fusers.

    Args:
        config: size of the network.
        batch: samples, doubled under guidance.
        grid: latent frames, token rows, token columns.
        text_tokens: caption tokens that each image token attends to.
    """
    width, (frames, rows, columns) = config.hidden_size, grid
    places = rows * columns
    tokens = frames * places
    linear = (3 + 1 + 1 + 1) * width * width + 2 * width * config.mlp_hidden  # qkv, proj, q, proj; fc1, fc2
    block = 2 * tokens * linear + 4 * tokens * text_tokens * width
    attention = 4 * tokens * (places + frames) * width  # of one spatial and one temporal block
    patch = config.patch_size[0] * config.patch_size[1] * config.patch_size[2]
    ends = 2 * tokens * width * patch * (config.in_channels + config.cond_channels + config.out_channels)
    scalars = 2 * (2 * (256 * width + width * width) + 6 * width * width)  # time step, frame rate, modulation
    return batch * (config.depth * (2 * block + attention) + ends + scalars)
