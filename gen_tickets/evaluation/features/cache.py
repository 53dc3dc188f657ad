"""Disk cache of computed arrays; the key has everything they depend on.

A key is a JSON-serializable dict. A file holds the arrays, the key and a SHA-256 of the
arrays. It is written atomically and verified when read. A damaged file is recomputed;
a file that cannot be read is not changed. The folder is `weights.cache_folder`.
"""

import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gen_tickets.console import display
from gen_tickets.errors import Damaged, UserError
from gen_tickets.evaluation.features import weights
from gen_tickets.workdir import npz, reading

_ABOUT = "about"


def short_hash(key: Mapping[str, Any]) -> str:
    """The first 12 hex digits of a key's SHA-256."""
    text = json.dumps(key, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 over names, types, shapes and values, 64 hex digits."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(array.data)
    return total.hexdigest()


def path_of(kind: str, key: Mapping[str, Any]) -> pathlib.Path:
    """The file of a key; its name starts with `kind`."""
    return weights.cache_folder() / f"{kind}_{short_hash(key)}.npz"


def fetch(
    kind: str, key: Mapping[str, Any], compute: Callable[[], Mapping[str, ArrayLike]]
) -> dict[str, np.ndarray]:
    """The arrays of a key: from the cache, or computed and stored there.

    Args:
      kind: prefix of the file name.
      key: everything that the arrays depend on.
      compute: () -> {name: array}, without object dtypes.
    """
    path, may_replace = path_of(kind, key), True
    try:
        with reading.explained(path, "file of cached arrays"):
            if reading.is_there(path):
                return _read(path, key)
    except Damaged:
        display.say(f"{path}: damaged; computed again")
    except UserError as error:
        may_replace = False  # it may be intact
        display.say(f"{error}; computed for this run only")
    arrays = {name: np.asarray(array) for name, array in compute().items()}
    if may_replace:
        try:
            npz.write(path, {**arrays, _ABOUT: _about(key, arrays)})
        except UserError as error:
            display.say(f"not cached: {error}")
    return arrays


def _about(key: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    about = json.dumps({"key": key, "sha256": digest(arrays)})
    return np.frombuffer(about.encode(), np.uint8)


def _read(path: pathlib.Path, key: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of a file; raises ValueError if they do not belong to the key."""
    # Opened here, because np.load does not close a file that is not a zip.
    with open(path, "rb") as file, np.load(file, allow_pickle=False) as found:
        arrays = dict(found)
    about = json.loads(arrays.pop(_ABOUT).tobytes())
    if about != {"key": json.loads(json.dumps(key)), "sha256": digest(arrays)}:
        raise ValueError("its key or its SHA-256 differs")
    return arrays
