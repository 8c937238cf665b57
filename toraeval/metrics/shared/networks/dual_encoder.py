"""The dual encoder of `clipsim_shapes`: turns pictures and captions of the world `shapes` into comparable unit vectors.

Trained like CLIP, each picture against the captions of a batch, and besides against captions with one word exchanged
and pictures without their objects or with exchanged colours. Its inner features serve `lpips_shapes`.

Legend of the shape suffixes: B pictures or captions, C channels, H height, W width, L words, D features.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Residual(nn.Module):
    """Two 3x3 convolutions with a residual connection.

    Args:
        channels: channels in and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.relu = nn.ReLU()

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Map float (B, C, H, W) to the same shape."""
        out: Tensor = self.relu(x_BCHW + self.body(x_BCHW))
        return out


def stem(channels: int, patch: int = 4) -> nn.Sequential:
    """Return layers that turn RGB (B, 3, H, W) into (B, channels, H / patch, W / patch)."""
    return nn.Sequential(
        nn.PixelUnshuffle(patch),
        nn.Conv2d(3 * patch**2, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    )


def halve(channels: int, wider: int) -> nn.Sequential:
    """Return layers that halve height and width and change the number of channels."""
    return nn.Sequential(
        nn.Conv2d(channels, wider, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(wider), nn.ReLU()
    )


FEATURES = 128
MAX_WORDS = 40
PAD, UNKNOWN = "<pad>", "<unk>"
# Left out: "an" would give away that "orange" was exchanged for another word.
ARTICLES = frozenset({"a", "an", "the"})


class ImageEncoder(nn.Module):
    """Convolutions in three stages, at 1/4, 1/8 and 1/16 of the side.

    Args:
        width: channels of the first stage, doubled by each further one.
        features: length of the unit vector.
    """

    def __init__(self, width: int = 32, features: int = FEATURES) -> None:
        super().__init__()
        self.channels = (width, 2 * width, 4 * width)
        self.stages = nn.ModuleList(
            [
                nn.Sequential(stem(width), Residual(width)),
                nn.Sequential(halve(width, 2 * width), Residual(2 * width), Residual(2 * width)),
                nn.Sequential(halve(2 * width, 4 * width), Residual(4 * width), Residual(4 * width)),
            ]
        )
        self.weigh = nn.Conv2d(4 * width, 1, 1)
        self.project = nn.Linear(8 * width, features)

    def maps(self, image_BCHW: Tensor) -> list[Tensor]:
        """Return the feature maps of the three stages.

        Args:
            image_BCHW: float (B, 3, H, W) in [-1, 1], sides divisible by 16.
        """
        found: list[Tensor] = []
        for stage in self.stages:
            found.append(stage(found[-1] if found else image_BCHW))
        return found

    def forward(self, image_BCHW: Tensor) -> Tensor:
        """Return unit vectors (B, D) of pictures, float (B, 3, H, W) in [-1, 1]."""
        return self.vector(self.maps(image_BCHW)[-1])

    def vector(self, last: Tensor) -> Tensor:
        """Return unit vectors (B, D) from the maps of the last stage."""
        # objects cover little of a picture: a learned weighting of places stands beside the plain mean
        weights = self.weigh(last).flatten(2).softmax(-1)
        seen = (last.flatten(2) * weights).sum(-1)
        return F.normalize(self.project(torch.cat([seen, last.mean((2, 3))], 1)).float(), dim=-1)


class CaptionTower(nn.Module):
    """Word vectors, two convolutions that bind neighbouring words, and a mean over the words.

    Args:
        words: the vocabulary; the first two are `<pad>` and `<unk>`.
        width: length of word vectors.
        features: length of the unit vector.
    """

    def __init__(self, words: Sequence[str], width: int = 96, features: int = FEATURES) -> None:
        super().__init__()
        self.numbers = {word: number for number, word in enumerate(words)}
        self.table = nn.Embedding(len(words), width)
        self.bind = nn.ModuleList([nn.Conv1d(width, width, 5, padding=2) for _ in range(2)])
        self.project = nn.Linear(width, features)

    def forward(self, words_BL: Tensor) -> Tensor:
        """Return unit vectors (B, D) of captions given as word numbers, int64 (B, L)."""
        there = (words_BL != 0).unsqueeze(1)
        x = self.table(words_BL).transpose(1, 2) * there
        for layer in self.bind:
            x = (x + F.relu(layer(x))) * there
        mean = x.sum(-1) / there.sum(-1).clamp(min=1)
        return F.normalize(self.project(mean).float(), dim=-1)


class DualEncoder(nn.Module):
    """Both encoders and the learned sharpness of their comparison.

    Args:
        words: vocabulary of the captions.
    """

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__()
        self.image = ImageEncoder()
        self.caption = CaptionTower(words)
        self.log_scale = nn.Parameter(torch.tensor(2.7))

    def numbers(self, caption: str) -> Tensor:
        """Return the word numbers of a caption, int64 (1, 40)."""
        known = self.caption.numbers
        found = [known.get(word, known[UNKNOWN]) for word in split_words(caption)[:MAX_WORDS]]
        return torch.tensor([found + [0] * (MAX_WORDS - len(found))])


def split_words(caption: str) -> list[str]:
    """Return the words of a caption in lower case without articles; a hyphen joins two parts to one word."""
    return [word for word in re.findall(r"[a-z]+(?:-[a-z]+)*", caption.lower()) if word not in ARTICLES]
