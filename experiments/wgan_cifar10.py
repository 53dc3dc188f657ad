r"""WGAN with a clipped critic on CIFAR-10 (paper Fig. A.4, Table 1: 73.7 %).

    python -m gen_tickets.main --config=experiments/wgan_cifar10.py \
        --config.data.download=true

Five critic updates per step, clipped to 0.01, and no momentum, which would make the
critic unstable: Arjovsky et al. 2017, algorithm 1 and section 4. For a gradient penalty
instead: --config.task.weight_clip=0 --config.task.gradient_penalty=10

`:gpu` is that of experiments/dcgan_cifar10.py with 60 epochs, `:laptop`
experiments/wgan_mnist.py.

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.experiments import dcgan_cifar10, wgan_mnist


def get_config(size="full"):
    if size == "laptop":
        return wgan_mnist.get_config()
    config = dcgan_cifar10.get_config(size)
    config.task.loss = "wasserstein"
    config.task.weight_clip = 0.01
    config.task.discriminator_steps = 5
    config.optimizer.b1 = 0.0
    if size == "gpu":
        config.train.epochs = 60
    return config
