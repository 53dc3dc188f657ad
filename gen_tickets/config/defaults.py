"""Every option of gen_tickets, declared once: default, meaning, what is allowed.

`get_config()` gives the locked ConfigDict that an experiment file changes;
`validate(config)` refuses a wrong value before any work is done.
"""

from typing import Any, Callable, Mapping, NamedTuple

import ml_collections

from gen_tickets.config import validation
from gen_tickets.errors import UserError


class Option(NamedTuple):
    """One option: its default, its meaning with unit, and the values allowed."""

    default: Any
    meaning: str
    allowed: str
    is_allowed: Callable[[Any], bool]
    choices: tuple[str, ...] = ()  #: where it is one, or some, of a list of names


# Above these no array has such an axis: told here, not where one is made.
_MOST, _MOST_UNITS, _MOST_PIXELS = 2**31 - 1, 2**20, 2**13


def _whole(default, meaning, at_least=0, at_most=_MOST):
    return Option(
        default,
        meaning,
        f"a whole number >= {at_least} and <= {at_most}",
        lambda value: type(value) is int and at_least <= value <= at_most,
    )


def _number(default, meaning, low=0.0, high=float("inf"), open_low=False):
    sign = "<" if open_low else "<="
    top = "" if high == float("inf") else f" and < {high:g}"
    return Option(
        default,
        meaning,
        f"a number x with {low:g} {sign} x{top}",
        lambda value: type(value) in (int, float)
        and (low < value if open_low else low <= value)
        and value < high,
    )


def _choice(default, meaning, choices):
    return Option(
        default,
        meaning,
        f"one of {', '.join(choices)}",
        lambda value: value in choices,
        choices,
    )


def _switch(default, meaning):
    return Option(default, meaning, "True or False", lambda v: type(v) is bool)


def _text(default, meaning, may_be_empty=True):
    return Option(
        default,
        meaning,
        "a text" if may_be_empty else "a text that is not empty",
        lambda value: isinstance(value, str) and (may_be_empty or value != ""),
    )


def _texts(default, meaning):
    return Option(
        default,
        meaning,
        "a tuple of different texts",
        lambda value: isinstance(value, (tuple, list))
        and all(isinstance(x, str) for x in value)
        and len(set(value)) == len(value),
    )


def _some(default, meaning, choices):
    listed = _texts(default, meaning)
    return listed._replace(
        allowed=f"a tuple of some of {', '.join(choices)}",
        is_allowed=lambda v: listed.is_allowed(v) and set(v) <= set(choices),
        choices=choices,
    )


OPTIONS: dict[str, Option] = {
    "seed": _whole(0, "seed of the first run; run r of one seed never changes"),
    "runs": _whole(5, "independent runs, trained together as one population", 1),
    "arms": Option(
        ("winning", "random"),
        "tickets trained each round; random is the control",
        "('winning', 'random') or ('winning',): pruning goes on from the winning one",
        lambda value: isinstance(value, (tuple, list))
        and tuple(value) in (("winning", "random"), ("winning",)),
    ),
    "precision": _choice(
        "float32",
        "operands of convolutions and products; weights and sums stay float32",
        ("float32", "bfloat16"),
    ),
    "data.name": _text(
        "digits", "digits, folder, arrays, or any TFDS image set", may_be_empty=False
    ),
    "data.dir": _text("", "prepared TFDS sets, image folder or .npz file"),
    "data.download": _switch(False, "let TFDS download and prepare a missing set"),
    "data.resident": _switch(
        True,
        "hold the training images on the devices; False reads batches as they are due",
    ),
    "data.crop": _whole(
        0,
        "side of the centre square kept; 0 = 148 for celeb_a, else all",
        at_most=_MOST_PIXELS,
    ),
    "data.image_size": _whole(
        0,
        "side in pixels after the resize; 0 = 64 for celeb_a, 28 for digits, else own",
        at_most=_MOST_PIXELS,
    ),
    "data.batch_size": _whole(128, "images in a training step", 1),
    "data.limit": _whole(0, "training images used; 0 = all"),
    "model.name": _choice(
        "linear",
        "the pair of networks",
        ("linear", "conv", "convstack", "sngan", "resnet"),
    ),
    "model.widths": Option(
        (128, 64, 12),
        "units or channels of each layer, from the image inwards",
        f"a tuple of whole numbers >= 1 and <= {_MOST_UNITS}",
        lambda value: isinstance(value, (tuple, list))
        and len(value) > 0
        and all(type(width) is int and 1 <= width <= _MOST_UNITS for width in value),
    ),
    "model.latent_size": _whole(3, "numbers in a latent vector", 1, _MOST_UNITS),
    "task.name": _choice("ae", "what is learned", ("ae", "vae", "gan")),
    "task.beta": _number(1.0, "weight of the KL term of a VAE (beta-VAE: > 1)"),
    "task.loss": _choice(
        "bce",
        "what the two networks of a GAN minimise; bce is the non-saturating one",
        ("bce", "hinge", "wasserstein"),
    ),
    "task.discriminator_steps": _whole(
        1, "updates of the discriminator in a step, each on a batch of its own", 1
    ),
    "task.weight_clip": _number(
        0.0, "largest |weight| of a critic's kernels and biases; 0 = no clipping"
    ),
    "task.gradient_penalty": _number(
        0.0, "weight of (|gradient of the discriminator| - 1)^2; 0 = none"
    ),
    "optimizer.name": _choice(
        "adam",
        "adam adds weight_decay * weight to the gradient; adamw decays apart",
        ("adam", "adamw", "sgd"),
    ),
    "optimizer.learning_rate": _number(1e-3, "step size", open_low=True),
    "optimizer.schedule": _choice(
        "constant",
        "learning rate over a training: cosine falls to 0 at its last step",
        ("constant", "cosine"),
    ),
    "optimizer.weight_decay": _number(0.0, "L2 coefficient"),
    "optimizer.b1": _number(0.9, "decay of the first moment; momentum of sgd", 0, 1),
    "optimizer.b2": _number(0.999, "decay of the second moment", 0, 1),
    "optimizer.scale_l1": _number(
        0.0, "L1 coefficient of batch-norm scales, added to their gradient"
    ),
    "train.epochs": _whole(0, "passes over the training images; or give steps"),
    "train.steps": _whole(0, "training steps; or give epochs"),
    "prune.method": _choice(
        "magnitude",
        "saliency of a weight",
        ("magnitude", "random", "snip", "grasp", "synflow"),
    ),
    "prune.schedule": _choice(
        "iterative",
        "what is scored: the last winning ticket, the trained dense network, the "
        "initial weights, or (early_bird) the channels of every epoch",
        ("iterative", "one_shot", "at_initialization", "early_bird"),
    ),
    "prune.batches": _whole(8, "training batches that snip and grasp average over", 1),
    "prune.fraction": _number(
        0.2,
        "share of surviving prunable weights removed a round; early_bird: of channels",
        0,
        1,
        open_low=True,
    ),
    "prune.rounds": _whole(20, "rounds after the dense one", 1),
    "prune.scope": _choice(
        "global",
        "pool saliencies over the network, over a component, or prune each layer",
        ("global", "component", "layer"),
    ),
    "prune.components": _texts((), "components to prune; () = all"),
    "prune.exclude": _texts(
        (), "patterns of weights never pruned, as encoder/conv_0/*"
    ),
    "early_bird.distance": _number(
        0.1,
        "masks nearer to the five before (share of channels that differ) are a ticket",
        open_low=True,
    ),
    "early_bird.epochs": _whole(
        20, "epochs within which the masks must come to stand still", 6
    ),
    "early_bird.take_last": _switch(
        False, "cut by the last mask where none stood still; else nothing is cut"
    ),
    "early_bird.multiple": _whole(
        0, "channels left are rounded up to a multiple; 0 = 8 on accelerators, else 1"
    ),
    "ticket.path": _text("", "workdir whose tickets are transferred; '' = none"),
    "ticket.map": _texts(
        (), "components to transfer, there:here, as decoder:generator"
    ),
    "rewind.step": _whole(10, "training step whose weights a ticket goes back to"),
    "eval.every_steps": _whole(0, "steps between held-out evaluations; 0 = an epoch"),
    "eval.num_shown": _whole(32, "reconstructions and samples in a picture", 1),
    "eval.batch_norm": _choice(
        "running",
        "statistics that generate and reconstruct; batch is what the paper's code does",
        ("running", "batch"),
    ),
    "eval.average_decay": _number(
        0.0, "decay of the averaged generator that is sampled; 0 = the last one", 0, 1
    ),
    "eval.metrics": _some(
        (),
        "what is measured of samples and reconstructions, beside the losses",
        (
            "fid",
            "kid",
            "inception_score",
            "precision",
            "recall",
            "fd_classifier",
            "kid_classifier",
            "precision_classifier",
            "recall_classifier",
            "sample_class_entropy",
            "sample_confidence",
            "accuracy",
        ),
    ),
    "eval.num_samples": _whole(10_000, "samples that a metric takes", 1),
    "eval.every_rounds": _whole(1, "rounds between metrics; 0 = first and last only"),
    "eval.inception_weights": _text(
        "", "file of Inception's weights; '' = GEN_TICKETS_INCEPTION_WEIGHTS, the cache"
    ),
    "eval.download_weights": _switch(
        False, "fetch Inception's weights (96 MB) where there are none"
    ),
    "eval.classifier_epochs": _whole(
        10, "passes over the training images that the set's classifier takes", 1
    ),
    "eval.classifier_width": _whole(
        64, "channels of the classifier's first stage; 16 for a CPU", 1
    ),
    "eval.verdict": _text(
        "heldout_reconstruction", "column that the verdict compares", may_be_empty=False
    ),
    "checkpoint.every_seconds": _number(60.0, "seconds between checkpoints"),
    "parallel.devices": _whole(0, "devices that members and batches share; 0 = all"),
    "parallel.members_per_device": _whole(
        0, "members a device trains at the same time; 0 = what its memory allows"
    ),
    "parallel.coordinator": _text(
        "", "host:port of process 0 of several; '' = what Slurm or Cloud TPU says"
    ),
    "parallel.processes": _whole(
        0, "processes of one experiment; 0 = what the launcher says, else 1"
    ),
    "parallel.process": _whole(
        -1, "number of this process, from 0; -1 = what the launcher says", -1
    ),
}


def allow(name: str, choice: str) -> None:
    """Lets an option with choices take one more; see `extensions`."""
    option = OPTIONS[name]
    if choice not in option.choices:
        make = _some if isinstance(option.default, tuple) else _choice
        choices = (*option.choices, choice)
        OPTIONS[name] = make(option.default, option.meaning, choices)


# Options that say how to run, not what to compute: they may change at a restart.
HOW_TO_RUN = (
    "data.dir",
    "data.download",
    "data.resident",
    "eval.inception_weights",
    "eval.download_weights",
    "checkpoint.every_seconds",
    "parallel.devices",
    "parallel.members_per_device",
    "parallel.coordinator",
    "parallel.processes",
    "parallel.process",
)

# Options of earlier versions that changed no result: a workdir that has them is read and
# continued as if it had not.
REMOVED = ("suite", "paper.sparsity")

# Share of DCGAN's channels; cut from every layer alike it is 88 % of a step's FLOPs, as
# in the paper's Table 2.
EARLY_BIRD_CHANNELS = 0.665

_SMOKE = {
    "runs": 2,
    "data.limit": 512,
    "data.batch_size": 32,
    "train.epochs": 0,
    "train.steps": 30,
    "eval.every_steps": 10,
    "eval.num_shown": 8,
    "eval.num_samples": 64,
    "eval.classifier_epochs": 1,
    "eval.classifier_width": 4,
}
_SMOKE_EARLY_BIRD = {
    "data.limit": 128,  # 4 steps an epoch
    "early_bird.epochs": 6,
    "early_bird.take_last": True,
}


class UnknownSize(UserError):
    """An experiment has no recipe of the size that is asked for."""


def get_config() -> ml_collections.ConfigDict:
    """Returns all options at their defaults, locked against unknown names."""
    nested: dict[str, Any] = {}
    for name, option in OPTIONS.items():
        *groups, leaf = name.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[leaf] = option.default
    return ml_collections.ConfigDict(nested).lock()


def flatten_nested(nested: dict[str, Any]) -> dict[str, Any]:
    """{"data": {"name": value}} -> {"data.name": value}."""
    flat = {}
    for name, value in nested.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{k}": v for k, v in flatten_nested(value).items()}
        else:
            flat[name] = value
    return flat


def flatten(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns {"data.name": value, ...}, tuples as lists as JSON keeps them."""
    flat = flatten_nested(config.to_dict())
    return {k: list(v) if isinstance(v, tuple) else v for k, v in flat.items()}


def resize(
    config: ml_collections.ConfigDict, size: str, **recipes: Mapping[str, Any]
) -> ml_collections.ConfigDict:
    """Changes an experiment to the size of `--config=FILE:size`.

    Args:
      config: the full-size experiment; changed in place.
      size: "full" (unchanged), "smoke" (2 runs, at most 2 rounds of 30 steps), or the
        name of a recipe.
      recipes: {option: value} by the name of each further size, as
        gpu={"train.epochs": 30}.

    Raises:
      UnknownSize: the experiment has no such size.
    """
    if size not in ("full", "smoke", *recipes):
        raise UnknownSize(
            f"--config=FILE:{size}",
            "this experiment has no such size",
            "after ':' give full or smoke, or what its docstring says",
        )
    config.update_from_flattened_dict(recipes.get(size, {}))
    if size == "smoke":
        config.update_from_flattened_dict(_SMOKE)
        config.prune.rounds = min(config.prune.rounds, 2)
        config.rewind.step = min(config.rewind.step, 4)
        if config.prune.schedule == "early_bird":
            config.update_from_flattened_dict(_SMOKE_EARLY_BIRD)
    return config


def validate(config: ml_collections.ConfigDict) -> None:
    """Raises UserError on the first option that is not allowed, or that contradicts."""
    values = flatten(config)
    for name in sorted(values.keys() ^ OPTIONS.keys()):
        raise UserError(
            f"{name}: an experiment has every option of gen_tickets/config/defaults.py, "
            "each a value, and no other; begin with defaults.get_config()"
        )
    for name, option in OPTIONS.items():
        value = values[name]
        if not option.is_allowed(value):
            raise UserError(
                f"{name}={value!r}: allowed is {option.allowed} ({option.meaning})"
            )
    standard = flatten(get_config())
    validation.check(
        values, {name for name in values if values[name] != standard[name]}
    )
