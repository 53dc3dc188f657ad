"""A user's own models, data sets, scores and metrics, added from an experiment file.

What is added has a name, which its option (`model.name`, `data.name`, `prune.method`,
`eval.metrics`) then takes like those that come with gen_tickets, in this process. A
name may be added again, as a file that is loaded twice does; the last one counts.
docs/howto.md has a worked example of each.
"""

from typing import Callable

from gen_tickets import models
from gen_tickets.config import defaults
from gen_tickets.data import dataset, readers
from gen_tickets.errors import UserError
from gen_tickets.evaluation import scores as metrics
from gen_tickets.pruning import saliency

_TABLES = {
    "model.name": models.PAIRS,
    "data.name": dataset.READERS,
    "prune.method": saliency.SCORES,
    "eval.metrics": metrics.TABLE,
}
_OURS = {option: frozenset(table) for option, table in _TABLES.items()}


def _add(option: str, name: str, value) -> None:
    if name in _OURS[option]:
        raise UserError(
            f"{option}={name!r}: comes with gen_tickets; give yours another name"
        )
    _TABLES[option][name] = value


def add_model(name: str, pair: models.Pair) -> None:
    """Adds a pair of networks for `model.name`.

    Args:
      name: what `model.name` calls it.
      pair: classes of Flax modules, called as module(x, train). What is to be pruned is
        a leaf "kernel"; batch norm keeps its statistics in the collection
        "batch_stats". A `channel_groups` (see `models.groups`) is needed only by
        early-bird tickets and for `flops_compact`.

    Raises:
      UserError: gen_tickets has a model of this name.
    """
    _add("model.name", name, pair)
    defaults.allow("model.name", name)


def add_data(name: str, find: Callable[..., readers.Reader]) -> None:
    """Adds a set of images for `data.name`.

    Args:
      name: what `data.name` calls it; a TFDS set of this name is not looked for.
      find: config.data -> Reader; quick, as it is called before anything else.

    Raises:
      UserError: gen_tickets has a data set of this name.
    """
    _add("data.name", name, find)


def add_score(name: str, score: Callable, of_images: bool = False) -> None:
    """Adds a saliency for `prune.method`.

    Args:
      name: what `prune.method` calls it.
      score: (params, task, stats, batches, key=) -> tree as params, higher = keep; see
        `pruning.scores`.
      of_images: whether it looks at the batches; else they are None.

    Raises:
      UserError: gen_tickets has a score of this name.
    """
    _add("prune.method", name, score)
    defaults.allow("prune.method", name)
    if of_images:
        saliency.OF_IMAGES.add(name)


def add_metric(name: str, metric: metrics.Metric) -> None:
    """Adds a number that is measured of samples, for `eval.metrics`.

    Args:
      name: what `eval.metrics` calls it.
      metric: whose columns no other metric has; what they are, and which values are
        better, is declared with `workdir.columns.declare`.

    Raises:
      UserError: gen_tickets has a metric of this name.
    """
    _add("eval.metrics", name, metric)
    defaults.allow("eval.metrics", name)
