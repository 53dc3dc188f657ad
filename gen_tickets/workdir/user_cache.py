"""The folder for what is computed once a machine: GEN_TICKETS_CACHE, or the user's own.

An environment variable that is empty counts as not set, and so does an XDG_CACHE_HOME
that is not absolute, as the XDG base directory specification has it.
"""

import os
import pathlib

from gen_tickets.workdir import paths

VARIABLE = "GEN_TICKETS_CACHE"


def folder() -> pathlib.Path | None:
    """The folder, which need not exist; None: there is no home folder to have one in.

    GEN_TICKETS_CACHE, else gen_tickets/ in XDG_CACHE_HOME, else in ~/.cache.
    """
    given = os.environ.get(VARIABLE)
    if given:
        return paths.expanded(given)
    caches = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(caches):
        return pathlib.Path(caches) / "gen_tickets"
    try:
        return pathlib.Path.home() / ".cache" / "gen_tickets"
    except RuntimeError:  # a container's user without HOME and without an entry
        return None
