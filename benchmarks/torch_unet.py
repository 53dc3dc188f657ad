"""DDPM's U-Net in PyTorch, like `gen_tickets.models.unet`."""

import math

import torch
from torch import nn
from torch.nn import functional as F


class _Attention(nn.Module):
    """Single-head self-attention over all positions of a map, added to it."""

    def __init__(self, width, groups):
        super().__init__()
        self.norm = nn.GroupNorm(groups, width)
        self.inputs = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x):
        y = self.norm(x).flatten(2).transpose(1, 2)
        query, key, value = self.inputs(y)[:, None].chunk(3, -1)  # of one head
        y = F.scaled_dot_product_attention(query, key, value)[:, 0]
        return x + self.output(y).transpose(1, 2).reshape(x.shape)


class _Block(nn.Module):
    """Two convolutions k3 around a shortcut, the time added between; then attention."""

    def __init__(self, channels, width, time_size, groups, dropout, attends):
        super().__init__()
        self.first = nn.Sequential(
            nn.GroupNorm(groups, channels),
            nn.SiLU(),
            nn.Conv2d(channels, width, 3, 1, 1),
        )
        self.time = nn.Linear(time_size, width)
        self.second = nn.Sequential(
            nn.GroupNorm(groups, width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Conv2d(width, width, 3, 1, 1),
        )
        self.shortcut = nn.Identity()
        if channels != width:
            self.shortcut = nn.Conv2d(channels, width, 1)
        self.attention = _Attention(width, groups) if attends else nn.Identity()

    def forward(self, x, time):
        y = self.first(x) + self.time(time)[:, :, None, None]
        return self.attention(self.shortcut(x) + self.second(y))


class UNet(nn.Module):
    """Images [N, C, side, side] and times [N] in [0, 1) -> [N, C, side, side]."""

    def __init__(
        self, channels, side, widths, blocks, groups, attention=(), dropout=0.0
    ):
        super().__init__()
        self.features, time_size = widths[0], 4 * widths[0]
        self.embed = nn.Sequential(
            nn.Linear(widths[0], time_size),
            nn.SiLU(),
            nn.Linear(time_size, time_size),
            nn.SiLU(),
        )
        self.stem = nn.Conv2d(channels, widths[0], 3, 1, 1)

        def block(channels, width, attends):
            return _Block(channels, width, time_size, groups, dropout, attends)

        attends = [side >> level in attention for level in range(len(widths))]
        width, kept, down, up = widths[0], [widths[0]], [], []
        for level, wanted in enumerate(widths):
            for _ in range(blocks):
                down.append(block(width, wanted, attends[level]))
                width = wanted
                kept.append(width)
            if level < len(widths) - 1:
                down.append(nn.Conv2d(width, width, 3, 2, 1))
                kept.append(width)
        middle = [block(width, width, bool(attention)), block(width, width, False)]
        for level, wanted in reversed([*enumerate(widths)]):
            for _ in range(blocks + 1):
                up.append(block(width + kept.pop(), wanted, attends[level]))
                width = wanted
            if level > 0:
                resize = nn.Upsample(scale_factor=2), nn.Conv2d(width, width, 3, 1, 1)
                up.append(nn.Sequential(*resize))
        self.down, self.middle, self.up = map(nn.ModuleList, (down, middle, up))
        self.head = nn.Sequential(
            nn.GroupNorm(groups, width), nn.SiLU(), nn.Conv2d(width, channels, 3, 1, 1)
        )

    def forward(self, x, times):
        time = self.embed(_time_features(times, self.features))
        x = self.stem(x)
        kept = [x]
        for layer in self.down:
            x = layer(x, time) if isinstance(layer, _Block) else layer(x)
            kept.append(x)
        for layer in self.middle:
            x = layer(x, time)
        for layer in self.up:
            if isinstance(layer, _Block):
                x = layer(torch.cat([x, kept.pop()], 1), time)
            else:
                x = layer(x)
        return self.head(x)


def _time_features(times, size):
    exponents = torch.arange(size // 2, device=times.device) / max(size // 2 - 1, 1)
    angles = 1000 * times[:, None] * torch.exp(-math.log(10_000) * exponents)
    return torch.cat([angles.sin(), angles.cos()], -1)


def signal_shares(num_steps):
    """Shares [num_steps] of the image's variance, by the linear schedule of DDPM."""
    return torch.cumprod(1 - torch.linspace(1e-4, 0.02, num_steps), 0)
