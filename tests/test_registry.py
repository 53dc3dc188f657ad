"""Registries: names without an import, entries by decorator, and their options."""

import subprocess
import sys
from typing import NamedTuple

import pytest
from pages import ROOT

from gen_tickets import losses
from gen_tickets.config import defaults, registries
from gen_tickets.config.options import OPTIONS
from gen_tickets.config.registry import Registry
from gen_tickets.errors import UserError

REGISTRIES = [x for x in vars(registries).values() if isinstance(x, Registry)]
by_option = pytest.mark.parametrize(
    "registry", REGISTRIES, ids=lambda registry: registry.option
)


class Entry(NamedTuple):
    function: object
    is_large: bool = False


@pytest.fixture
def empty():
    """A registry of a package that has no entry of its kind."""
    return Registry("colour", "paint.colour", Entry, "gen_tickets.models")


def test_register_with_summary_gives_its_help(empty):
    @empty("red", summary="A colour.")
    @empty("pink")
    def red():
        """A warm one."""

    assert empty.summaries() == {"pink": "A warm one.", "red": "A colour."}


def test_metrics_of_different_networks_have_different_help():
    declared = Registry("metric", "eval.metrics", Entry, "gen_tickets.evaluation")
    texts = declared.summaries()  # from the source alone
    assert len(set(texts.values())) == len(texts) >= 11
    assert "Inception" in texts["fid"] and "not an FID" in texts["fd_classifier"]


def test_register_with_attribute_gives_an_entry_with_it(empty):
    @empty("red", is_large=True)
    def red():
        """A warm one.

        And more.
        """

    assert empty.names() == ("red",)
    assert empty.get("red") == Entry(red, True)
    assert empty.summaries() == {"red": "A warm one."}
    assert empty.items() == [("red", Entry(red, True))]


def test_register_an_unknown_attribute_raises(empty):
    with pytest.raises(TypeError, match="is_small"):
        empty("red", is_small=True)(len)


def test_register_a_name_twice_keeps_the_last(empty):
    empty("red")(len)
    empty("red")(sum)
    assert empty.get("red").function is sum and empty.names() == ("red",)


def test_get_a_mistyped_name_names_the_nearest(empty):
    empty("red")(len)
    empty("green")(len)
    with pytest.raises(UserError) as caught:
        empty.get("gren")
    assert caught.value.field == "paint.colour='gren'"
    assert "red, green" in caught.value.problem
    assert caught.value.remedy == "did you mean 'green'?"


@by_option
def test_register_a_built_in_name_is_refused(registry):
    name = registry.names()[0]
    with pytest.raises(UserError, match=f"{registry.option}='{name}': is built in"):
        registry(name)(lambda: None)


@by_option
def test_names_from_source_equal_registered_names(registry):
    """What is read from the source is what importing it adds, with its summary."""
    names = registry.names()
    source = Registry(registry._kind, registry.option, Entry, registry._package)
    entries = dict(registry.items())
    assert tuple(entries) == names == registry.names() and len(names) > 1
    summaries = registry.summaries()
    assert all(summaries.values())
    assert source.summaries().items() <= summaries.items()


def test_names_of_all_registries_import_no_jax():
    code = (
        "import sys\n"
        "from gen_tickets.config import registries, registry\n"
        "for x in vars(registries).values():\n"
        "    assert not isinstance(x, registry.Registry) or x.names()\n"
        "assert not {'jax', 'flax', 'optax', 'scipy'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@by_option
def test_registry_option_allows_its_names_and_suggests_the_nearest(registry):
    option, name = OPTIONS[registry.option], registry.names()[0]
    is_tuple = isinstance(option.default, tuple)
    assert option.is_allowed((name,) if is_tuple else name)
    assert name in option.allowed
    assert registry.summaries().items() <= option.summaries().items()
    mistyped = name + "q"
    if registry is not registries.data_set:  # any TFDS set is allowed there
        value = (mistyped,) if is_tuple else mistyped
        assert not option.is_allowed(value)
        refusal = option.refusal(registry.option, value)
        assert refusal.remedy == f"did you mean {name!r}?"


def test_register_loss_makes_it_a_value_of_its_option(registries_restored):
    config = defaults.get_config()
    with pytest.raises(UserError, match="task.loss='square'"):
        config.task.loss = "square"

    @registries.loss("square")
    def square():
        """Squares."""
        return losses.Adversarial(abs, abs, abs)

    config.task.loss = "square"
    config.task.name = "gan"
    config.train.steps = 20
    defaults.validate(config)
    assert registries.loss.get(config.task.loss).terms().real is abs
