"""Reads the images of a prepared TFDS set, with or without TensorFlow.

Images are decoded here, so both ways give the same pixels in the same order.
"""

import functools
import io
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from gen_tickets.data.decoding import decode, open_image
from gen_tickets.data.readers import Read
from gen_tickets.errors import UserError
from gen_tickets.workdir import reading


def read(
    path: pathlib.Path,
    file_format: str,
    split: str,
    indices: np.ndarray,
    crop: int,
    size: int,
) -> Read:
    """The `Reader.read` of the set in the version folder `path`.

    Args:
      file_format: "array_record", read without TensorFlow, or "tfrecord", with it.
      split, indices, crop, size: as in `Reader.read`.

    Raises:
      UserError: a file is missing or damaged, or images cannot be read.
    """
    remedy = "copy or prepare the set again"
    with reading.explained(path, "set", remedy, field=f"data.dir, {path}"):
        return _read(path, file_format, split, indices, crop, size)


def _read(
    path: pathlib.Path,
    file_format: str,
    split: str,
    indices: np.ndarray,
    crop: int,
    size: int,
) -> Read:
    import tensorflow_datasets as tfds

    builder = _builder(path)
    name = builder.info.name
    features = dict(builder.info.features.items())
    channels = _channels(features, name)
    mode = "L" if channels == 1 else "RGB"
    labelled = isinstance(features.get("label"), tfds.features.ClassLabel)
    labels: list[int] = []

    def encoded() -> Iterator[bytes]:
        for example in _RECORDS[file_format](path, split, indices):
            labels.append(example["label"] if labelled else 0)
            yield example["image"]

    images, facts = decode(
        encoded(),
        len(indices),
        lambda data: open_image(io.BytesIO(data), mode, turn=False),
        lambda position: f"number {indices[position]} of {split}",
        crop,
        size,
        f"data.name={name}",
    )
    return images, np.asarray(labels, np.int32) if labelled else None, facts


def _channels(features: dict[str, Any], name: str) -> int | None:
    """Channels of the feature `image`, 1 or 3 (None, unknown, is read as RGB)."""
    import tensorflow_datasets as tfds

    image = features.get("image")
    if not isinstance(image, tfds.features.Image) or image.np_dtype != np.uint8:
        raise UserError(
            f"data.name={name}",
            f"no feature 'image' of uint8 [H, W, C] among {', '.join(features)}",
            "give an image set",
        )
    if len(image.shape) != 3 or image.shape[-1] not in (1, 3, None):
        raise UserError(
            f"data.name={name}",
            f"images of shape {image.shape}, of which 1 or 3 channels can be read",
            "give another set",
        )
    channels: int | None = image.shape[-1]
    return channels


@functools.lru_cache(maxsize=2)
def _builder(path: pathlib.Path) -> Any:
    """The builder of a prepared set, cached because reading its metadata is slow."""
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(path)


def _decoders() -> dict[str, Any]:
    import tensorflow_datasets as tfds

    return {"image": tfds.decode.SkipDecoding()}


@functools.lru_cache(maxsize=2)
def _source(path: pathlib.Path, split: str) -> Any:
    """The open files of a split, cached because streaming reads batch by batch."""
    return _builder(path).as_data_source(split=split, decoders=_decoders())


def _array_records(
    path: pathlib.Path, split: str, indices: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Examples at `indices`, by random access."""
    source = _source(path, split)
    for start in range(0, len(indices), 256):
        yield from source.__getitems__(indices[start : start + 256].tolist())


def _tf_records(
    path: pathlib.Path, split: str, indices: np.ndarray
) -> Iterator[dict[str, Any]]:
    """Examples at `indices` (sorted), by one pass over the files in their order."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    tf.config.set_visible_devices([], "GPU")  # JAX needs the accelerator's memory
    examples = _builder(path).as_dataset(
        split=split,
        decoders=_decoders(),
        read_config=tfds.ReadConfig(interleave_cycle_length=1),
    )
    wanted = iter(indices)
    next_index = next(wanted, None)
    for position, example in enumerate(tfds.as_numpy(examples)):
        if position == next_index:
            yield example
            next_index = next(wanted, None)
        if next_index is None:
            return


_RECORDS = {"array_record": _array_records, "tfrecord": _tf_records}
