r"""DCGAN on CIFAR-10 (paper Fig. 6; Table 1: 83.2 %; Table 2: unpruned FID 37.71).

    python -m gen_tickets.main --config=experiments/dcgan_cifar10.py \
        --config.data.download=true

The verdict is based on the Fréchet distance in the features of a CIFAR-10 classifier,
which needs no download. The paper uses FID: --config.eval.metrics="('fid',)"
--config.eval.verdict=fid, which needs Inception's weights (docs/evaluation.md).

b1 is 0.5, which makes a DCGAN stable (Radford et al. 2016, section 4); the authors'
code keeps Adam's default, --config.optimizer.b1=0.9.

`:gpu` is shorter: 30 epochs, 3 runs, 8 rounds of 36 %, each two of the paper's.
`:laptop` is experiments/dcgan_mnist.py. Discriminator and initializer: "authors", as
the paper trained them. With "radford" a ticket is found at 73.8 % (RESULTS.md).
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import dcgan_mnist


def get_config(size="full"):
    if size == "laptop":
        return dcgan_mnist.get_config()
    config = defaults.get_config()
    config.data.name = "cifar10"
    config.data.batch_size = 100
    config.model.name = "convstack"
    config.model.widths = (128, 256, 512)
    config.model.latent_size = 128
    config.task.name = "gan"
    config.optimizer.learning_rate = 2e-4
    config.optimizer.b1 = 0.5
    config.train.epochs = 200
    config.prune.rounds = 20
    config.eval.metrics = ("fd_classifier",)
    config.eval.verdict = "fd_classifier"
    gpu = {"runs": 3, "prune.fraction": 0.36, "prune.rounds": 8, "train.epochs": 30}
    return defaults.resize(config, size, gpu=gpu)
