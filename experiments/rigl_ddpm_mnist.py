r"""A small DDPM on MNIST that trains sparse from the first step, on a laptop.

    python -m gen_tickets.main --config=experiments/rigl_ddpm_mnist.py \
        --config.data.download=true

RigL, SET, MagRan and static masks at 50, 80 and 90 %, and the dense network. Oliveira
et al. 2025 (arXiv 2504.21380) find that such diffusion models match dense ones at 25 to
50 %. Found (3 runs): no method matches dense, fd_classifier 9.31 ± 0.78. At 50 % RigL
has 11.12 ± 0.71, SET 12.27 ± 0.87, static 11.84 ± 0.66; at 80 % 16.77 ± 0.84, 17.36 ±
0.66, 18.37 ± 0.45; at 90 %, on another machine (dense 11.29 ± 0.89), 22.16 ± 0.80,
23.18 ± 0.71, 24.1 ± 1.2. MagRan has not been run. experiments/ddpm_mnist.py has winning
tickets of the same network; `python -m gen_tickets.report` compares both.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import ddpm_mnist

DYNAMIC = {
    "procedure": "dynamic",
    "rewind.step": "0",
    "prune.sparsities": (0.5, 0.8, 0.9),
    "prune.rounds": 3,
    "dynamic.methods": ("rigl", "set", "magran", "static"),
    "dynamic.every_steps": 50,
}


def get_config(size="full"):
    config = ddpm_mnist.get_config()
    config.update_from_flattened_dict(DYNAMIC)
    smoke = {"dynamic.every_steps": 10}
    return defaults.resize(config, size, laptop={}, smoke=smoke)
