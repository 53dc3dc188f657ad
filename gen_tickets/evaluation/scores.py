"""Metrics by name: what a network makes of the images, against a reference.

Pure functions of the outputs of an extractor, see `registries.Metric`.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from gen_tickets.config import registries
from gen_tickets.errors import UserError
from gen_tickets.evaluation import distances
from gen_tickets.evaluation.distances import Moments
from gen_tickets.training.progress import Progress

# The covariance of Inception's 2048 features has full rank with more samples only.
MIN_INCEPTION = 2048
_FEW = 10_000
_KID_SUBSET = 1000
_IS_SPLITS = 10
_NEIGHBOURS = 3


@registries.metric(
    "fid", network="inception", columns={"fid": 0}, minimum=MIN_INCEPTION
)
@registries.metric(
    "fd_classifier", network="classifier", columns={"fd_classifier": 0}, minimum=2
)
def frechet(outputs, reference):
    """Fréchet distance of the features' Gaussians."""
    moments = Moments.of(outputs.features)
    return (distances.frechet_distance(reference.moments, moments),)


@registries.metric(
    "kid", network="inception", columns={"kid": 0, "kid_std": 1}, minimum=MIN_INCEPTION
)
@registries.metric(
    "kid_classifier",
    network="classifier",
    columns={"kid_classifier": 0, "kid_classifier_std": 1},
    minimum=_KID_SUBSET,
    by_default=False,
)
def kernel(outputs, reference):
    """Kernel distance of the features, mean and deviation over subsets."""
    return distances.kernel_distance(
        reference.features, outputs.features, subset_size=_KID_SUBSET
    )


@registries.metric(
    "inception_score",
    network="inception",
    columns={"inception_score": 0, "inception_score_std": 1},
    minimum=MIN_INCEPTION,
)
def inception_score(outputs, reference):
    """How sure and how varied the classes are, mean and deviation over splits."""
    del reference
    return distances.inception_score(outputs.logits, _IS_SPLITS)


@registries.metric(
    "precision", network="inception", columns={"precision": 0}, minimum=MIN_INCEPTION
)
@registries.metric(
    "recall", network="inception", columns={"recall": 1}, minimum=MIN_INCEPTION
)
@registries.metric(
    "precision_classifier",
    network="classifier",
    columns={"precision_classifier": 0},
    minimum=_NEIGHBOURS + 1,
)
@registries.metric(
    "recall_classifier",
    network="classifier",
    columns={"recall_classifier": 1},
    minimum=_NEIGHBOURS + 1,
)
def precision_recall(outputs, reference):
    """Shares of samples near real images, and of real images near samples."""
    # As many rows as the reference keeps: the balls of more rows are smaller.
    fake = outputs.features[: len(reference.features)]
    return distances.precision_recall(reference.features, fake, _NEIGHBOURS)


@registries.metric(
    "sample_class_entropy", network="classifier", columns={"sample_class_entropy": 0}
)
def class_entropy(outputs, reference):
    """Entropy in nats of how often each class is the likeliest; at most log K."""
    del reference
    counts = np.bincount(outputs.logits.argmax(1))
    shares = counts[counts > 0] / counts.sum()
    return (max(float(-(shares * np.log(shares)).sum()), 0.0),)


@registries.metric(
    "sample_confidence", network="classifier", columns={"sample_confidence": 0}
)
def confidence(outputs, reference):
    """Mean probability of the likeliest class."""
    del reference
    logits = np.asarray(outputs.logits, np.float64)
    logits = logits - logits.max(1, keepdims=True)  # the likeliest class has 0
    return (float((1 / np.exp(logits).sum(1)).mean()),)


def _check_reconstructs(options: Mapping[str, Any]) -> None:
    """Raises UserError unless the task gives reconstructions."""
    task = options["task.name"]
    if not registries.task.get(task).reconstructs:
        raise UserError(
            "eval.metrics='accuracy'",
            f"is of reconstructions, which task.name={task!r} has not",
            "leave it out",
        )


@registries.metric(
    "accuracy",
    network="classifier",
    columns={"accuracy_reconstructions": 0},
    of_reconstructions=True,
    check=_check_reconstructs,
)
def accuracy(outputs, labels):
    """Share of reconstructions whose likeliest class is the image's label."""
    return (float((outputs.logits.argmax(1) == labels).mean()),)


def networks(names: Iterable[str]) -> tuple[str, ...]:
    """The networks that metrics need, each once."""
    return tuple(dict.fromkeys(registries.metric.get(name).network for name in names))


def columns(names: Iterable[str]) -> tuple[str, ...]:
    """The columns that metrics give."""
    return tuple(x for name in names for x in registries.metric.get(name).columns)


def score(
    names: Iterable[str], outputs: Mapping[str, Any], references: Mapping[str, Any]
) -> dict[str, float]:
    """The columns of metrics.

    Args:
      names: of `registries.metric`, all of samples, or all of reconstructions.
      outputs: {network: features and logits of the images, as attributes}.
      references: {network: references.Reference, or labels of reconstructions}.

    Raises:
      UserError: too few samples, or features that are not finite.
    """
    computed, values = {}, {}
    for name in names:
        metric = registries.metric.get(name)
        network, compute = metric.network, metric.compute
        if (network, compute) not in computed:
            found = compute(outputs[network], references[network])
            computed[network, compute] = found
        for column, place in metric.columns.items():
            values[column] = float(computed[network, compute][place])
    return values


def check_counts(names: Iterable[str], counts: Mapping[str, int]) -> None:
    """Refuses too few images for one of the metrics.

    Args:
      names: of `registries.metric`.
      counts: {what they are called in a message: how many there are}.

    Raises:
      UserError: there are too few.
    """
    for name in names:
        for field, count in counts.items():
            minimum = registries.metric.get(name).minimum
            if count < minimum:
                raise UserError(
                    f"{field}={count}",
                    f"{name} needs {minimum} or more",
                    "give more, or leave that metric out",
                )


def warn_of_few(field, count):
    """Says on stderr that fewer than 10,000 samples are few."""
    if count < _FEW:
        Progress().say(
            f"{field}={count}: fewer than {_FEW} samples make distances larger; "
            "compare only with the same number"
        )
