"""Who may use a workdir: one process at a time, one configuration for ever.

`check` only looks; `claim` takes the lock and writes config.json. The lock is the
operating system's, so it ends with the process, however that ends.
"""

import fcntl
import json
import os
import pathlib
import sys

from gen_tickets.config import defaults
from gen_tickets.errors import UserError
from gen_tickets.workdir import paths


def _stored(workdir) -> tuple[dict, dict] | None:
    """(flat config, provenance) of config.json; None where there is none."""
    path = paths.config_path(workdir)
    if not path.exists():
        return None
    try:
        stored = json.loads(path.read_text())
        provenance = stored.pop("provenance")
        options = defaults.flatten_nested(stored)
        for name in defaults.REMOVED:
            options.pop(name, None)
        return options, dict(provenance)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"--workdir={workdir}: {path.name} cannot be read ({error}); give a new "
            "folder, or put the file back"
        ) from None


def stored_config(workdir):
    """The options that a workdir was run with, as a ConfigDict.

    Those that say on how many devices and hosts are at their defaults.

    Raises:
      UserError: it is no workdir, or its config.json is damaged.
    """
    stored = _stored(workdir)
    if stored is None:
        raise UserError(f"{workdir}: has no config.json; give a workdir of gen_tickets")
    config = defaults.get_config()
    try:
        for name, value in stored[0].items():
            if not name.startswith("parallel."):
                value = tuple(value) if isinstance(value, list) else value
                config.update_from_flattened_dict({name: value})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{paths.config_path(workdir)}: {name} is not what this version takes "
            f"({error}); use the version that wrote it"
        ) from None
    return config


def stored_provenance(workdir) -> dict:
    """Versions, hardware and data of the workdir's last start.

    Raises:
      UserError: it is no workdir, or its config.json is damaged.
    """
    stored = _stored(workdir)
    if stored is None:
        raise UserError(workdir, "has no config.json", "give a workdir of gen_tickets")
    return stored[1]


def _differences(stored: dict, wanted: dict) -> list[str]:
    """What a restart may not change, as 'name: stored -> wanted'.

    An option that is younger than the folder was at what is its default now.
    """
    found = []
    before = {**defaults.flatten(defaults.get_config()), **stored}
    for name in sorted(before.keys() | wanted.keys()):
        old, new = before[name], wanted.get(name)
        grows = name == "prune.rounds" and type(old) is int and new >= old
        if old != new and not grows and name not in defaults.HOW_TO_RUN:
            found.append(f"{name}: {json.dumps(old)} -> {json.dumps(new)}")
    return found


def check(workdir, config) -> None:
    """Raises UserError unless `config` may run in `workdir`; writes nothing.

    A folder that holds another configuration is refused with the differences; more
    `prune.rounds` than before is a continuation, not a difference.
    """
    place = pathlib.Path(workdir)
    if place.exists() and not place.is_dir():
        raise UserError(f"--workdir={workdir}: is a file; give a folder")
    parent = place
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(
            f"--workdir={workdir}: {parent} cannot be written; give a folder of yours"
        )
    stored = _stored(place)
    if stored is None:
        if place.exists() and any(
            x.name != "lock" and not x.name.startswith(".") for x in place.iterdir()
        ):
            raise UserError(
                f"--workdir={workdir}: holds files but no config.json, so it is not an "
                "experiment's; give an empty or a new folder"
            )
        return
    differences = _differences(stored[0], defaults.flatten(config))
    if differences:
        raise UserError(
            f"--workdir={workdir}: holds another configuration "
            f"({'; '.join(differences)}); give another folder, or those values"
        )


def _check_provenance(workdir, new: dict) -> None:
    """Other images than before are refused; other versions of packages are told."""
    stored = _stored(workdir)
    if stored is None:
        return
    old = defaults.flatten_nested(stored[1])
    changed = {
        name: f"{name}: {old[name]} -> {value}"
        for name, value in defaults.flatten_nested(new).items()
        if None not in (value, old.get(name)) and value != old[name]
    }
    images = [changed[x] for x in changed if x.startswith("data.sha256_")]
    if images:
        raise UserError(
            f"--workdir={workdir}: its images have changed since it began "
            f"({'; '.join(images)}); bring them back, or give another folder"
        )
    versions = [
        changed[x]
        for x in changed
        if x.startswith("packages.") or x in ("gen_tickets", "python")
    ]
    if versions:
        print(
            f"goes on with other versions: {'; '.join(versions)}; the last digits of "
            "its numbers may differ",
            file=sys.stderr,
        )


def lock(workdir):
    """Takes the lock of a workdir, which is made if absent; close it to let go.

    Raises:
      UserError: another process holds it, or the folder cannot be written.
    """
    try:
        pathlib.Path(workdir).mkdir(parents=True, exist_ok=True)
        held = open(pathlib.Path(workdir) / "lock", "a+")
    except OSError as error:
        raise UserError(
            f"--workdir={workdir}: cannot be written ({error.strerror}); give a folder "
            "of yours"
        ) from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        raise UserError(
            f"--workdir={workdir}: another process is running in it; wait for it or "
            "give another folder"
        ) from None
    return held


def claim(workdir, config, provenance: dict):
    """Makes the folder, locks it, writes config.json.

    Args:
      workdir: folder of the experiment.
      config: validated options.
      provenance: versions, hardware and data, stored beside the options.

    Returns:
      The open lock; keep it as long as the folder is written.

    Raises:
      UserError: `check` fails, another process holds the lock, or the images are not
        those of before.
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
        held.close()
        raise
    return held
