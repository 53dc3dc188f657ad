"""Layering: the allowed imports, and no input or output in pure packages."""

import ast
import pathlib

import pytest

import gen_tickets
from gen_tickets.config.options import OPTIONS

PACKAGE = pathlib.Path(gen_tickets.__file__).parent
PURE = (
    "pruning",
    "training.state",
    "training.loop",
    "training.round_state",
    "training.schedule",
    "trees",
)
PURE += ("losses", "tasks", "models", "kernels", "config.validation")
PURE += ("training.optimizer",)
INPUT_AND_OUTPUT = ("cli", "procedures", "workdir", "report", "training.driver")
# Reads config.json as a flat dict, also of a version that had fewer options.
FLAT_CONFIG = ("gen_tickets.report.outcomes", "gen_tickets.paper.page")
OUTSIDE = ("os", "time", "pathlib", "io", "shutil", "tempfile", "random", "datetime")


def module_name(path):
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py")
}


def imports(tree):
    """All dotted names that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES else node.module


def imports_when_loaded(tree):
    """The dotted names that a module imports when it is itself imported."""
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from imports(node)


def edges(name):
    found = {x for x in imports(MODULES[name]) if x in MODULES}
    return found - {"gen_tickets", name}


def is_below(name, packages):
    return any(f"{name}.".startswith(f"gen_tickets.{x}.") for x in packages)


def test_imports_of_package_are_acyclic():
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        path.append(name)
        for other in sorted(edges(name)):
            visit(other)
        done.add(path.pop())

    for name in MODULES:
        visit(name)
    assert len(done) == len(MODULES) > 20


@pytest.mark.parametrize("name", [name for name in MODULES if is_below(name, PURE)])
def test_pure_module_uses_no_disk_and_no_clock(name):
    names = set(imports(MODULES[name]))
    assert not {x for x in names if x.split(".")[0] in OUTSIDE}
    assert not [x for x in edges(name) if is_below(x, INPUT_AND_OUTPUT)]
    called = {
        node.func.id
        for node in ast.walk(MODULES[name])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"open", "print", "input", "exec", "eval"}


def test_loop_and_masks_import_only_allowed_modules():
    assert edges("gen_tickets.training.loop") == {
        "gen_tickets.distributed.mesh",
        "gen_tickets.tasks.task",  # for its types alone
        "gen_tickets.training.state",
        "gen_tickets.trees",
    }
    assert edges("gen_tickets.pruning.masks") <= {
        "gen_tickets.trees",
        "gen_tickets.errors",
        "gen_tickets.pruning.selection",
    }


def test_config_options_are_read_as_attributes():
    for name, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr == "get":
                owner = ast.unparse(node.value)
                is_config = owner.split(".")[-1] == "config"
                assert not is_config or name in FLAT_CONFIG, f"{name}:{node.lineno}"


def test_config_every_option_is_read():
    """`group.leaf` as an attribute, or the whole name as a key of a flat config."""
    read = set()
    for name, tree in MODULES.items():
        if is_below(name, ("config",)):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute):
                read.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                read.add(node.value)
    unread = [
        option
        for option in OPTIONS
        if option not in read and option.rpartition(".")[2] not in read
    ]
    assert not unread


def test_main_imports_no_plotting_library():
    """They take two seconds to import, and are needed when a training has ended."""
    seen, left = set(), ["gen_tickets.main", "gen_tickets.procedures"]
    while left:
        name = left.pop()
        seen.add(name)
        if name in MODULES:
            left += set(imports_when_loaded(MODULES[name])) - seen
    assert "gen_tickets.workdir.recorder" in seen
    libraries = {name.partition(".")[0] for name in seen}
    assert not libraries & {"pandas", "matplotlib"}
