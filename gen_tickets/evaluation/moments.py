"""Mean and covariance of sets of features, updated and merged in parts.

NumPy in float64 on the host, on arrays [N, D] of features. Sets of 50,000 x 2048 are
processed in chunks.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Shaped
from numpy.typing import ArrayLike

from gen_tickets.errors import UserError

CHUNK_ROWS = 4096


def check_features(
    name: str, features: ArrayLike, minimum: int = 2
) -> Shaped[np.ndarray, "n d"]:
    """Returns the features as a NumPy array.

    Raises:
      UserError: not a finite [N, D] with N >= `minimum`.
    """
    features = np.asarray(features)
    if features.ndim != 2 or len(features) < minimum:
        raise UserError(
            f"{name}={list(features.shape)}",
            f"[N, D] with N >= {minimum} allowed",
            "score more images",
        )
    if not all(np.isfinite(chunk).all() for chunk in chunks(features)):
        raise UserError(
            f"{name}={list(features.shape)}",
            "has numbers that are not finite",
            "the network that made the images diverged",
        )
    return features


def chunks(rows: np.ndarray, size: int = CHUNK_ROWS) -> Iterator[np.ndarray]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


@dataclasses.dataclass(frozen=True)
class Moments:
    """Count, mean and covariance (divided by N - 1) of rows; float64.

    The moments of parts can be merged in any order. An update costs a product of [D, n]
    with [n, D] and a few passes over [D, D], so pass many rows.
    """

    count: int
    mean: Float[np.ndarray, " d"]  #: [D]
    covariance: Float[np.ndarray, "d d"]  #: [D, D], zero for fewer than 2 rows

    @classmethod
    def empty(cls, width: int) -> "Moments":
        """Moments of no rows of `width` features."""
        return cls(0, np.zeros(width), np.zeros((width, width)))

    @classmethod
    def of(cls, features: ArrayLike) -> "Moments":
        """Moments of [N, D] features, N >= 2, processed in chunks."""
        features = check_features("features", features)
        moments = cls.empty(features.shape[1])
        for chunk in chunks(features):
            moments = moments.update(chunk)
        return moments

    def update(self, features: ArrayLike) -> "Moments":
        """The moments after adding rows [n, D], n >= 1."""
        features = check_features("features", features, minimum=1).astype(np.float64)
        mean = features.mean(0)
        centred = features - mean
        covariance = centred.T @ centred / max(len(features) - 1, 1)
        return self.merge(Moments(len(features), mean, covariance))

    def merge(self, other: "Moments") -> "Moments":
        """The moments of both sets of rows together (Chan, Golub & LeVeque 1979)."""
        check_widths(self.mean, other.mean)
        count = self.count + other.count
        if count < 2:
            return other if other.count else self
        shift = other.mean - self.mean
        share = other.count / count
        scatter = (
            max(self.count - 1, 0) * self.covariance
            + max(other.count - 1, 0) * other.covariance
            + self.count * share * np.outer(shift, shift)
        )
        return Moments(count, self.mean + share * shift, scatter / (count - 1))


def check_widths(first: np.ndarray, second: np.ndarray) -> None:
    if first.shape[-1] != second.shape[-1]:
        raise UserError(
            f"features={first.shape[-1]} and {second.shape[-1]} wide",
            "equal widths allowed",
            "take both from the same network",
        )
