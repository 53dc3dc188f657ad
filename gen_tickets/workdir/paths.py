"""The paths of all files in a workdir, and atomic writing.

Paths are `pathlib.Path`; round numbers have at least two digits, so that listings are
in order. Only `write_atomically`, `append` and `move_into` access the disk, and only
the standard library and `errors` are imported.
"""

import contextlib
import itertools
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator

from gen_tickets.errors import UserError


def _named(name: str) -> Callable[[str | os.PathLike[str]], pathlib.Path]:
    """A function from a workdir to the path of the file or folder with this name."""
    return lambda workdir: pathlib.Path(workdir) / name


config_path = _named("config.json")
results_path = _named("results.csv")
layers_path = _named("layers.csv")
curves_path = _named("curves.csv")
columns_path = _named("columns.json")
baselines_path = _named("baselines.json")
#: Metrics on the lines between the copies of an instability analysis.
stability_path = _named("stability.csv")
parameters_path = _named("parameters.txt")
report_path = _named("report.html")
figures_dir = _named("figures")
samples_dir = _named("samples")
originals_path = _named("samples/originals.png")
tensorboard_dir = _named("tensorboard")
checkpoints_dir = _named("checkpoints")


def ticket_path(
    workdir: str | os.PathLike[str], round_number: int, run: int
) -> pathlib.Path:
    folder = pathlib.Path(workdir) / "tickets" / f"round_{round_number:02d}"
    return folder / f"run_{run}.npz"


def trained_dir(workdir: str | os.PathLike[str], round_number: int) -> pathlib.Path:
    return pathlib.Path(workdir) / "trained" / f"round_{round_number:02d}"


def trained_path(
    workdir: str | os.PathLike[str], round_number: int, arm: str, run: int
) -> pathlib.Path:
    """The weights of a member at the end of its training."""
    return trained_dir(workdir, round_number) / f"{arm}_run_{run}.npz"


def rewind_dir(workdir: str | os.PathLike[str], step: str) -> pathlib.Path:
    """The workdir of one step of a sweep, such as "10" or "1ep", below the sweep's."""
    return pathlib.Path(workdir) / f"rewind_{step}"


def search_path(workdir: str | os.PathLike[str], run: int) -> pathlib.Path:
    """The early-bird search of a run."""
    return pathlib.Path(workdir) / "searches" / f"run_{run}.npz"


def sample_path(
    workdir: str | os.PathLike[str], round_number: int, arm: str, kind: str
) -> pathlib.Path:
    """An image grid; `kind` is "samples" or "reconstructions"."""
    return samples_dir(workdir) / f"round_{round_number:02d}_{arm}_{kind}.png"


def beside(workdir: str | os.PathLike[str], ending: str) -> pathlib.Path:
    """The folder next to a workdir whose name has a further ending."""
    place = pathlib.Path(workdir)
    if place.name in ("", ".."):  # "." or a path that ends in "..", without a name
        place = place.resolve()
    return pathlib.Path(f"{place}{ending}")


def expanded(path: str | os.PathLike[str]) -> pathlib.Path:
    """A path with "~" as a home folder; it stays "~" where there is none."""
    return pathlib.Path(os.path.expanduser(path))


def write_atomically(path: str | pathlib.Path, data: bytes) -> None:
    """Writes `data` to `path`; readers and crashes see the old or the new file.

    Writes a temporary file in the same folder (created if missing), syncs it to disk
    and renames it; the temporary file is removed if any of this fails.

    Raises:
      UserError: the disk is full or not writable.
    """
    path = pathlib.Path(path)
    with disk_errors_told(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(
            prefix=f".{path.name}.", dir=path.parent
        )
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
        _sync_folder(path.parent)


def append(path: str | pathlib.Path, data: bytes) -> None:
    """Appends `data` to the file at `path`; it is on disk when the call returns.

    A crash may leave a part of it.

    Raises:
      UserError: the disk is full or not writable.
    """
    with disk_errors_told(path), open(path, "ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def move_into(path: pathlib.Path, folder: str) -> pathlib.Path:
    """Moves a file or folder into a sibling folder, created if missing.

    Args:
      path: the file or folder to move.
      folder: name of the sibling folder.

    Returns:
      The new path; if the name is taken, a number is appended.

    Raises:
      UserError: the disk cannot be written.
    """
    with disk_errors_told(path):
        place = path.parent / folder
        place.mkdir(exist_ok=True)
        taken = {x.name for x in place.iterdir()}
        names = (f"{path.name}.{i}" if i else path.name for i in itertools.count())
        target = place / next(name for name in names if name not in taken)
        os.rename(path, target)
        _sync_folder(path.parent)
    return target


@contextlib.contextmanager
def disk_errors_told(path: str | pathlib.Path) -> Iterator[None]:
    """Raises an OSError as a UserError that names the file."""
    try:
        yield
    except OSError as error:
        raise UserError(
            path,
            f"cannot be written ({error.strerror or error})",
            "make room or mend that, then run the same command to continue",
        ) from error


def _sync_folder(folder: pathlib.Path) -> None:
    """Syncs new file names to disk, which are stored apart from file contents."""
    descriptor = os.open(folder, os.O_RDONLY)
    with contextlib.suppress(OSError):  # not every file system supports it
        os.fsync(descriptor)
    os.close(descriptor)


def _umask() -> int:
    """The umask of the process, which `mkstemp` ignores: its files are private."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
