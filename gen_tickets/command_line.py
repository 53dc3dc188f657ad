"""The command line's manners: experiments found by name, mistakes in one line."""

import os
import pathlib
import sys

from absl import app, flags

from gen_tickets import defaults
from gen_tickets.errors import Interrupted, UserError

_EXPERIMENTS = pathlib.Path(__file__).parent.parent / "experiments"


def find_experiment(name: str) -> str:
    """Path of an experiment file: as given, else the one that comes with gen_tickets.

    Raises:
      UserError: there is neither.
    """
    given, ours = pathlib.Path(name), _EXPERIMENTS / pathlib.Path(name).name
    for path in (given, ours):
        if path.is_file():
            return str(path)
    known = ", ".join(sorted(path.stem for path in _EXPERIMENTS.glob("[a-z]*.py")))
    raise UserError(f"--config={name}: no such file; experiments/ has {known}")


def _config_argument(argv) -> tuple[int, str] | None:
    """(index, value) of --config in argv, written with = or apart."""
    for i, word in enumerate(argv):
        for dashes in ("--config", "-config"):
            if word.startswith(dashes + "="):
                return i, word.split("=", 1)[1]
            if word == dashes and i + 1 < len(argv):
                return i + 1, argv[i + 1]
    return None


def resolve(argv) -> tuple[list[str], str]:
    """Replaces the experiment in argv by a file that exists.

    Returns:
      (argv, experiment): experiment names the default workdir, as "ae_mnist-smoke".
    """
    argv = list(argv)
    found = _config_argument(argv)
    if found is None:
        return argv, "quickstart"
    index, value = found
    name, _, size = value.partition(":")
    path = find_experiment(name)
    prefix = "--config=" if argv[index].startswith("-") else ""
    argv[index] = prefix + path + (f":{size}" if size else "")
    return argv, pathlib.Path(path).stem + (f"-{size}" if size else "")


def _parse(argv) -> list[str]:
    """Parses flags; every mistake in them becomes a UserError."""
    try:
        return flags.FLAGS(argv)
    except UserError:
        raise
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        message = str(error).strip("\"'").splitlines()[0]
        raise UserError(
            f"{message} (all options are in gen_tickets/defaults.py; "
            f"groups: {', '.join(sorted({n.split('.')[0] for n in defaults.OPTIONS}))})"
        ) from None
    except (OSError, SyntaxError, ImportError, NameError) as error:
        raise UserError(f"--config: the file does not load: {error}") from None


def use_compilation_cache() -> None:
    """Keeps compiled programs on disk, so that the next start has them."""
    import jax

    if os.environ.get("JAX_COMPILATION_CACHE_DIR") is None:
        cache = pathlib.Path(
            os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")
        )
        jax.config.update("jax_compilation_cache_dir", str(cache / "gen_tickets/xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def run(main, argv=None) -> None:
    """Runs main(experiment) and ends the process: 0 well, 2 wrong input, 130 Ctrl-C."""
    try:
        argv, experiment = resolve(sys.argv if argv is None else argv)
        app.run(
            lambda rest: main(rest, experiment), argv=argv, flags_parser=_parse
        )
    except UserError as error:
        print(f"gen_tickets: {error}", file=sys.stderr)
        sys.exit(2)
    except Interrupted as stop:
        print(f"gen_tickets: {stop}", file=sys.stderr)
        sys.exit(stop.exit_status)
