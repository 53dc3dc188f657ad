"""Headers of the arrays in an .npz, read before any of its arrays.

NumPy allocates the shape and dtype that a header claims, so the headers of an untrusted
file are checked first.
"""

import math
import os
import zipfile
from typing import BinaryIO

import numpy as np

Headers = dict[str, tuple[tuple[int, ...], np.dtype]]  # {name: (shape, dtype)}


def headers(file: str | os.PathLike[str] | BinaryIO) -> Headers:
    """Returns {name: (shape, dtype)} of the arrays in an .npz.

    Args:
      file: path, or file opened for reading bytes.

    Raises:
      OSError, ValueError, zipfile.BadZipFile, zlib.error: it is no .npz.
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
    """Memory that arrays with these headers take."""
    return sum(math.prod(shape) * dtype.itemsize for shape, dtype in arrays.values())
