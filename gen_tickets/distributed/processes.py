"""Several processes of one experiment: start, agreement, and shared reading.

JAX's runtime (`jax.distributed`) joins them; every process runs the same program on its
own devices. With a single process, none of this has an effect. Only process 0 writes
files, except that in Orbax checkpoints every process writes the data of its devices.
"""

import collections
import contextlib
import glob
import importlib.util
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils
from ml_collections import ConfigDict
from numpy.typing import ArrayLike

from gen_tickets.errors import Damaged, LostProcess, UserError
from gen_tickets.trees import Tree

Result = TypeVar("Result")
# images [n, ...], labels [n] or None, facts and the number of images with each
Images: TypeAlias = tuple[np.ndarray, np.ndarray | None, collections.Counter[str]]

# In the message of an operation that waits for other processes in vain.
_LOST = re.compile(
    "Gloo|NCCL|UNAVAILABLE|DEADLINE_EXCEEDED|[Cc]oordination|[Hh]eartbeat"
    "|[Cc]onnection (reset|closed|refused)"
)
_TEXT_BYTES = 2048  # of a message between processes; longer ones are truncated
# Set in TPU containers (Colab, Kaggle, Kubernetes), which often have no such server.
_TPU_TOLD = {"TPU_WORKER_HOSTNAMES", "TPU_PROCESS_ADDRESSES", "TPU_SKIP_MDS_QUERY"}


def are_several(environment: Mapping[str, str]) -> bool:
    """Whether a launcher's variables say that this is one of several processes.

    Recognizes Slurm (within srun), Cloud TPU, an Indexed Job of Kubernetes, and JAX's
    own JAX_COORDINATOR_ADDRESS.
    """
    many_tasks = int(environment.get("SLURM_NTASKS", "1")) > 1
    hosts = environment.get("TPU_PROCESS_ADDRESSES") or environment.get(
        "TPU_WORKER_HOSTNAMES", ""
    )
    return (
        "JAX_COORDINATOR_ADDRESS" in environment
        or ("SLURM_STEP_NODELIST" in environment and many_tasks)
        or "," in hosts
        or {"KUBERNETES_SERVICE_HOST", "JOB_COMPLETION_INDEX"} <= environment.keys()
    )


def _has_tpu() -> bool:
    """Whether TPU chips are attached; other hardware may also be in /dev/vfio."""
    chips = glob.glob("/dev/accel[0-9]*") + glob.glob("/dev/vfio/[0-9]*")
    return bool(chips) and importlib.util.find_spec("libtpu") is not None


def start(options: ConfigDict) -> None:
    """Joins the other processes, if the options or the environment name any.

    Args:
      options: `config.parallel`; JAX reads what is unset from the environment.

    Raises:
      UserError: the processes cannot connect.
    """
    # On a Cloud TPU machine, only the metadata server may know the other hosts.
    asks = _has_tpu() and not _TPU_TOLD & os.environ.keys()
    told = options.processes > 1 or options.coordinator
    if options.processes == 1 or not (told or asks or are_several(os.environ)):
        return
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # SIGTERM is handled by `console.signals`.
    jax.config.update("jax_enable_preemption_service", False)
    try:
        jax.distributed.initialize(
            coordinator_address=options.coordinator or None,
            num_processes=options.processes or None,
            process_id=None if options.process < 0 else options.process,
            # Other processes must not wait long for a failed one.
            shutdown_timeout_seconds=20,
        )
    except (RuntimeError, ValueError, KeyError) as error:
        reason = (str(error).splitlines() or [repr(error)])[0][:200]
        raise UserError(
            f"parallel.coordinator={options.coordinator!r}, parallel.processes="
            f"{options.processes}, parallel.process={options.process}",
            f"the processes cannot connect ({reason})",
            "give all three, or start with srun",
        ) from None


@contextlib.contextmanager
def lost_process_told() -> Iterator[None]:
    """Turns the error of a collective that waits for a lost process into `LostProcess`.

    JAX raises it as different types, by platform and operation. If process 0 is lost,
    JAX may abort the others before any of them can raise it.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        is_told = isinstance(error, UserError) or jax.process_count() == 1
        if is_told or not _LOST.search(str(error)):
            raise
        reason = str(error).splitlines()[0][:200]
        raise LostProcess(
            f"parallel.processes={jax.process_count()}",
            f"another process was lost ({reason})",
            "start all of them again with the same command; they continue",
        ) from error


def is_first() -> bool:
    """Whether this process writes tables, images and messages."""
    return jax.process_index() == 0


def to_host(tree: Tree) -> Tree:
    """NumPy arrays, complete on every process; all processes must call it."""
    return jax.tree.map(_whole, tree)


def _whole(x: ArrayLike) -> np.ndarray:
    if not isinstance(x, jax.Array) or x.is_fully_addressable or x.is_fully_replicated:
        return np.asarray(x)
    return multihost_utils.process_allgather(x, tiled=True)


def gather(values: ArrayLike) -> np.ndarray:
    """The arrays of all processes, [processes, ...]; all processes must call it."""
    values = np.asarray(values)
    if jax.process_count() == 1:
        return values[None]
    return np.asarray(multihost_utils.process_allgather(values))


def _gather_texts(*texts: str) -> list[list[str]]:
    """The texts of all processes; all must call it with the same number of texts."""
    rows = np.zeros((len(texts), _TEXT_BYTES), np.uint8)
    for row, text in zip(rows, texts):
        encoded = np.frombuffer(text.encode(errors="replace")[:_TEXT_BYTES], np.uint8)
        row[: len(encoded)] = encoded

    def decode(row: np.ndarray) -> str:
        return row.tobytes().rstrip(b"\0").decode(errors="ignore")

    return [[decode(row) for row in rows] for rows in gather(rows)]


def together(function: Callable[[], Result]) -> Result:
    """Runs function() on every process; a UserError of one is raised by all.

    Otherwise the others would wait until they are notified of its death. If one process
    cannot read a file, the error is not `Damaged`, even if others raise that.
    """
    results, parts = [], ("", "", "", "")
    try:
        results.append(function())
    except UserError as error:
        if jax.process_count() == 1:
            raise
        kind = "damaged" if isinstance(error, Damaged) else ""
        parts = (error.field, error.problem, error.remedy, kind)
    failed = [texts for texts in _gather_texts(*parts) if texts[0] or texts[1]]
    for field, problem, remedy, kind in sorted(failed, key=lambda texts: texts[3]):
        raise (Damaged if kind else UserError)(field, problem, remedy)
    [result] = results
    return result


def _check_sizes(shape: tuple[int, ...]) -> None:
    """Raises UserError in all processes if they have images of different shapes.

    Each has read a part of the set, of one size by itself.
    """
    sizes = sorted({tuple(map(int, of)) for of in gather(np.array(shape))})
    if len(sizes) > 1:
        raise UserError(
            "data.image_size=0",
            f"images differ in size, {list(sizes[0])} and {list(sizes[1])}",
            "give a size to which all are resized, such as 64",
        )


def read_shares(read: Callable[[np.ndarray], Images], indices: np.ndarray) -> Images:
    """Reads a part of the images in each process, and returns all of them in each.

    Args:
      read: indices -> `Images`.
      indices: int [N], the same in every process.

    Returns:
      The result of `read(indices)`.

    Raises:
      UserError: those of `read`, and the images of two processes differ in size.
    """
    count = jax.process_count()
    if count == 1:
        return read(indices)
    shares = np.array_split(np.asarray(indices), count)
    own = shares[jax.process_index()]
    images, labels, facts = together(
        lambda: read(own if len(own) else indices[:1])  # fewer images than processes
    )
    _check_sizes(images.shape[1:])
    facts = facts if len(own) else collections.Counter()

    def join(rows: np.ndarray) -> np.ndarray:
        # The same number of rows from each, so that one collective suffices.
        padding = [(0, len(shares[0]) - len(rows))] + [(0, 0)] * (rows.ndim - 1)
        parts = gather(np.pad(rows, padding))
        return np.concatenate([x[: len(share)] for x, share in zip(parts, shares)])

    texts = _gather_texts(json.dumps(facts))
    total: collections.Counter[str] = collections.Counter()
    for [text] in texts:
        total.update(json.loads(text))
    return join(images), None if labels is None else join(labels), total
