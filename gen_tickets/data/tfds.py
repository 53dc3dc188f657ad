"""Prepared TFDS sets: finds and downloads them; `tfds_records` reads them.

Finding one reads file names and one small JSON file, and does not import TensorFlow
Datasets. Only `prepare`, requested by `data.download`, writes anything.
"""

import functools
import importlib.util
import json
import os
import pathlib
import re

import ml_collections

from gen_tickets.config import registries
from gen_tickets.data import tfds_records
from gen_tickets.data.readers import Reader
from gen_tickets.errors import UserError
from gen_tickets.workdir import paths, reading

_NAME = re.compile(r"(\w+)(?:/([\w.\-]+))?(?::(\d+\.\d+\.\d+))?")
_VERSION = re.compile(r"\d+\.\d+\.\d+")
# Sets whose default crop is smaller than the largest centre square:
# {name: (side of the crop, side after resizing)}.
_SIZES = {"celeb_a": (148, 64)}
_QUOTA = (
    " (Google Drive's download quota often refuses celeb_a, see "
    "tensorflow/datasets#1482; then the ways below are what is left)"
)
_OTHER_WAYS = (
    "data.dir=DIR with the prepared set, or data.name=folder data.dir=DIR with a "
    "folder of images"
)


def tfds_folder(directory: str) -> pathlib.Path:
    """The folder of prepared TFDS sets; '' means TFDS's own default."""
    default = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return paths.expanded(directory or default)


def parse_name(name: str) -> tuple[str, str | None, str | None]:
    """'name', 'name/config' and 'name:version' → (name, config, version)."""
    match = _NAME.fullmatch(name)
    if not match:
        raise UserError(
            f"data.name={name}",
            f"allowed is one of {', '.join(registries.data_set.names())}, or a TFDS "
            "set, written name, name/config or name:version",
        )
    name, config, version = match.groups()
    return name, config, version


def find_prepared(directory: str, name: str) -> pathlib.Path | None:
    """The folder `<directory>/<name>/<config>/<version>` of a prepared set, or None.

    Without a version in `name`, it is the highest one.
    """
    builder, config, version = parse_name(name)
    base = tfds_folder(directory) / builder / (config or "")
    versions = [version] if version else _versions(base)
    for candidate in versions:
        if (base / candidate / "dataset_info.json").is_file():
            return base / candidate
    return None


def _versions(base: pathlib.Path) -> list[str]:
    """Names of the version folders in `base`, highest first."""
    names = [path.name for path in base.iterdir()] if base.is_dir() else []
    names = [name for name in names if _VERSION.fullmatch(name)]
    return sorted(names, key=lambda name: [int(x) for x in name.split(".")])[::-1]


def find_tfds(path: pathlib.Path) -> Reader:
    """A prepared TFDS set in the version folder `path` → Reader.

    Reads array_record without TensorFlow, or tfrecord with it. Both are decoded here,
    so they give the same pixels in the same order.

    Raises:
      UserError: the set has no train split, or its format cannot be read here.
    """
    described = path / "dataset_info.json"
    with reading.explained(
        described,
        "description of a set",
        "prepare the set again",
        field=f"data.dir, {described}",
    ):
        info = json.loads(described.read_text(encoding="utf-8"))
        counts = {
            split["name"]: sum(int(n) for n in split.get("shardLengths", []))
            for split in info["splits"]
        }
    if not counts.get("train"):
        raise UserError(
            f"data.name={info['name']}",
            f"{path} has no images in a train split (it has "
            f"{', '.join(counts) or 'none'})",
            "give another set",
        )
    file_format = info.get("fileFormat", "tfrecord")  # older sets do not state it
    _check_format(file_format, path)
    read = functools.partial(tfds_records.read, path, file_format)
    heldout = next((s for s in ("test", "validation") if counts.get(s)), None)
    parts = [info["name"], info.get("configName"), path.name]
    about = {"reader": f"tfds {file_format}", "set": "/".join(filter(None, parts))}
    streams = file_format == "array_record"
    crop, size = _SIZES.get(info["name"], (0, 0))
    return Reader(counts, heldout, read, about, crop, size, streams)


def has_array_record() -> bool:
    """Whether array_record can be imported; it has no package on macOS."""
    return importlib.util.find_spec("array_record") is not None


def _check_format(file_format: str, path: pathlib.Path) -> None:
    needed = {"array_record": "array_record", "tfrecord": "tensorflow"}
    if file_format not in needed:
        raise UserError(
            "data.dir",
            f"{path} is prepared as {file_format}",
            "prepare it as array_record or tfrecord, which can be read",
        )
    if importlib.util.find_spec(needed[file_format]) is None:
        raise UserError(
            "data.dir",
            f"{path} is prepared as {file_format}, which needs the Python package "
            f"{needed[file_format]}",
            "install it, or prepare the set again in another folder with "
            "data.download=true",
        )


def missing(options: ml_collections.ConfigDict) -> UserError:
    """The error for a set that is not prepared, with all remedies."""
    quota = _QUOTA if parse_name(options.name)[0] == "celeb_a" else ""
    return UserError(
        f"data.name={options.name}",
        f"no prepared set in {tfds_folder(options.dir)}",
        f"give data.download=true{quota}, or {_OTHER_WAYS}",
    )


def check_known(name: str) -> None:
    """Raises UserError unless TFDS has a set of this name; uses no network.

    Of a set with configs the name must say which: TFDS's default would be prepared in
    the folder of its config, where the bare name does not find it.
    """
    import tensorflow_datasets as tfds

    builder, config, _ = parse_name(name)
    if builder not in tfds.list_builders(with_community_datasets=False):
        raise UserError(
            f"data.name={name}",
            "unknown",
            f"give one of {', '.join(registries.data_set.names())}, or the name of a "
            "TFDS set (tensorflow.org/datasets/catalog)",
        )
    configs = [x.name for x in tfds.builder_cls(builder).BUILDER_CONFIGS]
    if configs and config is None:
        raise UserError(
            f"data.name={name}",
            f"is a set with {len(configs)} configs",
            f"give {', '.join(f'{builder}/{x}' for x in configs[:5])}"
            + (", ..." if len(configs) > 5 else ""),
        )


def prepare(directory: str, name: str) -> pathlib.Path:
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
    except Exception as error:  # TFDS raises errors of many kinds
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            "data.download=True",
            f"{name} could not be downloaded and prepared ({type(error).__name__}: "
            f"{reason})",
            f"try again, or {_OTHER_WAYS}",
        ) from error
    return pathlib.Path(builder.data_dir)
