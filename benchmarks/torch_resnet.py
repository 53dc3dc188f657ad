"""The residual networks of `gen_tickets.models.resnet` in PyTorch."""

from torch import nn
from torch.nn import functional as F


class _Block(nn.Module):
    """Two convolutions k3 around a shortcut, the side divided by `stride` or doubled.

    The shortcut is the input, or a convolution where the side changes.
    """

    def __init__(self, channels, width, stride=1, doubled=False):
        super().__init__()
        self.resize = nn.Upsample(scale_factor=2) if doubled else nn.Identity()
        inner = channels if doubled else width
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, inner, 3, stride, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(inplace=True),
            self.resize,
            nn.Conv2d(inner, width, 3, 1, 1, bias=False),
            nn.BatchNorm2d(width),
        )
        self.shortcut = nn.Identity()
        if stride > 1 or doubled:
            side = 3 if doubled else 1
            convolution = nn.Conv2d(
                channels, width, side, stride, side // 2, bias=False
            )
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(width))

    def forward(self, x):
        return F.relu(self.convolutions(x) + self.shortcut(self.resize(x)))


def contract(widths, num_outputs):
    """Images [N, 3, 32, 32] -> [N, num_outputs]; the blocks of `models.resnet`."""
    stem = nn.Conv2d(3, widths[0], 3, 2, 1, bias=False)
    layers = [stem, nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True)]
    layers.append(_Block(widths[0], widths[0]))
    pairs = zip(widths, widths[1:])
    layers += [_Block(before, width, stride=2) for before, width in pairs]
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], num_outputs))


def expand(widths, latent_size):
    """Latent vectors -> images [N, 3, 32, 32] in [-1, 1], the mirror of the other."""
    inwards, base = widths[::-1], 32 >> len(widths)
    layers = [nn.Linear(latent_size, inwards[0]), nn.Unflatten(1, (inwards[0], 1, 1))]
    layers.append(nn.Upsample(scale_factor=base))
    pairs = zip(inwards, inwards[1:])
    layers += [_Block(before, width, doubled=True) for before, width in pairs]
    layers += [_Block(widths[0], widths[0]), nn.Upsample(scale_factor=2)]
    return nn.Sequential(*layers, nn.Conv2d(widths[0], 3, 3, 1, 1), nn.Tanh())
