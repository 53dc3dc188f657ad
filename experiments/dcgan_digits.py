"""Winning tickets of a small DCGAN on handwritten digits, on a laptop.

    python -m gen_tickets.main --config=experiments/dcgan_digits.py

Five rounds, three runs and both arms take minutes on two cores. The paper does not use
digits; its DCGAN has winning tickets up to 83.2 % on CIFAR-10 and CelebA (Table 1).

Found here (seed 0; 7 min 53 s on 2 cores): none. The fd_classifier of the dense GAN,
whose samples are digits, is 11.3 ± 1.5; at 50 % winning tickets have 13.9, random ones
15.0; at 75 % 21.0 and 18.1. At 87.5 % and above the discriminator wins and samples
collapse.

Discriminator and initializer: "authors", also for these results.
"""

from gen_tickets.config import defaults


def get_config(size="full"):
    config = defaults.get_config()
    config.runs = 3
    config.data.name = "digits"
    config.data.batch_size = 32
    config.model.name = "convstack"
    config.model.widths = (24, 48)
    config.model.latent_size = 16
    config.task.name = "gan"
    config.optimizer.learning_rate = 1e-3
    config.optimizer.b1 = 0.5
    config.train.steps = 700
    config.prune.fraction = 0.5
    config.prune.rounds = 5
    config.eval.every_steps = 100
    config.eval.average_decay = 0.98
    config.eval.metrics = ("fd_classifier", "sample_class_entropy")
    config.eval.num_samples = 1000
    config.eval.classifier_epochs = 8
    config.eval.classifier_width = 8
    config.eval.verdict = "fd_classifier"
    return defaults.resize(config, size)
