"""Provenance of results: versions and hardware."""

import os
import platform
from importlib import metadata

import jax

import gen_tickets

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def collect() -> dict:
    """Versions of Python and packages, and the devices; JSON-serializable."""
    device = jax.devices()[0]
    is_cpu = device.platform == "cpu"  # its device_kind is "cpu" too
    kind = "CPU" if is_cpu else f"{device.device_kind} ({device.platform})"
    return {
        "gen_tickets": gen_tickets.__version__,
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
        "platform": platform.platform(),
        "devices": f"{jax.device_count()} x {kind}",
        "cpu_count": os.cpu_count(),
    }
