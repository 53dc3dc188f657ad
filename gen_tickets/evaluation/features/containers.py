"""Reads named arrays from files of torch.save and numpy.savez, trusting nothing.

Neither PyTorch nor `pickle` takes part: the pickled description in a PyTorch file is
read opcode by opcode into dicts, tuples, strings and numbers, and the few names that a
state dict is made of are recognized, never imported or called. Sizes are checked before
memory is taken. Whatever is wrong with a file is a `UserError` of one line.
"""

import io
import math
import pickletools
import zipfile
from typing import NamedTuple

import numpy as np

from gen_tickets.errors import UserError

MAX_BYTES = 2**28  # the public weights have 96 MB
_MAX_PICKLE = 2**24
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_DTYPES = {"torch FloatStorage": np.dtype("<f4"), "torch LongStorage": np.dtype("<i8")}


class _Name(NamedTuple):
    """A global that a pickle names; never looked up."""

    text: str


class _Storage(NamedTuple):
    """A run of numbers that lies elsewhere in the file."""

    key: str
    dtype: np.dtype
    count: int


class _Tensor(NamedTuple):
    """A view of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_arrays(path):
    """{name: array} of a .pth file (either container of torch.save) or an .npz file.

    Raises:
      UserError: not such a file, cut off, corrupt, too large, or it holds anything but
        named float32 and int64 arrays.
    """
    try:
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
    # Any exception: in a damaged file everything can be wrong.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(
            f"weights={str(path)!r}: not a readable .pth or .npz file of arrays "
            f"({reason}); fetch or convert it again"
        ) from error


def _members(archive):
    """{name: its entry}, after a look at the sizes that they claim."""
    entries = archive.infolist()
    if sum(entry.file_size for entry in entries) > MAX_BYTES:
        raise ValueError(f"it unpacks to more than {MAX_BYTES} bytes")
    return {entry.filename: entry for entry in entries}


def _read_npz(archive, members):
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


def _read_zip(archive, members):
    """The container of PyTorch 1.6 and later: one member a storage."""
    name = next(name for name in members if name.endswith("/data.pkl"))
    root = name.removesuffix("data.pkl")
    order = members.get(root + "byteorder")
    if order is not None and archive.read(order) != b"little":
        raise ValueError("big-endian numbers")
    state, _ = _unpickle(archive.read(members[name]), 0)
    cache = {}

    def numbers(storage):
        if storage.key not in cache:
            cache[storage.key] = archive.read(members[f"{root}data/{storage.key}"])
        return np.frombuffer(cache[storage.key], storage.dtype)

    return _arrays(state, numbers)


def _read_legacy(data):
    """The container before PyTorch 1.6: five pickles, then the storages in order."""
    magic, position = _unpickle(data, 0)
    if magic != _LEGACY_MAGIC:
        raise ValueError("it does not begin as a file of torch.save")
    _, position = _unpickle(data, position)
    system, position = _unpickle(data, position)
    if system.get("little_endian") is not True:
        raise ValueError("big-endian numbers")
    state, position = _unpickle(data, position)
    keys, position = _unpickle(data, position)
    storages = {
        tensor.storage.key: tensor.storage for tensor in _tensors(state).values()
    }
    cache = {}
    for key in keys:
        storage = storages[key]
        count = int.from_bytes(data[position : position + 8], "little")
        position += 8
        if count != storage.count:
            raise ValueError(f"storage {key} has {count} numbers for {storage.count}")
        # Refuses to read beyond the end of the data.
        cache[key] = np.frombuffer(data, storage.dtype, count, position)
        position += cache[key].nbytes
    if position != len(data):
        raise ValueError(f"{len(data) - position} bytes too many")
    return _arrays(state, lambda storage: cache[storage.key])


def _tensors(state):
    """{name: tensor} of an unpickled state dict."""
    if not isinstance(state, dict):
        raise ValueError("not a state dict")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, _Tensor):
            raise ValueError(f"{str(name)[:80]!r} is not a named tensor")
    return state


def _arrays(state, numbers):
    """{name: array}; each tensor must lie densely inside of its storage."""
    arrays = {}
    for name, tensor in _tensors(state).items():
        size = math.prod(tensor.shape)
        dense = tuple(
            math.prod(tensor.shape[i + 1 :]) for i in range(len(tensor.shape))
        )
        flat = numbers(tensor.storage)
        if flat.size != tensor.storage.count:
            raise ValueError(f"storage of {name} has {flat.size} numbers")
        if (
            tensor.offset < 0
            or tensor.offset + size > flat.size
            or any(
                extent != 1 and stride != expected
                for extent, stride, expected in zip(
                    tensor.shape, tensor.strides, dense, strict=True
                )
            )
        ):
            raise ValueError(f"{name} does not lie densely in its storage")
        part = flat[tensor.offset : tensor.offset + size]
        arrays[name] = part.reshape(tensor.shape)
    return arrays


def _unpickle(data, start):
    """(object, end) of the pickle at `start`: a stack machine without side effects."""
    stream = io.BytesIO(data[start : start + _MAX_PICKLE])
    stack, marks, memo = [], [], {}

    def above_mark():
        mark = marks.pop()
        items, stack[mark:] = stack[mark:], []
        return items

    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name == "STOP":
            return stack.pop(), start + stream.tell()
        if name in _LITERALS:
            stack.append(_LITERALS[name])
        elif name in _VALUES:
            stack.append(argument)
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name == "GLOBAL":
            stack.append(_Name(argument))
        elif name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "MARK":
            marks.append(len(stack))
        elif name == "TUPLE":
            stack.append(tuple(above_mark()))
        elif name in _TUPLES:
            items = tuple(stack.pop() for _ in range(_TUPLES[name]))
            stack.append(items[::-1])
        elif name in ("APPEND", "APPENDS"):
            items = above_mark() if name == "APPENDS" else [stack.pop()]
            stack[-1] += items
        elif name in ("SETITEM", "SETITEMS"):
            items = above_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            _set_items(stack[-1], items)
        elif name == "BINPERSID":
            stack.append(_storage(stack.pop()))
        elif name == "REDUCE":
            arguments = stack.pop()
            stack.append(_construct(stack.pop(), arguments))
        elif name == "BUILD":
            stack.pop()  # attributes of the dict, such as module versions
        elif name != "PROTO":
            raise ValueError(f"opcode {name} has no place in a state dict")
    raise ValueError("a pickle without an end")


_LITERALS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_VALUES = ("BINUNICODE", "SHORT_BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1")
_EMPTY = {"EMPTY_DICT": dict, "EMPTY_LIST": list}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _set_items(target, items):
    # Only strings and numbers as keys: to hash a nested tuple can take forever.
    if not isinstance(target, dict) or not all(
        type(key) in (str, int) for key in items[::2]
    ):
        raise ValueError("a dict with keys that are not names")
    target.update(zip(items[::2], items[1::2], strict=True))


def _storage(described):
    """The storage of a persistent id (kind, type, key, device, count[, view])."""
    kind, name, key, _, count = described[:5]
    view = described[5:]
    if kind != "storage" or not isinstance(name, _Name) or name.text not in _DTYPES:
        raise ValueError("a tensor that is neither float32 nor int64")
    if type(key) is not str or type(count) is not int or view not in ((), (None,)):
        raise ValueError("a storage without a plain key and size")
    if not 0 <= count * _DTYPES[name.text].itemsize <= MAX_BYTES:
        raise ValueError(f"a storage of {count} numbers")
    return _Storage(key, _DTYPES[name.text], count)


def _construct(name, arguments):
    """What calling the named global would give, for the names of a state dict."""
    if name == _Name("collections OrderedDict") and arguments == ():
        return {}
    if name == _Name("torch._utils _rebuild_parameter"):
        return arguments[0]
    if name != _Name("torch._utils _rebuild_tensor_v2"):
        raise ValueError(f"it names {str(getattr(name, 'text', name))[:80]!r}")
    storage, offset, shape, strides = arguments[:4]
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, _Storage) or not all(
        type(number) is int and number >= 0 for number in numbers
    ):
        raise ValueError("a tensor without a plain shape")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))
