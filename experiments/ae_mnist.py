r"""Linear autoencoder on MNIST (paper Fig. 4, Table 1: winning ticket at 89.2 %).

    python -m gen_tickets.main --config=experiments/ae_mnist.py \
        --config.data.download=true

Rewinds to one epoch, where the instability is 5.6 % (67 % at the paper's step 10).

Found with this file (docs/ae_mnist.png; seed 0; 42 min 36 s on one core of an Intel
Xeon, other jobs on the other core): winning tickets in every round up to 86.6 %, all
gates passed. There the held-out error is 0.1320 ± 0.0025, dense 0.13193 ± 0.00095,
random 0.1607 ± 0.0021 (p = 6e-8). At 89.3 %, the paper's sparsity, it is 0.1331 ±
0.0025, random 0.1655 ± 0.0098. With rewind.step=10 (45 min 47 s on 2 cores of an AMD
EPYC) there was no winning ticket: the winning arm matches dense up to 36.0 % (0.1338 ±
0.0019, dense 0.1326 ± 0.0030), but random (0.1459 ± 0.0127) is not significantly worse
(p = 0.10). `:laptop` is the same; `:gpu` also measures the accuracy.

The learning rate decays to 0: the last epoch changes the error by about 0.1 %. In one
dense trial the cosine from 5e-3 reached 0.1268 in 16 epochs, the paper's constant 1e-3
0.1254 in 50.

Initializer: "authors", as the paper trained it.
"""

from gen_tickets.config import defaults


def get_config(size="full"):
    config = defaults.get_config()
    config.data.name = "mnist"
    config.data.batch_size = 128
    config.model.name = "linear"
    config.model.widths = (128, 64, 12)
    config.model.latent_size = 3
    config.optimizer.learning_rate = 5e-3
    config.optimizer.schedule = "cosine"
    config.optimizer.weight_decay = 1e-5
    config.train.epochs = 10
    config.prune.rounds = 20
    config.rewind.step = "1ep"
    return defaults.resize(config, size, laptop={}, gpu={"eval.metrics": ("accuracy",)})
