"""Times PyTorch's training steps of the same models, in its fastest variants."""

from typing import Any

import torch

from benchmarks import torch_peer
from benchmarks.accelerator import models, timing
from benchmarks.accelerator.scales import PEERS, TORCH_VARIANTS, Scale


def setup_of(options: Any, **training: Any) -> torch_peer.Setup:
    """The peer of a network with these options `model.*`, trained like `training`."""
    return torch_peer.Setup(
        latent_size=options.latent_size,
        widths=tuple(options.widths),
        blocks=options.blocks,
        attention=tuple(options.attention),
        norm_groups=options.norm_groups,
        dropout=options.dropout,
        **training,
    )


def measure(scale: Scale, model: str, variant: str, platform: str) -> dict[str, Any]:
    """Seconds and memory of a masked training step.

    Args:
      scale: how long it is measured.
      model: an experiment of Table 1 that has a peer.
      variant: "eager", "channels_last", and in that layout "autocast" (bfloat16),
        "compile" (torch.compile) and "compile_autocast".
      platform: JAX's, "cpu" or "gpu".

    Raises:
      RuntimeError: PyTorch does not see that device.
    """
    device = {"cpu": "cpu", "gpu": "cuda"}.get(platform)
    if device is None or (device == "cuda" and not torch.cuda.is_available()):
        raise RuntimeError(f"PyTorch {torch.__version__} sees no {platform}")
    torch.set_float32_matmul_precision("high")  # TF32, as JAX's default
    torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    torch.compiler.reset()  # what was compiled for another model counts for no limit
    config = models.configure(model, scale.smoke)
    setup = setup_of(config.model, device=device, **TORCH_VARIANTS[variant])
    step = torch_peer.build(PEERS[model], config.data.batch_size, setup)

    def run(num_steps):
        for _ in range(num_steps):
            loss = step()
        loss.item()  # waits for the device

    on_gpu = device == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    found = timing.repeat(run, scale.seconds, scale.repetitions)
    return {
        **found,
        "device_peak_bytes": torch.cuda.max_memory_allocated() if on_gpu else None,
    }
