r"""Winning tickets of a small DDPM on MNIST at 16x16, on a laptop.

    python -m gen_tickets.main --config=experiments/ddpm_mnist.py \
        --config.data.download=true

Jiang et al. 2023 (arXiv 2310.18823) report tickets of DDPMs at 90 to 99 %, also with
sparsities by layer: --config.prune.scope=layer --config.prune.rates="(1, 2, 1)". This
U-Net has 358,924 weights. Rewinds to a tenth of the training. Found up to 83.2 %, all
gates passed (3 runs, 2 h 30 min on one core beside other jobs): fd_classifier winning
9.84 ± 0.53, dense 9.31 ± 0.78, random 21.31 ± 0.52; not at 89.3 % (13.86 ± 0.80).
"""

from gen_tickets.config import defaults


def get_config(size="full"):
    config = defaults.get_config()
    config.runs = 3
    config.data.name = "mnist"
    config.data.image_size = 16
    config.data.batch_size = 64
    config.data.limit = 10_000
    config.model.name = "unet"
    config.model.widths = (24, 48)
    config.model.patch = 2
    config.model.blocks = 1
    config.model.attention = ()
    config.model.norm_groups = 8
    config.task.name = "diffusion"
    config.diffusion.update(prediction="v", schedule="cosine", sampling_steps=20)
    config.optimizer.update(learning_rate=2e-3, schedule="cosine")
    config.train.steps = 1000
    config.prune.fraction = 0.36
    config.prune.rounds = 8
    config.rewind.step = 100
    config.eval.update(every_steps=100, average_decay=0.99, num_samples=1000)
    config.eval.update(metrics=("fd_classifier",), verdict="fd_classifier")
    config.eval.update(classifier_epochs=2, classifier_width=8)
    return defaults.resize(config, size, laptop={})
