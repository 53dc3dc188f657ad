"""Why a file could not be read: its content is damaged, or the reader never got it.

Only content that is there and does not fit is damage. A file that this process may not
open, that the disk does not give, or whose name cannot be encoded may be intact, and
what is intact is never replaced, moved aside or computed again.
"""

import contextlib
import os
import pathlib
import re
from collections.abc import Iterator

from gen_tickets.errors import Damaged, UserError

_PIECE = 2**20
_INTACT = "it may be intact: nothing was changed; make it readable, then try again"
# What TensorStore begins a message with where content is not to blame.
_STATUS = re.compile(
    "PERMISSION_DENIED|UNAUTHENTICATED|UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|CANCELLED"
    "|RESOURCE_EXHAUSTED"
)


def reason(error: BaseException) -> str:
    """The first line of an exception's message, at most 200 characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def is_there(path: str | os.PathLike[str]) -> bool:
    """Whether there is anything of that name, readable or not.

    Raises:
      OSError: the folder that it would be in does not tell.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def check_readable(path: str | os.PathLike[str]) -> None:
    """Reads every byte of a file, or of all files in a folder.

    Raises:
      OSError: as the first file or folder that cannot be read.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        return _read_through(path)
    for folder, _, names in os.walk(path, onerror=_raise):
        for name in names:
            # A link that leads nowhere is as good as no file.
            with contextlib.suppress(FileNotFoundError):
                _read_through(pathlib.Path(folder, name))


def _read_through(path: pathlib.Path) -> None:
    with open(path, "rb", buffering=0) as file:
        while file.read(_PIECE):
            pass


def _raise(error: OSError) -> None:
    raise error


@contextlib.contextmanager
def explained(
    path: str | os.PathLike[str], kind: str, remedy: str = "", field: str = ""
) -> Iterator[None]:
    """Raises what goes wrong in reading `path` as a UserError that says which it is.

    Args:
      path: the file or folder that is read.
      kind: what it should be, as "ticket".
      remedy: what to do about damage.
      field: what messages call it; "" = the path.

    Raises:
      Damaged: every byte can be read, and they are not what they should be.
      UserError: it is not there or cannot be read; any UserError of the body.
    """
    field = field or str(path)
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:  # zipfile, zlib, NumPy, Orbax, ...: dozens of kinds
        unread = _unread(path, error)
        if isinstance(unread, FileNotFoundError):
            raise UserError(field, f"there is no such {kind}", remedy) from error
        if unread is not None:
            raise UserError(
                field, f"cannot be read ({reason(unread)})", _INTACT
            ) from error
        if type(error).__name__ == "JaxRuntimeError":
            raise  # of a device, such as its memory
        raise Damaged(
            field, f"is not an intact {kind} ({reason(error)})", remedy
        ) from error


def _unread(path: str | os.PathLike[str], error: Exception) -> Exception | None:
    """What kept `path` from being read; None where its content raised `error`."""
    if isinstance(error, UnicodeEncodeError):  # of its name
        return error
    missing = (FileNotFoundError, NotADirectoryError, IsADirectoryError)
    # Decoders raise OSErrors of their own, which have no number.
    if isinstance(error, OSError) and error.errno and not isinstance(error, missing):
        return error
    if isinstance(error, ValueError) and _STATUS.match(str(error)):
        return error
    try:
        check_readable(path)
    except OSError as unread:
        return unread
    return None
