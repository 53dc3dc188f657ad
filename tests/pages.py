"""The pages of the documentation and their parts."""

import pathlib
import re

ROOT = pathlib.Path(__file__).parent.parent
PAGES = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("docs/api/*.md")]
)


def blocks(page, language):
    """The code blocks of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.M | re.S)


def prose(page):
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.M | re.S)


def quoted(page):
    """The texts in backticks in the prose."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def anchors(page):
    """The anchors of the headings, as GitHub and MyST name them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return {
        re.sub(r"[^\w\- ]", "", x.lower()).strip().replace(" ", "-") for x in headings
    }


def own_files():
    """{name: code} of the examples, and of blocks that begin with their file's name."""
    found = {
        path.name: path.read_text() for path in sorted(ROOT.glob("examples/own_*.py"))
    }
    for page in PAGES:
        for code in blocks(page, "python"):
            if match := re.match(r"# (\w+\.py)\n", code):
                assert match[1] not in found
                found[match[1]] = code
    return found
