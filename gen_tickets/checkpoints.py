"""Checkpoints: the whole of a training on disk through Orbax, checked when read.

Orbax writes under a temporary name and renames when all is there; the CRC-32 of every
array is kept beside it, so a damaged checkpoint is found out and the one before used.
"""

import logging
import sys
import zlib

import jax
import numpy as np
import orbax.checkpoint as ocp

from gen_tickets import paths, trees
from gen_tickets.errors import UserError

logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax tells every step at INFO.


def _checksum(leaf) -> int:
    return zlib.crc32(np.ascontiguousarray(leaf))


class Checkpoints:
    """The last two checkpoints of a workdir."""

    def __init__(self, workdir):
        options = ocp.CheckpointManagerOptions(
            max_to_keep=2, create=True, enable_async_checkpointing=False
        )
        folder = paths.checkpoints_dir(workdir).absolute()
        self._manager = ocp.CheckpointManager(folder, options=options)

    def save(self, number: int, tree, position: list) -> None:
        """Saves a pytree of arrays and a JSON-able position.

        Args:
          number: grows from save to save; a number that exists already is kept as is.
          tree: pytree of arrays; typed PRNG keys are not among them.
          position: where in the experiment this is.
        """
        if number in self._manager.all_steps():
            return
        leaves = trees.named_leaves(tree)
        sums = {name: _checksum(leaf) for name, leaf in leaves.items()}
        meta = {"position": position, "crc32": sums}
        self._manager.save(
            number,
            args=ocp.args.Composite(
                arrays=ocp.args.StandardSave(leaves), meta=ocp.args.JsonSave(meta)
            ),
        )

    def _read(self, number: int, make_template):
        meta = self._manager.restore(
            number, args=ocp.args.Composite(meta=ocp.args.JsonRestore())
        )["meta"]
        template = make_template(meta["position"])
        shapes = trees.named_leaves(template)
        arrays = self._manager.restore(
            number, args=ocp.args.Composite(arrays=ocp.args.StandardRestore(shapes))
        )["arrays"]
        for name, leaf in arrays.items():
            if _checksum(leaf) != meta["crc32"][name]:
                raise ValueError(f"{name} does not have its checksum")
        return trees.like(template, arrays), meta["position"]

    def restore(self, make_template):
        """Reads the newest intact checkpoint.

        Args:
          make_template: position -> pytree of `jax.ShapeDtypeStruct`.

        Returns:
          (tree, position), or None where there is no checkpoint.

        Raises:
          UserError: there are checkpoints, and all are damaged.
        """
        numbers = sorted(self._manager.all_steps(), reverse=True)
        for i, number in enumerate(numbers):
            try:
                restored = self._read(number, make_template)
            except Exception as error:  # Orbax and tensorstore raise many kinds.
                reason = (str(error).splitlines() or [repr(error)])[0][:200]
                print(f"checkpoint {number} is damaged: {reason}", file=sys.stderr)
                continue
            for damaged in numbers[:i]:  # Out of the way of those saved from here on.
                self._manager.delete(damaged)
            return restored
        if numbers:
            raise UserError(
                f"{self._manager.directory}: every checkpoint is damaged; put one "
                "back, or remove the folder to start again from round 0"
            )
        return None

    def close(self) -> None:
        self._manager.close()


def shapes_of(tree):
    """Pytree of ShapeDtypeStruct on the default device, as `restore` wants it."""
    place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree
    )
