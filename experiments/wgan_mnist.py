r"""Winning tickets of a small WGAN (clipped critic) on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/wgan_mnist.py \
        --config.data.download=true

Like experiments/dcgan_mnist.py, with five updates per step of a critic clipped to 0.01,
and no momentum (Arjovsky et al. 2017, algorithm 1 and section 4). The networks follow
Radford et al. 2016: initialized N(0, 0.02²), most kernels start within the clip.

Pruned component by component, because a ranking of all weights together removes the
clipped critic first (RESULTS.md). The paper has winning tickets up to 73.7 % (CIFAR-10,
FID). Here they are found up to 59 % (3 runs, all gates passed): dense 10.55 ± 0.20,
winning 10.40 ± 0.21, random 13.02 ± 0.63; at 73.8 % 11.31 ± 0.17 and 14.7 ± 1.1. 45 min
for three rounds on one core of an AMD EPYC beside other jobs.
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
