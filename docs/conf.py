"""How Sphinx builds these pages: sphinx-build -W --keep-going -n docs docs/_build"""

import pathlib
import re
import sys
import typing

# Shapes are shown as Float[Array, 'n c'], without the modules of these names.
typing.GENERATING_DOCUMENTATION = "gen_tickets"  # type: ignore[attr-defined]
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

import docutils.nodes  # noqa: E402
from latex2mathml.converter import convert  # noqa: E402

import gen_tickets  # noqa: E402
from gen_tickets.config.options import OPTIONS  # noqa: E402

project = "gen_tickets"
author = "The gen_tickets authors"
version = release = gen_tickets.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "gen_tickets"
html_math_renderer = "mathml"

myst_enable_extensions = ["dollarmath", "substitution"]
myst_heading_anchors = 3
myst_substitutions = {
    "options": "\n".join(
        f"- `{name}` = `{option.default!r}`\n  <br>{option.meaning}; {option.allowed}"
        for name, option in OPTIONS.items()
    )
}

autodoc_default_options = {"members": True, "member-order": "bysource"}
default_role = "code"
# Nothing of other packages is looked up, for a build has no network.
nitpick_ignore_regex = [
    (
        r"py:.*",
        r"(argparse|collections|filelock|flax|jax|jaxlib|Image|matplotlib|"
        r"ml_collections|numpy|np|optax|os|pathlib|types|typing|zipfile|zlib)\..*",
    ),
    (
        r"py:.*",
        r"(Array|Bool|Float|Float32|Int|Key|PyTree|Shaped|UInt8|ndarray|string)"
        r"(\[.*\])?",
    ),
    (r"py:.*", r"gen_tickets\.config\.registry\.Entry"),  # a type variable
    (r"py:.*", r"gen_tickets\.distributed\.processes\.Result"),  # likewise
    (r"py:.*", r"gen_tickets\.report\.learning\.Item"),  # likewise
]

# How docstrings name the errors of gen_tickets under "Raises:".
_ERROR = re.compile(r"^(\s+)(?:errors\.)?(UserError|Interrupted):")

# Napoleon takes for a type what stands before a colon, where a value is described: a
# line before it, of which nothing is seen, keeps the words as they are.
_NOTHING = "\\ "


def _escape(line: str) -> str:
    """Plain text outside of backticks, as it is: |w| and a * b are no markup."""
    parts = line.split("`")
    parts[::2] = [re.sub(r"([*|\\]|_(?!\w))", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def _plain_text(app, what, name, obj, options, lines) -> None:
    """Docstrings are plain text with `code` and napoleon's sections."""
    if lines and lines[0].startswith("Alias for field number"):  # of a NamedTuple
        lines.clear()
    is_value, plain = what in ("attribute", "data", "property"), []
    for line in lines:
        plain.append(_ERROR.sub(r"\1~gen_tickets.errors.\2:", _escape(line)))
        if line == "Returns:":
            plain.append(f"  {_NOTHING}")
    lines[:] = [_NOTHING, *plain] if is_value and plain else plain


def _formula(writer, node) -> None:
    """A formula as MathML, which browsers draw without a script or a network."""
    display = "block" if isinstance(node, docutils.nodes.math_block) else "inline"
    writer.body.append(convert(node.astext(), display=display))
    raise docutils.nodes.SkipNode


def setup(app) -> None:
    app.add_html_math_renderer("mathml", (_formula, None), (_formula, None))
    app.connect("autodoc-process-docstring", _plain_text, priority=100)
