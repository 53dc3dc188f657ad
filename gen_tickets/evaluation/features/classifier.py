"""Classifier of the labels of a data set: a ResNet-18 for small images.

It is trained once per data set and cached. It measures whether reconstructions keep
their class and how classes are distributed over samples. Its features define
`fd_classifier`, a Frechet distance that is not the FID: values are comparable only
within one data set and one classifier.
"""

import dataclasses
import functools
import hashlib
import math
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jaxtyping import Array, Float, UInt8
from numpy.typing import ArrayLike

from gen_tickets import trees
from gen_tickets.console import display
from gen_tickets.data import dataset as dataset_lib
from gen_tickets.data import pixels
from gen_tickets.data.dataset import Dataset
from gen_tickets.errors import UserError
from gen_tickets.evaluation.features import cache, training_time
from gen_tickets.evaluation.features.batches import check_images, map_batches
from gen_tickets.evaluation.scores import Outputs
from gen_tickets.kernels import lowering as lowering_lib
from gen_tickets.models import layers
from gen_tickets.models.resnet import Block
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.tasks import classifier
from gen_tickets.training import loop as loop_lib
from gen_tickets.training.loop import Loop
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Tree

_SEED = 0
_SHIFT = 4
_EXTRACT_BATCH = 128  # or all training images, if there are fewer
_STAGES = 4  # of a ResNet-18
_STRETCH = 16  # steps between updates of the progress bar
_TIMED = 32  # maximum images, to estimate the training time
_WORTH_A_WORD = 30.0  # seconds of training worth a message


class ResNet18(nn.Module):
    """[N, S, S, C] in [-1, 1] -> `Outputs`, features [N, 2^(stages - 1) * width].

    He et al. 2016, with a stem of one convolution (kernel 3, stride 1) and no pooling
    after it; four stages of two blocks, each with half the side of the previous one.
    """

    width: int
    num_classes: int
    stages: int = _STAGES
    lowering: lowering_lib.Lowering = dataclasses.field(kw_only=True)

    @nn.compact
    def __call__(self, x: Float[Array, "n s s c"], train: bool) -> classifier.Outputs:
        conv = functools.partial(layers.Conv, lowering=self.lowering)
        block = functools.partial(Block, lowering=self.lowering)
        x = conv(self.width, 3, 1, 1, use_bias=False, name="stem")(x)
        x = nn.relu(layers.BatchNorm(name="norm_stem")(x, train))  # [N, S, S, width]
        for stage in range(self.stages):
            for i in range(2):
                strides = 2 if stage > 0 and i == 0 else 1
                name, width = f"block_{stage}_{i}", self.width << stage
                x = block(width, width, strides, name=name)(x, train)
        features = x.mean((1, 2))  # [N, 8 * width]
        logits = layers.Dense(self.num_classes, name="logits")(features)
        return classifier.Outputs(features, logits)


class Classifier(NamedTuple):
    """A trained network and its provenance."""

    network: ResNet18
    variables: Tree  #: parameters and running statistics
    accuracy: float  #: on the held-out images, in [0, 1]
    key: dict[str, Any]  #: everything that the training depends on
    fingerprint: str  #: SHA-256 of the weights
    #: images at a time, of any number, so that one program is compiled
    batch_size: int = _EXTRACT_BATCH

    def extract(self, images: ArrayLike) -> Outputs:
        """Features [N, D] and logits [N, classes] of uint8 [N, S, S, C]; float32.

        Raises:
          UserError: the images do not have the type or size of the classifier.
        """
        images = check_images(images)
        size, channels = self.key["image_size"], self.key["channels"]
        if images.shape[1:] != (size, size, channels):
            raise UserError(
                f"images={list(images.shape)}",
                f"the classifier takes [N, {size}, {size}, {channels}]",
                "give images of that size",
            )
        size = self.batch_size
        return _extract(self.network, self.variables, images, size, "classifier")


def _extract(
    network: ResNet18,
    variables: Tree,
    images: np.ndarray,
    batch_size: int,
    title: str | None = None,
) -> Outputs:
    """`Classifier.extract` of checked images; title: of a progress bar, if any."""
    lowering = lowering_lib.choose_forward(network.width)
    applied = network.clone(lowering=lowering)
    function = functools.partial(_outputs, applied, variables)
    outputs: Outputs = map_batches(function, images, batch_size, title)
    return outputs


@functools.partial(jax.jit, static_argnums=0)
def _outputs(
    network: ResNet18, variables: Tree, images: UInt8[Array, "n s s c"]
) -> classifier.Outputs:
    # At the default precision, features would depend on the accelerator's rounding.
    with jax.default_matmul_precision("highest"):
        outputs: Tree = network.apply(variables, pixels.to_float(images), False)
        return outputs


def load_classifier(
    dataset: Dataset,
    epochs: int,
    width: int,
    most_seconds: float = math.inf,
    stages: int = _STAGES,
) -> Classifier:
    """The classifier of a data set: from the cache, or trained and cached.

    Args:
      dataset: data.Dataset with labels.
      epochs: passes over the training images.
      width: channels of the first stage.
      most_seconds: limit of the training time, estimated before it is compiled.
      stages: of the network, at most the 4 of a ResNet-18.

    Raises:
      UserError: the data set has no labels, or the training diverged or would take
        longer than allowed.
    """
    key = _key(dataset, epochs, width, stages)
    recipe = classifier.Recipe(**key["recipe"])
    lowering = lowering_lib.choose()
    network = ResNet18(width, key["num_classes"], stages, lowering=lowering)
    arrays = cache.fetch(
        "classifier", key, lambda: _train(dataset, network, recipe, key, most_seconds)
    )
    return Classifier(
        network,
        variables_of(arrays),
        float(arrays["accuracy"]),
        key,
        cache.digest(arrays),
        _extraction_batch(dataset),
    )


def _extraction_batch(dataset: Dataset) -> int:
    return min(_EXTRACT_BATCH, len(dataset.train.images))


def variables_of(arrays: Mapping[str, np.ndarray]) -> dict[str, Tree]:
    """The network's variables, from the arrays that `_train` returns."""
    # params/classifier/<layer>/..., stats/classifier/batch_stats/<layer>/...
    kept = traverse_util.unflatten_dict(
        {name: jnp.asarray(array) for name, array in arrays.items()}, "/"
    )
    params, stats = (kept[name][classifier.COMPONENT] for name in ("params", "stats"))
    return {"params": params, **stats}


def check_labels(dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Returns the labels of both sets.

    Raises:
      UserError: a set has no labels, or there are fewer than two classes.
    """
    name = dataset.provenance["name"]
    if dataset.train.labels is None or dataset.heldout.labels is None:
        raise UserError(
            f"data.name={name}",
            "has no labels, which the classifier of fd_classifier, accuracy and "
            "similar metrics needs",
            "use a labelled set, or the metrics of Inception: fid, kid, precision, "
            "recall",
        )
    labels = np.concatenate([dataset.train.labels, dataset.heldout.labels])
    if labels.min() < 0 or labels.max() < 1:
        raise UserError(
            f"data.name={name}",
            f"labels are {labels.min()} to {labels.max()}",
            "a classifier needs classes 0, 1, ...",
        )
    return dataset.train.labels, dataset.heldout.labels


def _key(
    dataset: Dataset, epochs: int, width: int, stages: int = _STAGES
) -> dict[str, Any]:
    """Everything that the weights and the accuracy depend on."""
    labels, heldout_labels = check_labels(dataset)
    count, size, _, channels = dataset.train.images.shape
    # Smaller batches for small sets, for enough steps.
    batch_size = min(128, max(16, count // 64), count)
    colour = channels == 3
    recipe = classifier.Recipe(
        num_steps=epochs * dataset_lib.steps_per_epoch(count, batch_size),
        learning_rate=0.1 * batch_size / 128,
        shift=_SHIFT if colour else 0,
        flip=colour,
    )
    fewer = "" if stages == _STAGES else f", stages 1 to {stages}"
    return {
        "network": f"ResNet-18, stem k3 s1{fewer}",
        "width": width,
        "image_size": size,
        "channels": channels,
        "num_classes": int(max(labels.max(), heldout_labels.max())) + 1,
        "epochs": epochs,
        "batch_size": batch_size,
        "recipe": recipe._asdict(),
        "seed": _SEED,
        "sha256_train": dataset.provenance["sha256_train"],
        "sha256_train_labels": _sha256(labels),
        "sha256_heldout": dataset.provenance["sha256_heldout"],
        "sha256_heldout_labels": _sha256(heldout_labels),
    }


def _sha256(labels: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(labels, "<i4").data).hexdigest()


def _train(
    dataset: Dataset,
    network: ResNet18,
    recipe: classifier.Recipe,
    key: Mapping[str, Any],
    most_seconds: float = math.inf,
) -> dict[str, np.ndarray]:
    """{name: array} of weights, statistics, and the accuracy on held-out images."""
    train, heldout = dataset.train, dataset.heldout
    examples = {
        "images": jnp.asarray(train.images),
        "labels": jnp.asarray(train.labels),
    }
    title = f"classifier of {dataset.provenance['name']}"
    if most_seconds < math.inf:
        _check_cost(title, most_seconds, _expected_seconds(network, recipe, key))
    task = classifier.build(network, train.images.shape[1:], recipe)
    loop = loop_lib.make_loop(task)
    keys = jax.random.key(_SEED)[None]  # a population of one
    state = jax.jit(jax.vmap(task.init))(keys)
    totals = loop_lib.empty_totals(task, examples, 1)
    with display.bar(f"training the {title}", recipe.num_steps) as progress:
        tell = functools.partial(_tell_cost, title)
        state = _fit(loop, state, totals, examples, keys, key, progress, tell)
    kept = jax.tree.map(
        lambda x: np.asarray(x)[0], {"params": state.params, "stats": state.stats}
    )
    arrays = trees.named_leaves(kept)
    variables, size = variables_of(arrays), _extraction_batch(dataset)
    logits = _extract(network, variables, heldout.images, size).logits
    if not np.isfinite(logits).all():
        raise UserError(
            f"eval.classifier_epochs={key['epochs']}",
            "the classifier's training diverged",
            "give another number, or another eval.classifier_width",
        )
    accuracy = np.mean(logits.argmax(1) == heldout.labels)
    count = len(heldout.images)
    display.say(f"{title}: {100 * accuracy:.2f} % right on {count} held-out images")
    return {**arrays, "accuracy": np.float64(accuracy)}


def _expected_seconds(
    network: ResNet18, recipe: classifier.Recipe, key: Mapping[str, Any]
) -> float:
    """Seconds of the training; compiles one block, not the network."""
    side, channels, count = (key[x] for x in ("image_size", "channels", "batch_size"))
    task = classifier.build(
        network.clone(lowering=lowering_lib.LIBRARY), (side, side, channels), recipe
    )
    batch = {
        "images": jax.ShapeDtypeStruct((count, side, side, channels), jnp.uint8),
        "labels": jax.ShapeDtypeStruct((count,), jnp.int32),
    }
    # A block of the second stage, whose rate is between those of the other stages.
    width, side = 2 * network.width, max(side // 2, 1)
    rate = training_time.measured_rate(
        lambda lowering: Block(width, width, lowering=lowering),
        (min(count, _TIMED), side, side, width),
        network.lowering,
    )
    return training_time.expected_seconds(task, batch, recipe.num_steps, rate)


def _check_cost(title: str, most_seconds: float, seconds: float) -> None:
    """Refuses a training that is expected to take longer than allowed."""
    if seconds > most_seconds:
        raise UserError(
            title,
            f"its one-time training takes about {display.duration(seconds)} here",
            "--train-classifier allows it, --classifier-width=8 takes less, and "
            "--metrics=fid takes Inception's weights in its place",
        )


def _tell_cost(title: str, seconds: float) -> None:
    """Prints the expected training time, if it is long."""
    if seconds > _WORTH_A_WORD:
        duration = display.duration(seconds)
        display.say(f"training the {title}, once a machine: about {duration}")


def _fit(
    loop: Loop,
    state: TrainState,
    totals: dict[str, Array],
    examples: dict[str, Array],
    keys: Array,
    key: Mapping[str, Any],
    progress: Any,
    tell_cost: Callable[[float], None],
) -> TrainState:
    """Trains for all steps, a few at a time to update the progress bar.

    Args:
      tell_cost: called after the second step (the first one compiles) with the expected
        seconds of training.
    """
    masks, count = masks_lib.dense(state.params), len(examples["images"])
    batch_size, num_steps = key["batch_size"], key["recipe"]["num_steps"]
    done = 0
    while done < num_steps:
        steps = 1 if done < 2 else min(_STRETCH, num_steps - done)
        started = time.monotonic()
        order = np.zeros((loop_lib.MAX_STRETCH, 1, batch_size), np.int32)
        order[:steps, 0] = dataset_lib.order(_SEED, 0, count, batch_size, done, steps)
        totals = jax.tree.map(jnp.zeros_like, totals)
        state, totals = loop.stretch(state, totals, masks, examples, order, keys, steps)
        accuracy = float(totals["accuracy"][0]) / steps  # waits for the stretch
        seconds_left = (num_steps - done) * (time.monotonic() - started) / steps
        done += steps
        if done == 2:
            tell_cost(seconds_left)
        details = (f"accuracy {accuracy:.3f}",)
        progress.update(done=done, seconds_left=seconds_left, details=details)
    return state
