"""Sources of images: scikit-learn's digits, an .npz, a folder of image files.

A reader is found (cheaply: file names and headers) before it is read. Nothing is ever
written into a folder that is read. Prepared TFDS sets are found by `data.tfds`, with
the same `Reader`.
"""

import os
import pathlib
import zipfile
import zlib
from typing import Callable, NamedTuple

import ml_collections
import numpy as np

from gen_tickets.config import registries
from gen_tickets.data.decoding import decode, to_mode
from gen_tickets.errors import UserError
from gen_tickets.workdir import npz

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
HELDOUT_FOLDERS = ("heldout", "test")
_NUM_DIGITS, _DIGITS_HELDOUT = 1797, 300


class Reader(NamedTuple):
    """A set that was found and can be read."""

    counts: dict  #: split name → number of images, in the set's own order
    heldout: str | None  #: the split held out, or None: every 10th image of `train` is
    #: (split, sorted indices, crop, size) → (uint8 [N, S, S, C], int32 [N] or None, set
    #: of file formats).
    read: Callable
    about: dict  #: provenance of this reader
    crop: int = 0  #: meaning of data.crop=0; 0 = the largest centre square
    size: int = 0  #: meaning of data.image_size=0; 0 = the original size
    #: Whether any images of the set can be read without the others.
    streams: bool = False


@registries.data_set("folder")
def folder(options: ml_collections.ConfigDict) -> Reader:
    """Image files under data.dir, as RGB, without labels."""
    return find_folder(options.dir)


def find_folder(directory):
    """A folder of png, jpg, jpeg, bmp or webp files, searched recursively → Reader.

    The order is that of the sorted relative paths; names with a leading dot are left
    out and links to folders are not followed. What lies under `heldout/` or `test/` is
    held out. Images become RGB (an alpha channel is dropped); there are no labels.

    Raises:
      UserError: no such folder, or no image in it.
    """
    root = pathlib.Path(directory).expanduser()
    if not directory or not root.is_dir():
        raise UserError(
            f"data.dir={directory}", "is not a folder", "give a folder of images"
        )
    files = sorted(_image_files(root))
    heldout = [path for path in files if path.split("/")[0] in HELDOUT_FOLDERS]
    train = [path for path in files if path.split("/")[0] not in HELDOUT_FOLDERS]
    if not train:
        raise UserError(
            f"data.dir={directory}",
            f"no training images ({', '.join(IMAGE_SUFFIXES)}) in it, outside of "
            f"{' and '.join(HELDOUT_FOLDERS)}",
            "give a folder of images",
        )
    splits = {"train": train} | ({"heldout": heldout} if heldout else {})

    def read(split, indices, crop, size):
        paths = [splits[split][i] for i in indices]
        images, formats = decode(
            (root / path for path in paths),
            len(paths),
            _open_file,
            lambda position: paths[position],
            crop,
            size,
            f"data.dir={directory}",
        )
        return images, None, formats

    counts = {split: len(paths) for split, paths in splits.items()}
    about = {"reader": "folder", "set": str(root.resolve())}
    return Reader(counts, "heldout" if heldout else None, read, about, streams=True)


def _image_files(root):
    """Relative paths, with forward slashes, of the image files under `root`."""
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        prefix = pathlib.Path(folder).relative_to(root).as_posix()
        for name in files:
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                yield name if prefix == "." else f"{prefix}/{name}"


def _open_file(path):
    """A file → (RGB Pillow image, upright as its EXIF tag says; its format)."""
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        return to_mode(ImageOps.exif_transpose(image), "RGB"), image.format


def resize(images, crop, size):
    """Crops and resizes images as `data.crop` and `data.image_size` say.

    Args:
      images: uint8 [N, H, W, C].
      crop: side of the centre square that is kept; 0 = the largest.
      size: side S in pixels after resizing; 0 = that of the square.

    Returns:
      uint8 [N, S, S, C]; the argument itself if it has that shape.
    """
    side = min(images.shape[1:3])
    if images.shape[1] == images.shape[2] and size in (0, side):
        return images
    from PIL import Image

    def open_array(image):
        return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image), "raw"

    return decode(images, len(images), open_array, str, crop, size, "images")[0]


@registries.data_set("digits")
def digits(options: ml_collections.ConfigDict) -> Reader:
    """The 1797 handwritten digits of scikit-learn, resized to 28x28."""
    return find_digits(options.image_size)


def find_digits(image_size):
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

    def read(split, indices, crop, size):
        from sklearn import datasets

        found = datasets.load_digits()
        chosen = splits[split][indices]
        images = np.floor(found.images[chosen] * (255 / 16) + 0.5).astype(np.uint8)
        images = resize(images[..., None], crop, size)
        return images, found.target[chosen].astype(np.int32), set()

    counts = {split: len(indices) for split, indices in splits.items()}
    about = {"reader": "scikit-learn", "set": "load_digits"}
    return Reader(counts, "heldout", read, about, size=28)


@registries.data_set("arrays")
def arrays(options: ml_collections.ConfigDict) -> Reader:
    """The .npz file data.dir with `images`, perhaps labels and held-out ones."""
    return find_arrays(options.dir)


def find_arrays(directory):
    """The .npz at `directory` → Reader.

    `images` uint8 [N, H, W, C] with C 1 or 3, and optionally integer `labels` [N],
    `heldout_images` and `heldout_labels`. Pickled objects are never loaded.

    Raises:
      UserError: no such file, or arrays of another name, dtype or shape.
    """
    path = pathlib.Path(directory).expanduser()
    headers = _npz_headers(path)
    prefixes = {"train": ""} | (
        {"heldout": "heldout_"} if "heldout_images" in headers else {}
    )
    counts = {
        split: _check_arrays(directory, headers, prefix)
        for split, prefix in prefixes.items()
    }

    def read(split, indices, crop, size):
        prefix = prefixes[split]
        try:
            with np.load(path, allow_pickle=False) as file:
                images = resize(file[f"{prefix}images"][indices], crop, size)
                labelled = f"{prefix}labels" in file
                labels = file[f"{prefix}labels"][indices] if labelled else None
        except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            raise UserError(
                f"data.dir={directory}", f"is damaged ({error})", "make the file again"
            ) from error
        return images, None if labels is None else labels.astype(np.int32), set()

    about = {"reader": "npz", "set": str(path.resolve())}
    return Reader(counts, "heldout" if "heldout" in prefixes else None, read, about)


def _npz_headers(path):
    """Name → (shape, dtype) of the arrays in an .npz, without reading them."""
    try:
        return npz.headers(path)
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"data.dir={path}",
            f"is not a readable .npz ({error})",
            "give one with uint8 `images` [N, H, W, C]",
        ) from error


def _check_arrays(directory, headers, prefix):
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
    return shape[0]
