r"""A VAE decoder's tickets in a DCGAN generator, CIFAR-10 (paper Fig. 8).

The generator's own winning and random tickets train together with the transferred ones;
the discriminator is not pruned. First run the VAE, with equal widths and latent size:

    python -m gen_tickets.main --config=experiments/vae_cifar10.py \
        --config.prune.components=decoder --workdir=runs/vae_decoder \
        --config.data.download=true
    python -m gen_tickets.main --config=experiments/transfer_vae_to_dcgan.py

Discriminator and initializer: "authors", as the paper trained both.
"""

from gen_tickets.experiments import dcgan_cifar10


def get_config(size="full"):
    config = dcgan_cifar10.get_config(size)
    # As in the VAE; for the laptop, the widths of both are already equal.
    config.model.latent_size = 16 if size == "laptop" else 32
    if size != "laptop":
        config.model.widths = (64, 128, 256, 512)
    config.prune.components = ("generator",)
    config.ticket.path = "runs/vae_decoder"
    config.ticket.map = ("decoder:generator",)
    return config
