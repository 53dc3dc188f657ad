"""Flags of XLA, which it reads from the environment when it starts."""

import importlib.util
import mmap
import os
import pathlib
from collections.abc import Mapping


def add(flags: Mapping[str, str]) -> None:
    """Adds {flag: value} to XLA_FLAGS, except flags that are given or unknown there.

    An unknown flag ends the process, and XLA cannot be asked before it reads them: its
    library is searched for their names.
    """
    given = os.environ.get("XLA_FLAGS", "")
    new = {name: value for name, value in flags.items() if f"--{name}=" not in given}
    package = importlib.util.find_spec("jaxlib")
    folders = package.submodule_search_locations if package else None
    for library in pathlib.Path((folders or [""])[0]).glob("*jax_common*"):
        with (
            library.open("rb") as file,
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text,
        ):
            for name, value in new.items():
                if text.find(b"\0%b\0" % name.encode()) >= 0:
                    given += f" --{name}={value}"
    os.environ["XLA_FLAGS"] = given.strip()
