"""The registered metrics: they compare outputs of a network with a reference.

Pure functions of the outputs of an extractor, see `registries.Metric`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from gen_tickets.config import registries
from gen_tickets.config.column import Column
from gen_tickets.console import display
from gen_tickets.errors import UserError
from gen_tickets.evaluation import distances
from gen_tickets.evaluation.distances import Moments

# With fewer samples the covariance of Inception's 2048 features is singular.
MIN_INCEPTION = 2048
_FEW = 10_000
_KID_SUBSET = 1000
_IS_SPLITS = 10
_NEIGHBOURS = 3


@runtime_checkable
class Outputs(Protocol):
    """Outputs of a network on N images."""

    @property
    def features(self) -> np.ndarray:
        """[N, D]."""

    @property
    def logits(self) -> np.ndarray:
        """[N, classes]."""


@runtime_checkable
class Reference(Protocol):
    """Features of real images in the same network."""

    @property
    def moments(self) -> Moments:
        """Moments of all images."""

    @property
    def features(self) -> np.ndarray:
        """[n, D], of a subset of the images."""


_FID = Column("fid", better="lower", label="FID")
_FD_CLASSIFIER = Column(
    "fd_classifier", better="lower", label="Fréchet distance (classifier)"
)
_KID = Column("kid", better="lower", label="KID")
_KID_CLASSIFIER = Column(
    "kid_classifier", better="lower", label="kernel distance (classifier)"
)
_SCORE = Column("inception_score", better="higher", label="Inception Score")


@registries.metric(
    "fid",
    summary="Fréchet distance (FID) between samples and real images, by Inception.",
    network="inception",
    columns=(_FID,),
    minimum=MIN_INCEPTION,
)
@registries.metric(
    "fd_classifier",
    summary="The same distance by a classifier of the data set; not an FID.",
    network="classifier",
    columns=(_FD_CLASSIFIER,),
    minimum=2,
)
def frechet(outputs: Outputs, reference: Reference) -> tuple[float, ...]:
    """Fréchet distance between Gaussians fitted to features."""
    moments = Moments.of(outputs.features)
    return (distances.frechet_distance(reference.moments, moments),)


@registries.metric(
    "kid",
    summary="Kernel distance (KID) by Inception; mean and deviation over subsets.",
    network="inception",
    columns=(_KID, _KID.spread),
    minimum=MIN_INCEPTION,
)
@registries.metric(
    "kid_classifier",
    summary="The same distance by a classifier of the data set.",
    network="classifier",
    columns=(_KID_CLASSIFIER, _KID_CLASSIFIER.spread),
    minimum=_KID_SUBSET,
    by_default=False,
)
def kernel(outputs: Outputs, reference: Reference) -> tuple[float, ...]:
    """Kernel distance between features; mean and deviation over subsets."""
    return distances.kernel_distance(
        reference.features, outputs.features, subset_size=_KID_SUBSET
    )


@registries.metric(
    "inception_score",
    network="inception",
    columns=(_SCORE, _SCORE.spread),
    minimum=MIN_INCEPTION,
)
def inception_score(outputs: Outputs, reference: Reference) -> tuple[float, ...]:
    """Confidence and diversity of predicted classes; mean and deviation over splits."""
    del reference
    return distances.inception_score(outputs.logits, _IS_SPLITS)


@registries.metric(
    "precision",
    summary="Fraction of samples near real images, by Inception.",
    network="inception",
    columns=(Column("precision", better="higher", label="precision"),),
    places=(0,),
    minimum=MIN_INCEPTION,
)
@registries.metric(
    "recall",
    summary="Fraction of real images near samples, by Inception.",
    network="inception",
    columns=(Column("recall", better="higher", label="recall"),),
    places=(1,),
    minimum=MIN_INCEPTION,
)
@registries.metric(
    "precision_classifier",
    summary="Fraction of samples near real images, by a classifier of the data set.",
    network="classifier",
    columns=(
        Column("precision_classifier", better="higher", label="precision (classifier)"),
    ),
    places=(0,),
    minimum=_NEIGHBOURS + 1,
)
@registries.metric(
    "recall_classifier",
    summary="Fraction of real images near samples, by a classifier of the data set.",
    network="classifier",
    columns=(
        Column("recall_classifier", better="higher", label="recall (classifier)"),
    ),
    places=(1,),
    minimum=_NEIGHBOURS + 1,
)
def precision_recall(outputs: Outputs, reference: Reference) -> tuple[float, ...]:
    """Fractions of samples near real images, and of real images near samples."""
    # As many rows as the reference has: with more rows the balls would be smaller.
    fake = outputs.features[: len(reference.features)]
    return distances.precision_recall(reference.features, fake, _NEIGHBOURS)


@registries.metric(
    "swd",
    summary="Sliced Wasserstein distance of 16x16 pixels; needs no network.",
    network="pixels",
    columns=(
        Column("swd", better="lower", label="sliced Wasserstein distance (pixels)"),
    ),
)
def sliced_wasserstein(outputs: Outputs, reference: Reference) -> tuple[float, ...]:
    """Mean distance of samples and real images along random directions."""
    found = distances.sliced_wasserstein(outputs.features, reference.features)
    return (found,)


@registries.metric(
    "sample_class_entropy",
    network="classifier",
    columns=(
        Column("sample_class_entropy", unit="nats", label="class entropy of samples"),
    ),
)
def class_entropy(outputs: Outputs, reference: Reference) -> tuple[float, ...]:
    """Entropy in nats of the distribution of predicted classes; at most log K."""
    del reference
    counts = np.bincount(outputs.logits.argmax(1))
    shares = counts[counts > 0] / counts.sum()
    return (max(float(-(shares * np.log(shares)).sum()), 0.0),)


@registries.metric(
    "sample_confidence",
    network="classifier",
    columns=(Column("sample_confidence", label="confidence on samples"),),
)
def confidence(outputs: Outputs, reference: Reference) -> tuple[float, ...]:
    """Mean probability of the most probable class."""
    del reference
    logits = np.asarray(outputs.logits, np.float64)
    logits = logits - logits.max(1, keepdims=True)  # 0 for the most probable class
    return (float((1 / np.exp(logits).sum(1)).mean()),)


def _check_reconstructs(options: Mapping[str, Any]) -> None:
    """Raises UserError unless the task has reconstructions."""
    task = options["task.name"]
    if not registries.task.get(task).reconstructs:
        raise UserError(
            "eval.metrics='accuracy'",
            f"needs reconstructions, which task.name={task!r} lacks",
            "leave it out",
        )


@registries.metric(
    "accuracy",
    network="classifier",
    columns=(
        Column(
            "accuracy_reconstructions",
            better="higher",
            label="classifier accuracy on reconstructions",
        ),
    ),
    of_reconstructions=True,
    check=_check_reconstructs,
)
def accuracy(outputs: Outputs, labels: Int[np.ndarray, " n"]) -> tuple[float, ...]:
    """Fraction of reconstructions classified as the label of their image."""
    return (float((outputs.logits.argmax(1) == labels).mean()),)


def networks(names: Iterable[str]) -> tuple[str, ...]:
    """The networks that metrics need, without repetition."""
    return tuple(dict.fromkeys(registries.metric.get(name).network for name in names))


def columns(names: Iterable[str]) -> tuple[str, ...]:
    """The columns of metrics."""
    metrics = [registries.metric.get(name) for name in names]
    return tuple(column.name for metric in metrics for column in metric.columns)


def score(
    names: Iterable[str],
    outputs: Mapping[str, Outputs],
    references: Mapping[str, Reference | np.ndarray | None],
) -> dict[str, float]:
    """The columns of metrics.

    Args:
      names: of `registries.metric`, either all of samples or all of reconstructions.
      outputs: {network: features and logits of the images, as attributes}.
      references: {network: references.Reference, or labels of reconstructions}.

    Raises:
      UserError: too few samples, or non-finite features.
    """
    computed: dict[Any, tuple[float, ...]] = {}
    values: dict[str, float] = {}
    for name in names:
        metric = registries.metric.get(name)
        network, compute = metric.network, metric.compute
        if (network, compute) not in computed:
            found = compute(outputs[network], references[network])
            computed[network, compute] = found
        values |= metric.named(computed[network, compute])
    return values


def check_counts(names: Iterable[str], counts: Mapping[str, int]) -> None:
    """Refuses too few images for one of the metrics.

    Args:
      names: of `registries.metric`.
      counts: {name in the message: number of images}.

    Raises:
      UserError: there are too few images.
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


def warn_of_few(field: str, count: int) -> None:
    """Warns on stderr if there are fewer than 10,000 samples."""
    if count < _FEW:
        display.say(
            f"{field}={count}: fewer than {_FEW} samples make distances larger; "
            "compare only with the same number"
        )
