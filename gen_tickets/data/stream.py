"""Training images that stay on the disk."""

import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from gen_tickets.data.readers import Read
from gen_tickets.errors import UserError


class Stream:
    """Images that stay on the disk: `stream[rows]` reads uint8 [n, H, W, C].

    An image that is read again must be what it was: a disk may lose bits, and a JPEG
    with one of them turned is an image all the same.
    """

    def __init__(self, read: Callable[[np.ndarray], Read], indices: np.ndarray):
        """Takes a reader's read, of indices alone, and the indices of the images."""
        self._read, self._indices = read, indices
        image, _, self.facts = read(indices[:1])
        self.shape = (len(indices), *image.shape[1:])
        self._checksums = np.zeros(len(indices), np.uint32)  # 0: not read so far

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, rows: Any) -> np.ndarray:
        indices = self._indices[rows]
        order = np.argsort(indices)  # readers take them sorted
        images = np.empty((len(indices), *self.shape[1:]), np.uint8)
        images[order] = self._read(indices[order])[0]
        self._check(np.arange(len(self))[rows], images)
        return images

    def _check(self, rows: np.ndarray, images: np.ndarray) -> None:
        """Raises UserError where an image is not what it was when it was read first."""
        checksums = np.array([zlib.crc32(x) or 1 for x in images], np.uint32)
        before = self._checksums[rows]
        changed = rows[(before != 0) & (before != checksums)]
        if len(changed):
            raise UserError(
                "data.resident=False",
                f"{len(changed)} images that were read before have changed on the "
                f"disk, the first is number {self._indices[changed[0]]} of the set",
                "bring them back; then the same command goes on",
            )
        self._checksums[rows] = checksums
