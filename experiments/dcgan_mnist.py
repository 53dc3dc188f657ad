r"""Winning tickets of a small DCGAN on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/dcgan_mnist.py \
        --config.data.download=true

The networks follow the guidelines of Radford et al. 2016 (`model.discriminator`,
`model.initializer`). With those of the authors the discriminator wins in two of three
dense runs at this size, and fd_classifier is 128 ± 73 (2e-4, 3,000 steps); with these
it is 10.68 ± 0.10 (2,000 steps), at the learning rate of this file 7.66 ± 0.34.

Rewinds to a tenth of the training. Found in two rounds of 59 % (seed 0, 3 runs, 12 min
on 2 cores): at 59 % winning 7.70 ± 0.40, random 13.0 ± 1.5 (p = 0.02); at 83.2 % 10.7 ±
0.7, 15.0 ± 0.5. In one round of 80 % (NVIDIA H200) nothing is found: dense 7.82 ± 0.29,
winning 12.7 ± 1.1, random 13.11 ± 0.94. Dense still improves at the end; with 3,000
steps it has converged (5.43 ± 0.47), and there is no ticket at 36 %: winning 9.06 ±
0.27 rewound to 150, 6.74 ± 0.72 rewound to 600 (RESULTS.md, with what was tried).
"""

from gen_tickets.config import defaults


def get_config(size="full"):
    config = defaults.get_config()
    config.runs = 3
    config.data.name = "mnist"
    config.data.image_size = 32
    config.data.batch_size = 64
    config.model.name = "convstack"
    config.model.widths = (16, 32, 64)
    config.model.latent_size = 64
    config.model.update(discriminator="radford", initializer="radford")
    config.task.name = "gan"
    config.optimizer.update(learning_rate=2e-3, schedule="cosine", b1=0.5)
    config.train.steps = 1500
    config.prune.update(fraction=0.36, rounds=5)
    config.rewind.step = "150"
    config.eval.update(every_steps=150, average_decay=0.99, num_samples=5000)
    config.eval.update(metrics=("fd_classifier",), verdict="fd_classifier")
    config.eval.update(classifier_epochs=2, classifier_width=8)
    return defaults.resize(config, size, laptop={})
