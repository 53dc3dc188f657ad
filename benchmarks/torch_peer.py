"""The same networks and training steps in PyTorch, for timing against ours.

`build` gives one training step on a fixed batch of 32x32x3 images: forward, backward,
Adam and, when masked, the product of every kernel with a random 50 % mask afterwards,
which is how pruning is done in PyTorch. Everything is channels_last, PyTorch's fastest
CPU layout; bfloat16 is CPU autocast. Networks are those of `gen_tickets.models`.
"""

import contextlib

import torch
from torch import nn
from torch.nn import functional as F

LATENT_SIZE = 128
WIDTHS = {"vae": (64, 128, 256, 512), "dcgan": (128, 256, 512)}


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


def _expand(widths):
    """Latent vectors [N, LATENT_SIZE] -> images [N, 3, 32, 32] in [-1, 1]."""
    inwards, base = widths[::-1], 32 >> len(widths)
    layers = [
        nn.Unflatten(1, (LATENT_SIZE, 1, 1)),
        nn.ConvTranspose2d(LATENT_SIZE, inwards[0], base, bias=False),
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
    """A network with its Adam, masks and precision."""

    def __init__(self, network, masked, bfloat16, rate=1e-3, beta=0.9):
        self.network = network.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(
            network.parameters(), rate, betas=(beta, 0.999)
        )
        kernels = [p for p in network.parameters() if p.ndim > 1] if masked else []
        self.masks = [(p, (torch.rand_like(p) < 0.5).float()) for p in kernels]
        self.bfloat16 = bfloat16

    def __call__(self, x):
        context = (
            torch.autocast("cpu", torch.bfloat16)
            if self.bfloat16
            else contextlib.nullcontext()
        )
        with context:
            return self.network(x).float()

    def descend(self, loss):
        """One step of Adam on the loss, then the masks."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        with torch.no_grad():
            for parameter, mask in self.masks:
                parameter.mul_(mask)


def _images(batch_size):
    images = torch.rand(batch_size, 3, 32, 32) * 2 - 1
    return images.to(memory_format=torch.channels_last)


def _autoencoder_step(batch_size, masked, bfloat16):
    images = _images(batch_size)
    model = _Trainer(_conv_autoencoder(), masked, bfloat16)

    def step():
        loss = F.mse_loss(model(images), images)
        model.descend(loss)
        return loss.item()

    return step


def _vae_step(batch_size, masked, bfloat16):
    images, widths = _images(batch_size), WIDTHS["vae"]
    encoder = _Trainer(_contract(widths, 2 * LATENT_SIZE), masked, bfloat16)
    decoder = _Trainer(_expand(widths), masked, bfloat16)
    both = _Trainer(nn.Sequential(encoder.network, decoder.network), masked, bfloat16)

    def step():
        mean, log_variance = encoder(images).chunk(2, 1)
        noise = torch.randn_like(mean)
        output = decoder(mean + (log_variance / 2).exp() * noise)
        kl = mean.square() + log_variance.exp() - 1 - log_variance
        loss = ((output - images).square().sum() + kl.sum() / 2) / batch_size
        both.descend(loss)
        return loss.item()

    return step


def _dcgan_step(batch_size, masked, bfloat16):
    images, widths = _images(batch_size), WIDTHS["dcgan"]
    generator = _Trainer(_expand(widths), masked, bfloat16, 2e-4, 0.5)
    discriminator = _Trainer(_contract(widths, 1), masked, bfloat16, 2e-4, 0.5)

    def step():
        fakes = generator(torch.randn(batch_size, LATENT_SIZE))
        real = F.softplus(-discriminator(images)).mean()
        discriminator.descend(real + F.softplus(discriminator(fakes.detach())).mean())
        discriminator.network.requires_grad_(False)
        loss = F.softplus(-discriminator(fakes)).mean()
        generator.descend(loss)
        discriminator.network.requires_grad_(True)
        return loss.item()

    return step


_STEPS = {"conv_ae": _autoencoder_step, "vae": _vae_step, "dcgan": _dcgan_step}


def build(name, batch_size, masked=True, bfloat16=False):
    """A function that makes one training step and returns its loss.

    Args:
      name: "conv_ae" (5 + 5 convolutions, squared error), "vae" (convolution stack,
        widths 64 to 512) or "dcgan" (widths 128 to 512, cross-entropy).
      batch_size: images a step.
      masked: multiply every kernel by a fixed random mask after each Adam step.
      bfloat16: CPU autocast.
    """
    return _STEPS[name](batch_size, masked, bfloat16)
