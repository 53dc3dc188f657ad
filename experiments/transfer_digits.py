r"""A VAE decoder's tickets in a small DCGAN generator, handwritten digits, on a laptop.

The generator's own winning and random tickets train beside the transferred ones; the
discriminator is not pruned. Fig. 8 is experiments/transfer_vae_to_dcgan.py.

    python -m gen_tickets.main --config=experiments/vae_digits.py
    python -m gen_tickets.main --config=experiments/transfer_digits.py
"""

from gen_tickets.experiments import dcgan_digits


def get_config(size="full"):
    config = dcgan_digits.get_config(size)
    config.data.image_size = 16
    config.prune.components = ("generator",)
    config.prune.rounds = 2
    config.ticket.path = "runs/vae_digits"
    config.ticket.map = ("decoder:generator",)
    return config
