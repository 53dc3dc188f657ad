"""gen_tickets COMMAND ...: one entry point for all commands, which are also modules."""

import importlib
import sys
from collections.abc import Sequence

import gen_tickets
from gen_tickets.cli import command_line, experiment_file
from gen_tickets.config.registry import nearest
from gen_tickets.errors import UserError
from gen_tickets.workdir import paths

# {command: (module, description)}
_COMMANDS = {
    "run": ("gen_tickets.main", "run or resume an experiment"),
    "stability": ("gen_tickets.main", "find the steps to which tickets can be rewound"),
    "report": ("gen_tickets.report.__main__", "redraw the report of a run"),
    "compare": ("gen_tickets.report.__main__", "compare several runs on one page"),
    "export": ("gen_tickets.export", "export samples or weights of a run"),
    "score": (
        "gen_tickets.evaluation.__main__",
        "measure FID and similar metrics of any images",
    ),
    "sweep": ("gen_tickets.sweep", "list or run one experiment for many values"),
    "paper": (
        "gen_tickets.paper.__main__",
        "run and draw a figure or table of the paper",
    ),
}


def help_text() -> str:
    """The text of `gen_tickets --help`."""
    lines = [
        "usage: gen_tickets COMMAND ...",
        "",
        *(f"  {name:<10} {what}" for name, (_, what) in _COMMANDS.items()),
        "",
        "gen_tickets run, alone, finds tickets of a small autoencoder in minutes.",
        "gen_tickets COMMAND --help says more; gen_tickets --version prints the "
        "version.",
    ]
    return "\n".join(lines)


def _run(name: str, words: Sequence[str]) -> int:
    """Runs one command; returns its exit status."""
    module = importlib.import_module(_COMMANDS[name][0])
    if name in ("run", "stability", "sweep"):
        words = _of_experiment(name, words)
    if name in ("run", "stability"):
        command_line.run(module.main, [f"gen_tickets {name}", *words])
    if name == "compare":
        return module.main(list(words), "gen_tickets compare")
    return module.main(list(words)) or 0


def _of_experiment(name: str, words: Sequence[str]) -> list[str]:
    """The words in the form that `gen_tickets.main` expects."""
    found = list(words)
    if found and _is_experiment(found[0]):
        found[0] = f"--config={found[0]}"
    if name == "stability" and not {"--help", "-h"} & set(found):
        found.append("--config.procedure=stability")
        if not any(word.startswith(("--workdir", "-workdir")) for word in found):
            experiment, _ = command_line.split(found)
            workdir = paths.beside(experiment.workdir, "-instability")
            found.append(f"--workdir={workdir}")
    return found


def _is_experiment(word: str) -> bool:
    """Whether it names an experiment; OPTION=VALUE is an option without --config."""
    is_named = "=" not in word or experiment_file.is_stored(word)  # as of a sweep
    return is_named and not word.startswith("-")


def _main(words: Sequence[str]) -> int:
    if not words or words[0] in ("--help", "-h", "help"):
        print(help_text())
    elif words[0] in ("--version", "version"):
        print(f"gen_tickets {gen_tickets.__version__}")
    elif words[0] in _COMMANDS:
        return _run(words[0], words[1:])
    else:
        remedy = nearest(words[0], _COMMANDS) or f"allowed is {', '.join(_COMMANDS)}"
        raise UserError(words[0], "there is no such command", remedy)
    return 0


def main() -> int:
    """The command line of this process; returns the exit status."""
    return command_line.exit_status(lambda: _main(sys.argv[1:]))
