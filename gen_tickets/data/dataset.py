"""Data sets: find them, read them into memory once, and define the batch order.

Conventions. Images are square uint8 [N, H, W, C] with C 1 or 3, labels int32 [N] or
None. `config.data.name` selects a set of `registries.data_set` (the built-in ones are
in `data.readers`), or a TFDS image set, `name`, `name/config` or `name:version`, in
`config.data.dir` ('' is TFDS_DATA_DIR, or ~/tensorflow_datasets).

Every image is cropped to the centre square of side `crop`, then resized to
`image_size`; 0 means the default of the set (`Reader.crop`, `Reader.size`: celeb_a is
cropped to 148x148 and resized to 64x64, digits to 28x28), or else the largest square
and the original size.

The split `test` is held out; without it `validation`; without that every 10th image
(the first, the 11th, ...) in the order of the set.

With `config.data.resident` False, the training images of a folder or an array_record
set stay on disk, as a `Stream` (without labels); held-out images are always read.

`config.data.limit` keeps that many training images, a fixed random choice that depends
only on the size of the set (so it mixes the classes of a sorted set, and a smaller
limit chooses a subset), and max(limit // 5, batch_size) held-out images.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import ml_collections
import numpy as np

from gen_tickets.config import registries
from gen_tickets.data import about as about_lib
from gen_tickets.data import tfds
from gen_tickets.data.decoding import Facts
from gen_tickets.data.readers import Read, Reader
from gen_tickets.data.stream import Stream
from gen_tickets.errors import UserError


class ImageSet(NamedTuple):
    """images: uint8 [N, H, W, C], or a `Stream` of them; labels: int32 [N] or None."""

    images: Any
    labels: np.ndarray | None


class Dataset(NamedTuple):
    """Two image sets, and their provenance (a JSON-serializable dict)."""

    train: ImageSet
    heldout: ImageSet
    provenance: dict[str, Any]


def check(config: ml_collections.ConfigDict) -> None:
    """Checks early that `load(config)` will find its data set.

    Reads only file names and headers; imports TFDS only for a download.

    Raises:
      UserError: the set is missing or unreadable, or a batch is larger than the
        training set.
    """
    if not _must_download(config.data):
        _indices(_find(config.data), config.data)


def fetch(config: ml_collections.ConfigDict) -> None:
    """Downloads and prepares the set of `config.data`, if requested and missing."""
    if _must_download(config.data):
        tfds.prepare(config.data.dir, config.data.name)


def _read_all(read: Callable[[np.ndarray], Read], indices: np.ndarray) -> Read:
    return read(indices)


def load(
    config: ml_collections.ConfigDict, read_shares: Callable[..., Read] = _read_all
) -> Dataset:
    """Reads the images of `config.data`; downloads them if requested.

    Args:
      config: all options.
      read_shares: (read, indices) → read(indices); with several processes, each may
        read a part.

    Raises:
      UserError: as in `check`, and for images that are broken, of different sizes if
        `image_size` is 0, or without 1 or 3 channels.
    """
    data = config.data
    fetch(config)
    reader = _find(data)
    chosen = _indices(reader, data)
    crop, size = data.crop or reader.crop, data.image_size or reader.size
    sets, facts = [], Facts()
    for i, (split, indices) in enumerate(chosen):
        read = functools.partial(_read, reader, split, crop, size)
        if i == 0 and reader.streams and not data.resident:
            stream = Stream(read, indices)
            sets.append(ImageSet(stream, None))
            facts.update(stream.facts)
        else:
            images, labels, found = read_shares(read, indices)
            sets.append(ImageSet(images, labels))
            facts.update(found)
    train, heldout = sets
    if train.images.shape[1:] != heldout.images.shape[1:]:
        raise UserError(
            f"data.image_size={data.image_size}",
            f"training images are {train.images.shape[1:]}, held-out ones "
            f"{heldout.images.shape[1:]}",
            "give a size to which all are resized, such as 64",
        )
    about = about_lib.describe(data, reader, train, heldout, facts)
    return Dataset(train, heldout, about)


def _read(
    reader: Reader, split: str, crop: int, size: int, indices: np.ndarray
) -> Read:
    images, labels, facts = reader.read(split, indices, crop, size)
    return images, labels, Facts(facts)  # custom readers may return a set


def steps_per_epoch(num_images: int, batch_size: int) -> int:
    """Full batches in one pass; the remainder is dropped (it differs by epoch)."""
    return num_images // batch_size


def order(
    seed: int,
    run: int,
    num_images: int,
    batch_size: int,
    first_step: int,
    num_steps: int,
    noise: int = 0,
) -> np.ndarray:
    """Batch order of one run → int32 [num_steps, batch_size], indices of images.

    Every epoch is a new permutation that depends on (seed, run, epoch, noise) only, so
    a window of the order is always the same slice of the whole.

    Args:
      seed, run: integers ≥ 0.
      num_images: at least batch_size.
      first_step, num_steps: the window, in steps counted from 0.
      noise: integer ≥ 0; each value gives another order.
    """
    per_epoch = steps_per_epoch(num_images, batch_size)
    if per_epoch < 1:
        raise ValueError(f"batch_size {batch_size} is larger than {num_images} images")
    first_epoch, skip = divmod(first_step, per_epoch)
    num_epochs = -(-(skip + num_steps) // per_epoch)
    batches: list[np.ndarray] = [np.zeros((0, batch_size), np.int32)]
    for epoch in range(first_epoch, first_epoch + num_epochs):
        words = (seed, run, epoch, noise) if noise else (seed, run, epoch)
        permutation = _generator(*words).permutation(num_images)
        permutation = permutation[: per_epoch * batch_size].astype(np.int32)
        batches.append(permutation.reshape(per_epoch, batch_size))
    return np.concatenate(batches)[skip : skip + num_steps]


def _generator(*words: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def _find(data: ml_collections.ConfigDict) -> Reader:
    """The reader of `config.data`; raises UserError if there is nothing to read."""
    if data.name in registries.data_set.names():
        return registries.data_set.get(data.name).find(data)
    path = tfds.find_prepared(data.dir, data.name)
    if path is None:
        raise tfds.missing(data)
    return tfds.find_tfds(path)


def _must_download(data: ml_collections.ConfigDict) -> bool:
    """Whether the set is a missing TFDS set and a download was requested."""
    if data.name in registries.data_set.names() or not data.download:
        return False
    if tfds.find_prepared(data.dir, data.name) is not None:
        return False
    tfds.check_known(data.name)
    return True


def _indices(
    reader: Reader, data: ml_collections.ConfigDict
) -> list[tuple[str, np.ndarray]]:
    """[(split, sorted indices)] of the training images, then of the held-out ones."""
    train = np.arange(reader.counts["train"])
    if reader.heldout is None:
        heldout_split, heldout = "train", train[::10]
        train = train[train % 10 != 0]
    else:
        heldout_split = reader.heldout
        heldout = np.arange(reader.counts[heldout_split])
    if data.limit:
        train = _limited(train, data.limit)
        heldout = _limited(heldout, max(data.limit // 5, data.batch_size))
    if data.batch_size > len(train):
        raise UserError(
            f"data.batch_size={data.batch_size}",
            f"is larger than the training set of {len(train)} images",
            "give a smaller batch or more images",
        )
    return [("train", train), (heldout_split, heldout)]


def _limited(indices: np.ndarray, limit: int) -> np.ndarray:
    """A fixed choice of `limit` indices, sorted; a subset of that of a larger limit."""
    return np.sort(indices[_generator(0).permutation(len(indices))[:limit]])
