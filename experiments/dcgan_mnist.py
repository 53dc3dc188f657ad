r"""Winning tickets of a small DCGAN on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/dcgan_mnist.py \
        --config.data.download=true

The networks follow the guidelines of Radford et al. 2016 (`model.discriminator`,
`model.initializer`). With those of the authors the discriminator wins in two of three
dense runs at this size, and `fd_classifier` is 128 ± 73 (2e-4, 3,000 steps).

The paper has winning tickets up to 83.2 % (CIFAR-10, FID). Here, rewound to a tenth of
the training (3 runs, 49 min on one core of an AMD EPYC beside other jobs): dense 6.79 ±
0.35; at 36 % winning 7.10 ± 0.34 matches it, random 8.36 ± 0.74 is not significantly
worse (p = 0.08); at 59 % winning 8.14 ± 0.50, random 9.47 ± 0.94; at 83.2 % 9.94 ±
0.89, 13.76 ± 0.75. With a constant rate the winning tickets are far worse. With widths
32, 64, 128 a ticket is found at 36 %: dense 4.77 ± 0.14, winning 4.86 ± 0.37, random
5.87 ± 0.35 (p = 0.03; RESULTS.md).
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
