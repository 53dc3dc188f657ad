"""The documentation: its links, names, files, commands and options exist."""

import ast
import functools
import re
import shlex

import pytest
from pages import PAGES, ROOT, anchors, blocks, own_files, prose, quoted

from gen_tickets.cli import experiment_file
from gen_tickets.config.options import OPTIONS

FOLDERS = "benchmarks docs examples experiments gen_tickets notebooks tests".split()
GROUPS = {name.split(".")[0] for name in OPTIONS if "." in name}
on_pages = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: str(page.relative_to(ROOT))
)


@on_pages
def test_page_links_lead_to_existing_files_and_headings(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        assert other.exists(), target
        assert not anchor or anchor in anchors(other), target


@on_pages
def test_page_named_files_exist(page):
    for text in quoted(page):
        path = text.partition("::")[0]
        if re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w./*]*", path):
            if path.startswith("experiments/") and path.endswith(".py"):
                assert experiment_file.find(path)
            else:
                assert list(ROOT.glob(path)), text


@functools.cache
def names_of(module):
    """What a module, by its dotted name, defines or imports; None: there is none."""
    base = ROOT / module.replace(".", "/")
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            names = set()
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    names.add(node.name)
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    names.add(node.id)
                elif isinstance(node, ast.alias):
                    names.add((node.asname or node.name).split(".")[0])
            return names
    return None


def is_name(dotted):
    """Whether it is a module, or what one defines: gen_tickets.workdir.tickets.load."""
    if names_of(dotted) is not None:
        return True
    module, _, name = dotted.rpartition(".")
    return name in (names_of(module) or ())


@on_pages
def test_page_named_modules_functions_and_options_exist(page):
    for text in quoted(page):
        if match := re.match(r"(?:python -m )?(gen_tickets(?:\.\w+)+)", text):
            assert is_name(match[1]), text
        if match := re.match(r"(?:--config\.)?((\w+)\.\w+)(?==|$)", text):
            name, group = match.groups()
            if group in GROUPS and not re.search(r"\.(py|npz|csv|json|md)\b", text):
                assert name in OPTIONS or is_name(f"gen_tickets.{name}"), text
        for name in re.findall(r"--config\.([\w.]+)", text):
            assert name in OPTIONS or name == "OPTION", text


def test_reliability_page_named_tests_exist():
    for name in re.findall(
        r"`(test_\w+)\.(test_\w+)`", prose(ROOT / "docs/reliability.md")
    ):
        assert name[1] in names_of(f"tests.{name[0]}"), name


def commands(page):
    """Words of every command in the page's shell blocks, comments left out."""
    for code in blocks(page, "bash"):
        for line in re.sub(r"\\\n", " ", code).splitlines():
            for part in re.split(r" && |; ", line):
                if words := shlex.split(part, comments=True):
                    yield words


@on_pages
def test_page_commands_have_existing_modules_and_options(page):
    for words in commands(page):
        _, *module_and_rest = words[words.index("-m") :] if "-m" in words else [""]
        if not module_and_rest or module_and_rest[0].split(".")[0] not in FOLDERS:
            continue  # pip, pytest, ...
        module, *rest = module_and_rest
        base = ROOT / module.replace(".", "/")
        source = base / "__main__.py" if base.is_dir() else base.with_suffix(".py")
        assert source.is_file(), module
        for word in rest:
            option, _, value = word.partition("=")
            if option == "--config":
                path = value.partition(":")[0]
                assert path in own_files() or experiment_file.find(path)
            elif option.startswith("--config."):
                assert option.removeprefix("--config.") in OPTIONS, word
            elif option.startswith("--"):
                known = source.read_text() + (ROOT / "gen_tickets/main.py").read_text()
                assert option in known or f'"{option[2:]}"' in known, word


def test_page_python_blocks_compile():
    for page in PAGES:
        for code in blocks(page, "python"):
            compile(code, str(page), "exec")
