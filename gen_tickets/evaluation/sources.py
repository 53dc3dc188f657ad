"""Reads images to score and reference images, from files or a data set."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import UInt8

from gen_tickets.config import defaults, registries
from gen_tickets.data import about as about_lib
from gen_tickets.data import dataset, decoding, readers
from gen_tickets.errors import UserError
from gen_tickets.workdir import paths

# Sets that are published losslessly: JPEG in a copy means that it was re-encoded.
_LOSSLESS = ("mnist", "fashion_mnist", "cifar10", "cifar100", "svhn_cropped")

_ONE_SIZE = (
    "give a folder of images of one size, or an .npz with uint8 `images` [N, H, W, C]"
)
_REMEDIES = {
    "--images": _ONE_SIZE,
    "--reference": f"{_ONE_SIZE}, or --image-size, to which all are resized",
}


def read_files(field: str, path: str, crop: int = 0, size: int = 0) -> dataset.Dataset:
    """All images of a folder or .npz as one set, without labels.

    Args:
      field: the option that gives the path, --images or --reference.
      path: a folder of images, or an .npz with uint8 `images` [N, H, W, C].
      crop, size: as `data.crop` and `data.image_size`.

    Raises:
      UserError: there is nothing, or nothing that can be read.
    """
    place = paths.expanded(path)
    if not place.exists():
        raise UserError(f"{field}={path}", "is not there", "give a folder or an .npz")
    parts, facts = [], decoding.Facts()
    try:
        find = readers.find_folder if place.is_dir() else readers.find_arrays
        reader = find(str(place))
        for split, count in reader.counts.items():
            images, _, found = reader.read(split, np.arange(count), crop, size)
            parts.append(images)
            facts.update(found)
    except UserError as error:
        # Errors of readers name options of experiments, which do not exist here.
        of_path = error.option == "data.dir"
        remedy = error.remedy if of_path else _REMEDIES[field]
        raise UserError(f"{field}={path}", error.problem, remedy) from None
    if len({part.shape[1:] for part in parts}) > 1:
        raise UserError(
            f"{field}={path}",
            "its splits differ in size",
            "give all images the same size",
        )
    images = np.concatenate(parts)
    others = sum(x.is_file() for x in place.rglob("*")) - len(images)
    about = {
        "name": str(path),
        **reader.about,
        "other_files": others if place.is_dir() else 0,
        "limit": 0,
        **about_lib.of_pixels(images, crop, facts),
    }
    for split in ("train", "heldout"):
        about |= {
            f"{split}_split": "all",
            f"num_{split}": len(images),
            f"sha256_{split}": sha256(images),
        }
    whole = dataset.ImageSet(images, None)
    return dataset.Dataset(whole, whole, about)


def read_sized(field: str, path: str, size: int) -> tuple[dataset.Dataset, str]:
    """Like `read_files`, with images resized to the side `size`.

    Returns:
      (set, description of the resizing): "" if nothing was resized.
    """
    try:
        found = read_files(field, path)
    except UserError as error:
        if "differ" not in error.problem:  # broken, or missing
            raise
        own = "of several sizes"
    else:
        own = f"of {found.train.images.shape[1]}x{found.train.images.shape[2]}"
        if found.train.images.shape[1:3] == (size, size):
            return found, ""
    resized = f"resized to {size}x{size} ({decoding.RESIZE}); they are {own}"
    return read_files(field, path, size=size), resized


def read_reference(
    name: str, directory: str = "", crop: int = 0, size: int = 0
) -> dataset.Dataset:
    """A data set of gen_tickets, else the files at that path, else a TFDS set.

    Raises:
      UserError: none of them can be read.
    """
    if name not in registries.data_set.names() and paths.expanded(name).exists():
        return read_files("--reference", name, crop, size)
    config = defaults.get_config()
    config.data.name, config.data.dir = name, directory
    config.data.image_size, config.data.crop = size, crop
    config.data.batch_size = 1
    try:
        return dataset.load(config)
    except UserError as error:
        # The remedies name options of experiments; here they have other names.
        raise UserError(
            f"--reference={name}",
            error.problem,
            "give --data.dir=DIR where it is, --image-size, or a folder or .npz of "
            "images",
        ) from None


def sha256(images: UInt8[np.ndarray, "..."]) -> str:
    """SHA-256 of the pixels, as in `data.Dataset.provenance`."""
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()


def fit(
    images: UInt8[np.ndarray, "n h w c"], shape: tuple[int, ...]
) -> UInt8[np.ndarray, "n h w channels"]:
    """Converts images to the channels of [H, W, C] = shape.

    Raises:
      UserError: they are in colour, but must be grey.
    """
    if images.shape[3] == shape[2]:
        return images
    if shape[2] == 3:
        return np.repeat(images, 3, axis=3)
    if not (images == images[..., :1]).all():
        raise UserError(
            "--images", "in colour, but the reference is grey", "give grey images"
        )
    return images[..., :1]


def reencoded(provenance: Mapping[str, Any]) -> bool:
    """Whether this copy of a losslessly published set contains JPEG."""
    name = provenance["name"].split("/")[0].split(":")[0]
    return name in _LOSSLESS and "JPEG" in provenance["encoding"]
