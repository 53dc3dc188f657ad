"""Feature statistics of real images, cached on disk.

The key of a reference has everything that its numbers depend on: the data set, the
split, the pixels (size, crop, resize, reader, encoding, SHA-256) and the network's
weights.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from gen_tickets.evaluation.distances import Moments
from gen_tickets.evaluation.features import cache
from gen_tickets.evaluation.features.extractors import Extractor

# Rows kept for KID, precision and recall, which need more than moments.
MAX_ROWS = 10_000
_FROM_DATA = (
    "name",
    "set",
    "reader",
    "limit",
    "image_size",
    "channels",
    "crop",
    "resize",
    "pillow",
    "encoding",
)


class Reference(NamedTuple):
    """Features of real images in one network."""

    moments: Moments  #: of all images
    features: np.ndarray  #: float32 [min(count, MAX_ROWS), D], a fixed subset
    key: dict[str, Any]  #: everything that the numbers depend on

    @property
    def short_hash(self) -> str:
        """The first 12 hex digits of the key's SHA-256."""
        return cache.short_hash(self.key)


def key_of(
    provenance: Mapping[str, Any], split: str, extractor: Extractor
) -> dict[str, Any]:
    """The key of a split of a data set and an extractor.

    Args:
      provenance: data.Dataset.provenance.
      split: "train" or "heldout".
      extractor: extractors.Extractor.
    """
    return {
        **{name: provenance[name] for name in _FROM_DATA if name in provenance},
        "split": provenance[f"{split}_split"],
        "count": provenance[f"num_{split}"],
        "sha256": provenance[f"sha256_{split}"],
        "rows_kept": min(provenance[f"num_{split}"], MAX_ROWS),
        "extractor": extractor.kind,
        "extractor_sha256": extractor.fingerprint,
    }


def load_reference(
    images: ArrayLike, key: dict[str, Any], extractor: Extractor
) -> Reference:
    """The reference of a key: from the cache, or computed and stored there.

    Args:
      images: uint8 [N, H, W, C], N >= 2, of the split in the key.
      key: from `key_of`.
      extractor: extractors.Extractor.

    Raises:
      UserError: the extractor does not accept the images, or returns non-finite
        numbers.
    """
    arrays = cache.fetch("reference", key, lambda: _compute(images, extractor))
    moments = Moments(int(arrays["count"]), arrays["mean"], arrays["covariance"])
    return Reference(moments, arrays["features"], key)


def _compute(images: ArrayLike, extractor: Extractor) -> dict[str, ArrayLike]:
    features = extractor.extract(images).features
    moments = Moments.of(features)
    # Sets may be sorted by class, so rows are random, but always the same.
    rows = np.random.RandomState(0).permutation(len(features))[:MAX_ROWS]
    return {
        "count": np.int64(moments.count),
        "mean": moments.mean,
        "covariance": moments.covariance,
        "features": features[np.sort(rows)],
    }
