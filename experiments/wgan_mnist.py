r"""Winning tickets of a small WGAN (clipped critic) on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/wgan_mnist.py \
        --config.data.download=true

Like experiments/dcgan_mnist.py, with five updates per step of a critic clipped to 0.01,
and no momentum (Arjovsky et al. 2017, algorithm 1 and section 4). The networks follow
Radford et al. 2016: initialized N(0, 0.02²), most kernels start within the clip.

Pruned component by component, because a ranking of all weights together removes the
clipped critic first (RESULTS.md). The paper has winning tickets up to 73.7 % (CIFAR-10,
FID). Dense passes the gates (3 runs, 7 min on one core of an AMD EPYC beside other
jobs): `fd_classifier` 10.55 ± 0.20; the rounds of this file have not been run. With a
constant 5e-4 (2,000 steps, one round of 80 %, NVIDIA H200) no ticket is found: dense
9.74 ± 0.29, winning 11.2 ± 1.2, random 12.52 ± 0.13.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import dcgan_mnist


def get_config(size="full"):
    config = dcgan_mnist.get_config()
    config.task.loss = "wasserstein"
    config.task.weight_clip = 0.01
    config.task.discriminator_steps = 5
    config.optimizer.update(learning_rate=1e-3, b1=0.0)
    # Clipped to 0.01, all of the critic's weights would be pruned before a generator's.
    config.prune.scope = "component"
    config.train.steps = 1000
    config.rewind.step = "100"
    config.eval.every_steps = 100
    return defaults.resize(config, size)
