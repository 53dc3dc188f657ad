"""Writing .npz files, and reading the headers of their arrays before the arrays.

NumPy allocates what a header declares, so the headers of an untrusted file must be
checked first.
"""

import io
import math
import os
import pathlib
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

import numpy as np

from gen_tickets.workdir import paths

Headers = dict[str, tuple[tuple[int, ...], np.dtype]]  # {name: (shape, dtype)}


def write(
    path: str | pathlib.Path,
    arrays: Mapping[str, Any],
    save: Callable[..., None] = np.savez,
) -> None:
    """Writes named arrays to one file, atomically.

    Args:
      save: `np.savez`, or `np.savez_compressed`.

    Raises:
      UserError: the disk is full or not writable.
    """
    content = io.BytesIO()
    save(content, **arrays)
    paths.write_atomically(path, content.getvalue())


def headers(file: str | os.PathLike[str] | BinaryIO) -> Headers:
    """Returns {name: (shape, dtype)} of the arrays in an .npz.

    Args:
      file: path, or file opened for reading bytes.

    Raises:
      OSError, ValueError, zipfile.BadZipFile, zlib.error: it is not an .npz.
    """
    found = {}
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            with archive.open(name) as entry:
                version = np.lib.format.read_magic(entry)
                parse = np.lib.format.read_array_header_1_0
                if version != (1, 0):
                    parse = np.lib.format.read_array_header_2_0
                shape, _, dtype = parse(entry)
            found[name.removesuffix(".npy")] = (shape, dtype)
        if len(found) < len(archive.namelist()):
            raise ValueError("two arrays have one name")
    return found


def announced_bytes(arrays: Headers) -> int:
    """Memory in bytes of arrays with these headers."""
    return sum(math.prod(shape) * dtype.itemsize for shape, dtype in arrays.values())
