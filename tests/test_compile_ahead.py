"""A function that is compiled in a thread before it is called."""

import threading

import jax
import jax.numpy as jnp
import pytest

from gen_tickets.training import compile_ahead


def jitted(traced):
    """A jitted function that notes in which thread it is traced."""

    def double(tree, key):
        traced.append(threading.current_thread().name)
        return tree["x"] * 2 + jax.random.uniform(key)

    return jax.jit(double)


def arguments():
    placed = {"x": jax.device_put(jnp.arange(3.0), jax.devices()[0])}
    return placed, jax.random.key(0)


def test_compiling_in_thread_is_used_by_the_call():
    compiled, traced = [], []
    jax.monitoring.register_event_duration_secs_listener(
        lambda name, seconds, **about: compiled.append((name, about.get("fun_name")))
    )
    function = jitted(traced)
    with compile_ahead.compiling(function, *arguments()) as wait:
        wait()
        result = function(*arguments())
    assert traced == ["compile"]
    name = "/jax/core/compile/backend_compile_duration"
    assert compiled.count((name, "jit(double)")) == 1
    expected = jnp.arange(3.0) * 2 + jax.random.uniform(jax.random.key(0))
    assert jnp.array_equal(result, expected)


def test_compiling_second_time_or_plain_function_does_nothing():
    traced = []
    function = jitted(traced)
    for _ in range(2):
        with compile_ahead.compiling(function, *arguments()) as wait:
            wait()
    assert len(traced) == 1
    with compile_ahead.compiling(traced.append, *arguments()) as wait:
        wait()
    assert len(traced) == 1


def test_compiling_waits_on_exit_even_after_an_error():
    function, before = jitted([]), threading.active_count()
    with pytest.raises(ZeroDivisionError):
        with compile_ahead.compiling(function, *arguments()):
            raise ZeroDivisionError
    assert threading.active_count() == before


def test_compiling_failed_trace_is_raised_by_the_call_only():
    def fails(tree, key):
        raise KeyError("lost")

    function = jax.jit(fails)
    with compile_ahead.compiling(function, *arguments()) as wait:
        wait()
    with pytest.raises(KeyError, match="lost"):
        function(*arguments())
