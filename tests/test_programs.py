"""Programs: loops, choices and calls of a jaxpr as one list of operations."""

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from gen_tickets.evaluation import programs

A = jnp.zeros((3, 4))


def operations(function, *arguments):
    """{primitive: how often it runs}"""
    found = {}
    program = programs.Program(jax.make_jaxpr(function)(*arguments))
    for x in program.operations:
        found[x.name] = found.get(x.name, 0) + x.times
    return found


def test_loop_runs_its_body_for_every_slice():
    def step(carry, x):
        return carry + jnp.sin(x), jnp.cos(x * carry)

    found = operations(lambda c, xs: lax.scan(step, c, xs), A[0], A)
    assert found == {"carry": 3, "sin": 3, "add": 3, "mul": 3, "cos": 3}


def test_loop_in_a_loop_runs_as_often_as_both():
    def inner(_, x):
        return jnp.sin(x)

    def outer(_, x):
        return lax.fori_loop(0, 5, inner, x)

    assert operations(lambda x: lax.fori_loop(0, 4, outer, x), A)["sin"] == 20


def test_carry_without_a_use_is_left_out_with_all_that_makes_it():
    def step(carry, x):
        total, unused, feeds = carry
        return (total + x + jnp.tan(feeds), jnp.sin(unused), jnp.cos(feeds)), None

    def function(xs):
        (total, _, _), _ = lax.scan(step, (0.0, 1.0, 2.0), xs)
        return total

    found = operations(function, jnp.zeros(7))
    # What feeds the total a round later is needed, its own sine is not.
    assert found["cos"] == found["tan"] == 7 and "sin" not in found


def test_gradient_that_nobody_takes_is_left_out():
    def loss(x, k):
        return jnp.sum(x @ k)

    def gradient(x, k):
        return jax.grad(loss, (0, 1))(x, k)[1]

    assert operations(gradient, A, A.T)["dot_general"] == 1


def test_calls_are_opened_whatever_they_are_called():
    @jax.custom_vjp
    def sine(x):
        return jnp.sin(x)

    sine.defvjp(lambda x: (sine(x), x), lambda x, g: (g * jnp.cos(x),))

    def function(x):
        return jax.jit(jax.checkpoint(sine))(jax.nn.relu(x))

    assert operations(function, A) == {"max": 1, "sin": 1}
    assert operations(jax.grad(lambda x: function(x).sum()), A)["cos"] == 1


def test_choice_is_its_costliest_branch():
    branches = [jnp.sin, lambda x: jnp.cos(x) + x, jnp.tan]
    found = operations(lambda i, x: lax.switch(i, branches, x), 0, A)
    assert found["cos"] == found["add"] == 1 and not {"sin", "tan"} & found.keys()


def test_loop_of_unknown_rounds_is_refused_where_it_is_needed():
    def loop(n):
        return lax.fori_loop(0, n, lambda i, x: x + 1.0, 0.0)

    program = programs.Program(jax.make_jaxpr(loop)(3))
    with pytest.raises(ValueError, match="known only when it runs"):
        program.flops()
    unneeded = jax.make_jaxpr(lambda n: (loop(n), jnp.sin(1.0 * n))[1])(3)
    assert programs.Program(unneeded).flops() == 2
