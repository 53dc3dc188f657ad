"""Finds, checks and converts the weights of the Inception network.

They are searched at a given path, then at the path in the environment variable
GEN_TICKETS_INCEPTION_WEIGHTS, then in the cache folder (see `workdir.user_cache`), and
finally, if allowed, downloaded from the public release. The public file must have its
published SHA-256. Any other file is accepted; its SHA-256 is part of the key of every
cached statistic.
"""

import hashlib
import http.client
import os
import pathlib
import tempfile
import urllib.request
from collections.abc import Mapping
from typing import NamedTuple, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util

from gen_tickets.errors import UserError
from gen_tickets.evaluation.features import containers, inception
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.trees import Tree
from gen_tickets.workdir import paths, user_cache

FILE_NAME = "pt_inception-2015-12-05-6726825d.pth"
URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    f"{FILE_NAME}"
)
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
PATH_VARIABLE = "GEN_TICKETS_INCEPTION_WEIGHTS"
CACHE_VARIABLE = user_cache.VARIABLE
BATCH_NORM_EPSILON = 1e-3


_Path = str | os.PathLike[str]


class Weights(NamedTuple):
    """Weights ready for `inception.extract`."""

    variables: dict[str, Tree]  #: folded kernels and biases
    fingerprint: str  #: SHA-256 of the file, 64 hex digits
    path: pathlib.Path


def load_weights(path: _Path | None = None, download: bool = False) -> Weights:
    """Finds, checks and folds the weights.

    Args:
      path: a .pth or .npz file; None: searched for as described above.
      download: whether the public file (96 MB) may be downloaded if none is found.

    Raises:
      UserError: none is found, or the file does not have the network's weights.
    """
    path = find_weights(path, download)
    return Weights(fold(read_state(path)), fingerprint(path), path)


def find_weights(path: _Path | None = None, download: bool = False) -> pathlib.Path:
    """The file that `load_weights` reads; the SHA-256 of a cached one is checked."""
    field = "weights" if path else PATH_VARIABLE
    path = path or os.environ.get(PATH_VARIABLE)
    if path:
        path = paths.expanded(path)
        if not path.is_file():
            raise UserError(
                f"{field}={str(path)!r}", "no such file", "give a .pth or .npz"
            )
        return path
    cached = cache_folder() / FILE_NAME
    if cached.is_file():
        if fingerprint(cached) != SHA256:
            raise UserError(
                f"weights={str(cached)!r}",
                f"SHA-256 is not {SHA256[:8]}...",
                "delete the file, and fetch it again",
            )
        return cached
    if not download:
        raise UserError(
            "weights",
            f"none given, and none at {str(cached)!r}",
            f"put {URL} there, set {PATH_VARIABLE}, or allow the download",
        )
    return _download(cached)


def cache_folder() -> pathlib.Path:
    """The folder of the public file and of `cache`; temporary without a home folder."""
    temporary = pathlib.Path(tempfile.gettempdir()) / "gen_tickets"
    return user_cache.folder() or temporary


def fingerprint(path: _Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(target: pathlib.Path) -> pathlib.Path:
    """Downloads the public file to a temporary name; renames it if it is correct."""
    by_hand = f"put the file at {str(target)!r} by other means"
    name = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=FILE_NAME, dir=target.parent)
        with os.fdopen(handle, "wb") as file:
            with urllib.request.urlopen(URL, timeout=60) as response:
                file.write(response.read(containers.MAX_BYTES))
        if fingerprint(name) != SHA256:
            raise UserError(
                "weights=None",
                f"the file from {URL} does not have SHA-256 {SHA256[:8]}...",
                f"try again, or {by_hand}",
            )
        os.replace(name, target)
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            "weights=None", f"{URL} cannot be fetched ({error})", by_hand
        ) from error
    finally:
        if name:
            pathlib.Path(name).unlink(missing_ok=True)
    return target


def read_state(path: _Path) -> dict[str, np.ndarray]:
    """Reads the 472 arrays of `state_shapes` as {name: float32 array}.

    Batch-norm counters (`num_batches_tracked`) are dropped.

    Raises:
      UserError: a name, shape, type or value does not fit the network.
    """

    def refuse(problem: str) -> NoReturn:
        raise UserError(
            f"weights={str(path)!r}",
            problem,
            f"this network needs the weights of {FILE_NAME}",
        )

    arrays = {
        name: array
        for name, array in containers.read_arrays(path).items()
        if not name.endswith(".num_batches_tracked")
    }
    shapes = state_shapes()
    for name in sorted(shapes.keys() ^ arrays.keys()):
        problem = "missing" if name in shapes else "unknown"
        refuse(f"array {name[:80]!r} is {problem}")
    for name, shape in shapes.items():
        array = arrays[name]
        if array.dtype != np.float32 or array.shape != shape:
            found = f"{array.dtype}{list(array.shape)}"
            refuse(f"{name} is {found}, not float32{list(shape)}")
        if not np.isfinite(array).all():
            refuse(f"{name} is not finite")
        if name.endswith("running_var") and array.min() < 0:
            refuse(f"{name} is negative")
    return arrays


def state_shapes() -> dict[str, tuple[int, ...]]:
    """{name: shape} of the 472 arrays of the public weights, in PyTorch's layout."""
    image = jax.ShapeDtypeStruct((1, 8, 8, 3), jnp.uint8)
    middle = jax.ShapeDtypeStruct((1, 35, 35, 192), jnp.float32)
    key = jax.random.key(0)
    params = {
        **jax.eval_shape(inception.Stem(LIBRARY).init, key, image)["params"],
        **jax.eval_shape(inception.Trunk(LIBRARY).init, key, middle)["params"],
    }
    shapes: dict[str, tuple[int, ...]] = {}
    for name, kernel in traverse_util.flatten_dict(params, sep=".").items():
        unit, _, kind = name.rpartition(".")
        if kind != "kernel" or unit == "fc":
            continue
        height, width, channels, features = kernel.shape
        shapes[f"{unit}.conv.weight"] = (features, channels, height, width)
        for name in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{unit}.bn.{name}"] = (features,)
    return shapes | {
        "fc.weight": (inception.NUM_CLASSES, inception.NUM_FEATURES),
        "fc.bias": (inception.NUM_CLASSES,),
    }


def fold(
    arrays: Mapping[str, np.ndarray], epsilon: float = BATCH_NORM_EPSILON
) -> dict[str, Tree]:
    """The variables of the network from the 472 arrays of `state_shapes`.

    y = (conv(x) - mean) / sqrt(var + epsilon) * weight + bias becomes one convolution
    with a bias; the factors are computed in float64.
    """
    params = {"fc.kernel": jnp.asarray(arrays["fc.weight"].T)}
    for name in arrays:
        if not name.endswith(".conv.weight"):
            continue
        unit = name.removesuffix(".conv.weight")
        weight, bias, mean, variance = (
            arrays[f"{unit}.bn.{part}"].astype(np.float64)
            for part in ("weight", "bias", "running_mean", "running_var")
        )
        scale = weight / np.sqrt(variance + epsilon)
        # [O, I, kH, kW] -> [kH, kW, I, O]
        kernel = arrays[name].transpose(2, 3, 1, 0) * scale
        params[f"{unit}.kernel"] = jnp.asarray(kernel, jnp.float32)
        params[f"{unit}.bias"] = jnp.asarray(bias - mean * scale, jnp.float32)
    return {"params": traverse_util.unflatten_dict(params, sep=".")}
