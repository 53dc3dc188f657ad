"""Programs: the operations of a function as a flat list, from its jaxpr.

Uses only documented parts of JAX: `jax.make_jaxpr`, `jax.extend.core`, and the
equations of a jaxpr with their variables and parameters. The roles of values in a loop
are inferred from shapes, since the parameters for them differ between JAX versions.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from jax.extend import core

from gen_tickets.evaluation.operations import Operation, Value


class Program:
    """A jaxpr without calls and loops.

    The body of a loop occurs once, with the number of iterations as `times`. The carry
    of a loop is an operation, "carry", on the value before the loop and the value after
    an iteration. A switch is reduced to its costliest branch. Operations that no result
    needs, such as the gradient of the images, are dropped.

    operations: in the order of execution.
    inputs: one for each array among the arguments, in the order of `jax.tree.leaves`.
    """

    def __init__(self, jaxpr: core.Jaxpr | core.ClosedJaxpr) -> None:
        """Inlines the result of `jax.make_jaxpr`."""
        jaxpr = _without_constants(jaxpr)
        self.operations: list[Operation] = []
        self.inputs = [Value(variable.aval) for variable in jaxpr.invars]
        self._drop_unused(self._inline(jaxpr, self.inputs, 1.0))

    def flops(self) -> float:
        """FLOPs of all operations.

        Raises:
          ValueError: the length of a loop is known only at run time.
        """
        return sum(operation.flops() for operation in self.operations)

    def _inline(
        self, jaxpr: core.Jaxpr, inputs: list[Value], times: float
    ) -> list[Value]:
        """Appends the operations of a jaxpr; returns its results."""
        known = dict(zip(jaxpr.invars, inputs, strict=True))

        def value(variable: core.Var | core.Literal) -> Value:
            if isinstance(variable, core.Literal):
                return Value(variable.aval)
            if variable not in known:  # a constant
                known[variable] = Value(variable.aval)
            return known[variable]

        for equation in jaxpr.eqns:
            of_inputs = [value(variable) for variable in equation.invars]
            outputs = self._call(equation, of_inputs, times)
            known.update(zip(equation.outvars, outputs, strict=True))
        return [value(variable) for variable in jaxpr.outvars]

    def _call(
        self, equation: core.JaxprEqn, inputs: list[Value], times: float
    ) -> list[Value]:
        name, params = equation.primitive.name, equation.params
        inner = [*_inner_jaxprs(params)]
        if name == "scan":
            return self._loop(inner[0], equation, inputs, times * params["length"])
        if name == "cond":
            costs = [Program(branch).flops() for branch in inner]
            return self._inline(inner[costs.index(max(costs))], inputs[1:], times)
        # A call of any kind; the jaxpr of a scatter only combines two numbers.
        if inner and name != "while" and not name.startswith("scatter"):
            return self._inline(inner[0], inputs, times)
        outputs = [Value(variable.aval) for variable in equation.outvars]
        self.operations.append(Operation(name, params, inputs, outputs, times))
        return outputs

    def _loop(
        self,
        body: core.Jaxpr,
        equation: core.JaxprEqn,
        inputs: list[Value],
        times: float,
    ) -> list[Value]:
        """Appends the operations of a `lax.scan`; returns its results.

        The body takes constants, the carry and slices, and returns the carry and
        slices. Outside of the loop, sliced and stacked arrays have one more axis.
        """
        takes = [Value(variable.aval) for variable in body.invars]
        num_whole = sum(x.shape == y.shape for x, y in zip(takes, inputs, strict=True))
        num_carried = sum(
            Value(inside.aval).shape == Value(outside.aval).shape
            for inside, outside in zip(body.outvars, equation.outvars, strict=True)
        )
        carry = slice(num_whole - num_carried, num_whole)
        takes[: carry.start] = inputs[: carry.start]
        start = len(self.operations)
        results = self._inline(body, takes, times)
        self.operations[start:start] = [
            Operation("carry", {}, [before, after], [inside], times)
            for before, after, inside in zip(inputs[carry], results, takes[carry])
        ]
        return results

    def _drop_unused(self, results: list[Value]) -> None:
        used, num_before = set(results), 0
        while num_before < len(used):  # again: a carry feeds back into its loop
            num_before = len(used)
            for operation in reversed(self.operations):
                if used.intersection(operation.outputs):
                    used.update(operation.inputs)
        self.operations = [x for x in self.operations if used.intersection(x.outputs)]


def _inner_jaxprs(params: Mapping[str, Any]) -> Iterator[core.Jaxpr]:
    """The jaxprs among the parameters of an equation."""
    for param in params.values():
        for x in param if isinstance(param, tuple) else (param,):
            if isinstance(x, (core.Jaxpr, core.ClosedJaxpr)):
                yield _without_constants(x)


def _without_constants(jaxpr: core.Jaxpr | core.ClosedJaxpr) -> core.Jaxpr:
    """The jaxpr of a `ClosedJaxpr`; since JAX 0.11 there is only one kind of jaxpr."""
    either: Any = jaxpr
    return getattr(either, "jaxpr", either)
