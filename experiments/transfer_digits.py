r"""A VAE decoder's tickets in a small DCGAN generator, handwritten digits, on a laptop.

The generator's own winning and random tickets train together with the transferred ones;
the discriminator is not pruned. For Fig. 8, see experiments/transfer_vae_to_dcgan.py.

    python -m gen_tickets.main --config=experiments/vae_digits.py
    python -m gen_tickets.main --config=experiments/transfer_digits.py

Found here (seed 0; both in under 2.5 min on 2 cores): with 75 % of the generator
pruned, fd_classifier is 18.9 ± 2.4 for transferred, 28.9 ± 8.3 for own and 43.7 ± 9.6
for random tickets; dense 17.9 ± 2.6.

Discriminator and initializer: "authors", also for these results.
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
