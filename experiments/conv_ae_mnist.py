r"""Winning tickets of a small convolutional autoencoder on MNIST at 32x32, on a laptop.

    python -m gen_tickets.main --config=experiments/conv_ae_mnist.py \
        --config.data.download=true

The paper's convolutional autoencoder with a quarter of its widths and a code of 32,
initialized as in He et al. 2015. With the authors' initializer the dense networks learn
nothing: within 100 steps all outputs are -1, the background, where tanh has no gradient
(error 0.4113; the mean image has 0.2271). With this one the error is 0.14 after 200
steps (RESULTS.md). Rewinds to one epoch, like the linear autoencoder of
experiments/ae_mnist.py. Tickets have not been searched yet.
"""

from gen_tickets.config import defaults


def get_config(size="full"):
    config = defaults.get_config()
    config.runs = 3
    config.data.name = "mnist"
    config.data.image_size = 32
    config.data.batch_size = 64
    config.model.name = "conv"
    config.model.widths = (8, 16, 32, 64, 32)
    config.model.latent_size = 32
    config.model.initializer = "he"
    config.optimizer.update(learning_rate=1e-3, schedule="cosine", weight_decay=1e-5)
    config.train.steps = 2000
    config.prune.update(fraction=0.36, rounds=5)
    config.rewind.step = "200"
    config.eval.every_steps = 200
    return defaults.resize(config, size)
