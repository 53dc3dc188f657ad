r"""ResNet-VAE on CIFAR-10 (paper Figs. 5, A.3; Table 1: winning ticket at 93.1 %).

    python -m gen_tickets.main --config=experiments/resnet_vae_cifar10.py \
        --config.data.download=true

`:gpu` is that of experiments/vae_cifar10.py, `:laptop` experiments/resnet_vae_mnist.py.

Initializer: "authors", as the paper trained it.
"""

from gen_tickets.experiments import resnet_vae_mnist, vae_cifar10


def get_config(size="full"):
    if size == "laptop":
        return resnet_vae_mnist.get_config()
    config = vae_cifar10.get_config(size)
    config.model.name = "resnet"
    config.model.widths = (32, 64, 128, 256)
    return config
