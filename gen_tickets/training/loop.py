"""The training loop: compiled training and evaluation of a population, for any task.

A population is one training state in which every array has a leading axis of members
(runs x arms); one program trains them all. Masks, images, batch order and the number of
steps are arguments, so all rounds, and stretches of any length, share one compilation.
With several devices, each trains its own members (`jax.shard_map` over the mesh's
members) and, if there are more devices than members, a part of their batches.

An accelerator trains all its members at once (`jax.vmap`), since a single one would
leave it idle. A CPU is fully used by one member, and sequential members keep its caches
warm and avoid batched matrix products, so there they run one after another inside the
program (`lax.map`). If memory is short, an accelerator trains them in waves.

Examples are the input of a task's step: uint8 images [N, H, W, C], or a tree of arrays
that share the axis N, such as {"images": ..., "labels": ...}.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, Float, Int, Key

from gen_tickets.distributed.mesh import MEMBER, divide
from gen_tickets.tasks.task import Examples, Metrics, Task
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Masks, Tree

_MEMBERS = P(MEMBER)

# Maximum steps of a stretch: bounds the size of the batch-order argument.
MAX_STRETCH = 512


class Loop(NamedTuple):
    """The compiled functions of one task; see `make_loop`."""

    stretch: Callable[..., Any]
    evaluate: Callable[..., Any]


def metric_names(task: Task, batch: Examples) -> tuple[str, ...]:
    """Names of the metrics of a training step; `batch` is an array or its shape."""
    key = jax.random.key(0)
    state = jax.eval_shape(task.init, key)
    masks = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, bool), state.params)
    _, metrics = jax.eval_shape(task.step, state, masks, batch, key)
    return tuple(metrics)


def empty_totals(task: Task, batch: Examples, num_members: int) -> Metrics:
    """Zero sums of every metric of a training step, each [num_members]."""
    return {name: jnp.zeros(num_members) for name in metric_names(task, batch)}


def _platform(mesh: Mesh | None) -> str:
    """The platform for which the loop is compiled, which may not be the default one."""
    return jax.default_backend() if mesh is None else mesh.devices.flat[0].platform


def _over_members(
    function: Callable[[Tree], Tree], trees: Tree, at_once: int | None
) -> Tree:
    """Maps function over axis 0, `at_once` members at a time; None: all together."""
    count = len(jax.tree.leaves(trees)[0])
    at_once = at_once or count
    if at_once >= count > 1:
        return jax.vmap(function)(trees)
    return lax.map(function, trees, batch_size=None if at_once == 1 else at_once)


def _reader(examples: Examples) -> Callable[[Array], Examples]:
    """A function from indices [B] to examples [B, ...], given all of them [N, ...].

    Each example is stored as a flat row: a TPU pads the last two axes of an array to
    (8, 128), so a set of 32 x 32 images would take four times its memory.
    """
    flat = jax.tree.map(lambda x: x.reshape(len(x), -1), examples)

    def read(index: Int[Array, " batch"]) -> Examples:
        return jax.tree.map(
            lambda x, like: x[index].reshape(len(index), *like.shape[1:]),
            flat,
            examples,
        )

    return read


def _compile(
    function: Callable[..., Tree],
    mesh: Mesh | None,
    specs: tuple[P, ...],
    donated: tuple[int, ...] = (),
) -> jax.stages.Wrapped:
    """Jits a function of arguments sharded by `specs`; devices take their members."""
    if mesh is None:
        return jax.jit(function, donate_argnums=donated)
    on_mesh = jax.shard_map(
        function,
        mesh=mesh,
        in_specs=specs,
        out_specs=_MEMBERS,
        axis_names={MEMBER},  # the compiler splits the batches
        check_vma=False,
    )
    # Fixed, so that the outputs of a stretch are sharded like the inputs of the next.
    sharding = NamedSharding(mesh, _MEMBERS)
    return jax.jit(on_mesh, out_shardings=sharding, donate_argnums=donated)


def _stretch(
    task: Task, at_once: int | None, streamed: bool
) -> Callable[..., tuple[Tree, ...]]:
    """`Loop.stretch`, not compiled."""

    def stretch(
        state: TrainState,
        totals: Metrics,
        masks: Masks,
        examples: Examples,
        order: Int[Array, "rows members batch"] | None,
        keys: Key[Array, " members"],
        num_steps: Int[Array, ""],
    ) -> tuple[Tree, ...]:
        read = None if streamed else _reader(examples)
        # All members are at the same step. Read outside of the vmap, it stays a scalar,
        # so the condition for changing masks stays a branch.
        first_step = state.step[0]

        def member(
            of_member: tuple[TrainState, Metrics, Masks, Tree, Array],
        ) -> tuple[Tree, ...]:
            state, totals, masks, rows, key = of_member

            def body(i: Array, carry: tuple[Tree, ...]) -> tuple[Tree, ...]:
                state, totals, *changed = carry
                of_step = changed[0] if changed else masks
                # If streamed, `rows` are the batches themselves.
                batch = jax.tree.map(lambda x: x[i], rows)
                batch = divide(read(batch) if read else batch)
                step_key = jax.random.fold_in(key, state.step)
                state, metrics = task.step(state, of_step, batch, step_key)
                totals = jax.tree.map(jnp.add, totals, metrics)
                if task.rewire is None:
                    return state, totals
                step = first_step + i + 1
                state, of_step = _rewire(task, step, state, of_step, batch, step_key)
                return state, totals, of_step

            carry = (state, totals) if task.rewire is None else (state, totals, masks)
            # Like lax.scan, but with a length known only at run time.
            return lax.fori_loop(0, num_steps, body, carry)

        rows = examples if order is None else order.swapaxes(0, 1)
        return _over_members(member, (state, totals, masks, rows, keys), at_once)

    return stretch


def _rewire(
    task: Task,
    step: Int[Array, ""],
    state: TrainState,
    masks: Masks,
    batch: Examples,
    key: Key[Array, ""],
) -> tuple[TrainState, Masks]:
    """Changes the masks after a step, if that is due."""
    assert task.rewire is not None and task.is_rewired is not None
    return lax.cond(
        task.is_rewired(step),
        task.rewire,
        lambda state, masks, batch, key: (state, masks),
        state,
        masks,
        batch,
        key,
    )


def _evaluate(task: Task, at_once: int | None) -> Callable[..., Metrics]:
    """`Loop.evaluate`, not compiled."""

    def evaluate(
        state: TrainState,
        examples: Examples,
        weights: Float[Array, "batches batch"],
        keys: Key[Array, " members"],
    ) -> Metrics:
        def member(of_member: tuple[TrainState, Array]) -> Metrics:
            state, key = of_member

            def body(
                sums: Metrics, batch: tuple[Array, Examples, Array]
            ) -> tuple[Metrics, None]:
                i, examples, weights = batch
                examples = divide(examples)
                values = task.evaluate(state, examples, jax.random.fold_in(key, i))
                # where, not a product, because metrics of padding may not be finite.
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

    return evaluate


def make_loop(
    task: Task,
    mesh: Mesh | None = None,
    at_once: int | None = None,
    streamed: bool = False,
) -> Loop:
    """Compiles the training and evaluation of a task for populations.

    Args:
      task: see `tasks.task`.
      mesh: from `distributed.mesh.Layout`; None: the device of the arguments.
      at_once: members that a device trains at the same time, more train in waves;
        None: 1 on a CPU, else all members.
      streamed: whether examples are each member's batches in order, instead of one data
        set from which batches are gathered.

    Returns:
      Loop(stretch, evaluate).

    Loop.stretch(state, totals, masks, examples, order, keys, num_steps) trains every
    member for num_steps and returns (state, totals), and the masks as a third where
    the task changes them (`Task.rewire`):

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

    batches = (_MEMBERS, P()) if streamed else (P(), P(None, MEMBER))
    trained = (_MEMBERS, _MEMBERS, _MEMBERS, *batches, _MEMBERS, P())
    return Loop(
        _compile(_stretch(task, at_once, streamed), mesh, trained, donated=(0,)),
        _compile(_evaluate(task, at_once), mesh, (_MEMBERS, P(), P(), _MEMBERS)),
    )


def in_batches(
    examples: Examples, batch_size: int
) -> tuple[Examples, Float[np.ndarray, "batches batch"]]:
    """Splits examples [N, ...] into padded [batches, batch, ...], with weights.

    Returns:
      (examples, weights): the last batch is padded with first examples of weight 0.
    """
    count = len(jax.tree.leaves(examples)[0])
    batch_size = min(batch_size, count)
    num_batches = -(-count // batch_size)
    index = np.arange(num_batches * batch_size)
    weights = (index < count).astype(np.float32)
    rows = np.where(index < count, index, 0)
    shape = (num_batches, batch_size)

    def cut(x: Array | np.ndarray) -> np.ndarray:
        return np.asarray(x)[rows].reshape(*shape, *x.shape[1:])

    return jax.tree.map(cut, examples), weights.reshape(shape)
