"""Prepared TFDS sets: found on disk, read with or without TensorFlow, downloaded.

Finding one looks at file names and one small JSON file and imports no TensorFlow
Datasets. Only `prepare`, which a user asks for with `--config.data.download=true`,
writes anything.
"""

import functools
import importlib.util
import io
import json
import os
import pathlib
import re

import numpy as np

from gen_tickets.data.decoding import decode, to_mode
from gen_tickets.data.readers import Reader
from gen_tickets.errors import UserError

_NAME = re.compile(r"(\w+)(?:/([\w.\-]+))?(?::(\d+\.\d+\.\d+))?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")


def tfds_folder(directory):
    """The folder of prepared TFDS sets; '' means TFDS's own default."""
    default = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return pathlib.Path(directory or default).expanduser()


def parse_name(name):
    """'name', 'name/config' and 'name:version' → (name, config, version)."""
    match = _NAME.fullmatch(name)
    if not match:
        raise UserError(
            f"config.data.name={name}: digits, folder, arrays, or a TFDS set written "
            "name, name/config or name:version"
        )
    return match.groups()


def find_prepared(directory, name):
    """The folder `<directory>/<name>/<config>/<version>` of a prepared set, or None.

    Without a version in `name` it is the highest one there.
    """
    builder, config, version = parse_name(name)
    base = tfds_folder(directory) / builder / (config or "")
    versions = [version] if version else _versions(base)
    for candidate in versions:
        if (base / candidate / "dataset_info.json").is_file():
            return base / candidate
    return None


def _versions(base):
    """Names of the version folders in `base`, highest first."""
    names = [path.name for path in base.iterdir()] if base.is_dir() else []
    names = [name for name in names if _VERSION.fullmatch(name)]
    return sorted(names, key=lambda name: [int(x) for x in name.split(".")])[::-1]


def find_tfds(path):
    """A prepared TFDS set in the version folder `path` → Reader.

    Reads array_record, without TensorFlow, or tfrecord, with it. The images' bytes
    are decoded here, so both give the same pixels in the same order.

    Raises:
      UserError: the set has no train split, or nothing here can read its format.
    """
    try:
        info = json.loads((path / "dataset_info.json").read_text(encoding="utf-8"))
        counts = {
            split["name"]: sum(int(n) for n in split.get("shardLengths", []))
            for split in info["splits"]
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"config.data.dir: {path / 'dataset_info.json'} cannot be read "
            f"({type(error).__name__}); prepare the set again"
        ) from error
    if not counts.get("train"):
        raise UserError(
            f"config.data.name={info['name']}: {path} has no images in a train split "
            f"(it has {', '.join(counts) or 'none'}); choose another set"
        )
    file_format = info.get("fileFormat", "tfrecord")  # older sets do not say
    _check_format(file_format, path)
    read_records = _RECORDS[file_format]

    def read(split, indices, crop, size):
        return _read_tfds(path, split, indices, crop, size, read_records)

    heldout = next((s for s in ("test", "validation") if counts.get(s)), None)
    parts = [info["name"], info.get("configName"), path.name]
    about = {"reader": f"tfds {file_format}", "set": "/".join(filter(None, parts))}
    streams = file_format == "array_record"
    return Reader(counts, heldout, read, about, streams)


def has_array_record():
    """Whether array_record can be imported; it has no package on macOS."""
    return importlib.util.find_spec("array_record") is not None


def _check_format(file_format, path):
    needed = {"array_record": "array_record", "tfrecord": "tensorflow"}
    if file_format not in needed:
        raise UserError(
            f"config.data.dir: {path} is prepared as {file_format}; array_record and "
            "tfrecord can be read, so prepare it as one of them"
        )
    if importlib.util.find_spec(needed[file_format]) is None:
        raise UserError(
            f"config.data.dir: {path} is prepared as {file_format}, which needs the "
            f"Python package {needed[file_format]}; install it, or prepare the set "
            "again in another folder with --config.data.download=true"
        )


def _read_tfds(path, split, indices, crop, size, read_records):
    """The `read` of a TFDS set; `indices` is sorted."""
    import tensorflow_datasets as tfds

    builder = _builder(path)
    name = builder.info.name
    features = dict(builder.info.features.items())
    channels = _channels(features, name)
    mode = "L" if channels == 1 else "RGB"
    labelled = isinstance(features.get("label"), tfds.features.ClassLabel)
    labels = []

    def encoded():
        for example in read_records(path, split, indices):
            labels.append(example["label"] if labelled else 0)
            yield example["image"]

    images, formats = decode(
        encoded(),
        len(indices),
        lambda data: _open_bytes(data, mode),
        lambda position: f"number {indices[position]} of {split}",
        crop,
        size,
        f"config.data.name={name}",
    )
    return images, np.asarray(labels, np.int32) if labelled else None, formats


def _open_bytes(data, mode):
    """Encoded bytes → (Pillow image in `mode`, its format)."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        return to_mode(image, mode), image.format


def _channels(features, name):
    """Channels of the feature `image`, 1 or 3 (None, unknown, is read as RGB)."""
    import tensorflow_datasets as tfds

    image = features.get("image")
    if not isinstance(image, tfds.features.Image) or image.np_dtype != np.uint8:
        raise UserError(
            f"config.data.name={name}: no feature 'image' of uint8 [H, W, C] among "
            f"{', '.join(features)}; choose an image set"
        )
    if len(image.shape) != 3 or image.shape[-1] not in (1, 3, None):
        raise UserError(
            f"config.data.name={name}: images of shape {image.shape}; 1 or 3 channels "
            "can be read, so choose another set"
        )
    return image.shape[-1]


@functools.lru_cache(maxsize=2)
def _builder(path):
    """The builder of a prepared set; reading what it is takes a while."""
    import tensorflow_datasets as tfds

    return tfds.builder_from_directory(path)


def _decoders():
    import tensorflow_datasets as tfds

    return {"image": tfds.decode.SkipDecoding()}


@functools.lru_cache(maxsize=2)
def _source(path, split):
    """The open files of a split: one that streams is read batch by batch."""
    return _builder(path).as_data_source(split=split, decoders=_decoders())


def _array_records(path, split, indices):
    """Examples at `indices`, by random access."""
    source = _source(path, split)
    for start in range(0, len(indices), 256):
        yield from source.__getitems__(indices[start : start + 256].tolist())


def _tf_records(path, split, indices):
    """Examples at `indices` (sorted), by one pass over the files in their order."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    tf.config.set_visible_devices([], "GPU")  # the accelerator's memory is JAX's
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


def known_to_tfds(name):
    """Whether TFDS has a builder of this name; asks no network."""
    import tensorflow_datasets as tfds

    return parse_name(name)[0] in tfds.list_builders(with_community_datasets=False)


def prepare(directory, name):
    """Downloads and prepares a TFDS set → its version folder.

    Raises:
      UserError: the download or the preparation failed.
    """
    import tensorflow_datasets as tfds

    file_format = "array_record" if has_array_record() else "tfrecord"
    try:
        builder = tfds.builder(
            name, data_dir=tfds_folder(directory), file_format=file_format
        )
        builder.download_and_prepare()
    except Exception as error:  # TFDS raises whatever its many sources raise
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"config.data.download=True: {name} could not be downloaded and prepared "
            f"({type(error).__name__}: {reason}); try again, or use --config.data.dir= "
            "with a prepared set, or --config.data.name=folder with a folder of images"
        ) from error
    return pathlib.Path(builder.data_dir)
