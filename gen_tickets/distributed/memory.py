"""Memory planning: how many members a device trains at a time.

XLA reports the memory of a compiled stretch: its arguments (weights, moments, masks,
images) and its working space. If all members of a device together need more memory than
it has, they train in waves, one after another within the same program.
"""

import contextlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.sharding import Mesh

from gen_tickets.errors import UserError
from gen_tickets.tasks.task import Task
from gen_tickets.training import loop
from gen_tickets.trees import Tree

_GIB = 2.0**30
_USABLE = 0.92  # of a device's memory; the rest is for the runtime and XLA's errors


def largest(bytes_of: Callable[[int], float], count: int, limit: float) -> int:
    """The largest divisor of `count` whose members together need <= `limit` bytes.

    Args:
      bytes_of: members at a time -> bytes needed on a device.
      count: members on a device.
      limit: bytes of a device.

    Raises:
      UserError: even a single member needs more.
    """
    for at_once in [n for n in range(count, 0, -1) if count % n == 0]:
        needed = bytes_of(at_once)
        if needed <= limit:
            return at_once
    raise UserError(
        "runs",
        f"a device has {limit / _GIB:.3g} GiB, and its members need "
        f"{needed / _GIB:.3g} GiB, even trained one at a time",
        "give fewer runs, a smaller data.batch_size or more devices",
    )


def memory_of(device: jax.Device) -> float:
    """Bytes of memory of a device available to a program."""
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return _USABLE * stats["bytes_limit"]
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return _USABLE * memory / jax.local_device_count()


def size_of(tree: Tree) -> int:
    """Bytes of a tree of arrays, or shapes with shardings, on one device."""
    return sum(
        math.prod(x.sharding.shard_shape(x.shape)) * x.dtype.itemsize
        for x in jax.tree.leaves(tree)
    )


def estimate(
    task: Task, mesh: Mesh, arguments: tuple[Tree, ...], streamed: bool
) -> Callable[[int], float]:
    """A function: members at a time -> bytes that a stretch needs on a device.

    A single member at a time is not compiled: most of its memory is its state, read and
    written.
    """

    def bytes_of(at_once: int) -> float:
        if at_once == 1:
            return size_of(arguments) + size_of(arguments[0])
        stretch: Any = loop.make_loop(task, mesh, at_once, streamed).stretch
        memory: Any = stretch.lower(*arguments, 1).compile().memory_analysis()
        return (
            memory.argument_size_in_bytes
            + memory.output_size_in_bytes
            - memory.alias_size_in_bytes
            + memory.temp_size_in_bytes
        )

    return bytes_of


@contextlib.contextmanager
def memory_errors_told() -> Iterator[None]:
    """Turns an out-of-memory error of a device into a UserError.

    The estimate only covers training, not initialization or image grids.
    """
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        raise UserError(
            "runs",
            f"the memory does not suffice ({str(error).splitlines()[0]})",
            "give fewer runs, a smaller model or more devices",
        ) from error


def members_at_once(
    task: Task, mesh: Mesh, arguments: tuple[Tree, ...], streamed: bool
) -> int:
    """The number of members a device trains at a time; printed if it is not all.

    Args:
      task: see `tasks.task`.
      mesh: of the population.
      arguments: of `Loop.stretch`, arrays or shapes with shardings, all but num_steps.
      streamed: as in `training.loop.make_loop`.

    Raises:
      UserError: even a single member needs too much memory.
    """
    state, device = arguments[0], mesh.local_devices[0]
    count = state.step.shape[0] // mesh.devices.shape[0]
    on_cpu = device.platform == "cpu"  # where members run sequentially anyway
    limit = memory_of(device)
    bytes_of = estimate(task, mesh, arguments, streamed)
    at_once = largest(bytes_of, 1 if on_cpu else count, limit)
    if at_once < count and not on_cpu:
        print(
            f"a device has {count} members and {limit / _GIB:.3g} GiB: it trains "
            f"{at_once} at a time, in {count // at_once} waves",
            file=sys.stderr,
        )
    return at_once
