"""A classifier of a data set's labels: ResNet-18 in its variant for small images.

It is trained once for a data set and cached. It measures whether a reconstruction keeps
its class and how classes are distributed over samples. Its features define
`fd_classifier`, a Frechet distance that is not the FID: values are comparable only
within one data set and one classifier.
"""

import dataclasses
import functools
import hashlib
import sys
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from tqdm import tqdm

from gen_tickets import trees
from gen_tickets.data import dataset as dataset_lib
from gen_tickets.data import pixels
from gen_tickets.errors import UserError
from gen_tickets.evaluation.features import cache
from gen_tickets.evaluation.features.batches import check_images, map_batches
from gen_tickets.kernels import lowering as lowering_lib
from gen_tickets.models import layers
from gen_tickets.models.resnet import Block
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.tasks import classifier
from gen_tickets.training import loop as loop_lib

_SEED = 0
_SHIFT = 4
_EXTRACT_BATCH = 256
_STRETCH = 16  # steps between two updates of the progress bar


class ResNet18(nn.Module):
    """[N, S, S, C] in [-1, 1] -> `Outputs`, features [N, 8 * width].

    He et al. 2016 with a stem of one convolution k3 s1 and no pooling after it: four
    stages of two blocks, the side halved from stage to stage.
    """

    width: int
    num_classes: int
    lowering: lowering_lib.Lowering = dataclasses.field(kw_only=True)

    @nn.compact
    def __call__(self, x, train: bool):
        options = {"lowering": self.lowering}
        x = layers.Conv(self.width, 3, 1, 1, use_bias=False, name="stem", **options)(x)
        x = nn.relu(layers.BatchNorm(name="norm_stem")(x, train))  # [N, S, S, width]
        for stage in range(4):
            for i in range(2):
                strides = 2 if stage > 0 and i == 0 else 1
                name, width = f"block_{stage}_{i}", self.width << stage
                x = Block(width, width, strides, name=name, **options)(x, train)
        features = x.mean((1, 2))  # [N, 8 * width]
        logits = layers.Dense(self.num_classes, name="logits")(features)
        return classifier.Outputs(features, logits)


class Classifier(NamedTuple):
    """A trained network and its provenance."""

    network: ResNet18
    variables: Any  #: parameters and running statistics
    accuracy: float  #: on the held-out images, in [0, 1]
    key: dict  #: everything that the training depends on
    fingerprint: str  #: SHA-256 of the weights

    def extract(self, images) -> classifier.Outputs:
        """Features [N, D] and logits [N, classes] of uint8 [N, S, S, C]; float32.

        Raises:
          UserError: images of another type or size than the classifier's.
        """
        images = check_images(images)
        size, channels = self.key["image_size"], self.key["channels"]
        if images.shape[1:] != (size, size, channels):
            raise UserError(
                f"images={list(images.shape)}",
                f"the classifier takes [N, {size}, {size}, {channels}]",
                "give images of that size",
            )
        return map_batches(
            functools.partial(_outputs, self.network, self.variables),
            images,
            min(_EXTRACT_BATCH, len(images)),
            "classifier",
        )


@functools.partial(jax.jit, static_argnums=0)
def _outputs(network, variables, images):
    # Accelerators round at the default precision, so features would depend on them.
    with jax.default_matmul_precision("highest"):
        return network.apply(variables, pixels.to_float(images), False)


def load_classifier(dataset, epochs: int, width: int) -> Classifier:
    """The classifier of a data set: from the cache, or trained and cached.

    Args:
      dataset: data.Dataset with labels.
      epochs: passes over the training images.
      width: channels of the first stage.

    Raises:
      UserError: the data set has no labels, or the training diverged.
    """
    check_labels(dataset)
    key = _key(dataset, epochs, width)
    recipe = classifier.Recipe(**key["recipe"])
    lowering = lowering_lib.choose()
    network = ResNet18(width, key["num_classes"], lowering=lowering)
    arrays = cache.fetch(
        "classifier", key, lambda: _train(dataset, network, recipe, key)
    )
    return Classifier(
        network,
        variables_of(arrays),
        float(arrays["accuracy"]),
        key,
        cache.digest(arrays),
    )


def variables_of(arrays):
    """The network's variables, from the arrays that `_train` returns."""
    # params/classifier/<layer>/..., stats/classifier/batch_stats/<layer>/...
    kept = traverse_util.unflatten_dict(
        {name: jnp.asarray(array) for name, array in arrays.items()}, "/"
    )
    params, stats = (kept[name][classifier.COMPONENT] for name in ("params", "stats"))
    return {"params": params, **stats}


def check_labels(dataset):
    """Raises UserError unless both sets have labels of two classes or more."""
    name = dataset.provenance["name"]
    if dataset.train.labels is None or dataset.heldout.labels is None:
        raise UserError(
            f"data.name={name}",
            "has no labels, which the classifier of fd_classifier, accuracy and the "
            "like needs",
            "take a labelled set, or the metrics of Inception: fid, kid, precision, "
            "recall",
        )
    labels = np.concatenate([dataset.train.labels, dataset.heldout.labels])
    if labels.min() < 0 or labels.max() < 1:
        raise UserError(
            f"data.name={name}",
            f"labels are {labels.min()} to {labels.max()}",
            "a classifier needs classes 0, 1, ...",
        )


def _key(dataset, epochs, width) -> dict:
    """Everything that the weights and the accuracy depend on."""
    train_set, heldout = dataset.train, dataset.heldout
    count, size, _, channels = train_set.images.shape
    # Smaller batches for small sets, so that there are enough steps.
    batch_size = min(128, max(16, count // 64), count)
    colour = channels == 3
    recipe = classifier.Recipe(
        num_steps=epochs * dataset_lib.steps_per_epoch(count, batch_size),
        learning_rate=0.1 * batch_size / 128,
        shift=_SHIFT if colour else 0,
        flip=colour,
    )
    return {
        "network": "ResNet-18, stem k3 s1",
        "width": width,
        "image_size": size,
        "channels": channels,
        "num_classes": int(max(train_set.labels.max(), heldout.labels.max())) + 1,
        "epochs": epochs,
        "batch_size": batch_size,
        "recipe": recipe._asdict(),
        "seed": _SEED,
        "sha256_train": dataset.provenance["sha256_train"],
        "sha256_train_labels": _sha256(train_set.labels),
        "sha256_heldout": dataset.provenance["sha256_heldout"],
        "sha256_heldout_labels": _sha256(heldout.labels),
    }


def _sha256(labels) -> str:
    return hashlib.sha256(np.ascontiguousarray(labels, "<i4")).hexdigest()


def _train(dataset, network, recipe, key):
    """{name: array} of weights, statistics, and the accuracy on held-out images."""
    train_set, heldout = (
        {"images": jnp.asarray(part.images), "labels": jnp.asarray(part.labels)}
        for part in (dataset.train, dataset.heldout)
    )
    task = classifier.build(network, dataset.train.images.shape[1:], recipe)
    loop = loop_lib.make_loop(task)
    keys = jax.random.key(_SEED)[None]  # a population of one
    state = jax.jit(jax.vmap(task.init))(keys)
    title = f"classifier of {dataset.provenance['name']}"
    totals = loop_lib.empty_totals(task, train_set, 1)
    with tqdm(
        desc=title, total=recipe.num_steps, unit="step", leave=False, disable=None
    ) as progress:
        state = _fit(loop, state, totals, train_set, keys, key, progress)
    found = loop.evaluate(state, *loop_lib.in_batches(heldout, _EXTRACT_BATCH), keys)
    if not np.isfinite(found["loss"][0]):
        raise UserError(
            f"eval.classifier_epochs={key['epochs']}",
            "the classifier's training diverged",
            "give another number, or another eval.classifier_width",
        )
    accuracy, count = float(found["accuracy"][0]), len(dataset.heldout.images)
    tqdm.write(
        f"{title}: {100 * accuracy:.2f} % right on {count} held-out images", sys.stderr
    )
    kept = jax.tree.map(
        lambda x: np.asarray(x)[0], {"params": state.params, "stats": state.stats}
    )
    return {**trees.named_leaves(kept), "accuracy": np.float64(accuracy)}


def _fit(loop, state, totals, examples, keys, key, progress):
    """Trains for all steps, a few at a time so that the progress bar moves."""
    masks, count = masks_lib.dense(state.params), len(examples["images"])
    batch_size, num_steps = key["batch_size"], key["recipe"]["num_steps"]
    for done in range(0, num_steps, _STRETCH):
        steps = min(_STRETCH, num_steps - done)
        order = np.zeros((loop_lib.MAX_STRETCH, 1, batch_size), np.int32)
        order[:steps, 0] = dataset_lib.order(_SEED, 0, count, batch_size, done, steps)
        totals = jax.tree.map(jnp.zeros_like, totals)
        state, totals = loop.stretch(state, totals, masks, examples, order, keys, steps)
        progress.set_postfix(accuracy=f"{totals['accuracy'][0] / steps:.3f}")
        progress.update(steps)
    return state
