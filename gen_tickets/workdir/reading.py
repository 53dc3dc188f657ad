"""Reading errors: tells damaged files from files that could not be accessed.

A file is damaged only if it can be read and its content is invalid. A file that this
process may not open, that the disk fails to read, or whose name cannot be encoded may
be intact, and is never replaced, moved or recomputed.
"""

import contextlib
import errno
import os
import pathlib
import re
from collections.abc import Iterator

from gen_tickets.errors import Damaged, UserError

_PIECE = 2**16
_INTACT = "it may be intact: nothing was changed; make it readable, then try again"
# Error numbers that invalid content can cause: an archive directory with offsets before
# the start of the file, or references to files that are not in the folder.
_OF_CONTENT = (
    *(None, errno.EINVAL, errno.EOVERFLOW),
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR),
)
# Prefixes of TensorStore messages whose cause is not the content.
_STATUS = re.compile(
    "PERMISSION_DENIED|UNAUTHENTICATED|UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|CANCELLED"
    "|RESOURCE_EXHAUSTED"
)
# Messages of a process that may start no more threads.
_OF_THREADS = re.compile("can't start new thread|cannot schedule new futures")
# The number of a system error in its other messages.
_NUMBER = re.compile(r"\[os_error_code='(\d+)'\]")


def reason(error: BaseException) -> str:
    """The first line of an exception's message, at most 200 characters."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def is_there(path: str | os.PathLike[str]) -> bool:
    """Whether a file or folder of that name exists, readable or not.

    Raises:
      OSError: the folder cannot be read.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def check_readable(path: str | os.PathLike[str]) -> None:
    """Reads every byte of a file, or of all files in a folder.

    Raises:
      OSError: from the first file or folder that cannot be read.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        return _read_through(path)
    for folder, _, names in os.walk(path, onerror=_raise):
        for name in names:
            # A dangling link counts as no file.
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
    """Turns errors in reading `path` into a UserError: Damaged, or another reason.

    Args:
      path: the file or folder that is read.
      kind: its kind in messages, such as "ticket".
      remedy: what to do about damage.
      field: its name in messages; "" = the path.

    Raises:
      Damaged: every byte can be read, but the content is invalid.
      UserError: it is missing or cannot be read; also any UserError of the body.
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
            raise  # an error of a device, such as its memory
        raise Damaged(
            field, f"is not an intact {kind} ({reason(error)})", remedy
        ) from error


def _unread(path: str | os.PathLike[str], error: Exception) -> Exception | None:
    """The error that prevents reading `path`; None if its content caused `error`."""
    if isinstance(error, UnicodeEncodeError):  # from its name
        return error
    # The process lacks a module, a codec (content raises KeyErrors) or threads.
    if isinstance(error, ImportError) or type(error) is LookupError:
        return error
    if isinstance(error, RuntimeError) and _OF_THREADS.search(str(error)):
        return error
    # Decoders also raise OSErrors, but without a number.
    if isinstance(error, OSError) and error.errno not in _OF_CONTENT:
        return error
    if isinstance(error, ValueError) and _is_of_system(str(error)):
        return error
    try:
        check_readable(path)
    except OSError as unread:
        return unread
    return None


def _is_of_system(message: str) -> bool:
    """Whether a TensorStore message is about a system error, which may be transient."""
    number = _NUMBER.search(message)
    if number is None:
        return _STATUS.match(message) is not None
    return int(number[1]) not in _OF_CONTENT
