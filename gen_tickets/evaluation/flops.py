"""Floating-point operations (FLOPs), counted from the jaxpr of a function.

The convention for every number of gen_tickets:

- Convolutions, transposed convolutions and matrix products: 2 for each multiply-add of
  the definition. Zeros inserted by padding or dilation are not counted. The task must
  be built with `kernels.lowering.LIBRARY`: other forms of a convolution need fewer or
  more multiplications.
- Other float arithmetic: 1 per element of the result; reductions: 1 per element of the
  operand. Comparisons, selections, moves, casts, integers, random bits: 0.
- Loops: the body times the number of iterations. Switches: the costliest branch.
- A training: its steps and the pruning before it (scores, selection), without held-out
  evaluations and metrics.
- A masked network: multiplications by a pruned weight do not count in the forward pass,
  in the gradient of the other factor, or in the gradient of the weight itself.
  Everything else in a step (optimizer, batch norm) counts as in the dense network.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import jax
import numpy as np

from gen_tickets import trees
from gen_tickets.evaluation.operations import PRODUCTS, Operation, Value
from gen_tickets.evaluation.programs import Program
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.tasks.task import Task
from gen_tickets.trees import Masks, Tree

# Operations that pass on a weight, its mask or its gradient, element by element.
_VIEWS = frozenset(
    "broadcast_in_dim carry convert_element_type copy copy_p div expand_dims mul neg "
    "optimization_barrier reshape rev squeeze transpose".split()
)
_SUMS = frozenset(("add", "add_any", "sub"))


class Cost(NamedTuple):
    """FLOPs of one call."""

    fixed: float  #: regardless of masks
    of_weights: dict[str, float]  #: {leaf of the weights: FLOPs if all are kept}

    def total(self, kept: Mapping[str, float] | None = None) -> float:
        """All FLOPs; `kept`: {leaf: fraction of kept weights}, None: all."""
        kept = kept or {}
        return self.fixed + sum(
            flops * kept.get(name, 1.0) for name, flops in self.of_weights.items()
        )


Leaves = dict[Value, str]


def _cost(program: Program, weights: Leaves, masks: Leaves) -> Cost:
    """The cost; weights and masks: {input of the program: leaf of the weights}."""
    operations = program.operations
    masked = _follow(operations, masks)
    updated = {
        operation.outputs[0]: masked[operation.inputs[0]]
        for operation in operations
        if operation.name == "select_n" and operation.inputs[0] in masked
    }
    made_of = _follow(operations, weights | updated)
    wanted = _wanted(operations, masked)
    fixed = 0.0
    of_weights: dict[str, float] = {}
    for operation in operations:
        leaf = None
        if operation.name in PRODUCTS:
            of_inputs = (made_of[x] for x in operation.inputs if x in made_of)
            leaf = next(of_inputs, wanted.get(operation.outputs[0]))
        if leaf is None:
            fixed += operation.flops()
        else:
            of_weights[leaf] = of_weights.get(leaf, 0.0) + operation.flops()
    return Cost(fixed, of_weights)


def _follow(operations: list[Operation], leaves: Leaves) -> Leaves:
    """The leaf that each value derives from, up to shape and factors."""
    found = dict(leaves)
    pairs: Iterable[tuple[Value, str | None]]
    for operation in operations:
        of_inputs = [found.get(x) for x in operation.inputs]
        if operation.name == "optimization_barrier":
            pairs = zip(operation.outputs, of_inputs)
        elif operation.name in _VIEWS and len(set(of_inputs) - {None}) == 1:
            pairs = [(operation.outputs[0], next(filter(None, of_inputs)))]
        else:
            pairs = []
        found.update((x, leaf) for x, leaf in pairs if leaf)
    return found


def _wanted(operations: list[Operation], masked: Leaves) -> Leaves:
    """The leaf whose mask is later applied to each value, as to its gradient."""
    found: Leaves = {}
    for operation in reversed(operations):
        leaf = found.get(operation.outputs[0])
        if operation.name == "select_n":
            leaf = masked.get(operation.inputs[0], leaf)
        elif operation.name not in _VIEWS | _SUMS:
            continue
        if leaf:
            found.update((x, leaf) for x in operation.inputs)
    return found


def count(function: Callable[..., Tree], *arguments: Tree) -> float:
    """FLOPs of function(*arguments), which depend only on the shapes of arrays.

    Raises:
      ValueError: the length of a loop is known only at run time.
    """
    return Program(jax.make_jaxpr(function)(*arguments)).flops()


def of_step(task: Task, images: Tree) -> Cost:
    """FLOPs of a training step: forward pass, backward pass and update.

    Args:
      task: see `tasks.task`; built with `kernels.lowering.LIBRARY`.
      images: the images of a step, or their shape.

    Returns:
      Cost; its leaves are those of the weights, "component/layer/kernel".

    Raises:
      ValueError: the task has another lowering.
    """
    for name, network in task.networks.items():
        lowering = getattr(network.module, "lowering", LIBRARY)
        if lowering != LIBRARY:
            raise ValueError(f"{name} has {lowering}; FLOPs are counted of LIBRARY")
    key = jax.random.key(0)
    state = jax.eval_shape(task.init, key)
    masks = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, bool), state.params)
    program = Program(jax.make_jaxpr(task.step)(state, masks, images, key))
    weights, of_masks = {}, {}
    leaves = [*trees.named_leaves(state), *(f"/{n}" for n in trees.named_leaves(masks))]
    for value, name in zip(program.inputs, leaves):
        # Kernels only: the scale of a batch norm would enter all that it multiplies.
        if masks_lib.is_kernel(name) and name.startswith("params/"):
            weights[value] = name.removeprefix("params/")
        elif masks_lib.is_kernel(name) and name.startswith("/"):
            of_masks[value] = name[1:]
    return _cost(program, weights, of_masks)


def kept_shares(masks: Masks) -> dict[str, float]:
    """{leaf: fraction of its weights that is kept}, for `Cost.total`."""
    # By NumPy, which compiles nothing.
    return {
        name: float(np.mean(np.asarray(mask), dtype=np.float32))
        for name, mask in trees.named_leaves(masks).items()
    }
