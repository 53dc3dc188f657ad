r"""A small DCGAN on MNIST that trains sparse from the first step, on a laptop.

    python -m gen_tickets.main --config=experiments/rigl_dcgan_mnist.py \
        --config.data.download=true

RigL (Evci et al. 2020), SET, MagRan and static masks at 50, 80 and 90 %, and the dense
network; generator and discriminator have the same density (`prune.scope`). With a
constant rate of 5e-4 in place of this file's (3 runs, 1 h 29 min on one core beside
other jobs) no method matches dense, fd_classifier 7.3 ± 1.1 (too noisy to judge). At 50
% RigL has 10.10 ± 0.55, static masks 10.257 ± 0.018; at 90 % 14.81 ± 0.32 and 16.07 ±
0.57. experiments/dcgan_mnist.py prunes the same network iteratively.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import dcgan_mnist, rigl_ddpm_mnist


def get_config(size="full"):
    config = dcgan_mnist.get_config()
    config.update_from_flattened_dict(rigl_ddpm_mnist.DYNAMIC)
    config.prune.scope = "component"
    smoke = {"dynamic.every_steps": 10}
    return defaults.resize(config, size, laptop={}, smoke=smoke)
