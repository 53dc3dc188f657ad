"""Iterative magnitude pruning with late rewinding for any model with a loss.

The algorithm of `procedures.lottery` (paper, Section 3.1) for any pytree of weights and
any optimizer. All rounds, tickets and controls share one compiled training.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax

from gen_tickets.errors import UserError
from gen_tickets.evaluation import instability
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.pruning import saliency
from gen_tickets.training import optimizer as optimizer_lib
from gen_tickets.trees import Tree
from gen_tickets.workdir.tickets import Ticket

Loss = Callable[[Tree, Tree], jax.Array]  # (params, batch) -> scalar

# For rewind="auto": analysed steps as fractions of the training, and the largest
# instability that counts as stable.
_SHARES = (0.0, 0.01, 0.05, 0.2)
_MARGIN = 0.03
_POINTS = 11


class Round(NamedTuple):
    """Losses at the end of a round; round 0 is the dense network, without a control."""

    number: int
    sparsity: float  #: pruned fraction of the kernel weights, in [0, 1)
    winning: float  #: of the winning ticket
    random: float  #: of its control, the same mask on other initial weights; nan: none


class _Training(NamedTuple):
    """The training of a custom model, and its data."""

    loss: Loss
    optimizer: optax.GradientTransformation
    batches: Tree
    heldout: Tree  #: None: the training batches
    order: jax.Array  #: the batch of every step, int32 [steps]

    def run(
        self, params: Tree, masks: Tree, first: int = 0, last: int | None = None
    ) -> Tree:
        """The weights after steps `first` to `last`, with a new optimizer state."""
        last = len(self.order) if last is None else last
        order, batches = self.order, self.batches
        return _run(
            self.loss, self.optimizer, params, masks, batches, order, first, last
        )

    def evaluate(self, params: Tree) -> float:
        """Mean loss over the held-out batches."""
        batches = self.batches if self.heldout is None else self.heldout
        return float(_evaluate(self.loss, params, batches))


@functools.partial(jax.jit, static_argnums=(0, 1))
def _run(
    loss: Loss,
    optimizer: optax.GradientTransformation,
    params: Tree,
    masks: Tree,
    batches: Tree,
    order: jax.Array,
    first: jax.Array,
    last: jax.Array,
) -> Tree:
    masked = optimizer_lib.wrap_optax(optimizer, masks)

    def step(i: jax.Array, carry: tuple[Tree, Any]) -> tuple[Tree, Any]:
        params, state = carry
        batch = jax.tree.map(lambda x: x[order[i]], batches)
        grads = jax.grad(loss)(params, batch)
        updates, state = masked.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    return lax.fori_loop(first, last, step, (params, masked.init(params)))[0]


@functools.partial(jax.jit, static_argnums=0)
def _evaluate(loss: Loss, params: Tree, batches: Tree) -> jax.Array:
    return lax.map(lambda batch: loss(params, batch), batches).mean()


@functools.partial(jax.jit, static_argnums=3)
def _prune(
    trained: Tree, masks: Tree, num_keep: jax.Array, names: tuple[str, ...]
) -> Tree:
    return masks_lib.select(saliency.magnitude(trained), masks, names, [num_keep])[0]


@jax.jit
def _redraw(params: Tree, key: jax.Array) -> Tree:
    """Reinitialized weights with the same distribution: each leaf is shuffled."""
    leaves, structure = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    drawn = [
        jax.random.permutation(k, x.ravel()).reshape(x.shape)
        for k, x in zip(keys, leaves)
    ]
    return jax.tree.unflatten(structure, drawn)


def find_ticket(
    loss: Loss,
    params: Tree,
    batches: Tree,
    optimizer: optax.GradientTransformation,
    *,
    rounds: int = 10,
    fraction: float = 0.2,
    rewind: int | Literal["auto"] = "auto",
    epochs: int = 1,
    heldout: Tree = None,
    names: Sequence[str] | None = None,
    seed: int = 0,
) -> tuple[Ticket, tuple[Round, ...]]:
    """Finds the sparsest winning ticket of a model: trains, prunes and rewinds it.

    A ticket wins if its loss is at most that of the dense network and below that of
    its random control: the same mask on initial weights shuffled within each leaf.
    This is one run; a claim needs several seeds.

    Args:
      loss: (params, batch) -> scalar, differentiable in params.
      params: initial weights, any pytree of floating-point arrays.
      batches: a batch tree with an additional leading axis, [batches, N, ...].
      optimizer: Optax optimizer; it is reset, with its schedule, at the rewind step.
      rounds: number of rounds after the dense one.
      fraction: fraction of the remaining kernel weights to prune per round, in (0, 1).
      rewind: step whose weights tickets start from, 0 to steps - 1, where steps =
        epochs * batches; "auto": the first stable step of an instability analysis
        (Frankle et al. 2020), at the cost of five trainings.
      epochs: passes over the batches per training.
      heldout: batches on which losses are measured; None: the training batches.
      names: leaves to prune; None: the kernels, see `pruning.masks`.
      seed: of the order of batches and of the control.

    Returns:
      (ticket, rounds): masks and rewound weights in the structure of params, of the
      dense network if no ticket wins; losses of every round, the dense one first.

    Raises:
      UserError: an argument is not allowed, or a training diverged.
    """
    if rounds < 1 or epochs < 1:
        raise UserError(f"rounds={rounds}, epochs={epochs}", "1 or more allowed")
    *order_keys, control_key = jax.random.split(jax.random.key(seed), 3)
    count = _count("batches", batches)
    if heldout is not None:
        _count("heldout", heldout)
    order, noise = (_order(count, epochs, key) for key in order_keys)
    training = _Training(loss, optimizer, batches, heldout, order)
    if isinstance(rewind, str) and rewind != "auto":
        raise UserError(f"rewind={rewind!r}", "a step or 'auto' allowed")
    if rewind == "auto":
        rewind = _stable_step(training, params, noise)
    control, names = _redraw(params, control_key), masks_lib.kernel_names(params, names)
    return _search(training, params, control, names, rewind, rounds, fraction)


def _search(
    training: _Training,
    params: Tree,
    control: Tree,
    names: tuple[str, ...],
    step: int,
    rounds: int,
    fraction: float,
) -> tuple[Ticket, tuple[Round, ...]]:
    """As `find_ticket`; control: the initial weights of the random control."""
    last = len(training.order) - 1
    if not 0 <= step <= last:
        raise UserError(f"rewind={step}", f"0 to {last} steps allowed")
    masks = masks_lib.dense(params)
    total = sum(size for size, _ in masks_lib.layer_counts(masks, names).values())
    start = training.run(params, masks, 0, step)
    trained = training.run(params, masks)
    found = [Round(0, 0.0, _finite(training.evaluate(trained), 0), math.nan)]
    ticket = _ticket(masks, start, found[0], step)
    for number in range(1, rounds + 1):
        num_keep = masks_lib.keep_count(total, fraction, number)
        masks = _prune(trained, masks, num_keep, names)
        trained = training.run(masks_lib.rewind(masks, start), masks, step)
        other = training.run(masks_lib.rewind(masks, control), masks, step)
        winning = _finite(training.evaluate(trained), number)
        random = training.evaluate(other)
        found.append(Round(number, masks_lib.sparsity(masks, names), winning, random))
        if winning <= found[0].winning and not random <= winning:  # also of a nan
            ticket = _ticket(masks, start, found[-1], step)
    return ticket, tuple(found)


def _stable_step(training: _Training, params: Tree, noise: jax.Array) -> int:
    """The first step after which another batch order ends in the same loss basin.

    Two copies share their batches up to a step; `noise` is the batch order of the
    second one after it (Frankle et al. 2020). If none is stable, the last one analysed.
    """
    num_steps = len(training.order)
    masks, place = masks_lib.dense(params), jnp.arange(num_steps)
    one, found = training.run(params, masks), []
    for step in sorted({round(x * num_steps) for x in _SHARES}):
        order = jnp.where(place < step, training.order, noise)
        other = training._replace(order=order).run(params, masks)
        losses = [
            training.evaluate(optax.incremental_update(other, one, float(point)))
            for point in np.linspace(0, 1, _POINTS)
        ]
        height, ends = instability.barrier(losses)
        size = instability.relative(height, ends)
        found.append(instability.Instability(step, size, 0.0, ends, 1))
    stable = instability.first_stable_step(found, _MARGIN)
    return found[-1].step if stable is None else stable


def _count(name: str, batches: Tree) -> int:
    """The number of batches in an argument of this name.

    Raises:
      UserError: its arrays differ in that, or hold no batches.
    """
    shapes = [np.shape(x) for x in jax.tree.leaves(batches)]
    counts = {shape[0] if shape else 0 for shape in shapes}
    if len(counts) != 1 or 0 in counts:
        raise UserError(
            name,
            f"its arrays have {sorted(counts)} batches",
            "give arrays [batches, N, ...], all of the same number of batches",
        )
    return counts.pop()


def _order(count: int, epochs: int, key: jax.Array) -> jax.Array:
    """The batch of every step, int32 [steps], reshuffled every epoch."""
    keys = jax.random.split(key, epochs)
    return jax.vmap(lambda key: jax.random.permutation(key, count))(keys).ravel()


def _finite(loss: float, number: int) -> float:
    if math.isfinite(loss):
        return loss
    raise UserError(
        "find_ticket",
        f"the training of round {number} diverged: its loss is {loss}",
        "look at the loss and the learning rate",
    )


def _ticket(masks: Tree, start: Tree, of: Round, step: int) -> Ticket:
    about = {"round": of.number, "sparsity": of.sparsity, "step": step}
    return Ticket(masks, masks_lib.rewind(masks, start), provenance=about)
