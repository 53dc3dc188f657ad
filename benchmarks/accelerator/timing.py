"""Times a function that runs a number of steps; independent of JAX and PyTorch."""

import math
import statistics
import time
from collections.abc import Callable
from typing import Any

_MAX_STEPS = 512


def summary(values: list[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
    }


def seconds_of(run: Callable[[int], None], num_steps: int) -> float:
    """Wall-clock seconds of run(num_steps), which returns when the device is done."""
    started = time.perf_counter()
    run(num_steps)
    return time.perf_counter() - started


def repeat(
    run: Callable[[int], None], seconds: float, repetitions: int
) -> dict[str, Any]:
    """Times a function after its warm-up.

    Args:
      run: does as many steps as it is told, and waits for the device.
      seconds: about how long a repetition takes.
      repetitions: of as many steps as take so long, at least 1 and at most 512.

    Returns:
      first_seconds: of the very first step, which may compile or allocate;
      step_seconds: median, min and max over the repetitions; steps of a repetition.
    """
    first = seconds_of(run, 1)
    # Two looks: the first is at a few steps that may still warm up.
    num_steps = 2
    for share in (0.2, 1.0):
        step_seconds = seconds_of(run, num_steps) / num_steps
        num_steps = math.floor(share * seconds / step_seconds)
        num_steps = max(1, min(num_steps, _MAX_STEPS))
    times = [seconds_of(run, num_steps) / num_steps for _ in range(repetitions)]
    return {
        "first_seconds": first,
        "step_seconds": summary(times),
        "steps": num_steps,
        "repetitions": repetitions,
    }
