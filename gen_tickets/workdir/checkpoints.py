"""Checkpoints: the state of a training, stored by Orbax and verified when read.

Orbax writes under a temporary name and renames at the end. A checksum of every array is
stored too, so a damaged checkpoint is detected and the previous one is used. Arrays may
be distributed over devices and processes, and are restored with the shardings of the
template: training on 8 devices can continue on 1.
"""

import logging
import sys

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from gen_tickets import trees
from gen_tickets.distributed import processes
from gen_tickets.errors import UserError
from gen_tickets.workdir import paths

logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax logs every step at INFO.


def _words(x):
    """The bits of an array as uint32, one word per element."""
    if x.dtype == bool:
        return x.astype(jnp.uint32)
    width = jnp.dtype(f"uint{8 * x.dtype.itemsize}")
    return jax.lax.bitcast_convert_type(x, width).astype(jnp.uint32)


def _checksum(x):
    """Sum of element i * (2 i + 1), modulo 2^32.

    The odd factors are invertible, so that a single changed element is always detected;
    a sum can be computed on sharded arrays, in any order.
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
def _device_checksums(leaves):
    return {name: _checksum(x) for name, x in leaves.items()}


def _checksums(leaves) -> dict[str, int]:
    sums = processes.to_host(_device_checksums(leaves))
    return {name: int(x) for name, x in sums.items()}


def _reason(error) -> str:
    return (str(error).splitlines() or [repr(error)])[0][:200]


class Checkpoints:
    """The last two checkpoints of a workdir."""

    def __init__(self, workdir):
        options = ocp.CheckpointManagerOptions(
            max_to_keep=2,
            create=True,
            enable_async_checkpointing=False,
            cleanup_tmp_directories=True,  # left by a killed save
        )
        folder = paths.checkpoints_dir(workdir).absolute()
        try:
            self._manager = ocp.CheckpointManager(folder, options=options)
        except OSError as error:
            raise UserError(folder, f"cannot be used ({_reason(error)})") from error

    def save(self, number: int, tree, position: list) -> None:
        """Saves a pytree of arrays and a JSON-able position.

        Args:
          number: increases with every save; an existing number is not overwritten.
          tree: pytree of arrays, without typed PRNG keys.
          position: how far the experiment is.

        Raises:
          UserError: the disk is full or not writable.
        """
        if number in self._manager.all_steps():
            return
        leaves = trees.named_leaves(tree)
        meta = {"position": position, "checksums": _checksums(leaves)}
        try:
            self._manager.save(
                number,
                args=ocp.args.Composite(
                    arrays=ocp.args.StandardSave(leaves), meta=ocp.args.JsonSave(meta)
                ),
            )
        except Exception as error:  # tensorstore raises many kinds
            raise UserError(
                self._manager.directory,
                f"checkpoint {number} cannot be written ({_reason(error)})",
                "make room or mend that, then the same command goes on from the one "
                "before",
            ) from error

    def _load(self, number: int, make_template):
        """-> (template, arrays, meta); any failure is a UserError."""
        try:
            meta = self._manager.restore(
                number, args=ocp.args.Composite(meta=ocp.args.JsonRestore())
            )["meta"]
            template = make_template(meta["position"])
            shapes = trees.named_leaves(template)
            arrays = self._manager.restore(
                number, args=ocp.args.Composite(arrays=ocp.args.StandardRestore(shapes))
            )["arrays"]
            return template, arrays, meta
        except Exception as error:  # Orbax and tensorstore raise many kinds.
            raise UserError(f"checkpoint {number}", _reason(error)) from None

    def _read(self, number: int, make_template):
        # Together: if one process cannot read it, the others must not use it either.
        template, arrays, meta = processes.together(
            lambda: self._load(number, make_template)
        )
        if _checksums(arrays) != meta["checksums"]:
            raise UserError(
                f"checkpoint {number}", "an array does not have its checksum"
            )
        return trees.like(template, arrays), meta["position"]

    def restore(self, make_template):
        """Reads the newest intact checkpoint.

        Args:
          make_template: position -> pytree of `jax.ShapeDtypeStruct`.

        Returns:
          (tree, position), or None if there is no checkpoint.

        Raises:
          UserError: there are checkpoints, and all are damaged.
        """
        numbers = sorted(self._manager.all_steps(), reverse=True)
        for i, number in enumerate(numbers):
            try:
                restored = self._read(number, make_template)
            except UserError as error:
                print(
                    f"checkpoint {number} is damaged: {error.problem}", file=sys.stderr
                )
                continue
            for damaged in numbers[:i]:  # Out of the way of those saved from here on.
                self._manager.delete(damaged)
            return restored
        if numbers:
            raise UserError(
                self._manager.directory,
                "every checkpoint is damaged",
                "put one back, or remove the folder to start again from round 0",
            )
        return None

    def close(self) -> None:
        self._manager.close()
