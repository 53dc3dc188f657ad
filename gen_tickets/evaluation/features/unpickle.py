"""Unpickles the description of a state dict in a PyTorch file without running code.

Accepts only an allow-list of opcodes. Globals named in a pickle are recognized, never
imported. Storages are described, not read.
"""

import io
import math
import pickle
import pickletools
from typing import Any, BinaryIO, NamedTuple

import numpy as np

_MAX_BYTES = 2**28  # of a storage
_MAX_PICKLE = 2**24
_MAX_MEMO = 2**16
_MAX_AXES = 8
_DTYPES: dict[str, np.dtype] = {
    "torch FloatStorage": np.dtype("<f4"),
    "torch LongStorage": np.dtype("<i8"),
}
_REUSABLE = ("GLOBAL", "BINUNICODE", "SHORT_BINUNICODE")
_OPCODES = frozenset(
    "PROTO STOP MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 BINUNICODE "
    "SHORT_BINUNICODE EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_LIST APPEND APPENDS "
    "EMPTY_DICT SETITEM SETITEMS BINPUT LONG_BINPUT BINGET LONG_BINGET GLOBAL REDUCE "
    "BINPERSID BUILD".split()
)


class Storage(NamedTuple):
    """An array of numbers elsewhere in the file."""

    key: str
    dtype: np.dtype
    size: int  #: numbers


class Tensor(NamedTuple):
    """A view of a storage."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def check_contiguous(self) -> None:
        """Raises ValueError unless the tensor is contiguous and inside its storage."""
        size = math.prod(self.shape)
        steps = [math.prod(self.shape[i + 1 :]) for i in range(len(self.shape))]
        sides = zip(self.shape, self.strides, steps, strict=True)
        if self.offset + size > self.storage.size or any(
            extent != 1 and stride != step for extent, stride, step in sides
        ):
            raise ValueError("a tensor that is not contiguous in its storage")


class _StateDict(dict):
    """An OrderedDict, without attributes such as the versions of modules."""

    def __setstate__(self, state: object) -> None:
        pass


class _Global(NamedTuple):
    """A global named in a pickle."""

    name: str

    def __call__(self, *arguments: Any) -> Any:
        """The return value of the global, for the names used in state dicts."""
        if self.name == "collections OrderedDict" and not arguments:
            return _StateDict()
        if self.name == "torch._utils _rebuild_parameter":
            return arguments[0]
        if self.name == "torch._utils _rebuild_tensor_v2":
            return _tensor(*arguments[:4])
        raise ValueError(f"it names {self.name[:80]!r}")


def _tensor(
    storage: object, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> Tensor:
    numbers = (offset, *shape, *strides)
    if (
        not isinstance(storage, Storage)
        or len(shape) > _MAX_AXES
        or not all(type(number) is int and number >= 0 for number in numbers)
    ):
        raise ValueError("a tensor without a plain shape")
    tensor = Tensor(storage, offset, tuple(shape), tuple(strides))
    tensor.check_contiguous()
    return tensor


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> _Global:
        return _Global(f"{module} {name}")

    def persistent_load(self, pid: Any) -> Storage:
        """The storage of (kind, type, key, device, count[, view])."""
        kind, dtype, key, _, count, *view = pid
        if kind != "storage" or getattr(dtype, "name", None) not in _DTYPES:
            raise ValueError("a tensor that is neither float32 nor int64")
        if type(key) is not str or type(count) is not int or view not in ([], [None]):
            raise ValueError("a storage without a plain key and size")
        storage = Storage(key, _DTYPES[dtype.name], count)
        if not 0 <= count * storage.dtype.itemsize <= _MAX_BYTES:
            raise ValueError(f"a storage of {count} numbers")
        return storage


def load(data: bytes, start: int = 0) -> tuple[Any, int]:
    """Unpickles dicts, lists, tuples, strings, numbers and tensors.

    Args:
      data: bytes that contain the pickle.
      start: position at which the pickle starts.

    Returns:
      (object, position after the pickle).

    Raises:
      Exception: of any type, if it is not a pickle of a state dict.
    """
    stream = io.BytesIO(data[start : start + _MAX_PICKLE])
    _check_opcodes(stream)
    end = start + stream.tell()
    stream.seek(0)
    return _Unpickler(stream).load(), end


def _check_opcodes(stream: BinaryIO) -> None:
    """Reads a pickle to its end; raises unless it has only parts of state dicts.

    Only strings and globals may be referenced twice, so the objects are no larger than
    the pickle, and hashing takes no longer. The memo is an array up to its last index.
    """
    reusable: dict[int, bool] = {}
    before = ""
    argument: Any  # of the memo's opcodes an index
    for opcode, argument, _ in pickletools.genops(stream):
        name = opcode.name
        if name not in _OPCODES:
            raise ValueError(f"opcode {name} has no place in a state dict")
        if name in ("BINPUT", "LONG_BINPUT"):
            if argument >= _MAX_MEMO:
                raise ValueError(f"a memo of {argument} objects")
            reusable[argument] = before in _REUSABLE
        elif name in ("BINGET", "LONG_BINGET") and not reusable.get(argument):
            raise ValueError("an object that is used twice")
        before = name
