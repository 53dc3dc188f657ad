"""Reads named arrays from untrusted files of torch.save and numpy.savez.

Needs no PyTorch and runs no code of the file (`unpickle`). Sizes are checked before
memory is allocated. Any problem with a file is a one-line `UserError`.
"""

import io
import math
import os
import zipfile
from collections.abc import Callable

import numpy as np

from gen_tickets.evaluation.features import unpickle
from gen_tickets.workdir import reading

MAX_BYTES = 2**28  # the public weights have 96 MB
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C


def read_arrays(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """{name: array} of a .pth file (either container of torch.save) or an .npz file.

    Raises:
      UserError: not such a file, truncated, corrupt, too large, or with contents other
        than named float32 and int64 arrays.
    """
    with reading.explained(
        path,
        ".pth or .npz file of arrays",
        "fetch or convert it again",
        field=f"weights={str(path)!r}",
    ):
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError(f"more than {MAX_BYTES} bytes")
        if not data.startswith(b"PK\x03\x04"):
            return _read_legacy(data)
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _members(archive)
            if any(name.endswith("/data.pkl") for name in members):
                return _read_zip(archive, members)
            return _read_npz(archive, members)


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """{name: its entry}, after checking the declared sizes."""
    entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
    return {entry.filename: entry for entry in entries}


def _read_npz(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]
) -> dict[str, np.ndarray]:
    arrays = {}
    for name, entry in members.items():
        stream = io.BytesIO(archive.read(entry))
        version = np.lib.format.read_magic(stream)
        if version != (1, 0):
            raise ValueError(f"{name} is no plain .npy array")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
        if dtype.hasobject:
            raise ValueError(f"{name} holds objects")
        flat = np.frombuffer(stream.read(), dtype)
        arrays[name.removesuffix(".npy")] = flat.reshape(
            shape, order="F" if fortran else "C"
        )
    return arrays


def _read_zip(
    archive: zipfile.ZipFile, members: dict[str, zipfile.ZipInfo]
) -> dict[str, np.ndarray]:
    """The container of PyTorch 1.6 and later: one member per storage."""
    name = next(name for name in members if name.endswith("/data.pkl"))
    root = name.removesuffix("data.pkl")
    order = members.get(root + "byteorder")
    if order is not None and archive.read(order) != b"little":
        raise ValueError("big-endian numbers")
    state, _ = unpickle.load(archive.read(members[name]))
    cache = {}

    def numbers(storage: unpickle.Storage) -> np.ndarray:
        if storage.key not in cache:
            cache[storage.key] = archive.read(members[f"{root}data/{storage.key}"])
        return np.frombuffer(cache[storage.key], storage.dtype)

    return _arrays(state, numbers)


def _read_legacy(data: bytes) -> dict[str, np.ndarray]:
    """The container before PyTorch 1.6: five pickles, then the storages in order."""
    magic, position = unpickle.load(data)
    if magic != _LEGACY_MAGIC:
        raise ValueError("it does not begin as a file of torch.save")
    _, position = unpickle.load(data, position)
    system, position = unpickle.load(data, position)
    if system.get("little_endian") is not True:
        raise ValueError("big-endian numbers")
    state, position = unpickle.load(data, position)
    keys, position = unpickle.load(data, position)
    storages = {
        tensor.storage.key: tensor.storage for tensor in _tensors(state).values()
    }
    cache = {}
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(data[position : position + 8], "little")
        position += 8
        if count != storage.size:
            raise ValueError(f"storage {key} has {count} numbers for {storage.size}")
        # Refuses to read beyond the end of the data.
        cache[key] = np.frombuffer(data, storage.dtype, count, position)
        position += cache[key].nbytes
    if position != len(data):
        raise ValueError(f"{len(data) - position} bytes too many")
    return _arrays(state, lambda storage: cache[storage.key])


def _tensors(state: object) -> dict[str, unpickle.Tensor]:
    """{name: tensor} of an unpickled state dict."""
    if not isinstance(state, dict):
        raise ValueError("not a state dict")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, unpickle.Tensor):
            raise ValueError(f"{str(name)[:80]!r} is not a named tensor")
    return state


def _arrays(
    state: object, numbers: Callable[[unpickle.Storage], np.ndarray]
) -> dict[str, np.ndarray]:
    """{name: array} of a state dict, given a function from storages to numbers."""
    arrays = {}
    for name, tensor in _tensors(state).items():
        flat = numbers(tensor.storage)
        if flat.size != tensor.storage.size:
            raise ValueError(f"storage of {name} has {flat.size} numbers")
        part = flat[tensor.offset : tensor.offset + math.prod(tensor.shape)]
        arrays[name] = part.reshape(tensor.shape)
    return arrays
