r"""A DCGAN generator's tickets in a VAE decoder, CIFAR-10 (paper Fig. 8).

The decoder's own winning and random tickets train together with the transferred ones;
the encoder is not pruned. First run the DCGAN with equal widths and latent size, which
itself needs the tickets of a VAE (experiments/transfer_vae_to_dcgan.py):

    python -m gen_tickets.main --config=experiments/transfer_vae_to_dcgan.py
    python -m gen_tickets.main --config=experiments/transfer_dcgan_to_vae.py

Discriminator and initializer: "authors", as the paper trained both.
"""

from gen_tickets.experiments import vae_cifar10


def get_config(size="full"):
    config = vae_cifar10.get_config(size)
    config.prune.components = ("decoder",)
    config.ticket.path = "runs/transfer_vae_to_dcgan"
    config.ticket.map = ("generator:decoder",)
    return config
