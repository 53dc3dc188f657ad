"""Metrics of samples by name: which network, which columns, how many images.

Pure functions of what an extractor makes of the samples and of a reference.
"""

from typing import Callable, NamedTuple

import numpy as np

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


class Metric(NamedTuple):
    """One name of `eval.metrics`."""

    kind: str  #: of the extractor: "inception" or "classifier"
    columns: dict[str, int]  #: column of the results -> its place in what compute gives
    minimum: int  #: images that each side must have
    #: (outputs of the samples, Reference) -> tuple of numbers; None where it is no
    #: matter of samples.
    compute: Callable | None


def _frechet(outputs, reference):
    moments = Moments.of(outputs.features)
    return (distances.frechet_distance(reference.moments, moments),)


def _kernel(outputs, reference):
    return distances.kernel_distance(
        reference.features, outputs.features, subset_size=_KID_SUBSET
    )


def _inception_score(outputs, reference):
    return distances.inception_score(outputs.logits, _IS_SPLITS)


def _precision_recall(outputs, reference):
    # As many rows as the reference keeps: the balls of more rows are smaller.
    fake = outputs.features[: len(reference.features)]
    return distances.precision_recall(reference.features, fake, _NEIGHBOURS)


def _class_entropy(outputs, reference):
    """Entropy in nats of how often each class is the likeliest; at most log K."""
    counts = np.bincount(outputs.logits.argmax(1))
    shares = counts[counts > 0] / counts.sum()
    return (max(float(-(shares * np.log(shares)).sum()), 0.0),)


def _confidence(outputs, reference):
    """Mean probability of the likeliest class."""
    logits = np.asarray(outputs.logits, np.float64)
    logits = logits - logits.max(1, keepdims=True)  # the likeliest class has 0
    return (float((1 / np.exp(logits).sum(1)).mean()),)


def _metric(kind, minimum, compute, *columns, first=0):
    places = {column: first + i for i, column in enumerate(columns)}
    return Metric(kind, places, minimum, compute)


def _inception(compute, *columns, first=0):
    return _metric("inception", MIN_INCEPTION, compute, *columns, first=first)


TABLE = {
    "fid": _inception(_frechet, "fid"),
    "kid": _inception(_kernel, "kid", "kid_std"),
    "inception_score": _inception(
        _inception_score, "inception_score", "inception_score_std"
    ),
    "precision": _inception(_precision_recall, "precision"),
    "recall": _inception(_precision_recall, "recall", first=1),
    "fd_classifier": _metric("classifier", 2, _frechet, "fd_classifier"),
    "kid_classifier": _metric(
        "classifier", _KID_SUBSET, _kernel, "kid_classifier", "kid_classifier_std"
    ),
    "precision_classifier": _metric(
        "classifier", _NEIGHBOURS + 1, _precision_recall, "precision_classifier"
    ),
    "recall_classifier": _metric(
        "classifier", _NEIGHBOURS + 1, _precision_recall, "recall_classifier", first=1
    ),
    "sample_class_entropy": _metric(
        "classifier", 1, _class_entropy, "sample_class_entropy"
    ),
    "sample_confidence": _metric("classifier", 1, _confidence, "sample_confidence"),
    "accuracy": _metric("classifier", 1, None, "accuracy_reconstructions"),
}


def kinds(names) -> tuple[str, ...]:
    """The extractors that metrics need, each once."""
    return tuple(dict.fromkeys(TABLE[name].kind for name in names))


def columns(names) -> tuple[str, ...]:
    """The columns that metrics give."""
    return tuple(column for name in names for column in TABLE[name].columns)


def score(names, outputs, found_references) -> dict[str, float]:
    """The columns of metrics of samples.

    Args:
      names: of TABLE, each a matter of samples.
      outputs: {kind: features and logits of the samples, as attributes}.
      found_references: {kind: references.Reference}.

    Raises:
      UserError: too few samples, or features that are not finite.
    """
    computed, values = {}, {}
    for name in names:
        kind, places, _, compute = TABLE[name]
        if (kind, compute) not in computed:
            computed[kind, compute] = compute(outputs[kind], found_references[kind])
        for column, place in places.items():
            values[column] = float(computed[kind, compute][place])
    return values


def check_counts(names, counts):
    """Refuses too few images for one of the metrics.

    Args:
      names: of TABLE.
      counts: {what they are called in a message: how many there are}.

    Raises:
      UserError: there are too few.
    """
    for name in names:
        for field, count in counts.items():
            if count < TABLE[name].minimum:
                raise UserError(
                    f"{field}={count}: {name} needs {TABLE[name].minimum} or more; "
                    "give more, or leave that metric out"
                )


def warn_of_few(field, count):
    """Says on stderr that fewer than 10,000 samples are few."""
    if count < _FEW:
        Progress().say(
            f"{field}={count}: fewer than {_FEW} samples make distances larger; "
            "compare only with the same number"
        )
