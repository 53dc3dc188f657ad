"""DDPM's U-Net in PyTorch, like `gen_tickets.models.unet` without attention."""

import math

import torch
from torch import nn


class _Block(nn.Module):
    """Two convolutions k3 around a shortcut; between them the time is added."""

    def __init__(self, channels, width, time_size, groups):
        super().__init__()
        self.first = nn.Sequential(
            nn.GroupNorm(groups, channels),
            nn.SiLU(),
            nn.Conv2d(channels, width, 3, 1, 1),
        )
        self.time = nn.Linear(time_size, width)
        self.second = nn.Sequential(
            nn.GroupNorm(groups, width), nn.SiLU(), nn.Conv2d(width, width, 3, 1, 1)
        )
        self.shortcut = nn.Identity()
        if channels != width:
            self.shortcut = nn.Conv2d(channels, width, 1)

    def forward(self, x, time):
        y = self.first(x) + self.time(time)[:, :, None, None]
        return self.shortcut(x) + self.second(y)


class UNet(nn.Module):
    """Images [N, C, S, S] and times [N] in [0, 1) -> [N, C, S, S]."""

    def __init__(self, channels, widths, blocks, groups):
        super().__init__()
        self.features, time_size = widths[0], 4 * widths[0]
        self.embed = nn.Sequential(
            nn.Linear(widths[0], time_size),
            nn.SiLU(),
            nn.Linear(time_size, time_size),
            nn.SiLU(),
        )
        self.stem = nn.Conv2d(channels, widths[0], 3, 1, 1)
        width, kept, down, up = widths[0], [widths[0]], [], []
        for level, wanted in enumerate(widths):
            for _ in range(blocks):
                down.append(_Block(width, wanted, time_size, groups))
                width = wanted
                kept.append(width)
            if level < len(widths) - 1:
                down.append(nn.Conv2d(width, width, 3, 2, 1))
                kept.append(width)
        middle = [_Block(width, width, time_size, groups) for _ in range(2)]
        for level, wanted in reversed([*enumerate(widths)]):
            for _ in range(blocks + 1):
                up.append(_Block(width + kept.pop(), wanted, time_size, groups))
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
