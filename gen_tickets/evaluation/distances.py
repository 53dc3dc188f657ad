"""Distances between sets of features: FID, KID, SWD, precision, recall; and scores.

Everything is NumPy in float64 on the host, on arrays [N, D] of features or [N, K] of
logits of one network (`inception.extract` or any other). Nothing is read from disk or
shuffled. Sets of 50,000 x 2048 are processed in chunks.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Real
from numpy.typing import ArrayLike

from gen_tickets.errors import UserError
from gen_tickets.evaluation.moments import (
    CHUNK_ROWS,
    Moments,
    check_features,
    check_widths,
    chunks,
)


def frechet_distance(first: Moments, second: Moments) -> float:
    """FID: the squared Frechet distance of two Gaussians (Heusel et al. 2017).

    |m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1 S2)^(1/2), where the last trace is the sum of
    singular values of S1^(1/2) S2^(1/2). The roots come from symmetric eigenvectors, so
    nothing becomes complex, and directions without variance are dropped: the distance
    is exact with fewer rows than features, without regularizing S1 and S2.

    Args:
      first, second: `Moments.of(features)`, features [N, D].

    Returns:
      The distance, 0 or more.

    Raises:
      UserError: fewer than 2 rows, unequal widths, or non-finite numbers.
    """
    check_widths(first.mean, second.mean)
    for moments in (first, second):
        if moments.count < 2:
            raise UserError(
                f"count={moments.count}", "2 rows or more allowed", "score more images"
            )
        if not (
            np.isfinite(moments.mean).all() and np.isfinite(moments.covariance).all()
        ):
            raise UserError("moments", "are not finite", "compute them again")
    shift = first.mean - second.mean
    root = _root(first.covariance).T @ _root(second.covariance)
    trace = np.linalg.svd(root, compute_uv=False).sum()
    spread = np.trace(first.covariance) + np.trace(second.covariance)
    # Rounding may give a negative value for equal sets.
    return max(float(shift @ shift + spread - 2 * trace), 0.0)


def _root(covariance: Float[np.ndarray, "d d"]) -> Float[np.ndarray, "d r"]:
    """A [D, R] with A A^T = covariance, over its R directions with variance."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > len(values) * np.finfo(np.float64).eps * max(values[-1], 0.0)
    return vectors[:, kept] * np.sqrt(values[kept])


class KernelDistance(NamedTuple):
    """KID over subsets."""

    mean: float
    std: float  #: over subsets, population standard deviation


def kernel_distance(
    first: ArrayLike,
    second: ArrayLike,
    num_subsets: int = 100,
    subset_size: int = 1000,
    seed: int = 2020,
) -> KernelDistance:
    """KID: `squared_mmd` of random subsets (Binkowski et al. 2018).

    Rows are drawn without replacement within a subset by RandomState(seed).choice, the
    first set first. These are the same subsets as in torch-fidelity.

    Args:
      first, second: features [N, D].

    Raises:
      UserError: a set is smaller than a subset, or not a finite [N, D].
    """
    first = check_features("first", first)
    second = check_features("second", second)
    if not 2 <= subset_size <= min(len(first), len(second)):
        raise UserError(
            f"subset_size={subset_size}",
            f"2 to {min(len(first), len(second))} rows allowed",
            "score more images or take smaller subsets",
        )
    if num_subsets < 1:
        raise UserError(f"num_subsets={num_subsets}", "1 or more allowed")
    random = np.random.RandomState(seed)
    values = []
    for _ in range(num_subsets):
        rows = random.choice(len(first), subset_size, replace=False)
        other_rows = random.choice(len(second), subset_size, replace=False)
        values.append(squared_mmd(first[rows], second[other_rows]))
    return KernelDistance(float(np.mean(values)), float(np.std(values)))


def squared_mmd(first: ArrayLike, second: ArrayLike) -> float:
    """Unbiased squared maximum mean discrepancy, with the kernel (x.y / D + 1)^3.

    It can be negative. Time is quadratic in the number of rows, memory is linear.

    Args:
      first, second: features [N, D] and [M, D].

    Raises:
      UserError: a set has fewer than 2 rows, or is not a finite [N, D], or the widths
        differ.
    """
    first = check_features("first", first)
    second = check_features("second", second)
    check_widths(first, second)
    within = sum(
        (_kernel_sum(rows, rows) - _self_kernels(rows)) / (len(rows) * (len(rows) - 1))
        for rows in (first, second)
    )
    cross = _kernel_sum(first, second) / (len(first) * len(second))
    return float(within - 2 * cross)


def _kernel_sum(
    first: Real[np.ndarray, "n d"], second: Real[np.ndarray, "m d"]
) -> float:
    width = first.shape[1]
    return sum(
        ((left.astype(np.float64) @ right.T.astype(np.float64) / width + 1) ** 3).sum()
        for left in chunks(first)
        for right in chunks(second)
    )


def _self_kernels(rows: Real[np.ndarray, "n d"]) -> float:
    """Sum of k(x, x)."""
    return sum(
        ((np.square(chunk, dtype=np.float64).sum(1) / rows.shape[1] + 1) ** 3).sum()
        for chunk in chunks(rows)
    )


class InceptionScore(NamedTuple):
    """Inception Score over splits."""

    mean: float
    std: float  #: over splits, population standard deviation


def inception_score(logits: ArrayLike, num_splits: int = 10) -> InceptionScore:
    """exp of the mean KL(p(y|x) || p(y)) of each split (Salimans et al. 2016).

    Args:
      logits: [N, K] without the bias; all classes are used.
      num_splits: contiguous splits, i N // num_splits to (i + 1) N // num_splits;
        shuffle real sets that are sorted by class first.

    Raises:
      UserError: fewer rows than splits, or non-finite logits.
    """
    if num_splits < 1:
        raise UserError(f"num_splits={num_splits}", "1 or more allowed")
    logits = check_features("logits", logits, minimum=num_splits)
    bounds = [i * len(logits) // num_splits for i in range(num_splits + 1)]
    scores = []
    for start, end in zip(bounds, bounds[1:]):
        part = logits[start:end].astype(np.float64)
        part = part - part.max(1, keepdims=True)
        log_p = part - np.log(np.exp(part).sum(1, keepdims=True))
        p = np.exp(log_p)
        marginal = p.mean(0)
        # Where the marginal underflows to 0, so does every p, which contributes 0.
        log_marginal = np.log(marginal, where=marginal > 0, out=np.zeros_like(marginal))
        scores.append(np.exp((p * (log_p - log_marginal)).sum(1).mean()))
    return InceptionScore(float(np.mean(scores)), float(np.std(scores)))


class PrecisionRecall(NamedTuple):
    """Precision and recall, in [0, 1]."""

    precision: float  #: fraction of fake samples within the real manifold
    recall: float  #: fraction of real samples within the fake manifold


def precision_recall(real: ArrayLike, fake: ArrayLike, k: int = 3) -> PrecisionRecall:
    """Improved precision and recall (Kynkaanniemi et al. 2019, equation 1).

    The manifold of a set is the union of balls around its rows; the radius is the
    distance to the row's k-th nearest neighbour in the set.

    Args:
      real, fake: features [N, D] and [M, D].
      k: of the neighbour, 1 or more.

    Raises:
      UserError: a set has at most k rows, or is not a finite [N, D].
    """
    if k < 1:
        raise UserError(f"k={k}", "1 or more neighbours allowed")
    real = check_features("real", real, minimum=k + 1).astype(np.float64)
    fake = check_features("fake", fake, minimum=k + 1).astype(np.float64)
    check_widths(real, fake)
    return PrecisionRecall(
        _share_inside(fake, real, _radii(real, k)),
        _share_inside(real, fake, _radii(fake, k)),
    )


def _squared_distances(
    rows: Float[np.ndarray, "n d"], others: Float[np.ndarray, "m d"]
) -> Float[np.ndarray, "n m"]:
    """Squared distances [n, m], at least 0."""
    squares = np.square(rows).sum(1)[:, None] + np.square(others).sum(1)
    return np.maximum(squares - 2 * rows @ others.T, 0.0)


def _radii(rows: Float[np.ndarray, "n d"], k: int) -> Float[np.ndarray, " n"]:
    """Squared distance of each row to its k-th neighbour, excluding itself, [N]."""
    radii = []
    for start in range(0, len(rows), CHUNK_ROWS // 4):
        distances = _squared_distances(rows[start : start + CHUNK_ROWS // 4], rows)
        own = np.arange(len(distances))
        distances[own, start + own] = np.inf
        radii.append(np.partition(distances, k - 1, axis=1)[:, k - 1])
    return np.concatenate(radii)


def _share_inside(
    rows: Float[np.ndarray, "n d"],
    centres: Float[np.ndarray, "m d"],
    radii: Float[np.ndarray, " m"],
) -> float:
    inside = sum(
        (_squared_distances(chunk, centres) <= radii).any(1).sum()
        for chunk in chunks(rows, CHUNK_ROWS // 4)
    )
    return float(inside / len(rows))


def sliced_wasserstein(
    first: ArrayLike,
    second: ArrayLike,
    directions: int = 256,
    seed: int = 0,
) -> float:
    """Sliced Wasserstein distance of order 1 (Rabin et al. 2011; Karras et al. 2018).

    The mean over random unit directions of the distance between the projections:
    the area between their cumulative distributions, for any two numbers of rows.

    Args:
      first, second: features [N, D] and [M, D].
      directions: random directions.
      seed: of the directions.

    Returns:
      The distance in the unit of the features, 0 or more.

    Raises:
      UserError: fewer than 2 rows, unequal widths, or non-finite numbers.
    """
    first, second = check_features("first", first), check_features("second", second)
    check_widths(first, second)
    drawn = np.random.default_rng(seed).normal(size=(first.shape[1], directions))
    drawn /= np.linalg.norm(drawn, axis=0)
    along = zip((first @ drawn).T, (second @ drawn).T)  # [directions, N], [.., M]
    return float(np.mean([_area_between(one, other) for one, other in along]))


def _area_between(first: np.ndarray, second: np.ndarray) -> float:
    """Integral of |F1 - F2| over two empirical cumulative distributions."""
    places = np.sort(np.concatenate((first, second)))
    shares = [
        np.searchsorted(np.sort(x), places[:-1], "right") / len(x)
        for x in (first, second)
    ]
    return float(np.abs(shares[0] - shares[1]) @ np.diff(places))
