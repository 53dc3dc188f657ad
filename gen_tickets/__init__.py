"""gen_tickets: lottery tickets in deep generative models, in JAX and Flax.

Use the names below in your own training loop, with a Flax `params` dict or any other
pytree; see examples/prune_own_model.py. Each is loaded at its first use (PEP 562), so
that the import itself is fast.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0"

__all__ = [
    "__version__",
    "channels",
    "compact",
    "distances",
    "find_ticket",
    "groups",
    "load",
    "masks",
    "pull",
    "push",
    "rewind",
    "saliency",
    "select",
    "tickets",
    "trees",
    "wrap_optax",
]

_MODULES = {
    "channels": "gen_tickets.pruning.channels",
    "compact": "gen_tickets.pruning.compact",
    "distances": "gen_tickets.evaluation.distances",
    "groups": "gen_tickets.models.groups",
    "masks": "gen_tickets.pruning.masks",
    "saliency": "gen_tickets.pruning.saliency",
    "tickets": "gen_tickets.workdir.tickets",
    "trees": "gen_tickets.trees",
}
_FUNCTIONS = {
    "find_ticket": "gen_tickets.imp",
    "load": "gen_tickets.trained",
    "pull": "gen_tickets.hub",
    "push": "gen_tickets.hub",
    "rewind": "gen_tickets.pruning.masks",
    "select": "gen_tickets.pruning.masks",
    "wrap_optax": "gen_tickets.training.optimizer",
}


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from gen_tickets import trees
    from gen_tickets.evaluation import distances
    from gen_tickets.hub import pull, push
    from gen_tickets.imp import find_ticket
    from gen_tickets.models import groups
    from gen_tickets.pruning import channels, compact, masks, saliency
    from gen_tickets.pruning.masks import rewind, select
    from gen_tickets.trained import load
    from gen_tickets.training.optimizer import wrap_optax
    from gen_tickets.workdir import tickets
else:  # Of a module that has it, type checkers take any name.

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return importlib.import_module(_MODULES[name])
        if name in _FUNCTIONS:
            return getattr(importlib.import_module(_FUNCTIONS[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
