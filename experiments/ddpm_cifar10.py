r"""Winning tickets of DDPM on CIFAR-10, in its original setting: 35.7 million weights.

    python -m gen_tickets.main --config=experiments/ddpm_cifar10.py \
        --config.data.download=true

Ho et al. 2020, appendix B, without flips and warm-up: 800 000 steps of 128 images, for
accelerators. Jiang et al. 2023 (arXiv 2310.18823) report winning tickets at
90 to 99 % sparsity. `:gpu` is shorter and narrower: 60 000 steps of 8.9 million
weights, 3 runs, 8 rounds of 36 %. `:laptop` is experiments/ddpm_mnist.py.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import ddpm_mnist

NARROW = {"model.widths": (64, 128, 128, 128), "train.steps": 60_000, "runs": 3}
NARROW |= {"eval.average_decay": 0.999}


def get_config(size="full"):
    if size == "laptop":
        return ddpm_mnist.get_config()
    config = defaults.get_config()
    config.data.name = "cifar10"
    config.model.name = "unet"
    config.model.widths = (128, 256, 256, 256)
    config.model.dropout = 0.1
    config.task.name = "diffusion"
    config.optimizer.learning_rate = 2e-4
    config.train.steps = 800_000
    config.rewind.step = 40_000
    config.eval.every_steps = 5000
    config.eval.average_decay = 0.9999
    config.eval.metrics = ("fd_classifier",)
    config.eval.verdict = "fd_classifier"
    tickets = {"prune.fraction": 0.36, "prune.rounds": 8, "rewind.step": 3000}
    return defaults.resize(config, size, gpu=NARROW | tickets)
