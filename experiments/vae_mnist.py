r"""Winning tickets of a small VAE on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/vae_mnist.py \
        --config.data.download=true

The paper has winning tickets up to 79 % (CIFAR-10, FID). The networks are initialized
as in the authors' code. Rewinds to step 100: in an instability analysis (2,000 steps)
the instability is 56 % at step 0, 4.1 % at 10, 0.4 % at 50 and 0.7 % at 200. At 80 % in
one round (3 runs), `fd_classifier`: dense 9.83 ± 0.26, winning 9.81 ± 0.23, random
13.58 ± 0.37, all gates passed; rewound to 10 also found (10.02 ± 0.20), to 0 not (10.13
± 0.22); 32 min for the three on one core of an AMD EPYC beside other jobs. On an NVIDIA
H200 9.19 ± 0.11, 9.41 ± 0.39 and 12.71 ± 0.22: just not found. The finer rounds of this
file have not been measured yet.
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import dcgan_mnist


def get_config(size="full"):
    config = dcgan_mnist.get_config()
    config.model.update(discriminator="authors", initializer="authors")
    config.model.latent_size = 16
    config.task.name = "vae"
    config.optimizer.update(learning_rate=1e-3, schedule="constant")
    config.optimizer.update(b1=0.9, weight_decay=1e-5)
    config.train.steps = 2000
    config.rewind.step = "100"
    config.eval.update(every_steps=200, average_decay=0.0)
    config.eval.metrics = ("fd_classifier", "accuracy")
    return defaults.resize(config, size)
