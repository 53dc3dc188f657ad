"""Command-line parsing: experiments by name, one-line errors, exit codes."""

import argparse
import os
import pathlib
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import ml_collections
from absl import flags, logging
from ml_collections import config_flags

import gen_tickets
from gen_tickets.cli import experiment_file, help_page, streams, xla_flags
from gen_tickets.config import defaults, option
from gen_tickets.config.options import OPTIONS
from gen_tickets.config.registry import nearest
from gen_tickets.errors import Interrupted, LostProcess, UserError
from gen_tickets.workdir import user_cache

# Help of an argument that names the folder.
PREPARED_SETS = (
    "folder of prepared TFDS sets; default: TFDS_DATA_DIR, else ~/tensorflow_datasets"
)
_OVERRIDE = re.compile(r"--?(no)?config\.([^=]+)(=.*)?", re.DOTALL)


class Experiment(NamedTuple):
    """An experiment named on the command line."""

    path: str
    size: str  #: after the colon; "" = none

    @property
    def workdir(self) -> pathlib.Path:
        """The default, such as runs/ae_mnist-smoke; for a config.json, its folder."""
        path = pathlib.Path(self.path)
        if experiment_file.is_stored(path):
            return path.parent
        return pathlib.Path("runs") / (path.stem + (f"-{self.size}" * bool(self.size)))


def split(words: Sequence[str]) -> tuple[Experiment, list[str]]:
    """Takes --config, with "=" or a space, out of the words of a command.

    Returns:
      (experiment, the other words); the default is quickstart.

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
    """Sets the options given in the words of a command, such as --config.seed=3.

    Returns:
      The other words.

    Raises:
      UserError: an unknown option, or an invalid value.
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
    """Sets one option to the value given in its words."""
    # Separate flags, so that an error refers to this option.
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


def _parse(argv: list[str]) -> None:
    """Parses the remaining flags, --workdir and those of absl."""
    try:
        _, *others = flags.FLAGS(argv)
    except flags.UnrecognizedFlagError as error:
        raise unknown(f"--{error.flagname}") from None
    except flags.Error as error:
        raise UserError("command line", str(error), "--help lists all") from None
    for word in others:
        raise unknown(word)


def unknown(word: str) -> UserError:
    """The error for a word that is no option, such as --rounds=3; suggests one."""
    name = word.lstrip("-").partition("=")[0]
    meant = [x for x in OPTIONS if name in (x, x.rpartition(".")[2])]
    remedy = "options begin with --, and the experiment comes first"
    if meant:
        remedy = f"did you mean '--config.{meant[0]}'?"
    elif word.startswith("-"):
        known = ["--config", *(f"--{flag}" for flag in flags.FLAGS)]
        remedy = nearest(f"--{name}", known) or "--help lists all options"
    return UserError(word, "there is no such option", remedy)


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UserError for mistakes."""

    def __init__(self, prog: str | None, description: str | None, **options: Any):
        """As in argparse; the description keeps its line breaks."""
        self._arguments: list[tuple[argparse.Action, Any]] = []
        formatter = argparse.RawDescriptionHelpFormatter
        super().__init__(prog, None, description, formatter_class=formatter, **options)

    def add_argument(
        self, *names: str, choices: Any = None, **options: Any
    ) -> argparse.Action:
        """As in argparse; `parse_args` checks the choices."""
        if choices:
            options.setdefault("metavar", f"{{{','.join(choices)}}}")
        action = super().add_argument(*names, **options)
        self._arguments.append((action, choices))
        return action

    def error(self, message: str) -> NoReturn:
        raise UserError("command line", message, f"{self.prog} --help lists all")

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in argparse; errors suggest the nearest name."""
        options, unknown = self.parse_known_args(args, namespace)
        known = [x for action, _ in self._arguments for x in action.option_strings]
        for word in unknown:
            remedy = nearest(word.partition("=")[0], known)
            remedy = remedy or f"{self.prog} --help lists all"
            raise UserError(word, "there is no such option", remedy)
        for action, choices in self._arguments:
            value = getattr(options, action.dest, None)
            if choices and value is not None and value not in choices:
                field = "=".join([*action.option_strings[-1:], value])
                problem = f"allowed is one of {', '.join(choices)}"
                raise UserError(field, problem, nearest(value, choices))
        return options


def exit_status(work: Callable[[], int | None]) -> int:
    """Runs a command; returns 2 for invalid input, 130 for Ctrl-C, else its result."""
    streams.outlast_readers()
    try:
        return work() or 0
    except LostProcess as error:
        sys.stdout.flush()
        print(f"gen_tickets: {error}", file=sys.stderr, flush=True)
        os._exit(2)  # without JAX's handlers, which would wait for the lost process
    except (UserError, OSError) as error:
        print(f"gen_tickets: {error}", file=sys.stderr)
        return 2
    except Interrupted as stop:
        print(f"gen_tickets: {stop}", file=sys.stderr)
        return stop.exit_status
    except KeyboardInterrupt:
        print("gen_tickets: stopped; run the same command to continue", file=sys.stderr)
        return 130


def use_compilation_cache() -> None:
    """Caches compiled programs on disk for the next start.

    Caches nothing if the user has no writable folder.
    """
    import jax

    if os.environ.get("JAX_COMPILATION_CACHE_DIR") is None:
        folder = user_cache.folder()
        if folder is None or not _is_writable(folder / "xla"):
            return
        jax.config.update("jax_compilation_cache_dir", str(folder / "xla"))
    if os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS") is None:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


_QUICK_FLAGS = {
    # Of fusions, the older code generator compiles in half of the time.
    "xla_backend_extra_options": "xla_cpu_disable_new_fusion_emitters",
    # Programs are too small to be split into parts that compile side by side.
    "xla_cpu_parallel_codegen_split_count": "1",
}


def compile_quickly() -> None:
    """Skips most optimizations on a CPU, because a smoke run only takes seconds.

    Starts JAX's runtime, which reads its flags only once.
    """
    xla_flags.add(_QUICK_FLAGS)
    import jax

    from gen_tickets.distributed import devices

    if devices.find()[0].platform == "cpu":
        jax.config.update("jax_disable_most_optimizations", True)


def _is_writable(folder: pathlib.Path) -> bool:
    """Whether files can be created in a folder, which is created if missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def run(
    main: Callable[[Any, Experiment], None], argv: Sequence[str] | None = None
) -> NoReturn:
    """Runs main(config, experiment) and exits with its `exit_status`.

    Args:
      main: called with the options of the command line and the experiment.
      argv: the words; None: those of this process.
    """
    words = list(sys.argv if argv is None else argv)
    sys.exit(exit_status(lambda: _run(main, words)))


def _run(main: Callable[[Any, Experiment], None], argv: list[str]) -> None:
    if {"--help", "-h", "--helpfull"} & set(argv):
        experiment, _ = split(argv)
        config = experiment_file.load(experiment.path, experiment.size)
        print(help_page.of_run(config, experiment.workdir.name))
        return
    if "--version" in argv:
        print(f"gen_tickets {gen_tickets.__version__}")
        return
    logging.set_verbosity(logging.WARNING)
    experiment, words = split(argv)
    config = experiment_file.load(experiment.path, experiment.size)
    words = override(config, words)
    _parse(words)
    main(config, experiment)
