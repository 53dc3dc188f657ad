r"""A small DCGAN on MNIST that trains sparse from the first step, on a laptop.

    python -m gen_tickets.main --config=experiments/rigl_dcgan_mnist.py \
        --config.data.download=true

RigL (Evci et al. 2020), SET, MagRan and static masks at 50, 80 and 90 %, and the dense
network; generator and discriminator have the same density (`prune.scope`).
experiments/dcgan_mnist.py has winning tickets of the same network.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import dcgan_mnist, rigl_ddpm_mnist


def get_config(size="full"):
    config = dcgan_mnist.get_config()
    config.update_from_flattened_dict(rigl_ddpm_mnist.DYNAMIC)
    config.prune.scope = "component"
    return defaults.resize(config, size, smoke={"dynamic.every_steps": 10})
