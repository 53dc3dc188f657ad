"""Readers of images: scikit-learn's digits, an .npz, a folder of image files.

Finding a reader is cheap (file names and headers). Nothing is ever written into a
folder that is read. `data.tfds` finds prepared TFDS sets, with the same `Reader`.
"""

import pathlib
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from gen_tickets.config import registries
from gen_tickets.data import folders
from gen_tickets.data.decoding import Facts, decode, open_image
from gen_tickets.errors import UserError
from gen_tickets.workdir import npz, paths, reading

#: (uint8 [N, S, S, C], int32 [N] or None, facts of the images)
Read = tuple[np.ndarray, np.ndarray | None, Facts]

_NUM_DIGITS, _DIGITS_HELDOUT = 1797, 300


class Reader(NamedTuple):
    """A set that was found and can be read."""

    counts: dict[str, int]  #: split → number of images, in the order of the set
    heldout: str | None  #: the split held out, or None: every 10th image of `train` is
    #: (split, sorted indices, crop, size) → (uint8 [N, S, S, C], int32 [N] or None,
    #: file formats as a set, or as the number of images of each).
    read: Callable[..., tuple[np.ndarray, np.ndarray | None, Any]]
    about: dict[str, Any]  #: provenance of this reader
    crop: int = 0  #: meaning of data.crop=0; 0 = the largest centre square
    size: int = 0  #: meaning of data.image_size=0; 0 = the original size
    #: Whether single images can be read without the others.
    streams: bool = False


@registries.data_set("folder")
def folder(options: ml_collections.ConfigDict) -> Reader:
    """Image files under data.dir, as RGB, without labels."""
    return find_folder(options.dir)


def find_folder(directory: str) -> Reader:
    """A folder of png, jpg, jpeg, bmp or webp files, searched recursively → Reader.

    The order is that of the sorted relative paths; see `folders.list_images`. Images
    become RGB (an alpha channel is dropped); there are no labels.

    Raises:
      UserError: no such folder, or no image in it.
    """
    field, root = f"data.dir={directory}", paths.expanded(directory)
    with reading.explained(root, "folder of images", field=field):
        if not directory or not root.is_dir():
            raise UserError(field, "is not a folder", "give a folder of images")
        found = folders.list_images(root)
    if not found.splits["train"]:
        raise UserError(
            field,
            f"no training images ({', '.join(folders.IMAGE_SUFFIXES)}) in it, outside "
            f"of {', '.join(folders.HELDOUT_FOLDERS)}",
            "give a folder of images",
        )

    def read(split: str, indices: np.ndarray, crop: int, size: int) -> Read:
        names = [found.splits[split][i] for i in indices]
        images, facts = decode(
            (root / name for name in names),
            len(names),
            lambda path: open_image(path, "RGB", turn=True),
            lambda position: names[position],
            crop,
            size,
            field,
        )
        return images, None, facts

    counts = {split: len(names) for split, names in found.splits.items()}
    about = {"reader": "folder", "set": str(root.resolve()), **found.about}
    return Reader(counts, found.heldout, read, about, streams=True)


def resize(images: np.ndarray, crop: int, size: int) -> np.ndarray:
    """Crops and resizes images, like `data.crop` and `data.image_size`.

    Args:
      images: uint8 [N, H, W, C].
      crop: side of the centre square to keep; 0 = the largest.
      size: side S in pixels after resizing; 0 = that of the square.

    Returns:
      uint8 [N, S, S, C]; the argument itself if it has that shape.
    """
    side = min(*images.shape[1:3], crop or images.shape[1])
    if images.shape[1:3] == (side, side) and size in (0, side):
        return images
    from PIL import Image

    def open_array(image: np.ndarray) -> tuple[Image.Image, tuple[str, ...]]:
        grey = image.shape[-1] == 1
        return Image.fromarray(image[..., 0] if grey else image), ()

    return decode(images, len(images), open_array, str, crop, size, "images")[0]


@registries.data_set("digits", reads_dir=False)
def digits(options: ml_collections.ConfigDict) -> Reader:
    """The 1797 handwritten digits of scikit-learn, resized to 28x28."""
    return find_digits(options.image_size)


def find_digits(image_size: int) -> Reader:
    """The 1797 digits of scikit-learn, values 0..16 scaled to 0..255 → Reader.

    A fixed choice of 300 is held out.

    Raises:
      UserError: `image_size` is below their 8x8.
    """
    if 0 < image_size < 8:
        raise UserError(
            f"data.image_size={image_size}", "digits are 8x8", "give 8 or more"
        )
    generator = np.random.Generator(np.random.Philox(0))
    heldout = np.sort(generator.permutation(_NUM_DIGITS)[:_DIGITS_HELDOUT])
    splits = {"train": np.delete(np.arange(_NUM_DIGITS), heldout), "heldout": heldout}

    def read(split: str, indices: np.ndarray, crop: int, size: int) -> Read:
        from sklearn import datasets

        found = datasets.load_digits()
        chosen = splits[split][indices]
        images = np.floor(found.images[chosen] * (255 / 16) + 0.5).astype(np.uint8)
        images = resize(images[..., None], crop, size)
        return images, found.target[chosen].astype(np.int32), Facts()

    counts = {split: len(indices) for split, indices in splits.items()}
    about = {"reader": "scikit-learn", "set": "load_digits"}
    return Reader(counts, "heldout", read, about, size=28)


@registries.data_set("arrays")
def arrays(options: ml_collections.ConfigDict) -> Reader:
    """The .npz file data.dir with `images`, optionally labels and held-out images."""
    return find_arrays(options.dir)


def find_arrays(directory: str) -> Reader:
    """The .npz at `directory` → Reader.

    `images` uint8 [N, H, W, C] with C 1 or 3, and optionally integer `labels` [N],
    `heldout_images` and `heldout_labels`. Pickled objects are never loaded.

    Raises:
      UserError: no such file, or arrays with another name, dtype or shape.
    """
    path = paths.expanded(directory)
    headers = _npz_headers(path)
    prefixes = {"train": ""} | (
        {"heldout": "heldout_"} if "heldout_images" in headers else {}
    )
    counts = {
        split: _check_arrays(directory, headers, prefix)
        for split, prefix in prefixes.items()
    }

    def read(split: str, indices: np.ndarray, crop: int, size: int) -> Read:
        prefix = prefixes[split]
        with (
            reading.explained(
                path, ".npz", "make the file again", field=f"data.dir={directory}"
            ),
            np.load(path, allow_pickle=False) as file,
        ):
            images = resize(file[f"{prefix}images"][indices], crop, size)
            labelled = f"{prefix}labels" in file
            labels = file[f"{prefix}labels"][indices] if labelled else None
        return images, _int32(directory, prefix, labels), Facts()

    about = {"reader": "npz", "set": str(path.resolve())}
    return Reader(counts, "heldout" if "heldout" in prefixes else None, read, about)


def _npz_headers(path: pathlib.Path) -> npz.Headers:
    """Name → (shape, dtype) of the arrays in an .npz, without reading them."""
    with reading.explained(
        path,
        ".npz",
        "give one with uint8 `images` [N, H, W, C]",
        field=f"data.dir={path}",
    ):
        return npz.headers(path)


def _int32(directory: str, prefix: str, labels: np.ndarray | None) -> np.ndarray | None:
    """Labels as int32; raises UserError if one does not fit."""
    if labels is None:
        return None
    border = np.iinfo(np.int32)
    if labels.size and not border.min <= labels.min() <= labels.max() <= border.max:
        raise UserError(
            f"data.dir={directory}",
            f"`{prefix}labels` are {labels.min()} to {labels.max()}",
            "number the classes 0, 1, ...; labels are kept as int32",
        )
    return np.asarray(labels, np.int32)


def _check_arrays(directory: str, headers: npz.Headers, prefix: str) -> int:
    """Number of images under `prefix`; UserError if the arrays are invalid."""
    key = f"{prefix}images"
    if key not in headers:
        raise UserError(
            f"data.dir={directory}",
            f"no array `{key}` (it has {', '.join(headers) or 'none'})",
            "save uint8 [N, H, W, C] under that name",
        )
    shape, dtype = headers[key]
    if dtype != np.uint8 or len(shape) != 4 or shape[3] not in (1, 3) or 0 in shape:
        raise UserError(
            f"data.dir={directory}",
            f"`{key}` is {dtype} {list(shape)}",
            "save it as uint8 [N, H, W, C] with 1 or 3 channels",
        )
    label_shape, label_dtype = headers.get(f"{prefix}labels", (shape[:1], np.int32))
    if label_shape != shape[:1] or not np.issubdtype(label_dtype, np.integer):
        raise UserError(
            f"data.dir={directory}",
            f"`{prefix}labels` is {label_dtype} {list(label_shape)}",
            f"save it as integers [{shape[0]}]",
        )
    return int(shape[0])
