"""The device and versions of the measurements."""

from typing import Any

import jax

from benchmarks.accelerator.scales import Scale
from benchmarks.train_step import hardware
from gen_tickets.kernels import lowering


def describe(scale: Scale) -> dict[str, Any]:
    """Platform, kind and memory of the first device, versions, and the lowerings."""
    del scale
    device = jax.local_devices()[0]
    stats = device.memory_stats() or {}
    return {
        "platform": jax.default_backend(),
        "device": device.device_kind,
        "memory_bytes": stats.get("bytes_limit"),
        "lowering": lowering.choose()._asdict(),
        **hardware(),
    }
