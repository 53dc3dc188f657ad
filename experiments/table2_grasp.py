r"""Table 2, DCGAN on CIFAR-10 pruned to 83.2 % at initialization by GraSP (FID 65.53).

    python -m gen_tickets.main --config=experiments/table2_grasp.py \
        --config.data.download=true

Like experiments/table2_snip.py; the saliency is the gradient flow of a weight.

Discriminator and initializer: "authors", as the paper trained them.
"""

from gen_tickets.experiments import table2_snip


def get_config(size="full"):
    config = table2_snip.get_config(size)
    config.prune.method = "grasp"
    return config
