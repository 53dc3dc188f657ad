"""Checkpoints: the state of a training, stored by Orbax and verified when read.

Orbax writes under a temporary name and renames at the end. A checksum of every array is
stored too, so a damaged checkpoint is detected; it is moved to `damaged/`, and the
previous one is used. A checkpoint that cannot be read stops the run and is not touched.
Arrays may be distributed over devices and processes, and are restored with the
shardings of the template: training on 8 devices can continue on 1.
"""

import contextlib
import inspect
import logging
import os
import pathlib
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
from jaxtyping import Array, UInt32

from gen_tickets import trees
from gen_tickets.distributed import processes
from gen_tickets.errors import Damaged, UserError
from gen_tickets.trees import Tree
from gen_tickets.workdir import paths, reading

_PIECE = 2**18  # words of a checksum that are in memory at a time

#: position -> pytree of `jax.ShapeDtypeStruct`
MakeTemplate = Callable[[list[Any]], Tree]

# Orbax logs every step, and errors that it raises anyway.
logging.getLogger("absl").setLevel(logging.CRITICAL)


@contextlib.contextmanager
def _quiet_if_failed() -> Iterator[None]:
    """Silences what Orbax leaves behind during and after a failed save or restore.

    It raises at the first array that cannot be written or read and closes its event
    loop. For each other array, a thread of TensorStore would then print that the loop
    is closed, an abandoned coroutine that it was interrupted, or asyncio that nobody
    has asked for its error.
    """
    hook, asyncio_logger = sys.unraisablehook, logging.getLogger("asyncio")

    def leave_out_orbax(raised: "sys.UnraisableHookArgs") -> None:
        left: Any = raised.object
        is_coroutine = inspect.iscoroutine(left) and "orbax" in left.cr_code.co_filename
        if not is_coroutine and str(raised.exc_value) != "Event loop is closed":
            hook(raised)

    sys.unraisablehook = leave_out_orbax
    asyncio_logger.addFilter(_is_retrieved)
    yield
    # Not after an error: threads are still running.
    sys.unraisablehook = hook
    asyncio_logger.removeFilter(_is_retrieved)


def _is_retrieved(record: logging.LogRecord) -> bool:
    return "exception was never retrieved" not in record.getMessage()


def _words(x: Array) -> UInt32[Array, "..."]:
    """The bits of an array as uint32, one word per element."""
    if x.dtype == bool:
        return x.astype(jnp.uint32)
    width = jnp.dtype(f"uint{8 * x.dtype.itemsize}")
    return jax.lax.bitcast_convert_type(x, width).astype(jnp.uint32)


def _checksum(x: Array) -> UInt32[Array, ""]:
    """Sum of element i * (2 i + 1), modulo 2^32.

    The odd factors are invertible, so a single changed element is always detected. A
    sum can be computed on sharded arrays, in any order.
    """
    place, stride = jnp.zeros(x.shape, jnp.uint32), 1
    for axis in reversed(range(x.ndim)):
        index = jax.lax.broadcasted_iota(jnp.uint32, x.shape, axis)
        place, stride = (
            place + index * jnp.uint32(stride % 2**32),
            stride * x.shape[axis],
        )
    return (_words(x) * (2 * place + 1)).sum(dtype=jnp.uint32)


@jax.jit
def _device_checksums(leaves: dict[str, Array]) -> dict[str, UInt32[Array, ""]]:
    return {name: _checksum(x) for name, x in leaves.items()}


def _is_on_host(x: Array) -> bool:
    devices = x.devices()
    return x.is_fully_addressable and all(one.platform == "cpu" for one in devices)


def _host_checksum(x: np.ndarray) -> int:
    """As `_checksum`, a piece at a time."""
    x = np.ascontiguousarray(x).reshape(-1)
    words, total = x if x.dtype == bool else x.view(f"u{x.dtype.itemsize}"), 0
    factors = 2 * np.arange(min(_PIECE, len(words)), dtype=np.uint32) + 1
    for start in range(0, len(words), _PIECE):
        piece = words[start : start + _PIECE].astype(np.uint32, copy=False)
        total += int((piece * factors[: len(piece)]).sum(dtype=np.uint32))
        total += 2 * start * int(piece.sum(dtype=np.uint32))
    return total % 2**32


def _checksums(leaves: dict[str, Array]) -> dict[str, int]:
    if all(map(_is_on_host, leaves.values())):  # NumPy compiles nothing
        return {name: _host_checksum(np.asarray(x)) for name, x in leaves.items()}
    sums = processes.to_host(_device_checksums(leaves))
    return {name: int(x) for name, x in sums.items()}


class Checkpoints:
    """The last two checkpoints of a workdir."""

    def __init__(self, workdir: str | os.PathLike[str]):
        options = ocp.CheckpointManagerOptions(
            max_to_keep=2,
            create=True,
            enable_async_checkpointing=False,
            cleanup_tmp_directories=True,  # left by a killed save
        )
        folder = paths.checkpoints_dir(workdir).absolute()
        try:
            self._manager = ocp.CheckpointManager(folder, options=options)
        except (OSError, ValueError) as error:
            raise UserError(
                folder, f"cannot be used ({reading.reason(error)})"
            ) from error

    def save(self, number: int, tree: Tree, position: list[Any]) -> None:
        """Saves a pytree of arrays and a JSON-serializable position.

        Args:
          number: increases with every save; an existing number is not overwritten.
          tree: pytree of arrays, without typed PRNG keys.
          position: progress of the experiment.

        Raises:
          UserError: the disk is full or not writable.
        """
        if number in self._manager.all_steps():
            return
        leaves = trees.named_leaves(tree)
        meta = {"position": position, "checksums": _checksums(leaves)}
        try:
            with _quiet_if_failed():
                self._manager.save(
                    number,
                    args=ocp.args.Composite(
                        arrays=ocp.args.StandardSave(leaves),
                        meta=ocp.args.JsonSave(meta),
                    ),
                )
        except Exception as error:  # TensorStore raises many kinds
            raise UserError(
                self._manager.directory,
                f"checkpoint {number} cannot be written ({reading.reason(error)})",
                "make room or mend that, then run the same command to continue from "
                "the one before",
            ) from error

    def _load(
        self, number: int, make_template: MakeTemplate
    ) -> tuple[Tree, dict[str, Array], dict[str, Any]]:
        """-> (template, arrays, meta)."""
        place, field = self._place(number), f"checkpoint {number}"
        with reading.explained(place, "checkpoint", field=field), _quiet_if_failed():
            meta = self._manager.restore(
                number, args=ocp.args.Composite(meta=ocp.args.JsonRestore())
            )["meta"]
            template = make_template(meta["position"])
            shapes = trees.named_leaves(template)
            arrays = self._manager.restore(
                number, args=ocp.args.Composite(arrays=ocp.args.StandardRestore(shapes))
            )["arrays"]
            return template, arrays, meta

    def _read(self, number: int, make_template: MakeTemplate) -> tuple[Tree, list[Any]]:
        # If one process cannot read it, the others must not use it either.
        template, arrays, meta = processes.together(
            lambda: self._load(number, make_template)
        )
        if _checksums(arrays) != meta["checksums"]:
            raise Damaged(f"checkpoint {number}", "the checksum of an array is wrong")
        return trees.like(template, arrays), meta["position"]

    def restore(self, make_template: MakeTemplate) -> tuple[Tree, list[Any]] | None:
        """Reads the newest intact checkpoint; moves damaged ones aside.

        Args:
          make_template: position -> pytree of `jax.ShapeDtypeStruct`.

        Returns:
          (tree, position), or None if there is no checkpoint.

        Raises:
          UserError: a checkpoint cannot be read (it may be intact), or all are damaged;
            nothing is moved.
        """
        numbers = sorted(self._manager.all_steps(), reverse=True)
        damaged: list[Damaged] = []
        for number in numbers:
            try:
                restored = self._read(number, make_template)
            except Damaged as error:
                damaged.append(error)
                continue
            self._move_aside(numbers[: len(damaged)], damaged)
            return restored
        if damaged:
            raise UserError(
                self._manager.directory,
                f"every checkpoint is damaged ({damaged[0]})",
                "put one back, or move the folder away to start again from round 0",
            )
        return None

    def _place(self, number: int) -> pathlib.Path:
        return pathlib.Path(self._manager.directory) / str(number)

    def _move_aside(self, numbers: list[int], errors: list[Damaged]) -> None:
        """Moves damaged checkpoints away, so that later saves can use their numbers."""
        if not numbers:
            return

        def move() -> bool:
            for number, error in zip(numbers, errors, strict=True):
                target = paths.move_into(self._place(number), "damaged")
                print(
                    f"checkpoint {number} is damaged: {error.problem}; it is now "
                    f"{target}",
                    file=sys.stderr,
                )
            return True

        processes.together(lambda: processes.is_first() and move())
        self._manager.reload()

    def close(self) -> None:
        self._manager.close()
