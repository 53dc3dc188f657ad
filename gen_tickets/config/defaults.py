"""The options of an experiment: make, resize, flatten and validate them.

`get_config()` returns the locked ConfigDict that an experiment file changes; `validate`
refuses contradictory options before anything runs. The options themselves are
declared in `config.options`.
"""

from collections.abc import Mapping
from typing import Any

import ml_collections

from gen_tickets.config import registries, validation
from gen_tickets.config.options import OPTIONS, REMOVED
from gen_tickets.config.registry import nearest
from gen_tickets.errors import UserError

# Removing this fraction of DCGAN's channels from every layer saves 88 % of a step's
# FLOPs, as in the paper's Table 2.
EARLY_BIRD_CHANNELS = 0.665

_SMOKE = {
    "runs": 3,  # a verdict needs three
    "data.limit": 32,
    "data.batch_size": 16,
    "train.epochs": 0,
    "train.steps": 8,
    "eval.every_steps": 4,
    "eval.num_shown": 16,  # the batch size, so that sampling is compiled once
    "eval.num_samples": 32,
    "eval.classifier_epochs": 1,
    "eval.classifier_width": 4,
    "eval.classifier_stages": 1,
}
_SMOKE_UNET = {
    "diffusion.sampling_steps": 2,
    "model.patch": 2,
    "model.blocks": 0,
    "model.attention": (),
    "model.norm_groups": 4,
}
_SMOKE_SIDE = 16  # pixels, or as many as a model needs
_SMOKE_WIDTH = 8  # maximum units or channels of a layer
_SMOKE_STAGES = 1  # maximum number of widths, for models with one stage per width
_SMOKE_EARLY_BIRD = {
    "train.steps": 16,  # 2 per epoch
    "eval.every_steps": 4,
    "early_bird.epochs": 6,
    "early_bird.take_last": True,
    "prune.scope": "layer",  # tickets of one shape, which share their programs
}


class UnknownSize(UserError):
    """An experiment does not have the requested size."""


class Config(ml_collections.ConfigDict):
    """Options that refuse unknown names and wrong values on assignment."""

    _group = ""  # "data." of config.data

    @classmethod
    def of(cls, nested: dict[str, Any], group: str = "") -> "Config":
        """A group of options, {"batch_size": 128, ...}, and the groups in it."""
        config = cls()
        object.__setattr__(config, "_group", group)
        for name, value in nested.items():
            is_group = isinstance(value, dict)
            config[name] = cls.of(value, f"{group}{name}.") if is_group else value
        return config

    def copy_and_resolve_references(self, visit_map: Any = None) -> "Config":
        """As in the base class; the copy keeps its group."""
        copied = super().copy_and_resolve_references(visit_map)
        object.__setattr__(copied, "_group", self._group)
        return copied

    def __setitem__(self, key: str, value: Any) -> None:
        name = f"{self._group}{key}"
        if self.is_locked and self.is_type_safe:
            self._check(name, value)
        if name in OPTIONS:
            value = OPTIONS[name].normalize(value)
        super().__setitem__(key, value)

    def _check(self, name: str, value: Any) -> None:
        """Raises UserError if the option is unknown or does not allow the value."""
        option = OPTIONS.get(name)
        if option is None:
            raise no_option(name)
        if isinstance(value, ml_collections.FieldReference):
            value = value.get()
        if not option.is_allowed(value):
            raise option.refusal(name, value)


def no_option(name: str) -> UserError:
    """The error for an unknown option."""
    of_group = [option for option in OPTIONS if option.startswith(f"{name}.")]
    if of_group:
        problem = f"is a group of options ({', '.join(of_group)})"
        return UserError(name, problem, "set each by its name")
    remedy = nearest(name, OPTIONS) or "--help lists all options"
    return UserError(name, "there is no such option", remedy)


def get_config() -> Config:
    """Returns all options at their defaults, locked against unknown names."""
    nested: dict[str, Any] = {}
    for name, option in OPTIONS.items():
        *groups, leaf = name.split(".")
        place = nested
        for group in groups:
            place = place.setdefault(group, {})
        place[leaf] = option.default
    return Config.of(nested).lock()


def flatten_nested(nested: dict[str, Any]) -> dict[str, Any]:
    """{"data": {"name": value}} -> {"data.name": value}."""
    flat: dict[str, Any] = {}
    for name, value in nested.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{k}": v for k, v in flatten_nested(value).items()}
        else:
            flat[name] = value
    return flat


def flatten(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns {"data.name": value, ...}, tuples as lists, as in JSON."""
    flat = flatten_nested(config.to_dict())
    return {k: list(v) if isinstance(v, tuple) else v for k, v in flat.items()}


def changed(config: ml_collections.ConfigDict) -> dict[str, Any]:
    """Returns the flat options that differ from the default, with text for lists."""
    found = {}
    for name, value in flatten_nested(config.to_dict()).items():
        if value != OPTIONS[name].default:
            is_list = isinstance(value, tuple)
            found[name] = ", ".join(map(str, value)) if is_list else value
    return found


def restore(flat: Mapping[str, Any]) -> Config:
    """The inverse of `flatten`; options of devices and hosts are at their defaults.

    Raises:
      UserError: an option or a value that this version does not have.
    """
    config = get_config()
    for name, value in flat.items():
        if name in REMOVED or name.startswith("parallel."):
            continue
        value = tuple(value) if isinstance(value, list) else value
        try:
            config.update_from_flattened_dict({name: value})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                name,
                f"is not accepted by this version ({error})",
                "use the version that wrote it",
            ) from None
    return config


def resize(
    config: ml_collections.ConfigDict, size: str, **recipes: Mapping[str, Any]
) -> ml_collections.ConfigDict:
    """Changes an experiment to the size of `--config=FILE:size`.

    Args:
      config: the full-size experiment; changed in place.
      size: "full" (unchanged), "smoke" (3 runs, at most 2 rounds of 8 steps; see also
        `narrow`), or the name of a recipe.
      recipes: {option: value} for each further size, such as gpu={"train.epochs": 30}.

    Raises:
      UnknownSize: the experiment has no such size.
    """
    sizes = dict.fromkeys(("full", "smoke", *recipes))
    if size not in sizes:
        raise UnknownSize(
            f"--config=FILE:{size}",
            "this experiment has no such size",
            nearest(size, sizes) or f"it has {', '.join(sizes)}",
        )
    config.update_from_flattened_dict(recipes.get(size, {}))
    if size == "smoke":
        config.update_from_flattened_dict(_SMOKE)
        config.prune.rounds = min(config.prune.rounds, 2)
        if config.model.name == "unet":
            config.update_from_flattened_dict(_SMOKE_UNET)
        if config.rewind.step != "0":
            config.rewind.step = "2"
        if config.rewind.sweep:
            config.rewind.sweep = (0, 2)
        if config.prune.schedule == "early_bird":
            config.update_from_flattened_dict(_SMOKE_EARLY_BIRD)
        if config.procedure == "dynamic":
            # No round builds on another one, and all methods are one program.
            config.prune.rounds = 1
            config.dynamic.methods = config.dynamic.methods[:2]
    return config


def narrow(config: ml_collections.ConfigDict) -> None:
    """Makes networks and images of a smoke run small, to compile and train quickly.

    A latent vector that is a feature map shrinks with its channels. There are images
    for one step at least.
    """
    model = registries.model.get(config.model.name)
    widths = [min(width, _SMOKE_WIDTH) for width in config.model.widths]
    if model.latent_is_map:
        pixels = config.model.latent_size // config.model.widths[-1]
        config.model.latent_size = pixels * widths[-1]
    if model.any_depth:
        widths = widths[:_SMOKE_STAGES]
    config.model.widths = tuple(widths)
    side = max(_SMOKE_SIDE, model.multiple(config.model.widths))
    if not 0 < config.data.image_size <= side:
        config.data.image_size = side
    per_step = config.data.batch_size * config.task.discriminator_steps
    config.data.limit = max(config.data.limit, per_step)


def validate(config: ml_collections.ConfigDict) -> None:
    """Raises UserError for the first invalid or contradictory option.

    Once all single options are valid, imports the chosen entries and with them JAX.
    """
    values = flatten(config)
    for name in sorted(values.keys() ^ OPTIONS.keys()):
        if name in values:
            raise no_option(name)
        raise UserError(name, "has no value", "start from defaults.get_config()")
    for name, option in OPTIONS.items():
        if not option.is_allowed(values[name]):
            raise option.refusal(name, values[name])
    standard = flatten(get_config())
    validation.check(
        values, {name for name in values if values[name] != standard[name]}
    )
