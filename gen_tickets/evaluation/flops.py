"""Floating-point operations (FLOPs), counted from a function's own jaxpr.

The convention, for every number of gen_tickets:

- A convolution, a transposed one, a matrix product: 2 for each multiplication with its
  addition that the definition asks for. Zeros that padding or dilation insert are not
  multiplied. Count a task that is built with `kernels.lowering.LIBRARY`: other forms of
  a convolution multiply less, or more.
- Any other float arithmetic: 1 an element of the result; a reduction: 1 an element of
  what it reduces. Comparing, choosing, moving, casting, integers, random bits: 0.
- A loop: its body as often as it runs. Of the branches of a choice, the costliest.
- A training: its steps, and the pruning before it (scores, selection); held-out
  evaluations and metrics are no part of it.
- Of a masked network: multiplications with a pruned weight count nowhere, in the pass
  forward, in the gradient of what is multiplied, in the gradient of the weight itself.
  All else of a training step (optimizer, batch norm) counts as of the dense one.
"""

from typing import Any, Mapping, NamedTuple

import jax
from jax.extend import core
from jax.interpreters import partial_eval

from gen_tickets import trees
from gen_tickets.evaluation import primitives
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.pruning import masks as masks_lib

# What passes a weight, its mask or its gradient on, element by element.
_VIEWS = frozenset(
    "broadcast_in_dim convert_element_type copy copy_p div expand_dims mul neg "
    "optimization_barrier reshape rev squeeze transpose".split()
)
_SUMS = frozenset(("add", "add_any", "sub"))


class Cost(NamedTuple):
    """FLOPs of one call."""

    fixed: float  #: whatever the masks
    of_weights: dict[str, float]  #: of a leaf of the weights, if all of it is kept

    def total(self, kept: Mapping[str, float] | None = None) -> float:
        """All FLOPs; `kept`: {leaf: share of its weights that is kept}, None: all."""
        kept = kept or {}
        return self.fixed + sum(
            flops * kept.get(name, 1.0) for name, flops in self.of_weights.items()
        )


class _Operation(NamedTuple):
    """A primitive with numbers for its operands and results, and how often it runs."""

    equation: Any
    inputs: list[int]
    outputs: list[int]
    times: float

    @property
    def name(self) -> str:
        return self.equation.primitive.name


class _Program:
    """A jaxpr without calls and loops: every operation with how often it runs."""

    def __init__(self, closed):
        self.operations: list[_Operation] = []
        self._count = 0
        # What no result needs, as the gradient of the images, is never computed.
        jaxpr, _ = partial_eval.dce_jaxpr(
            closed.jaxpr, [True] * len(closed.jaxpr.outvars), instantiate=True
        )
        self.inputs = [self._new() for _ in jaxpr.invars]
        self._inline(jaxpr, self.inputs, 1.0)

    def _new(self) -> int:
        self._count += 1
        return self._count

    def _inline(self, jaxpr, inputs, times: float) -> list[int]:
        """Appends the operations of a jaxpr -> numbers of its results."""
        known = dict(zip(jaxpr.invars, inputs, strict=True))

        def number(variable):
            if isinstance(variable, core.Literal):
                return self._new()
            if variable not in known:  # a constant
                known[variable] = self._new()
            return known[variable]

        for equation in jaxpr.eqns:
            of_inputs = [number(variable) for variable in equation.invars]
            outputs = self._call(equation, of_inputs, times)
            known.update(zip(equation.outvars, outputs, strict=True))
        return [number(variable) for variable in jaxpr.outvars]

    def _call(self, equation, inputs, times: float) -> list[int]:
        name, params = equation.primitive.name, equation.params
        if name == "scan":
            body, length = params["jaxpr"].jaxpr, params["length"]
            fixed = params["num_consts"] + params["num_carry"]
            slices = [self._new() for _ in inputs[fixed:]]
            return self._inline(body, inputs[:fixed] + slices, times * length)
        if name == "while":
            raise ValueError("a loop whose number of rounds is known only when it runs")
        if name == "cond":
            branches = [_Program(branch) for branch in params["branches"]]
            costs = [branch.cost({}, {}).total() for branch in branches]
            costliest = params["branches"][costs.index(max(costs))]
            return self._inline(costliest.jaxpr, inputs[1:], times)
        inner = [x for x in params.values() if isinstance(x, core.ClosedJaxpr)]
        inner = [x.jaxpr for x in inner]
        inner += [x for x in params.values() if isinstance(x, core.Jaxpr)]
        if inner:  # a call, by whatever name
            return self._inline(inner[0], inputs, times)
        outputs = [self._new() for _ in equation.outvars]
        self.operations.append(_Operation(equation, inputs, outputs, times))
        return outputs

    def cost(self, weights: dict[int, str], masks: dict[int, str]) -> Cost:
        """Counts; weights and masks: {input's number: the leaf of the weights}."""
        masked = self._follow(masks)
        updated = {
            operation.outputs[0]: masked[operation.inputs[0]]
            for operation in self.operations
            if operation.name == "select_n" and operation.inputs[0] in masked
        }
        made_of = self._follow(weights | updated)
        wanted = self._wanted(masked)
        fixed, of_weights = 0.0, {}
        for operation in self.operations:
            flops = operation.times * primitives.flops(operation.equation)
            leaf = None
            if operation.name in ("conv_general_dilated", "dot_general"):
                of_inputs = (made_of[x] for x in operation.inputs if x in made_of)
                leaf = next(of_inputs, wanted.get(operation.outputs[0]))
            if leaf is None:
                fixed += flops
            else:
                of_weights[leaf] = of_weights.get(leaf, 0.0) + flops
        return Cost(fixed, of_weights)

    def _follow(self, leaves: dict[int, str]) -> dict[int, str]:
        """The leaf that each value is, up to its form and to factors."""
        found = dict(leaves)
        for operation in self.operations:
            of_inputs = [found.get(x) for x in operation.inputs]
            if operation.name == "optimization_barrier":
                pairs = zip(operation.outputs, of_inputs)
            elif operation.name in _VIEWS and len(set(of_inputs) - {None}) == 1:
                pairs = [(operation.outputs[0], next(filter(None, of_inputs)))]
            else:
                pairs = []
            found.update((x, leaf) for x, leaf in pairs if leaf)
        return found

    def _wanted(self, masked: dict[int, str]) -> dict[int, str]:
        """The leaf whose mask each value goes through later: gradients, backwards."""
        found: dict[int, str] = {}
        for operation in reversed(self.operations):
            leaf = found.get(operation.outputs[0]) if operation.outputs else None
            if operation.name == "select_n":
                leaf = masked.get(operation.inputs[0], leaf)
            elif operation.name not in _VIEWS | _SUMS:
                continue
            if leaf:
                found.update((x, leaf) for x in operation.inputs)
        return found


def count(function, *arguments) -> float:
    """FLOPs of function(*arguments); of arrays only the shapes matter."""
    return _Program(jax.make_jaxpr(function)(*arguments)).cost({}, {}).total()


def of_step(task, images) -> Cost:
    """FLOPs of a training step: passes forward and backward, and the update.

    Args:
      task: see `tasks.task`; built with `kernels.lowering.LIBRARY`.
      images: what a step takes, or its shape.

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
    program = _Program(jax.make_jaxpr(task.step)(state, masks, images, key))
    weights, of_masks = {}, {}
    # make_jaxpr flattens its arguments as jax.tree does: state, masks, images, key.
    leaves = [*trees.named_leaves(state), *(f"/{n}" for n in trees.named_leaves(masks))]
    for number, name in zip(program.inputs, leaves):
        # Of kernels alone: a batch norm's scale goes into all that it multiplies.
        if masks_lib.is_kernel(name) and name.startswith("params/"):
            weights[number] = name.removeprefix("params/")
        elif masks_lib.is_kernel(name) and name.startswith("/"):
            of_masks[number] = name[1:]
    return program.cost(weights, of_masks)


def kept_shares(masks) -> dict[str, float]:
    """{leaf: share of its weights that is kept}, for `Cost.total`."""
    return {
        name: float(mask.mean()) for name, mask in trees.named_leaves(masks).items()
    }
