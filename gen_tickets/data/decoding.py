"""Encoded images → one uint8 array: decode, centre crop, resize, in threads.

Pillow does all of it, whichever reader the bytes come from, so that a set has the same
pixels with every reader. Resizing is bilinear and antialiased (the
support of the filter grows with the scale).
"""

import concurrent.futures
import functools
import itertools
import os

import numpy as np
from tqdm import tqdm

from gen_tickets.errors import UserError

RESIZE = "Pillow bilinear, antialiased"
_BLOCK = 1024  # images in flight; bounds the memory of encoded images
_PIECE = 32  # images per task of a thread
_QUIET_SECONDS = 3.0


def square(image, crop, size):
    """Pillow image → uint8 [size, size, C]: centre crop to a square, then resize.

    `crop` is the side of the square before resizing; 0, or more than the image has,
    means the largest square. `size` 0 keeps that square's own side.
    """
    from PIL import Image

    width, height = image.size
    side = min(width, height, crop or width)
    if (width, height) != (side, side):
        left, top = (width - side) // 2, (height - side) // 2
        image = image.crop((left, top, left + side, top + side))
    if size and size != side:
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def to_mode(image, mode):
    """Pillow image → the same in mode L or RGB; ValueError if it has 16 bits."""
    if image.mode.startswith(("I", "F")):
        raise ValueError(f"pixels of mode {image.mode}, not 8 bits a channel")
    if "transparency" in image.info:
        image = image.convert("RGBA")  # else Pillow warns about palettes
    return image.convert(mode)


def decode(items, num_images, open_image, names, crop, size, title):
    """Encoded images → (uint8 [N, S, S, C], set of file formats).

    Args:
      items: iterable of the `num_images` arguments of `open_image`.
      num_images: N, at least 1.
      open_image: item → Pillow image of 8-bit mode L or RGB and its file format, such
        as ("JPEG"); raises OSError, ValueError or SyntaxError on a broken image.
      names: position → name of that image in messages.
      crop, size: as in `square`.
      title: what is read, for the progress bar and for messages.

    Raises:
      UserError: broken images (the first and their number), or `size` 0 and squares
        that differ in size.
    """
    images, formats, broken = None, set(), []
    with (
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
        _progress_bar(title, num_images) as progress,
    ):
        work = functools.partial(_one, open_image, crop=crop, size=size)
        results = _parallel(pool, items, work)
        for position, (pixels, detail) in enumerate(results):
            progress.update()
            if pixels is None:
                broken.append((position, detail))
                continue
            formats.add(detail)
            if images is None:
                first = position
                images = np.empty((num_images, *pixels.shape), np.uint8)
            if pixels.shape != images.shape[1:]:
                raise _differ(
                    (names(first), images.shape[1:]), (names(position), pixels.shape)
                )
            images[position] = pixels
    if broken:
        position, reason = broken[0]
        raise UserError(
            title,
            f"{len(broken)} of {num_images} images cannot be read, the first is "
            f"{names(position)} ({reason})",
            "repair or remove them",
        )
    return images, formats


def _parallel(pool, items, function):
    """Results in the order of `items`, at most _BLOCK of them in flight."""
    items = iter(items)
    while block := list(itertools.islice(items, _BLOCK)):
        pieces = [block[i : i + _PIECE] for i in range(0, len(block), _PIECE)]
        for results in pool.map(lambda piece: [function(x) for x in piece], pieces):
            yield from results


def _one(open_image, item, crop, size):
    """(pixels, format), or (None, reason) if the image is broken."""
    from PIL import Image

    try:
        image, file_format = open_image(item)
        return square(image, crop, size), file_format
    except Image.UnidentifiedImageError:
        return None, "not an image, or empty"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return None, " ".join(str(error).split()) or type(error).__name__


def _differ(one, other):
    """The error for squares that differ in size."""
    (name, shape), (other_name, other_shape) = one, other
    return UserError(
        "data.image_size=0",
        f"centre squares differ, {name} has side {shape[0]} and {other_name} "
        f"{other_shape[0]}",
        "give a size to which all are resized, such as 64",
    )


def _progress_bar(title, total):
    """On stderr, if that is a terminal and the read takes more than a few seconds."""
    return tqdm(
        desc=title,
        total=total,
        unit="image",
        leave=False,
        delay=_QUIET_SECONDS,
        disable=None,
    )
