"""Registries of models, data sets, saliencies, metrics, losses and tasks.

A saliency of your own, for instance::

    from gen_tickets.config import registries

    @registries.saliency("lamp")
    def lamp(params, task=None, stats=None, batches=None, key=None):
        ...

From then on "lamp" is a value of `prune.method` in this process, known to help,
validation and the code that uses it. Built-in entries are registered by the same
decorators. Further arguments of a decorator are fields of its entry; for examples, see
docs/howto.md.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from gen_tickets.config.column import Column
from gen_tickets.config.registry import Registry

# (options) -> None: raises UserError if options do not fit the chosen entry.
# Options are flat: {"model.name": "conv", "model.widths": [8, 16], ...}.
Check = Callable[[Mapping[str, Any]], None]

Kind = Literal["pair", "denoiser"]  # the networks of a model


def _no_check(options: Mapping[str, Any]) -> None:
    """Accepts every combination of options."""


def _any_side(widths: tuple[int, ...]) -> int:
    """Accepts images of any side."""
    return 1


class Model(NamedTuple):
    """The networks of a task: a pair, or a denoiser.

    In a pair, one Flax module maps images to vectors and one maps vectors to images;
    both are called as module(x, train). A denoiser maps images to images and is called
    as module(x, train, times). Only leaves named "kernel" can be pruned; batch norm
    keeps its statistics in the collection "batch_stats". A method `channel_groups` (see
    `models.groups`) is only needed for early-bird tickets and `flops_compact`.
    """

    #: pair: (arguments of the contracting module, arguments of the expanding one) ->
    #: both modules; denoiser: arguments -> module. Arguments are dicts with `widths`,
    #: `dtype`, `channels`, `lowering` and the model's `options`; the first of a pair
    #: also has `num_outputs`, all others have `image_shape`; see `models`.
    build: Callable[..., Any]
    kind: Kind = "pair"
    #: options that only some models use, such as ("model.blocks",); others refuse them
    options: tuple[str, ...] = ()
    #: widths -> the number that must divide the side of the images
    multiple: Callable[[tuple[int, ...]], int] = _any_side
    #: whether kernels are divided by their norm, as in spectral normalization
    normalizes_kernels: bool = False
    #: whether activations are normalized per example, as by group norm
    normalizes_examples: bool = False
    #: whether it has batch norm
    normalizes_batches: bool = True
    #: whether the number of widths sets the number of stages
    any_depth: bool = False
    #: whether a latent vector is a feature map with the last width as channels
    latent_is_map: bool = False
    check: Check = _no_check


class DataSet(NamedTuple):
    """A set of images."""

    #: config.data -> `data.readers.Reader`; reads names and headers only
    find: Callable[..., Any]
    reads_dir: bool = True  #: whether it reads from `data.dir`


class Saliency(NamedTuple):
    """One number per weight, higher = keep."""

    #: (params, task, stats, batches, key=) -> tree as params; see `pruning.saliency`
    score: Callable[..., Any]
    of_images: bool = False  #: whether it uses the batches; else they are None
    check: Check = _no_check


class Metric(NamedTuple):
    """One or several numbers computed from images."""

    #: (outputs, reference) -> tuple of numbers. `outputs` has features [N, D] and
    #: logits [N, classes] of the samples, `reference` those of the training images, see
    #: `evaluation.features.references.Reference`; for reconstructions, `reference` is
    #: the labels [N].
    compute: Callable[[Any, Any], tuple[float, ...]]
    #: what computes the outputs: "inception", "classifier" or "pixels"
    network: str
    columns: tuple[Column, ...]  #: of results.csv
    #: positions of the columns in the result of `compute`; () = in order
    places: tuple[int, ...] = ()
    minimum: int = 1  #: minimum number of real images and of samples
    #: measures reconstructions of held-out images instead of samples
    of_reconstructions: bool = False
    #: whether `gen_tickets.evaluation` measures it by default
    by_default: bool = True
    check: Check = _no_check

    def named(self, found: tuple[float, ...]) -> dict[str, float]:
        """{column: number} of a result of `compute`."""
        places = self.places or range(len(self.columns))
        names = (column.name for column in self.columns)
        return {name: float(found[place]) for name, place in zip(names, places)}


class Loss(NamedTuple):
    """The objectives of the two networks of a GAN."""

    #: () -> `losses.Adversarial`
    terms: Callable[[], Any]
    check: Check = _no_check


class TaskBuilder(NamedTuple):
    """How a model is trained."""

    #: (config, `tasks.Setting`) -> `tasks.Task`
    build: Callable[..., Any]
    kind: Kind = "pair"  #: of the models that it trains
    #: options that only some tasks use, such as ("task.beta",); others refuse them
    options: tuple[str, ...] = ()
    #: those of them that change how samples are made from the same weights
    sampling: tuple[str, ...] = ()
    reconstructs: bool = True  #: whether `Task.reconstruct` is not None
    #: whether a lower held-out loss means a better model, which is false for competing
    #: networks. If not, verdicts and early stopping ignore the loss.
    loss_is_quality: bool = True
    #: metrics of the step and of `Task.evaluate` besides "loss"; a metric X has the
    #: columns train_X, heldout_X and interval_X
    columns: tuple[Column, ...] = ()
    check: Check = _no_check


class Optimizer(NamedTuple):
    """How a gradient becomes an update, before scaling by the learning rate."""

    #: (config.optimizer, decay) -> optax transformations in order; `decay`, one of
    #: them, adds weight_decay * weight
    transformations: Callable[..., tuple[Any, ...]]
    #: options that it uses; optimizers that do not list them refuse them
    options: tuple[str, ...] = ("optimizer.b1", "optimizer.b2")


class NoiseSchedule(NamedTuple):
    """The noise schedule of a diffusion."""

    #: (number of timesteps T) -> variances of the noise added at each, in (0, 1), [T]
    betas: Callable[[int], Any]


class RateSchedule(NamedTuple):
    """The learning-rate schedule of a training."""

    #: (config.optimizer, num_steps) -> optax schedule
    schedule: Callable[..., Any]


model = Registry("model", "model.name", Model, "gen_tickets.models")
data_set = Registry("data_set", "data.name", DataSet, "gen_tickets.data")
saliency = Registry("saliency", "prune.method", Saliency, "gen_tickets.pruning")
metric = Registry("metric", "eval.metrics", Metric, "gen_tickets.evaluation")
loss = Registry("loss", "task.loss", Loss, "gen_tickets.losses")
noise_schedule = Registry(
    "noise_schedule", "diffusion.schedule", NoiseSchedule, "gen_tickets.tasks"
)
task = Registry("task", "task.name", TaskBuilder, "gen_tickets.tasks")
optimizer = Registry(
    "optimizer", "optimizer.name", Optimizer, "gen_tickets.training.optimizer"
)
rate_schedule = Registry(
    "rate_schedule",
    "optimizer.schedule",
    RateSchedule,
    "gen_tickets.training.optimizer",
)
