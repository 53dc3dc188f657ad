"""Maps a compiled function over many images, in batches of one shape."""

import jax
import numpy as np
from tqdm import tqdm

from gen_tickets.errors import UserError


def check_images(images):
    """The images as they are, if they are uint8 [N, H, W, 1 or 3] with N >= 1.

    Raises:
      UserError: they are not.
    """
    images = np.asarray(images)
    if (
        images.dtype != np.uint8
        or images.ndim != 4
        or images.shape[-1] not in (1, 3)
        or images.size == 0
    ):
        raise UserError(
            f"images={images.dtype}{list(images.shape)}",
            "uint8 [N, H, W, 3] or [N, H, W, 1] with N >= 1 allowed",
            "convert them first",
        )
    return images


def map_batches(function, rows, batch_size, title=None):
    """`function` of [batch_size, ...] over rows [N, ...], N >= 1; NumPy [N, ...].

    Args:
      function: of a batch, to an array or a tree of arrays that keep its first axis.
      rows: the last batch is filled up with the first rows, so that there is one
        shape and one compilation.
      batch_size: rows a call.
      title: of a progress bar on a terminal; None shows none.
    """
    # Without a title there is no bar, with one only on a terminal.
    hidden, parts = None if title else True, []
    progress = tqdm(
        desc=title, total=len(rows), unit="image", leave=False, disable=hidden
    )
    with progress:
        for start in range(0, len(rows), batch_size):
            index = np.arange(start, start + batch_size) % len(rows)
            size = min(batch_size, len(rows) - start)
            found = function(rows[index])
            parts.append(jax.tree.map(lambda x, n=size: np.asarray(x)[:n], found))
            progress.update(size)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves), *parts)
