"""The image files of a folder: its splits, and the files that are left out.

Reads only names.
"""

import collections
import os
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp")
#: Top-level folders (in upper or lower case); the first that exists is held out.
HELDOUT_FOLDERS = ("heldout", "test", "validation", "valid", "val", "dev")


class Listing(NamedTuple):
    """The image files of a folder, as sorted relative paths with forward slashes."""

    splits: dict[str, list[str]]  #: "train" and the folders of HELDOUT_FOLDERS
    heldout: str | None  #: the split that is held out, if any
    #: {"unused splits": {"val": 300}, "left out": {"*.gif": 2, "hidden": 1},
    #: "trained on": {"photos/val": 40}}, JSON-serializable; see `remarks`
    about: dict[str, dict[str, int]]


def list_images(root: pathlib.Path) -> Listing:
    """Lists the images under `root`, searched recursively.

    Skips names with a leading dot, and does not follow links to folders. Files in a
    top-level folder of HELDOUT_FOLDERS are a split of that name, all others are
    "train".

    Raises:
      OSError: a folder in it cannot be read.
    """
    left_out: collections.Counter[str] = collections.Counter()
    splits: dict[str, list[str]] = {"train": []}
    deeper: collections.Counter[str] = collections.Counter()
    for path in sorted(_image_files(root, left_out)):
        top, *below = path.split("/")
        split = top.lower() if below and top.lower() in HELDOUT_FOLDERS else "train"
        splits.setdefault(split, []).append(path)
        if split == "train":
            deeper.update(_split_below(below))
    heldout = next((name for name in HELDOUT_FOLDERS if name in splits), None)
    unused = {
        name: len(paths)
        for name, paths in splits.items()
        if name not in ("train", heldout)
    }
    about = {
        "unused splits": unused,
        "trained on": dict(deeper),
        "left out": dict(sorted(left_out.items())),
    }
    return Listing(splits, heldout, {k: v for k, v in about.items() if v})


def _split_below(parts: list[str]) -> list[str]:
    """The folder among these whose name is that of a held-out split, if any."""
    return [x for x in parts[:-1] if x.lower() in HELDOUT_FOLDERS][:1]


def _image_files(
    root: pathlib.Path, left_out: collections.Counter[str]
) -> Iterator[str]:
    """Relative paths of the image files; counts all other files."""
    for folder, subfolders, files in os.walk(root, onerror=_raise):
        for name in list(subfolders):
            if name.startswith(".") or os.path.islink(os.path.join(folder, name)):
                subfolders.remove(name)
                hidden = name.startswith(".")
                left_out["hidden folders" if hidden else "linked folders"] += 1
        prefix = pathlib.Path(folder).relative_to(root).as_posix()
        for name in files:
            reason = _why_left_out(os.path.join(folder, name))
            if reason:
                left_out[reason] += 1
            else:
                yield name if prefix == "." else f"{prefix}/{name}"


def _why_left_out(path: str) -> str:
    """Why a file is left out; "" if it is not."""
    name = os.path.basename(path)
    suffix = os.path.splitext(name)[1].lower()
    if name.startswith("."):
        return "hidden files"
    if suffix not in IMAGE_SUFFIXES:
        return f"*{suffix}" if suffix else "files without a suffix"
    if os.path.islink(path) and not os.path.exists(path):
        return "links to nothing"
    return ""


def _raise(error: OSError) -> None:
    raise error


def remarks(about: dict[str, Any]) -> list[str]:
    """Remarks for the user on a `Listing.about`."""
    said = []
    for name, count in about.get("unused splits", {}).items():
        said.append(f"{name}/ ({count} images) is neither trained on nor held out")
    for name, count in about.get("trained on", {}).items():
        said.append(
            f"{count} images in folders called {name}, not at the top, are trained on"
        )
    left_out = about.get("left out", {})
    if left_out:
        counts = ", ".join(f"{count} {name}" for name, count in left_out.items())
        said.append(f"left out: {counts}")
    return said
