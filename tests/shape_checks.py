"""Checks shapes and dtypes of arguments and results while the tests run.

`check` is the type checker of jaxtyping's import hook (conftest). It checks only the
hints of arrays; mypy checks all others. A NumPy array may stand for one of JAX.
"""

import beartype
import jax
import numpy as np
from jaxtyping import AbstractArray


def _of_either_library(hint):
    if issubclass(hint.array_type, jax.Array):
        return hint.dtype[jax.Array | np.ndarray, hint.dim_str]
    return hint


def check(function):
    """The function, with the hints of its arrays checked in every call."""
    hints = getattr(function, "__annotations__", {})
    arrays = {
        name: _of_either_library(hint)
        for name, hint in hints.items()
        if isinstance(hint, type) and issubclass(hint, AbstractArray)
    }
    function.__annotations__ = arrays
    return beartype.beartype(function)
