"""Experiment files: find them by name, run them, report errors with file and line."""

import importlib.util
import linecache
import os
import pathlib
import sys
import traceback
import types

import ml_collections

from gen_tickets import experiments
from gen_tickets.config import defaults
from gen_tickets.config.registry import nearest
from gen_tickets.errors import UserError
from gen_tickets.workdir import lock, paths


def find(name: str) -> str:
    """Path of an experiment file: as given, or one that comes with gen_tickets.

    Args:
      name: a path; the name of an included experiment, such as "ae_mnist" or
        "experiments/ae_mnist.py"; or the config.json of a workdir.

    Raises:
      UserError: there is no such file.
    """
    given = pathlib.Path(name)
    ours = experiments.DIRECTORY / f"{given.name.removesuffix('.py')}.py"
    if given.is_file():
        return str(given)
    # Not for a missing mine/ae_mnist.py, which may have other options.
    is_ours = str(given.parent) == "." or given.parent.name == "experiments"
    if is_ours and ours.is_file():
        return str(ours)
    known = experiments.names()
    remedy = nearest(given.stem, known) or f"gen_tickets has {', '.join(known)}"
    raise UserError(f"--config={name}", "no such file", remedy)


def is_stored(path: str | pathlib.Path) -> bool:
    """Whether it is the config.json of a workdir, which is read, never executed."""
    return pathlib.Path(path).name == paths.config_path("").name


def load(path: str, size: str) -> ml_collections.ConfigDict:
    """The locked options of an experiment file, from its `get_config` or config.json.

    Args:
      path: of the file.
      size: after the colon in `--config=FILE:smoke`; "" = none.

    Raises:
      UserError: the file does not run; names file and line.
    """
    if is_stored(path):
        if size:
            raise UserError(
                f"{path}:{size}", "a config.json has no sizes", "leave it out"
            )
        return lock.stored_config(pathlib.Path(path).parent).lock()
    get_config = getattr(run(path), "get_config", None)
    if get_config is None:
        raise UserError(path, "has no function get_config", "docs/configs.md shows one")
    try:
        config = get_config(size) if size else get_config()
    except defaults.UnknownSize as error:  # of the command line, not of the file
        raise UserError(f"{path}:{size}", error.problem, error.remedy) from error
    except Exception as error:
        raise _located(path, error) from error
    if not isinstance(config, ml_collections.ConfigDict):
        raise UserError(
            path,
            f"its get_config gives a {type(config).__name__}",
            "return the config that defaults.get_config() gave",
        )
    if size == "smoke" and isinstance(config, defaults.Config):
        defaults.narrow(config)  # files change widths after `defaults.resize`
    return config.lock()


def run(path: str) -> types.ModuleType:
    """Runs a user's file, such as an experiment or one that registers a model.

    Raises:
      UserError: the file does not run; names file and line.
    """
    name = f"{pathlib.Path(path).stem}_experiment"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(path, "is not a Python file", "give a name.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look up the names of types
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the user's code may raise anything
        raise _located(path, error) from error
    return module


def _located(path: str, error: Exception) -> UserError:
    """The error of a file, with the last of its lines in the traceback."""
    lines: list[int | None] = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _is_same(frame.f_code.co_filename, path)
    ]
    if isinstance(error, SyntaxError) and _is_same(error.filename, path):
        lines.append(error.lineno)
    place = f"{path}, line {lines[-1]}" if lines else path
    if isinstance(error, UserError):
        return UserError(f"{place}: {error.field}", error.problem, error.remedy)
    reason = " ".join(str(error).split())
    if not reason and lines and lines[-1]:  # such as for a bare assert
        reason = linecache.getline(path, lines[-1]).strip()
    kind = type(error).__name__
    return UserError(place, f"{kind}: {reason}" if reason else kind)


def _is_same(file: str | None, path: str) -> bool:
    return file is not None and os.path.abspath(file) == os.path.abspath(path)
