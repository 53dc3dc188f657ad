"""Stand-ins for networks that take long to train: untrained weights."""

import jax
import numpy as np

from gen_tickets import trees
from gen_tickets.evaluation.features.extractors import Extractor
from gen_tickets.tasks import classifier


def train(dataset, network, recipe, key, most_seconds=None):
    """Stands in for `classifier._train`: weights drawn by NumPy, no training."""
    task = classifier.build(network, dataset.train.images.shape[1:], recipe)
    state = jax.eval_shape(task.init, jax.random.key(0))
    random = np.random.default_rng(0)
    drawn = {}
    leaves = trees.named_leaves({"params": state.params, "stats": state.stats})
    for name, leaf in leaves.items():
        if name.endswith(("scale", "var")):
            drawn[name] = np.ones(leaf.shape, np.float32)
        else:
            fan_in = max(int(np.prod(leaf.shape[:-1])), 1)
            values = random.normal(size=leaf.shape) * np.sqrt(2 / fan_in)
            drawn[name] = values.astype(np.float32)
    return {**drawn, "accuracy": np.float64(0.1)}


class Pixels:
    """An extractor of 6 fixed projections, of 3 classes, that counts its calls."""

    def __init__(self, kind="classifier", fingerprint="f" * 64):
        self.calls = []
        self.extractor = Extractor(kind, fingerprint, self.extract, {"accuracy": 0.5})

    def extract(self, images):
        self.calls.append(len(images))
        x = np.asarray(images, np.float32).reshape(len(images), -1) / 255
        kernel = np.random.default_rng(5).normal(size=(x.shape[1], 6))
        features = (x @ kernel).astype(np.float32)
        return classifier.Outputs(features, features[:, :3])
