"""Motion-guidance fuser (MGF): trajectory features modulate the hidden states of a block.

Adaptive-norm variant of Tora (arXiv 2407.21705, section 3.3; parameter names of
alibaba/Tora 9a23dce `fuser.*`): h' = h + norm(h) * gamma(f) + beta(f). The output
convolutions start at zero, so an untrained fuser changes nothing.

Legend: B batch, T latent frames, S tokens per frame, C width, M motion channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.models.tora.config import STDiTConfig

NORM_EPS = 1e-5


class AdaptiveNormFuser(nn.Module):
    """Scale and shift each token by what moves there.

    Args:
        motion_channels: channels M of the trajectory features.
        hidden_size: width C of the hidden states.
        groups: groups of the norm over (tokens of a frame, channels of a group); 0 normalises each token alone.
    """

    def __init__(self, motion_channels: int, hidden_size: int, groups: int = 32) -> None:
        super().__init__()
        inner = hidden_size // 4
        self.groups = groups
        self.flow_gamma_spatial = nn.Conv2d(motion_channels, inner, 3, padding=1)
        self.flow_gamma_temporal = nn.Conv1d(inner, hidden_size, 3, padding=1, padding_mode="replicate")
        self.flow_beta_spatial = nn.Conv2d(motion_channels, inner, 3, padding=1)
        self.flow_beta_temporal = nn.Conv1d(inner, hidden_size, 3, padding=1, padding_mode="replicate")
        self.flow_cond_norm = nn.GroupNorm(groups, hidden_size, eps=NORM_EPS) if groups else None
        for conv in (self.flow_gamma_temporal, self.flow_beta_temporal):
            nn.init.zeros_(conv.weight)
            if conv.bias is not None:
                nn.init.zeros_(conv.bias)

    def forward(self, x_BTSC: Tensor, motion_BTSM: Tensor, grid: tuple[int, int] | None = None) -> Tensor:
        """Fuse features into hidden states.

        Args:
            x_BTSC: hidden states.
            motion_BTSM: features of the same tokens.
            grid: token rows and columns; a square grid if not given.
        """
        side = int(motion_BTSM.shape[2] ** 0.5)
        rows, columns = grid or (side, side)
        gamma = self._branch(motion_BTSM, rows, columns, self.flow_gamma_spatial, self.flow_gamma_temporal)
        beta = self._branch(motion_BTSM, rows, columns, self.flow_beta_spatial, self.flow_beta_temporal)
        return torch.addcmul(x_BTSC + beta, self._normalise(x_BTSC), gamma)

    def _normalise(self, x: Tensor) -> Tensor:
        if self.flow_cond_norm is None:
            return F.layer_norm(x, x.shape[-1:], eps=NORM_EPS)
        b, t, s, c = x.shape
        normed = self.flow_cond_norm(
            x.reshape(b * t, s, c).transpose(1, 2).to(self.flow_cond_norm.weight.dtype)
        )
        return normed.transpose(1, 2).reshape(b, t, s, c).to(x.dtype)  # type: ignore[no-any-return]

    def _branch(
        self, motion: Tensor, rows: int, columns: int, spatial: nn.Conv2d, temporal: nn.Conv1d
    ) -> Tensor:
        b, t, s, m = motion.shape
        inner = conv3x3(motion.reshape(b * t, rows, columns, m), spatial).reshape(b, t, s, -1)
        # the time convolution as one matrix product over three neighbouring frames, ends repeated
        before = torch.cat((inner[:, :1], inner[:, :-1]), 1)
        after = torch.cat((inner[:, 1:], inner[:, -1:]), 1)
        stacked = torch.cat((before, inner, after), -1)
        return F.linear(stacked, temporal.weight.permute(0, 2, 1).flatten(1), temporal.bias)


def conv3x3(x_NHWC: Tensor, conv: nn.Conv2d) -> Tensor:
    """Apply a 3 x 3 convolution with padding 1 to channels-last input as one matrix product."""
    _, h, w, _ = x_NHWC.shape
    padded = F.pad(x_NHWC, (0, 0, 1, 1, 1, 1))
    columns = torch.cat([padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)], -1)
    return F.linear(columns, conv.weight.permute(0, 2, 3, 1).flatten(1), conv.bias)


def build_fuser(config: STDiTConfig) -> AdaptiveNormFuser:
    """Build the fuser of one temporal block."""
    return AdaptiveNormFuser(config.motion_channels, config.hidden_size, config.fuser_groups)
