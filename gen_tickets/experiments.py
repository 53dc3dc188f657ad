"""The experiments that come with gen_tickets, as modules of this package.

    from gen_tickets.experiments import quickstart

In a clone their files are in experiments/ at the top level, in an installed wheel in
gen_tickets/experiments/ (setup.cfg, package_dir); the module name is the same.
"""

import pathlib

_HERE = pathlib.Path(__file__).parent
_INSTALLED, _CLONE = _HERE / "experiments", _HERE.parent / "experiments"
DIRECTORY = _INSTALLED if _INSTALLED.is_dir() else _CLONE
__path__ = [str(DIRECTORY)]  # makes their files submodules


def names() -> list[str]:
    """Names of all experiments, such as "ae_mnist"."""
    return sorted(path.stem for path in DIRECTORY.glob("[a-z]*.py"))
