r"""A small DCGAN on MNIST that trains sparse from the first step, on a laptop.

    python -m gen_tickets.main --config=experiments/rigl_dcgan_mnist.py \
        --config.data.download=true

RigL, SET, MagRan and static masks at 50, 75, 87.5 and 93.8 %, beside the dense network;
generator and discriminator have the same density (`prune.scope`). RigL is of Evci et
al. 2020. Winning tickets of the same network: --config.procedure=tickets with
--config.rewind.step and without the options `dynamic.*`.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import rigl_ddpm_mnist


def get_config(size="full"):
    config = defaults.get_config()
    config.update_from_flattened_dict(rigl_ddpm_mnist.DYNAMIC)
    config.runs = 3
    config.data.name = "mnist"
    config.data.batch_size = 64
    config.data.limit = 20_000
    config.model.name = "convstack"
    config.model.widths = (24, 48)
    config.model.latent_size = 32
    config.task.name = "gan"
    config.optimizer.b1 = 0.5
    config.train.steps = 1500
    config.prune.scope = "component"
    config.eval.every_steps = 250
    config.eval.average_decay = 0.98
    config.eval.metrics = ("fd_classifier",)
    config.eval.num_samples = 1000
    config.eval.classifier_width = 16
    config.eval.verdict = "fd_classifier"
    return defaults.resize(config, size, smoke={"dynamic.every_steps": 10})
