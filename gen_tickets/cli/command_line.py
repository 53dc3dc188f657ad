"""The command line's manners: experiments by name, mistakes in one line, exit codes."""

import argparse
import os
import pathlib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import ml_collections
from absl import app, flags, logging
from ml_collections import config_flags

from gen_tickets.cli import experiment_file
from gen_tickets.config import defaults, option
from gen_tickets.config.options import OPTIONS
from gen_tickets.config.registry import nearest
from gen_tickets.errors import Interrupted, UserError

_OVERRIDE = re.compile(r"--?(no)?config\.([^=]+)(=.*)?", re.DOTALL)


class Experiment(NamedTuple):
    """An experiment that the command line names."""

    path: str
    size: str  #: what stands behind the colon; "" = nothing

    @property
    def name(self) -> str:
        """Names the default workdir, as "ae_mnist-smoke"."""
        return pathlib.Path(self.path).stem + (f"-{self.size}" if self.size else "")


def split(words: Sequence[str]) -> tuple[Experiment, list[str]]:
    """Takes --config, written with = or apart, out of the words of a command.

    Returns:
      (experiment, the other words); quickstart where none is named.

    Raises:
      UserError: there is no such experiment.
    """
    words, given = list(words), "quickstart.py"
    for i, word in enumerate(words):
        if word.startswith(("--config=", "-config=")):
            given = word.partition("=")[2]
            del words[i]
            break
        if word in ("--config", "-config") and i + 1 < len(words):
            given = words[i + 1]
            del words[i : i + 2]
            break
    name, _, size = given.partition(":")
    return Experiment(experiment_file.find(name), size), words


def override(config: ml_collections.ConfigDict, words: Sequence[str]) -> list[str]:
    """Changes the options that the words of a command give, as --config.seed=3.

    Returns:
      The other words.

    Raises:
      UserError: an option that does not exist, or a value that it does not take.
    """
    given: dict[str, list[str]] = {}
    rest, left = [], iter(words)
    for word in left:
        match = _OVERRIDE.fullmatch(word)
        if match is None:
            rest.append(word)
            continue
        negated, name, value = match.groups()
        if name not in OPTIONS:
            raise defaults.no_option(name)
        of_name = given.setdefault(name, [])
        of_name.append(word)
        is_switch = isinstance(OPTIONS[name], option.Switch)
        if value is None and not (negated or is_switch):
            of_name += [value for value in [next(left, None)] if value is not None]
    for name, of_name in given.items():
        _set(config, name, of_name)
    return rest


def _set(config: ml_collections.ConfigDict, name: str, words: list[str]) -> None:
    """Changes one option as the words that give it say."""
    # Flags of its own, so that an error is of this option.
    values, argv = flags.FlagValues(), ["", *words]
    try:
        config_flags.DEFINE_config_dict(
            "config", config, flag_values=values, sys_argv=argv
        )
        values(argv)
    except UserError:
        raise
    except (flags.Error, ValueError, TypeError, IndexError, SyntaxError):
        text = words[-1].rpartition(f"config.{name}")[2].removeprefix("=")
        raise OPTIONS[name].refusal(name, text) from None


def help_text() -> str:
    """Usage and every option with its default, its meaning and its choices."""
    usage = (
        "python -m gen_tickets.main --config=experiments/FILE.py[:smoke] "
        "[--workdir=DIR] [--config.OPTION=VALUE ...]\n\nOptions, with their defaults:"
    )
    lines = [usage]
    for name, declared in OPTIONS.items():
        lines.append(f"  --config.{name}={declared.default!r}")
        lines.append(f"      {declared.meaning}; {declared.allowed}")
        for choice, summary in declared.summaries().items():
            lines.append(f"        {choice}: {summary}")
    return "\n".join(lines)


def _parse(argv: list[str]) -> list[str]:
    """Parses the flags that are left, --workdir and absl's own."""
    try:
        _, *others = flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        known = ["--config", *(f"--{name}" for name in flags.FLAGS)]
        remedy = nearest(f"--{error.flagname}", known) or "--help lists all options"
        raise UserError(
            f"--{error.flagname}", "there is no such option", remedy
        ) from None
    except flags.Error as error:
        raise UserError("command line", str(error), "--help lists all") from None
    for word in others:
        raise UserError(word, "is no option", "options begin with --")
    return argv


class Parser(argparse.ArgumentParser):
    """Arguments whose mistakes are a UserError, as everybody else's are."""

    def error(self, message: str) -> NoReturn:
        raise UserError("command line", message, f"{self.prog} --help lists all")


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


def run(main: Callable[[Any, str], None], argv: Sequence[str] | None = None) -> None:
    """Runs main(config, name) and ends the process: 0 well, 2 wrong input, 130 Ctrl-C.

    Args:
      main: takes the options that the words of the command say, and the experiment's
        name.
      argv: the words; None: those of this process.
    """
    argv = list(sys.argv if argv is None else argv)
    if {"--help", "-h", "--helpfull"} & set(argv):
        print(help_text())
        return
    logging.set_verbosity(logging.WARNING)
    try:
        experiment, words = split(argv)
        config = experiment_file.load(experiment.path, experiment.size)
        words = override(config, words)
        app.run(
            lambda _: main(config, experiment.name), argv=words, flags_parser=_parse
        )
    except UserError as error:
        print(f"gen_tickets: {error}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as stop:
        print(f"gen_tickets: {stop}", file=sys.stderr)
        sys.exit(stop.exit_status)
    except KeyboardInterrupt:  # at the start, or a second one
        print("gen_tickets: stopped; the same command goes on", file=sys.stderr)
        sys.exit(130)
