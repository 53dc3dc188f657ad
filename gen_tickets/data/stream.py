"""Training images that stay on disk."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from gen_tickets.data.readers import Read
from gen_tickets.errors import UserError


class Stream:
    """Images that stay on disk: `stream[rows]` reads uint8 [n, H, W, C].

    Checks that an image is unchanged when it is read again: a disk may flip bits, and a
    JPEG with a flipped bit can often still be decoded.
    """

    def __init__(self, read: Callable[[np.ndarray], Read], indices: np.ndarray):
        """Takes a function that reads images by index, and the indices of the set."""
        self._read, self._indices = read, indices
        image, _, self.facts = read(indices[:1])
        self.shape = (len(indices), *image.shape[1:])
        self._checksums = np.zeros(len(indices), np.uint32)  # 0: not read yet

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, rows: Any) -> np.ndarray:
        indices = self._indices[rows]
        order = np.argsort(indices)  # readers require sorted indices
        images = np.empty((len(indices), *self.shape[1:]), np.uint8)
        images[order] = self._read(indices[order])[0]
        self._check(np.arange(len(self))[rows], images)
        return images

    def _check(self, rows: np.ndarray, images: np.ndarray) -> None:
        """Raises UserError if an image has changed since it was first read."""
        checksums = np.array([zlib.crc32(x) or 1 for x in images], np.uint32)
        before = self._checksums[rows]
        changed = rows[(before != 0) & (before != checksums)]
        if len(changed):
            raise UserError(
                "data.resident=False",
                f"{len(changed)} images that were read before have changed on the "
                f"disk, the first is number {self._indices[changed[0]]} of the set",
                "restore them, then run the same command to continue",
            )
        self._checksums[rows] = checksums
