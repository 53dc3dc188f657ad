r"""Winning tickets of a small ResNet-DCGAN on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/resnet_dcgan_mnist.py \
        --config.data.download=true

Like experiments/dcgan_mnist.py, with residual networks and a learning rate of 2e-4. The
networks follow Radford et al. 2016, as there. Not measured yet: steps, rewind step,
tickets.
"""

from gen_tickets.experiments import dcgan_mnist


def get_config(size="full"):
    config = dcgan_mnist.get_config(size)
    config.model.name = "resnet"
    config.optimizer.learning_rate = 2e-4
    return config
