"""Every option: its default, the values it refuses; the sizes of an experiment."""

import pytest

from gen_tickets.config import defaults
from gen_tickets.config.option import Steps
from gen_tickets.config.options import HOW_TO_RUN, OPTIONS
from gen_tickets.errors import UserError


def configure(**changes):
    config = defaults.get_config()
    config.train.steps = 20
    config.update_from_flattened_dict(
        {name.replace("__", "."): value for name, value in changes.items()}
    )
    return config


def put(config, name, value):
    """Sets an option without validation, as reading config.json could."""
    *groups, leaf = name.split(".")
    for group in groups:
        config = config[group]
    with config.ignore_type():
        config[leaf] = value


def wrong_values(option):
    """Values of other types, and of the right type but out of bounds."""
    default = option.default
    if isinstance(option, Steps):
        return [-3, 1.5, "2 ep", None]
    if isinstance(default, bool):
        return [1, "True", None]
    if isinstance(default, int):
        return [-2, 1.5, True, "1", None]
    if isinstance(default, float):
        return [-0.1, float("nan"), float("inf"), "0.1", None]
    if isinstance(default, tuple):
        return ["abc", 3, (1.5,), (None,), ("a", "a"), None]
    return [3, None, ("digits",)]


@pytest.mark.parametrize("name", OPTIONS)
def test_validate_wrong_value_of_each_option_names_the_option(name):
    option = OPTIONS[name]
    assert option.is_allowed(option.default)
    assert option.meaning and option.allowed
    for value in wrong_values(option):
        config = configure()
        put(config, name, value)
        with pytest.raises(UserError, match=f"^{name}=") as caught:
            defaults.validate(config)
        assert repr(value) in str(caught.value) or isinstance(value, (list, tuple))
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name, value",
    [
        ("runs", 0),
        ("data.batch_size", 0),
        ("data.name", ""),
        ("model.name", "resnet50"),
        ("model.widths", ()),
        ("model.widths", (3, 0)),
        ("model.widths", (3, 2**20 + 1)),
        ("model.latent_size", 2**63),
        ("seed", 2**31),
        ("data.image_size", 2**13 + 1),
        ("arms", ()),
        ("arms", ("losing",)),
        ("arms", ("random",)),
        ("arms", ("random", "winning")),
        ("optimizer.learning_rate", 0.0),
        ("optimizer.b1", 1.0),
        ("dynamic.end", 1.001),
        ("prune.fraction", 0.0),
        ("prune.fraction", 1.0),
        ("prune.rounds", 0),
        ("prune.scope", "global "),
    ],
)
def test_validate_value_out_of_bounds_names_the_option(name, value):
    config = configure()
    put(config, name, value)
    with pytest.raises(UserError, match=f"^{name}="):
        defaults.validate(config)


def test_number_closed_above_allows_its_bound_and_says_so():
    end, b1 = OPTIONS["dynamic.end"], OPTIONS["optimizer.b1"]
    assert end.is_allowed(1.0) and end.allowed == "a number x with 0 <= x <= 1"
    assert b1.allowed == "a number x with 0 <= x < 1"


def test_validate_integer_for_float_option_is_allowed():
    config = configure(optimizer__learning_rate=1, checkpoint__every_seconds=5)
    defaults.validate(config)
    assert config.optimizer.learning_rate == 1.0
    put(config, "optimizer.weight_decay", 0)
    defaults.validate(config)


def test_validate_contradicting_options_names_them():
    for changes, message in (
        ({"train__steps": 0}, "train.epochs=0, train.steps=0"),
        ({"train__epochs": 3}, "train.epochs=3, train.steps=20"),
        ({"rewind__step": 20}, "rewind.step=20.*train.steps=20"),
    ):
        with pytest.raises(UserError, match=message):
            defaults.validate(configure(**changes))
    defaults.validate(configure(rewind__step=19))


def test_get_config_has_every_option_at_its_default():
    config = defaults.get_config()
    assert set(defaults.flatten(config)) == set(OPTIONS)
    for name, value in defaults.flatten(config).items():
        default = OPTIONS[name].default
        assert value == (list(default) if isinstance(default, tuple) else default)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: setattr(c.optimizer, "learning_rat", 3), "mean 'optimizer.learning"),
        (lambda c: setattr(c, "runs", "five"), "^runs='five': allowed is a whole"),
        (lambda c: setattr(c.data, "batch_size", 0), "^data.batch_size=0: allowed is"),
        (lambda c: c.early_bird.update(epochs=5), "^early_bird.epochs=5: .*>= 6"),
        (lambda c: c.update_from_flattened_dict({"task.beta": -1}), "^task.beta=-1"),
    ],
)
def test_config_assignment_of_wrong_name_or_value_raises_at_once(change, message):
    config = defaults.get_config()
    with pytest.raises(UserError, match=message):
        change(config)
    assert defaults.flatten(config) == defaults.flatten(defaults.get_config())


def test_config_copy_still_validates_assignments():
    copied = defaults.get_config().copy_and_resolve_references()
    copied.data.batch_size = 7
    assert copied.data.batch_size == 7
    with pytest.raises(UserError, match="data.batch_size=0"):
        copied.data.batch_size = 0


def test_resize_named_size_applies_its_changes():
    config = defaults.resize(configure(), "gpu", gpu={"runs": 3}, laptop={"runs": 1})
    assert config.runs == 3
    with pytest.raises(defaults.UnknownSize, match="FILE:gpu"):
        defaults.resize(config, "gpu", laptop={})


def test_resize_early_bird_to_smoke_keeps_its_one_round():
    config = configure(prune__schedule="early_bird", prune__rounds=1, rewind__step=0)
    small = defaults.resize(config, "smoke")
    defaults.validate(small)
    assert (small.prune.rounds, small.rewind.step) == (1, "0")
    assert small.early_bird.take_last


def test_resize_smoke_is_small_and_valid_and_unknown_size_is_refused():
    config = defaults.get_config()
    config.train.epochs = 100
    same = defaults.resize(config, "full")
    assert same.train.epochs == 100
    small = defaults.resize(config, "smoke")
    defaults.validate(small)
    assert small.train.epochs == 0 and small.train.steps <= 50
    assert small.runs == 3 and small.prune.rounds <= 2 and small.data.limit <= 1000
    for size in ("Smoke", "", "tiny"):
        with pytest.raises(UserError, match="it has full, smoke|mean 'smoke'"):
            defaults.resize(defaults.get_config(), size)


def test_how_to_run_names_only_existing_options():
    assert set(HOW_TO_RUN) <= set(OPTIONS)
