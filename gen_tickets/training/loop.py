"""Compiled stretches of training and evaluation over a population, for any task.

A population is one training state whose every array has a leading axis of members
(runs x arms); one program trains them all. Masks, images, batch order and the number of
steps are arguments, so all rounds, and stretches of any length, share one compile.
On several devices each trains its own members (`jax.shard_map` over the mesh's members)
and, where devices outnumber them, a part of their batches.

An accelerator trains all its members at once (`jax.vmap`), since a single one would
leave it idle. One member occupies a CPU, and members in sequence keep its caches warm
and avoid batched matrix products, so there they run one after another inside the
program (`lax.map`). If memory is short, an accelerator trains them in waves.

Examples are what a task's step takes: uint8 images [N, H, W, C], or a tree of arrays
that share the axis N, such as {"images": ..., "labels": ...}.
"""

from typing import Any, Callable, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from gen_tickets.distributed.mesh import DATA, MEMBER

_MEMBERS = P(MEMBER)

# Rows of batch order a stretch may hold: bounds the argument, not the training.
MAX_STRETCH = 512


class Loop(NamedTuple):
    """The compiled functions of one task; see `make_loop`."""

    stretch: Callable[..., Any]
    evaluate: Callable[..., Any]


def metric_names(task, batch) -> tuple[str, ...]:
    """Names of the metrics of a training step on `batch`, an array or its shape."""
    key = jax.random.key(0)
    state = jax.eval_shape(task.init, key)
    masks = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, bool), state.params)
    _, metrics = jax.eval_shape(task.step, state, masks, batch, key)
    return tuple(metrics)


def empty_totals(task, batch, num_members: int) -> dict[str, jax.Array]:
    """Zero sums of every metric of a training step, each [num_members]."""
    return {name: jnp.zeros(num_members) for name in metric_names(task, batch)}


def _platform(mesh) -> str:
    """The platform that the loop is compiled for, which may not be the default one."""
    return jax.default_backend() if mesh is None else mesh.devices.flat[0].platform


def _over_members(function, trees, at_once: int | None):
    """Maps function over axis 0, `at_once` members at a time; None: all together."""
    count = len(jax.tree.leaves(trees)[0])
    at_once = at_once or count
    if at_once >= count > 1:
        return jax.vmap(function)(trees)
    return lax.map(function, trees, batch_size=None if at_once == 1 else at_once)


def _reader(examples):
    """A function from indices [B] to examples [B, ...], given all of them [N, ...].

    They are looked up as rows of one axis: a TPU pads the last two axes of an array to
    (8, 128), so a set of 32 x 32 images would take four times its memory.
    """
    flat = jax.tree.map(lambda x: x.reshape(len(x), -1), examples)

    def read(index):
        return jax.tree.map(
            lambda x, like: x[index].reshape(len(index), *like.shape[1:]),
            flat,
            examples,
        )

    return read


def _compile(function, mesh, specs, **options):
    """Jits a function of arguments sharded by `specs`; devices take their members."""
    if mesh is None:
        return jax.jit(function, **options)
    on_mesh = jax.shard_map(
        function,
        mesh=mesh,
        in_specs=specs,
        out_specs=_MEMBERS,
        axis_names={MEMBER},  # the compiler divides the batches
        check_vma=False,
    )
    # Fixed, so that a stretch finds its arguments where the previous one left them.
    return jax.jit(on_mesh, out_shardings=NamedSharding(mesh, _MEMBERS), **options)


def make_loop(task, mesh=None, at_once: int | None = None, streamed=False) -> Loop:
    """Compiles a task for populations.

    Args:
      task: see `tasks.task`.
      mesh: from `distributed.mesh.Layout`; None: the device that the arguments are on.
      at_once: members that a device trains at the same time, in waves beyond that;
        None: 1 on a CPU, else all it has.
      streamed: whether examples are each member's batches in order, instead of one set
        of which batches are rows.

    Returns:
      Loop(stretch, evaluate).

    Loop.stretch(state, totals, masks, examples, order, keys, num_steps) trains every
    member for num_steps and returns (state, totals):

    - state: population, donated; totals: {metric: sum over steps [members]};
    - masks: population of masks; examples: [N, ...] on the device;
    - order: int32 [MAX_STRETCH, members, batch], rows of example indices;
    - keys: one key per member; step s of a member uses fold_in(key, s).
    - if streamed, examples are [members, steps, batch, ...] and order is None.

    Loop.evaluate(state, examples, weights, keys) averages task.evaluate over examples
    and returns {metric: [members]}:

    - examples: [batches, batch, ...]; weights: float [batches, batch], 0 for padding;
    - keys: one key per member.
    """
    if at_once is None and _platform(mesh) == "cpu":
        at_once = 1

    def divide(batch):
        """Shards a batch over the devices that have the same members."""
        return batch if mesh is None else lax.with_sharding_constraint(batch, P(DATA))

    def stretch(state, totals, masks, examples, order, keys, num_steps):
        read = None if streamed else _reader(examples)

        def member(of_member):
            state, totals, masks, rows, key = of_member

            def body(i, carry):
                state, totals = carry
                # If streamed, `rows` are the batches themselves.
                batch = jax.tree.map(lambda x: x[i], rows)
                if read:
                    batch = read(batch)
                step_key = jax.random.fold_in(key, state.step)
                state, metrics = task.step(state, masks, divide(batch), step_key)
                return state, jax.tree.map(jnp.add, totals, metrics)

            # As lax.scan, but with a length known only at run time.
            return lax.fori_loop(0, num_steps, body, (state, totals))

        rows = examples if streamed else order.swapaxes(0, 1)
        return _over_members(member, (state, totals, masks, rows, keys), at_once)

    def evaluate(state, examples, weights, keys):
        def member(of_member):
            state, key = of_member

            def body(sums, batch):
                i, examples, weights = batch
                examples = divide(examples)
                values = task.evaluate(state, examples, jax.random.fold_in(key, i))
                # where, not a product: the metrics of padding may not be finite.
                added = {
                    name: jnp.where(weights > 0, x, 0.0).sum()
                    for name, x in values.items()
                }
                return jax.tree.map(jnp.add, sums, added), None

            first = jax.tree.map(lambda x: x[0], examples)
            shapes = jax.eval_shape(task.evaluate, state, first, key)
            zeros = {name: jnp.zeros(()) for name in shapes}
            index = jnp.arange(len(weights))
            sums, _ = lax.scan(body, zeros, (index, examples, weights))
            return jax.tree.map(lambda x: x / weights.sum(), sums)

        return _over_members(member, (state, keys), at_once)

    batches = (_MEMBERS, P()) if streamed else (P(), P(None, MEMBER))
    trained = (_MEMBERS, _MEMBERS, _MEMBERS, *batches, _MEMBERS, P())
    return Loop(
        _compile(stretch, mesh, trained, donate_argnums=0),
        _compile(evaluate, mesh, (_MEMBERS, P(), P(), _MEMBERS)),
    )


def in_batches(examples, batch_size: int):
    """Cuts examples [N, ...] into [batches, batch, ...] and weights, padded.

    Returns:
      (examples, weights): the last batch is padded with first examples of weight 0.
    """
    count = len(jax.tree.leaves(examples)[0])
    batch_size = min(batch_size, count)
    num_batches = -(-count // batch_size)
    index = jnp.arange(num_batches * batch_size)
    weights = (index < count).astype(jnp.float32)
    rows = jnp.where(index < count, index, 0)
    shape = (num_batches, batch_size)

    def cut(x):
        return jnp.asarray(x)[rows].reshape(*shape, *x.shape[1:])

    return jax.tree.map(cut, examples), weights.reshape(shape)
