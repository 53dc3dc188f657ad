"""Seeded weights and images for the Inception network, which need no download.

Images and weights are functions of their names alone. What torch-fidelity's network
makes of them lies in data/inception_reference.npz.
"""

import pathlib
import zlib

import numpy as np

PATH = pathlib.Path(__file__).parent / "data" / "inception_reference.npz"


def _uniform(key, shape):
    return np.random.RandomState(zlib.crc32(f"0:{key}".encode())).random_sample(shape)


def seeded_array(key, shape):
    """float32 array that keeps activations at a natural size through all layers."""
    kind = key.rpartition(".")[2]
    u = _uniform(key, shape)
    if kind == "running_var":
        values = 0.05 + 1.45 * u**2
    elif kind == "running_mean":
        values = 0.6 * u - 0.3
    elif key.endswith("bn.weight"):
        values = 0.5 + u
    elif key.endswith("bn.bias"):
        values = 0.8 * u - 0.3
    elif key == "fc.weight":
        values = (2 * u - 1) * 4 * np.sqrt(3 / 2048)
    elif key == "fc.bias":
        values = u - 0.5
    else:
        variance = seeded_array(key.replace("conv.weight", "bn.running_var"), shape[:1])
        values = 2 * u - 1
        values -= values.mean((1, 2, 3), keepdims=True)
        scale = np.sqrt(6 / np.prod(shape[1:]) * variance)
        values *= scale[:, None, None, None]
    return values.astype(np.float32)


def seeded_state(shapes):
    """{name: array} for a table of names and shapes."""
    return {key: seeded_array(key, shape) for key, shape in shapes.items()}


def seeded_images():
    """uint8 [3, 40, 28, 3]: noise, coarse blocks, and a ramp."""
    noise = _uniform("noise", (40, 28, 3))
    blocks = np.kron(_uniform("blocks", (10, 7, 3)), np.ones((4, 4, 1)))
    ramp = np.indices((40, 28)).sum(0)[..., None] / 67 * np.array([1.0, 0.6, 0.3])
    return np.floor(255.99 * np.stack([noise, blocks, ramp])).astype(np.uint8)


def seeded_small_images():
    """uint8 [8, 32, 32, 3]: four of noise, four of coarse blocks."""
    noise = _uniform("noise_32", (4, 32, 32, 3))
    blocks = np.kron(_uniform("blocks_32", (4, 8, 8, 3)), np.ones((1, 4, 4, 1)))
    return np.floor(255.99 * np.concatenate([noise, blocks])).astype(np.uint8)
