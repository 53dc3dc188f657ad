"""The same networks and training steps in PyTorch, to compare times with ours.

`build` returns a training step on a fixed batch of 32x32x3 images: forward, backward,
Adam and, if masked, the product of every kernel with a random 50 % mask afterwards,
which is how pruning is done in PyTorch. Networks are those of `gen_tickets.models`. In
a GAN both updates share their generated images, as in PyTorch's own tutorial; ours
generates new ones for the generator (Goodfellow et al. 2014, algorithm 1), which takes
one more pass.
"""

import contextlib
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks import torch_resnet, torch_unet

WIDTHS = {
    "ddpm": (32, 64),
    "vae": (64, 128, 256, 512),
    "dcgan": (128, 256, 512),
    "resnet_dcgan": (28, 56, 112, 224),
}


class Setup(NamedTuple):
    """How a peer is trained."""

    masked: bool = True  #: multiply every kernel by a fixed mask after each Adam step
    bfloat16: bool = False  #: autocast
    device: str = "cpu"
    channels_last: bool = True  #: PyTorch's fastest layout, at float32 too
    compiled: bool = False  #: torch.compile of the networks
    latent_size: int = 128
    widths: tuple[int, ...] = ()  #: of the networks; () = those of WIDTHS
    blocks: int = 1  #: of a U-Net, at each width
    attention: tuple[int, ...] = ()  #: of a U-Net, sides of its maps
    norm_groups: int = 8  #: of a U-Net
    dropout: float = 0.0  #: of a U-Net


def _contract(widths, num_outputs):
    """Images [N, 3, 32, 32] -> [N, num_outputs]."""
    layers, channels = [], 3
    for width in widths:
        layers += [
            nn.Conv2d(channels, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        channels = width
    layers += [nn.Conv2d(channels, num_outputs, 32 >> len(widths)), nn.Flatten()]
    return nn.Sequential(*layers)


def _expand(widths, latent_size):
    """Latent vectors [N, latent_size] -> images [N, 3, 32, 32] in [-1, 1]."""
    inwards, base = widths[::-1], 32 >> len(widths)
    layers = [
        nn.Unflatten(1, (latent_size, 1, 1)),
        nn.ConvTranspose2d(latent_size, inwards[0], base, bias=False),
    ]
    for before, width in zip(inwards, inwards[1:]):
        layers += [
            nn.BatchNorm2d(before),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(before, width, 4, 2, 1, bias=False),
        ]
    layers += [
        nn.BatchNorm2d(inwards[-1]),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(inwards[-1], 3, 4, 2, 1),
        nn.Tanh(),
    ]
    return nn.Sequential(*layers)


def _conv_autoencoder():
    """Images [N, 3, 32, 32] -> reconstructions, through a code of 512 numbers."""
    relu = nn.ReLU(inplace=True)
    encoder = [
        *(nn.Conv2d(3, 32, 3, 1, 1), relu, nn.Conv2d(32, 64, 4, 2, 1), relu),
        *(nn.Conv2d(64, 128, 2, 2), relu, nn.Conv2d(128, 256, 3, 1, 1), relu),
        *(nn.MaxPool2d(2), nn.Conv2d(256, 512, 3, 2, 1), nn.MaxPool2d(2)),
    ]
    up = nn.Upsample(scale_factor=2)
    decoder = [
        *(up, nn.ConvTranspose2d(512, 256, 3, 2, 1, 1), relu),
        *(up, nn.ConvTranspose2d(256, 128, 3, 1, 1), relu),
        *(nn.ConvTranspose2d(128, 64, 2, 2), relu),
        *(nn.ConvTranspose2d(64, 32, 4, 2, 1), relu),
        *(nn.ConvTranspose2d(32, 3, 3, 1, 1), nn.Tanh()),
    ]
    return nn.Sequential(*encoder, *decoder)


class _Trainer:
    """A network, or several under one optimizer, with Adam, masks and precision."""

    def __init__(self, network, setup, rate=1e-3, beta=0.9):
        layout = torch.channels_last if setup.channels_last else torch.contiguous_format
        self.network = network.to(setup.device, memory_format=layout)
        self._forward = torch.compile(network) if setup.compiled else network
        self._precision = contextlib.nullcontext()
        if setup.bfloat16:
            self._precision = torch.autocast(setup.device, torch.bfloat16)
        self._optimizer = torch.optim.Adam(
            network.parameters(), rate, betas=(beta, 0.999), fused=True
        )
        kernels = [p for p in network.parameters() if p.ndim > 1]
        kernels = kernels if setup.masked else []
        self._masks = [(p, (torch.rand_like(p) < 0.5).float()) for p in kernels]

    def __call__(self, *inputs):
        with self._precision:
            return self._forward(*inputs).float()

    def descend(self, loss):
        """One step of Adam on the loss, then the masks."""
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        with torch.no_grad():
            for parameter, mask in self._masks:
                parameter.mul_(mask)


def unet(setup: Setup) -> torch_unet.UNet:
    """The denoiser of "ddpm"."""
    return torch_unet.UNet(
        3,
        32,
        setup.widths or WIDTHS["ddpm"],
        setup.blocks,
        setup.norm_groups,
        setup.attention,
        setup.dropout,
    )


def _images(batch_size, setup):
    layout = torch.channels_last if setup.channels_last else torch.contiguous_format
    images = torch.rand(batch_size, 3, 32, 32) * 2 - 1
    return images.to(setup.device, memory_format=layout)


def _autoencoder_step(networks, batch_size, setup):
    images, model = _images(batch_size, setup), _Trainer(networks, setup)

    def step():
        loss = F.mse_loss(model(images), images)
        model.descend(loss)
        return loss.detach()

    return step


def _vae_step(networks, batch_size, setup):
    images = _images(batch_size, setup)
    encoder, decoder = (_Trainer(network, setup) for network in networks)
    both = _Trainer(nn.Sequential(*networks), setup)

    def step():
        mean, log_variance = encoder(images).chunk(2, 1)
        noise = torch.randn_like(mean)
        output = decoder(mean + (log_variance / 2).exp() * noise)
        kl = mean.square() + log_variance.exp() - 1 - log_variance
        loss = ((output - images).square().sum() + kl.sum() / 2) / batch_size
        both.descend(loss)
        return loss.detach()

    return step


def _gan_step(networks, batch_size, setup):
    images = _images(batch_size, setup)
    discriminator, generator = (
        _Trainer(network, setup, rate=2e-4, beta=0.5) for network in networks
    )
    latents = (batch_size, setup.latent_size)

    def step():
        fakes = generator(torch.randn(latents, device=setup.device))
        real = F.softplus(-discriminator(images)).mean()
        discriminator.descend(real + F.softplus(discriminator(fakes.detach())).mean())
        discriminator.network.requires_grad_(False)
        loss = F.softplus(-discriminator(fakes)).mean()
        generator.descend(loss)
        discriminator.network.requires_grad_(True)
        return loss.detach()

    return step


def _diffusion_step(network, batch_size, setup):
    images, model = _images(batch_size, setup), _Trainer(network, setup)
    shares = torch_unet.signal_shares(1000).to(setup.device)

    def step():
        times = torch.randint(len(shares), (batch_size,), device=setup.device)
        share, noise = shares[times][:, None, None, None], torch.randn_like(images)
        noisy = share.sqrt() * images + (1 - share).sqrt() * noise
        loss = F.mse_loss(model(noisy, times / len(shares)), noise)
        model.descend(loss)
        return loss.detach()

    return step


def build(name: str, batch_size: int, setup: Setup) -> Any:
    """A function that makes one training step and returns its loss, a tensor.

    Args:
      name: "conv_ae" (5 + 5 convolutions, squared error), "vae" (convolution stack,
        widths 64 to 512), "dcgan" (widths 128 to 512) or "resnet_dcgan" (one residual
        block a width, 28 to 224), both with cross-entropy, or "ddpm" (a U-Net of
        widths 32 and 64 and, by default, no attention; noise predicted).
      batch_size: images a step.
      setup: device, precision, layout, masks.
    """
    if name == "conv_ae":
        return _autoencoder_step(_conv_autoencoder(), batch_size, setup)
    widths, latent_size = setup.widths or WIDTHS[name], setup.latent_size
    if name == "ddpm":
        return _diffusion_step(unet(setup), batch_size, setup)
    if name == "vae":
        networks = _contract(widths, 2 * latent_size), _expand(widths, latent_size)
        return _vae_step(networks, batch_size, setup)
    if name == "resnet_dcgan":
        networks = torch_resnet.contract(widths, 1), torch_resnet.expand(
            widths, latent_size
        )
    else:
        networks = _contract(widths, 1), _expand(widths, latent_size)
    return _gan_step(networks, batch_size, setup)
