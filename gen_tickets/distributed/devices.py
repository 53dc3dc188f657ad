"""Finds the devices of JAX, and reports accelerators that it does not use."""

import functools
import glob

import jax

from gen_tickets.console import display
from gen_tickets.errors import UserError

# Device files of drivers, and how to make the devices usable for JAX.
_ACCELERATORS = (
    ("/dev/nvidia[0-9]*", "an NVIDIA GPU", "pip install 'gen_tickets[cuda]'"),
    ("/dev/kfd", "an AMD GPU", "JAX for ROCm"),
    ("/dev/accel[0-9]*", "a TPU", "pip install 'gen_tickets[tpu]'"),
)


def find() -> list[jax.Device]:
    """All devices; starts JAX's runtime, and reports an unused accelerator.

    Raises:
      UserError: JAX has no device of the requested platform.
    """
    asked = _asked()
    try:
        devices = jax.devices()
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or ["no such device, or no plugin for it"])[0]
        raise UserError(
            f"JAX_PLATFORMS={asked}",
            f"JAX finds no device ({reason[:200]})",
            "unset it, or install that platform, such as pip install "
            "'gen_tickets[cuda]'",
        ) from None
    if devices[0].platform == "cpu" and not asked:
        _tell_unused()
    return devices


def _asked() -> str:
    """The requested platforms of JAX; "" = any."""
    return getattr(jax.config, "jax_platforms", None) or ""


@functools.cache
def _tell_unused() -> None:
    """Reports an unused accelerator, once per process."""
    for pattern, name, remedy in _ACCELERATORS:
        found = sorted(glob.glob(pattern))
        if found:
            display.say(
                (f"{name} is here ({found[0]}), but JAX cannot use it", "bold red"),
                f": this runs on the CPU. {remedy} makes it usable; JAX_PLATFORMS=cpu "
                "hides this message.",
            )
            return
