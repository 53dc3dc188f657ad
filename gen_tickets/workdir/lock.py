"""Access to a workdir: one process at a time, with an unchanged configuration.

`check` only reads; `claim` takes the lock and writes config.json. The operating system
holds the lock, so it is released whenever the process ends, for any reason.
"""

import contextlib
import json
import os
import pathlib
import re
import sys
from collections.abc import Iterator
from typing import Any

import filelock
import ml_collections

from gen_tickets.config import defaults
from gen_tickets.config import options as options_lib
from gen_tickets.config.options import HOW_TO_JUDGE, HOW_TO_RUN
from gen_tickets.errors import UserError
from gen_tickets.workdir import paths, reading

Path = str | os.PathLike[str]


def _stored(workdir: Path) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """(flat config, provenance) of config.json; None if there is none."""
    path = paths.config_path(workdir)
    with reading.explained(
        path, "configuration", "give a new folder, or put the file back"
    ):
        if not reading.is_there(path):
            return None
        stored = json.loads(path.read_text(encoding="utf-8"))
        provenance = stored.pop("provenance")
        options = defaults.flatten_nested(stored)
        for name in options_lib.REMOVED:
            options.pop(name, None)
        for name in options.keys() & options_lib.OPTIONS.keys():
            options[name] = options_lib.OPTIONS[name].normalize(options[name])
        return options, dict(provenance)


def stored_config(workdir: Path) -> ml_collections.ConfigDict:
    """The options that a workdir was run with, as a ConfigDict.

    Options of devices and hosts are at their defaults.

    Raises:
      UserError: it is not a workdir, or its config.json is damaged.
    """
    stored = _stored(workdir)
    if stored is None:
        raise UserError(workdir, "has no config.json", "give a workdir of gen_tickets")
    try:
        return defaults.restore(stored[0])
    except UserError as error:
        path = paths.config_path(workdir)
        problem = f"{error.field} {error.problem}"
        raise UserError(path, problem, error.remedy) from None


def _differences(stored: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Changes that are not allowed at a restart, as 'name: stored -> wanted'.

    Options added since the workdir was written count as their current defaults.
    """
    found: list[str] = []
    free = set(HOW_TO_RUN)
    if wanted["rewind.step"] != "auto":
        free |= set(HOW_TO_JUDGE)
    before = {**defaults.flatten(defaults.get_config()), **stored}
    for name in sorted(before.keys() | wanted.keys()):
        old, new = before[name], wanted.get(name)
        if old != new and name not in free and not _continues(name, old, new):
            found.append(f"{name}: {json.dumps(old)} -> {json.dumps(new)}")
    return found


def _continues(name: str, old: Any, new: Any) -> bool:
    """Whether a changed option asks for more of the same: the rest stays as it is."""
    if name == "prune.rounds":
        return isinstance(old, int) and new >= old
    is_sweep = name == "rewind.sweep" and bool(old)
    return is_sweep and set(old) <= set(new)


def _check_name(workdir: Path) -> None:
    """Refuses addresses that are not folders, and names that cannot be encoded."""
    if re.match(r"\w\w+:/", str(workdir)):
        raise UserError(
            f"--workdir={workdir}",
            "is not on a disk: an object store has no lock, no rename and no fsync, "
            "on which it rests that a killed run loses nothing",
            "give a folder of a local or network disk, and copy it there afterwards",
        )
    try:
        os.path.abspath(workdir).encode()
    except UnicodeEncodeError:
        raise UserError(
            "--workdir",
            "its name has characters that this process cannot encode "
            f"({sys.getfilesystemencoding()})",
            "set PYTHONUTF8=1, or a UTF-8 locale such as LC_ALL=C.UTF-8",
        ) from None


def _check_folder(place: pathlib.Path) -> None:
    """Raises UserError unless the folder is a workdir, empty, or can be created."""
    if place.exists() and not place.is_dir():
        raise UserError(f"--workdir={place}", "is a file", "give a folder")
    parent = place
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(
            f"--workdir={place}",
            f"{parent} cannot be written",
            "give a folder of yours",
        )
    if reading.is_there(paths.config_path(place)) or not place.exists():
        return
    if any(x.name != "lock" and not x.name.startswith(".") for x in place.iterdir()):
        raise UserError(
            f"--workdir={place}",
            "holds files but no config.json, so it is not an experiment's",
            "give an empty or a new folder",
        )


def check(workdir: Path, config: ml_collections.ConfigDict) -> None:
    """Raises UserError unless `config` may run in `workdir`; writes nothing.

    A folder with another configuration is refused, and the differences are listed. More
    `prune.rounds` than before, or further steps of `rewind.sweep`, is a continuation,
    not a difference.
    """
    _check_name(workdir)
    with reading.explained(workdir, "folder", field=f"--workdir={workdir}"):
        _check_folder(pathlib.Path(workdir))
    stored = _stored(workdir)
    if stored is None:
        return
    differences = _differences(stored[0], defaults.flatten(config))
    if differences:
        raise UserError(
            f"--workdir={workdir}",
            f"holds another configuration ({'; '.join(differences)})",
            "give another folder as --workdir=DIR, or those values",
        )


def _check_provenance(workdir: Path, new: dict[str, Any]) -> None:
    """Refuses changed images; prints changed versions of packages."""
    stored = _stored(workdir)
    if stored is None:
        return
    old = defaults.flatten_nested(stored[1])
    changed = {
        name: f"{name}: {old[name]} -> {value}"
        for name, value in defaults.flatten_nested(new).items()
        if None not in (value, old.get(name)) and value != old[name]
    }
    # Streamed images have no digest; another number of them has another order.
    counted = ("data.sha256_", "data.num_")
    images = [changed[x] for x in changed if x.startswith(counted)]
    if images:
        raise UserError(
            f"--workdir={workdir}",
            f"its images have changed since it started ({'; '.join(images)})",
            "restore them, or give another folder",
        )
    versions = [
        changed[x]
        for x in changed
        if x.startswith("packages.") or x in ("gen_tickets", "python")
    ]
    if versions:
        print(
            f"continuing with other versions: {'; '.join(versions)}; the last digits "
            "of the numbers may differ",
            file=sys.stderr,
        )


def lock(workdir: Path) -> filelock.BaseFileLock:
    """Takes the lock of a workdir, created if missing; `release` frees it.

    Raises:
      UserError: another process holds it, or the folder cannot be written.
    """
    held = filelock.FileLock(pathlib.Path(workdir) / "lock", timeout=0)
    try:
        pathlib.Path(workdir).mkdir(parents=True, exist_ok=True)
        held.acquire()
    except filelock.Timeout:
        raise UserError(
            f"--workdir={workdir}",
            "another process is running in it",
            "wait for it or give another folder",
        ) from None
    except OSError as error:
        raise UserError(
            f"--workdir={workdir}",
            f"cannot be written ({error.strerror})",
            "give a folder of yours",
        ) from None
    return held


def claim(
    workdir: Path, config: ml_collections.ConfigDict, provenance: dict[str, Any]
) -> filelock.BaseFileLock:
    """Creates the folder, locks it and writes config.json.

    Args:
      workdir: folder of the experiment.
      config: validated options.
      provenance: versions, hardware and data, stored with the options.

    Returns:
      The lock; keep it as long as the folder is written, then `release` it.

    Raises:
      UserError: `check` fails, another process holds the lock, or the images have
        changed.
    """
    check(workdir, config)
    held = lock(workdir)
    try:
        _check_provenance(workdir, provenance)
        stored = {**config.to_dict(), "provenance": provenance}
        paths.write_atomically(
            paths.config_path(workdir), json.dumps(stored, indent=1).encode()
        )
    except BaseException:
        held.release()
        raise
    return held


@contextlib.contextmanager
def claimed(
    workdir: Path, config: ml_collections.ConfigDict, provenance: dict[str, Any]
) -> Iterator[None]:
    """Holds the lock of a workdir; process 0 claims it. Arguments, errors: `claim`."""
    # Imported late: reports read stored options without waiting for JAX to load.
    from gen_tickets.distributed import processes

    held = processes.together(
        lambda: processes.is_first() and claim(workdir, config, provenance)
    )
    try:
        yield
    finally:
        if held:
            held.release()
