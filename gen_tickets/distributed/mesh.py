"""Placement of arrays: a mesh of devices with the axes `member` and `data`.

Members are distributed over devices first; if they cannot be divided evenly among all
devices, the remaining factor divides the batch. Arguments are placed with
`NamedSharding`; `jax.jit` and, in the loop, `jax.shard_map` (the successor of
`jax.pmap`) do the rest. Batch norm uses the whole batch, however it is divided.
"""

import math
from collections.abc import Sequence

import jax
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array

from gen_tickets.distributed import processes
from gen_tickets.errors import UserError
from gen_tickets.trees import Tree

MEMBER, DATA = "member", "data"


def divide(batch: jax.Array) -> jax.Array:
    """Divides a batch [N, ...] over the devices that train the same members.

    For use inside a population's loop. The compiler divides everything derived from a
    divided array. Every device would compute all of anything else, such as sampled
    latents or a slice in an inner loop. Without a mesh the batch is returned unchanged.
    """
    axes = jax.sharding.get_abstract_mesh().axis_names
    return lax.with_sharding_constraint(batch, P(DATA)) if DATA in axes else batch


class Layout:
    """The devices of an experiment; axis 0 of every array of a population is members.

    The number of members determines how they and their batches are divided, so
    populations of different sizes (runs, runs x arms) can use the same devices.
    """

    def __init__(self, devices: Sequence[jax.Device]) -> None:
        self.devices = tuple(devices)

    def mesh(self, num_members: int) -> Mesh:
        """The mesh; its `member` axis is the largest divisor of members and devices."""
        over_members = math.gcd(num_members, len(self.devices))
        shape = (over_members, len(self.devices) // over_members)
        grid = np.array(self.devices).reshape(shape)
        # Auto: the compiler derives all shardings from those of the arguments.
        return Mesh(grid, (MEMBER, DATA), axis_types=(AxisType.Auto, AxisType.Auto))

    def sharding(self, num_members: int) -> NamedSharding:
        """Axis 0 over the mesh's `member` axis, replicated along its `data` axis."""
        return NamedSharding(self.mesh(num_members), P(MEMBER))

    def members(self, tree: Tree) -> Tree:
        """Places a population; every leaf is [members, ...]."""
        return _place(tree, jax.tree.map(lambda x: self.sharding(len(x)), tree))

    def copies(self, tree: Tree) -> Tree:
        """Places a full copy on every device."""
        everywhere = NamedSharding(self.mesh(1), P())
        return _place(tree, jax.tree.map(lambda _: everywhere, tree))

    def batches(self, images: Tree) -> Array:
        """Places [members, steps, batch, ...]; a device gets only its own part."""
        return _place(images, self.batch_sharding(images.shape))

    def batch_sharding(self, shape: Sequence[int]) -> NamedSharding:
        """Sharding of [members, steps, batch, ...]; indivisible batches are copied."""
        mesh = self.mesh(shape[0])
        divides = shape[2] % mesh.shape[DATA] == 0
        return NamedSharding(mesh, P(MEMBER, None, DATA if divides else None))

    def shapes(self, tree: Tree) -> Tree:
        """Shapes and shardings of a placed population, for reading a checkpoint."""
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(
                x.shape, x.dtype, sharding=self.sharding(x.shape[0])
            ),
            tree,
        )

    def member(self, tree: Tree, index: int) -> Tree:
        """One member of a population, as arrays of this process's first device.

        All processes must call it. It takes the member on the host, which compiles
        nothing; of several members, give `processes.to_host(tree)`.
        """
        # A copy: a population's memory is reused by its next steps.
        member = jax.tree.map(lambda x: np.array(x[index]), processes.to_host(tree))
        return jax.device_put(member, self.mesh(1).local_devices[0])


def _same(tree: Tree) -> Tree:
    return tree


def _place(tree: Tree, shardings: Tree) -> Tree:
    """Moves arrays, from the host or between devices, to their shardings."""
    if jax.process_count() == 1:
        return jax.device_put(tree, shardings)
    leaves = jax.tree.leaves(tree)
    if all(isinstance(x, jax.Array) and not x.is_fully_addressable for x in leaves):
        return jax.jit(_same, out_shardings=shardings)(tree)
    return jax.tree.map(_give, tree, shardings)


def _give(x: jax.Array | np.ndarray, sharding: NamedSharding) -> Array:
    """Places x, of which every process has all, on the devices of all processes."""
    if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key):
        words = _give(jax.random.key_data(x), sharding)
        return jax.random.wrap_key_data(words, impl=jax.random.key_impl(x))
    x = np.asarray(x)
    return jax.make_array_from_callback(x.shape, sharding, lambda index: x[index])


def choose(num_devices: int) -> Layout:
    """The first `num_devices` devices; 0 = all.

    Raises:
      UserError: there are fewer, or with several processes some would be unused.
    """
    devices = jax.devices()
    if num_devices > len(devices):
        raise UserError(
            f"parallel.devices={num_devices}",
            f"there are {len(devices)} ({devices[0].device_kind})",
            "give a smaller number, or 0 for all",
        )
    if jax.process_count() > 1 and num_devices not in (0, len(devices)):
        raise UserError(
            f"parallel.devices={num_devices}",
            f"{jax.process_count()} processes use all their {len(devices)} devices",
            "give 0",
        )
    return Layout(devices[: num_devices or len(devices)])
