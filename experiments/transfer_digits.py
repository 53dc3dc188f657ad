r"""A VAE decoder's tickets in a small DCGAN generator, handwritten digits, on a laptop.

The generator's own winning and random tickets train beside the transferred ones; the
discriminator is not pruned. Fig. 8 is experiments/transfer_vae_to_dcgan.py.

    python -m gen_tickets.main --config=experiments/vae_digits.py
    python -m gen_tickets.main --config=experiments/transfer_digits.py

Found here (seed 0; both in under 2.5 min on 2 cores): with 75 % of the generator pruned
fd_classifier is 18.9 ± 2.4 of transferred, 28.9 ± 8.3 of own, 43.7 ± 9.6 of random
tickets; dense 17.9 ± 2.6.

Discriminator and initializer: "authors"; the results are of these.
"""

from gen_tickets.experiments import dcgan_digits


def get_config(size="full"):
    config = dcgan_digits.get_config(size)
    config.data.image_size = 8
    config.prune.components = ("generator",)
    config.prune.rounds = 2
    config.ticket.path = "runs/vae_digits"
    config.ticket.map = ("decoder:generator",)
    return config
