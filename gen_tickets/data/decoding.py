"""Decoding: encoded images → one uint8 array; decodes, crops and resizes in threads.

All readers use Pillow, so a set has the same pixels with every reader. Resizing is
bilinear and antialiased (the support of the filter grows with the scale).
"""

import collections
import concurrent.futures
import functools
import itertools
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from gen_tickets.errors import UserError

if TYPE_CHECKING:
    from PIL import Image

#: {file format or one of NOTES: number of images}
Facts = collections.Counter[str]
TRANSPARENT = "with colours under alpha 0"
ODD_EXIF = "with EXIF data that say no orientation"
NOTES = (TRANSPARENT, ODD_EXIF)

RESIZE = "Pillow bilinear, antialiased"
_BLOCK = 1024  # images in flight; bounds the memory of encoded images
_PIECE = 32  # images per task of a thread
_QUIET_SECONDS = 3.0
_ORIENTATION = 0x0112  # the EXIF tag


def square(image: "Image.Image", crop: int, size: int) -> np.ndarray:
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


def open_image(
    source: Any, mode: str, turn: bool
) -> tuple["Image.Image", tuple[str, ...]]:
    """Opens one image.

    Args:
      source: path, or file opened for reading bytes.
      mode: mode of the result, L or RGB.
      turn: whether to rotate it upright by its EXIF tag.

    Returns:
      (Pillow image, facts): facts are its file format and the NOTES that apply.

    Raises:
      ValueError: more than 8 bits per channel; Pillow raises many other kinds.
    """
    from PIL import Image

    with Image.open(source) as image:
        _check_depth(image)
        facts = [image.format or "unknown"]
        turned: Image.Image = image
        if turn:
            method, is_odd = _turn(image)
            facts += [ODD_EXIF] if is_odd else []
            turned = image if method is None else image.transpose(method)
        if "transparency" in turned.info or "A" in turned.getbands():
            turned = turned.convert("RGBA")  # else Pillow warns about palettes
            is_seen_through = turned.getchannel("A").getextrema()[0] == 0
            facts += [TRANSPARENT] if is_seen_through else []
        return turned.convert(mode), tuple(facts)


def _check_depth(image: "Image.Image") -> None:
    """Raises ValueError if an image not loaded yet has more than 8 bits per channel."""
    # What Pillow opens as RGB may have 16 bits in the file, of which it keeps 8.
    raw_modes = [str(tile[3]) for tile in getattr(image, "tile", [])]
    if image.mode.startswith(("I", "F")) or any(";16" in x for x in raw_modes):
        depth = next((x for x in raw_modes if ";16" in x), image.mode)
        raise ValueError(f"pixels of mode {depth}, not 8 bits per channel")


def _turn(image: "Image.Image") -> tuple[Any, bool]:
    """(the transposition that turns it upright or None, whether EXIF is invalid)."""
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }
    image.load()  # some formats store it after the pixels
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Pillow's parser raises many kinds on invalid data
        return None, True
    is_odd = type(orientation) is not int or not 1 <= orientation <= 8
    return None if is_odd else turns.get(orientation), is_odd


def decode(
    items: Iterable[Any],
    num_images: int,
    open_one: Callable[[Any], tuple["Image.Image", tuple[str, ...]]],
    names: Callable[[int], str],
    crop: int,
    size: int,
    title: str,
) -> tuple[np.ndarray, Facts]:
    """Encoded images → (uint8 [N, S, S, C], number of images with each fact).

    Args:
      items: iterable of N = `num_images` >= 1 arguments of `open_one`.
      open_one: item → (Pillow image of 8-bit mode L or RGB, facts), as `open_image`; if
        it raises, the image is broken.
      names: position → name of that image in messages.
      crop, size: as in `square`.
      title: name of the set, for the progress bar and for messages.

    Raises:
      UserError: broken images (the first and their number), fewer than N items, or
        `size` 0 and squares that differ in size.
    """
    images, facts, broken, position = None, Facts(), [], -1
    with (
        concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool,
        _progress_bar(title, num_images) as progress,
        warnings.catch_warnings(),
    ):
        # Pillow warns of invalid EXIF data, image by image.
        warnings.filterwarnings("ignore", module="PIL.*")
        work = functools.partial(_one, open_one, crop=crop, size=size)
        for position, (pixels, detail) in enumerate(_parallel(pool, items, work)):
            progress.update()
            if pixels is None:
                broken.append((position, detail))
                continue
            facts.update(detail)
            if images is None:
                first = position
                images = np.empty((num_images, *pixels.shape), np.uint8)
            if pixels.shape != images.shape[1:]:
                sides = images.shape[1], pixels.shape[0]
                raise _differ((names(first), names(position)), sides)
            images[position] = pixels
    if position + 1 < num_images:
        raise UserError(
            title,
            f"holds only {position + 1} of the {num_images} images that it names",
            "prepare or copy it again",
        )
    if broken:
        position, reason = broken[0]
        raise _unreadable(title, len(broken), num_images, names(position), reason)
    assert images is not None, "num_images is 0"
    return images, facts


def _parallel(
    pool: concurrent.futures.Executor,
    items: Iterable[Any],
    function: Callable[[Any], Any],
) -> Iterator[Any]:
    """Results in the order of `items`, at most _BLOCK of them in flight."""
    items = iter(items)
    while block := list(itertools.islice(items, _BLOCK)):
        pieces = [block[i : i + _PIECE] for i in range(0, len(block), _PIECE)]
        for results in pool.map(lambda piece: [function(x) for x in piece], pieces):
            yield from results


def _one(
    open_one: Callable[[Any], tuple["Image.Image", tuple[str, ...]]],
    item: Any,
    crop: int,
    size: int,
) -> tuple[np.ndarray | None, Any]:
    """(pixels, facts), or (None, reason) if the image is broken."""
    from PIL import Image

    try:
        image, facts = open_one(item)
        return square(image, crop, size), facts
    except MemoryError:
        raise
    except Image.UnidentifiedImageError:
        return None, "not an image, or empty"
    except Exception as error:  # decoders raise many kinds on broken data
        return None, " ".join(str(error).split())[:200] or type(error).__name__


def _unreadable(title: str, count: int, total: int, name: str, why: str) -> UserError:
    """The error for `count` broken images; the first one is `name`."""
    return UserError(
        title,
        f"{count} of {total} images cannot be read, the first is {name} ({why})",
        "repair them, make them readable, or move them elsewhere",
    )


def _differ(names: tuple[str, str], sides: tuple[int, int]) -> UserError:
    """The error for two images whose squares differ in size."""
    return UserError(
        "data.image_size=0",
        f"centre squares differ, {names[0]} has side {sides[0]} and {names[1]} "
        f"{sides[1]}",
        "give a size to which all are resized, such as 64",
    )


def _progress_bar(title: str, total: int) -> Any:
    """A progress bar on stderr, if it is a terminal and reading takes some seconds."""
    return tqdm(
        desc=title,
        total=total,
        unit="image",
        leave=False,
        delay=_QUIET_SECONDS,
        disable=None,
    )
