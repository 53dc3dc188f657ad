"""Compares the workdirs of two versions of the code bit for bit.

    python -m benchmarks.compare_results BEFORE AFTER

BEFORE and AFTER are folders of workdirs with the same names, written by two versions
with the same options on one machine. Compares every number of results.csv and
layers.csv (except seconds and evaluation hashes) and every array of every ticket and
search. Exits with status 1 if anything differs.
"""

import argparse
import csv
import pathlib
import sys

import numpy as np

_NOT_COMPARED = {"seconds", "evaluation"}


def _rows(path: pathlib.Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return [
            {name: cell for name, cell in row.items() if name not in _NOT_COMPARED}
            for row in csv.DictReader(file)
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


def differences(before: pathlib.Path, after: pathlib.Path) -> list[str]:
    """What differs between two workdirs, a line each."""
    found = []
    for table in ("results.csv", "layers.csv"):
        if not (after / table).exists() or _rows(before / table) != _rows(
            after / table
        ):
            found.append(table)
    for path in sorted(before.glob("tickets/**/*.npz")) + sorted(
        before.glob("searches/*.npz")
    ):
        other = after / path.relative_to(before)
        names = _differing_arrays(path, other) if other.exists() else ["missing"]
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
