"""Sweeps: one experiment for all combinations of option values.

  gen_tickets sweep EXPERIMENT --over seed 0 10 20 --over prune.fraction 0.2 0.36 \\
      [--workdir=DIR] [--config.OPTION=VALUE ...]

prints the entries (all combinations of the values) and three commands: to run them as a
Slurm array job, to run them in a shell, and to compare their results. It runs nothing;
with --entry=I, the same command runs or resumes entry I in its own workdir.
"""

import argparse
import ast
import itertools
import pathlib
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from gen_tickets.cli import command_line, experiment_file
from gen_tickets.config import defaults
from gen_tickets.config.options import OPTIONS
from gen_tickets.errors import UserError
from gen_tickets.workdir import paths


def entries(lists: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """All combinations of [[option, value, value, ...], ...]; the last varies fastest.

    Raises:
      UserError: an option does not exist, is repeated, or has no value.
    """
    names = [name for name, *_ in lists]
    for name, *values in lists:
        if name not in OPTIONS:
            raise defaults.no_option(name)
        different = {repr(_meant(value)) for value in values}
        if not values or names.count(name) > 1 or len(different) < len(values):
            raise UserError(
                f"--over {name} {' '.join(values)}",
                "one or more different values are needed, of each option once",
                f"give them as --over {name} {OPTIONS[name].default!r}",
            )
    combinations = itertools.product(*(values for _, *values in lists))
    return [dict(zip(names, values)) for values in combinations]


def _meant(value: str) -> Any:
    """The parsed value of a command-line word: 1e-3 is 0.001, (3,4) is (3, 4)."""
    try:
        meant = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return {"true": True, "false": False}.get(value.lower(), value)
    return float(meant) if type(meant) is int else meant


def folder_of(entry: dict[str, str]) -> str:
    """The name of an entry's workdir, such as "seed=10,prune.fraction=0.2"."""
    text = ",".join(f"{name}={value}" for name, value in entry.items())
    return re.sub(r"[^\w.,=+-]", "_", text)


def folders_of(entries: Sequence[dict[str, str]]) -> list[str]:
    """The names of all workdirs, by entry; those of equal names get its number too.

    Values such as a/b and a_b differ only in characters that a name may not have.
    """
    names = [folder_of(entry) for entry in entries]
    return [
        f"{name},entry={i}" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


def _lines(words: list[str], count: int, workdir: pathlib.Path) -> list[str]:
    """Commands that run all entries with Slurm and in a shell, and compare them."""
    command = shlex.join(["python", "-m", "gen_tickets.sweep", *words])
    job = shlex.quote(f"{command} --entry=$SLURM_ARRAY_TASK_ID")
    return [
        f"sbatch --array=0-{count - 1} --wrap={job}",
        f"for i in $(seq 0 {count - 1}); do {command} --entry=$i; done",
        f"python -m gen_tickets.report {shlex.quote(str(workdir))}/*/",
    ]


def _changes(entry: dict[str, str]) -> list[str]:
    """The options of an entry, as words of a command line."""
    return [f"--config.{name}={value}" for name, value in entry.items()]


def _check(
    experiment: command_line.Experiment, words: list[str], entry: dict[str, str]
) -> None:
    """Raises UserError if the options of an entry are not valid."""
    config = experiment_file.load(experiment.path, experiment.size)
    for word in command_line.override(config, [*words, *_changes(entry)]):
        raise command_line.unknown(word)
    defaults.validate(config)


def _parse(words: list[str]) -> tuple[argparse.Namespace, list[str]]:
    prog = "gen_tickets sweep"
    usage = f"{prog} [EXPERIMENT] --over OPTION VALUE [VALUE ...] [--over ...] ..."
    parser = command_line.Parser(prog, __doc__, allow_abbrev=False)
    parser.usage = usage
    add = parser.add_argument
    add(
        "--over",
        nargs="+",
        action="append",
        required=True,
        metavar=("OPTION", "VALUE"),
        help="an option of the experiment and its values; may be repeated",
    )
    add("--workdir", help="folder of all entries (default: runs/EXPERIMENT-sweep)")
    add("--entry", type=int, help="number of the entry to run or resume, from 0")
    return parser.parse_known_args(words)


def _run(words: list[str]) -> None:
    options, rest = _parse(words)
    found = entries(options.over)
    experiment, others = command_line.split(rest)
    if options.entry is not None and not 0 <= options.entry < len(found):
        raise UserError(f"--entry={options.entry}", f"allowed is 0 to {len(found) - 1}")
    workdir = paths.expanded(options.workdir or f"runs/{experiment.workdir.name}-sweep")
    if options.entry is None:
        for entry in found:
            _check(experiment, others, entry)
        for i, folder in enumerate(folders_of(found)):
            print(f"{i:3d}  {workdir / folder}")
        print("", *_lines(words, len(found), workdir), sep="\n")
        return
    from gen_tickets import main as experiments  # late: defines flags

    entry = found[options.entry]
    place = f"--workdir={workdir / folders_of(found)[options.entry]}"
    command_line.run(experiments.main, ["main", *rest, *_changes(entry), place])


def main(words: list[str]) -> int:
    """Prints a sweep, or runs one of its entries; returns or exits with the status."""
    return command_line.exit_status(lambda: _run(words))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
