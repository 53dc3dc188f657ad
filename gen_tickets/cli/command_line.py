"""The command line's manners: experiments found by name, mistakes in one line."""

import argparse
import os
import pathlib
import re
import runpy
import sys
from typing import Callable

from absl import app, flags, logging

from gen_tickets import experiments
from gen_tickets.config import defaults
from gen_tickets.errors import Interrupted, UserError


def find_experiment(name: str) -> str:
    """Path of an experiment file: as given, else the one that comes with gen_tickets.

    Args:
      name: path, or the bare name of one that comes along, as "ae_mnist".

    Raises:
      UserError: there is neither.
    """
    given = pathlib.Path(name)
    ours = experiments.DIRECTORY / f"{given.name.removesuffix('.py')}.py"
    for path in (given, ours):
        if path.is_file():
            return str(path)
    known = ", ".join(experiments.names())
    raise UserError(f"--config={name}: no such file; gen_tickets has {known}")


def _config_argument(argv) -> tuple[slice, str] | None:
    """(words, value) of --config in argv, written with = or apart."""
    for i, word in enumerate(argv):
        if word.startswith(("--config=", "-config=")):
            return slice(i, i + 1), word.split("=", 1)[1]
        if word in ("--config", "-config") and i + 1 < len(argv):
            return slice(i, i + 2), argv[i + 1]
    return None


def resolve(argv) -> tuple[list[str], str]:
    """Puts the experiment first in argv, as a file that exists.

    Returns:
      (argv, experiment): experiment names the default workdir, as "ae_mnist-smoke".
    """
    argv = list(argv)
    found = _config_argument(argv)
    value = "quickstart.py"
    if found is not None:
        words, value = found
        del argv[words]
    name, _, size = value.partition(":")
    path = find_experiment(name)
    # First, because the options of an experiment are known once it is loaded.
    argv.insert(1, f"--config={path}:{size}" if size else f"--config={path}")
    return argv, pathlib.Path(path).stem + (f"-{size}" if size else "")


def _said_by_user_error(error) -> UserError | None:
    """The UserError that an experiment file raised, found in what absl made of it."""
    # absl keeps no exception of a file that fails to load, only its traceback's text.
    said = re.search(r"UserError: (.*)", str(error))
    return UserError(said[1]) if said else None


def _first_line(error) -> str:
    message = str(error.args[0] if error.args else error).splitlines()[0]
    if isinstance(error, (AttributeError, KeyError)):
        return f"--config: there is no option {message.strip(chr(34))}"
    return message


def help_text() -> str:
    """Usage and every option with its default and meaning."""
    usage = (
        "python -m gen_tickets.main --config=experiments/FILE.py[:smoke] "
        "[--workdir=DIR] [--config.OPTION=VALUE ...]\n\nOptions, with their defaults:"
    )
    lines = [usage]
    for name, option in defaults.OPTIONS.items():
        lines.append(f"  --config.{name}={option.default!r}")
        lines.append(f"      {option.meaning}; {option.allowed}")
    return "\n".join(lines)


def _parse(argv) -> list[str]:
    """Parses flags; every mistake in them becomes a UserError."""
    sys.argv = argv  # where ml_collections looks for the options that are given
    try:
        return flags.FLAGS(argv)
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise _said_by_user_error(error) or UserError(
            f"{_first_line(error)}; --help lists all options"
        ) from None
    except (OSError, SyntaxError, ImportError, NameError) as error:
        raise UserError(f"--config: the file does not load: {error}") from None


class Parser(argparse.ArgumentParser):
    """Arguments whose mistakes are a UserError, as everybody else's are."""

    def error(self, message):
        raise UserError(f"{message}; {self.prog} --help lists all")


def exit_status(work: Callable[[], None]) -> int:
    """Does the work of a command; 0 well, 2 wrong input, 130 Ctrl-C, and says which."""
    try:
        work()
    except (UserError, OSError) as error:
        print(f"gen_tickets: {error}", file=sys.stderr)
        return 2
    except Interrupted as stop:
        print(f"gen_tickets: {stop}", file=sys.stderr)
        return stop.exit_status
    except KeyboardInterrupt:
        print("gen_tickets: stopped; the same command goes on", file=sys.stderr)
        return 130
    return 0


def load_extensions(path: str) -> None:
    """Runs a file of the user's that adds models or data sets; see `extensions`.

    Raises:
      UserError: there is no such file, or it does not load.
    """
    try:
        runpy.run_path(path)
    except (OSError, SyntaxError, ImportError, NameError) as error:
        raise UserError(
            f"--extensions={path}: the file does not load: {error}"
        ) from None


def use_compilation_cache() -> None:
    """Keeps compiled programs on disk, so that the next start has them."""
    import jax

    if os.environ.get("JAX_COMPILATION_CACHE_DIR") is None:
        cache = pathlib.Path(
            os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")
        )
        jax.config.update("jax_compilation_cache_dir", str(cache / "gen_tickets/xla"))
    if os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS") is None:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def run(main, argv=None) -> None:
    """Runs main(experiment) and ends the process: 0 well, 2 wrong input, 130 Ctrl-C."""
    if {"--help", "-h", "--helpfull"} & set(sys.argv if argv is None else argv):
        print(help_text())
        return
    logging.set_verbosity(logging.WARNING)
    try:
        argv, experiment = resolve(sys.argv if argv is None else argv)
        app.run(lambda rest: main(rest, experiment), argv=argv, flags_parser=_parse)
    except UserError as error:
        print(f"gen_tickets: {error}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as stop:
        print(f"gen_tickets: {stop}", file=sys.stderr)
        sys.exit(stop.exit_status)
    except KeyboardInterrupt:  # at the start, or a second one
        print("gen_tickets: stopped; the same command goes on", file=sys.stderr)
        sys.exit(130)
