r"""Winning tickets of a small ResNet-DCGAN on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/resnet_dcgan_mnist.py \
        --config.data.download=true

Like experiments/dcgan_mnist.py, with residual networks and a learning rate of 2e-4. The
networks follow Radford et al. 2016, as there.

One round of 80 % (3 runs, NVIDIA H200): found by the numbers (`fd_classifier` 20.21 ±
0.89, dense 21.5 ± 2.3, random 30.7 ± 3.1, p = 0.02), but the deviation of dense, 10.5 %
of the mean, fails the gate: a generator shows few digits, and which ones differs from
run to run. Narrower networks, other learning rates and twice the steps are worse
(RESULTS.md).
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import dcgan_mnist


def get_config(size="full"):
    config = dcgan_mnist.get_config()
    config.model.name = "resnet"
    config.model.widths = (8, 16, 32)
    config.optimizer.learning_rate = 1e-3
    return defaults.resize(config, size)
