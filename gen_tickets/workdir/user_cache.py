"""The cache folder: GEN_TICKETS_CACHE, or the user's cache.

An empty environment variable counts as not set, and so does an XDG_CACHE_HOME that is
not absolute, as in the XDG base directory specification.
"""

import os
import pathlib

from gen_tickets.workdir import paths

VARIABLE = "GEN_TICKETS_CACHE"


def folder() -> pathlib.Path | None:
    """The cache folder, which may not exist; None: there is no home folder.

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
    except RuntimeError:  # in a container: no HOME and no user entry
        return None
