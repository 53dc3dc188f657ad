"""Compares the workdirs of two versions of the code bit for bit.

    python -m benchmarks.compare_results BEFORE AFTER

BEFORE and AFTER are folders of workdirs with the same names, written by two versions
with the same options on one machine. Compares every number of results.csv, layers.csv
and curves.csv (except seconds and evaluation hashes), every array of every ticket,
trained network and search, every image and the baselines. Exits with status 1 if
anything differs.
"""

import argparse
import csv
import pathlib
import sys
import zipfile

import numpy as np

_NOT_COMPARED = {"seconds", "evaluation"}
_TABLES = ("results.csv", "layers.csv", "curves.csv")
_ARRAYS = ("tickets/**/*.npz", "trained/**/*.npz", "searches/*.npz")
_BYTES = ("samples/*.png", "baselines.json")


def _rows(path: pathlib.Path, *, is_appended: bool) -> list[dict[str, str]]:
    text = path.read_text()
    if is_appended:  # a killed process may leave a part of the last line
        text = text[: text.rfind("\n") + 1]
    return [
        {k: cell for k, cell in row.items() if cell and k not in _NOT_COMPARED}
        for row in csv.DictReader(text.splitlines())
    ]


def _differing_arrays(one: pathlib.Path, other: pathlib.Path) -> list[str]:
    with np.load(one) as before, np.load(other) as after:
        names = sorted(set(before.files) | set(after.files) - {"header"})
        return [
            name
            for name in names
            if name != "header"
            and (
                name not in before.files
                or name not in after.files
                or before[name].dtype != after[name].dtype
                or before[name].tobytes() != after[name].tobytes()
            )
        ]


def _of_tables(
    before: pathlib.Path, after: pathlib.Path, is_finished: bool
) -> list[str]:
    found = []
    for table in _TABLES:
        is_appended = table == "curves.csv"
        expected = _rows(before / table, is_appended=is_appended)
        rows = []
        if (after / table).exists():
            rows = _rows(after / table, is_appended=is_appended)
        if rows != expected if is_finished else any(x not in expected for x in rows):
            found.append(table)
    return found


def _of_files(one: pathlib.Path, other: pathlib.Path) -> list[str]:
    """The arrays that differ, or what is wrong with a file as a whole."""
    if one.suffix != ".npz":
        return [] if one.read_bytes() == other.read_bytes() else ["other content"]
    try:
        return _differing_arrays(one, other)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        return [str(error)]


def differences(
    before: pathlib.Path, after: pathlib.Path, is_finished: bool = True
) -> list[str]:
    """What differs between two workdirs, a line each.

    Args:
      before: a finished one.
      after: the other.
      is_finished: False: `after` has not come to its end, so that rows and files that
        it lacks are no difference.
    """
    found = _of_tables(before, after, is_finished)
    patterns = _ARRAYS + _BYTES
    for path in sorted(x for pattern in patterns for x in before.glob(pattern)):
        other = after / path.relative_to(before)
        if other.exists():
            names = _of_files(path, other)
        else:
            names = ["missing"] if is_finished else []
        found += [f"{path.relative_to(before)}: {name}" for name in names]
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("before", type=pathlib.Path)
    parser.add_argument("after", type=pathlib.Path)
    options = parser.parse_args()
    is_same = True
    for workdir in sorted(x for x in options.before.iterdir() if x.is_dir()):
        found = differences(workdir, options.after / workdir.name)
        print(workdir.name, "equal" if not found else "; ".join(found[:5]))
        is_same &= not found
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
