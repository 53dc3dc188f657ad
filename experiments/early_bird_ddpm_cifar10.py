r"""Early-bird ticket of DDPM on CIFAR-10, by the scales of its group norms.

    python -m gen_tickets.main --config=experiments/early_bird_ddpm_cifar10.py \
        --config.data.download=true

Whalen et al. 2025 (arXiv 2504.09606) train diffusion models 2.9 to 5.8 times as fast.
Removes half of the groups of group norm. experiments/ddpm_cifar10.py has the dense
training. `:laptop` is experiments/ddpm_mnist.py with 3,200 images, 20 epochs. There the
masks are still not stable after 10 epochs (distances 0.13 and 0.10 in two runs), so it
takes the mask of epoch 6. With it fd_classifier is 20.54 ± 0.78, dense 10.50 ± 0.52; a
dense network of half the widths has 20.7 ± 1.2 (3 runs each).
"""

from gen_tickets.config import defaults
from gen_tickets.experiments import ddpm_cifar10


def get_config(size="full"):
    config = ddpm_cifar10.get_config("laptop" if size == "laptop" else "full")
    config.prune.schedule = "early_bird"
    config.prune.fraction = 0.5
    config.prune.rounds = 1
    config.rewind.step = 0
    config.optimizer.scale_l1 = 1e-4
    laptop = {"data.limit": 3200, "early_bird.multiple": 1}
    laptop |= {"early_bird.epochs": 6, "early_bird.take_last": True}
    return defaults.resize(config, size, laptop=laptop, gpu=ddpm_cifar10.NARROW)
