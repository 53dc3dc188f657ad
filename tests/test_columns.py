"""The table of columns: types, roles, directions, families, a user's declarations."""

import pytest

from gen_tickets.config import registries
from gen_tickets.config.column import Column
from gen_tickets.workdir import columns


@pytest.fixture
def remembered(monkeypatch):
    """The columns described by workdirs, empty at first."""
    empty = {}
    monkeypatch.setattr(columns, "_remembered", empty)
    return empty


@pytest.mark.parametrize(
    "name, better",
    [
        ("train_loss", "lower"),
        ("heldout_reconstruction", "lower"),
        ("interval_loss", "lower"),
        ("heldout_kl", None),
        ("fid", "lower"),
        ("kid", "lower"),
        ("kid_classifier", "lower"),
        ("fd_classifier", "lower"),
        ("accuracy_reconstructions", "higher"),
        ("train_accuracy", "higher"),
        ("inception_score", "higher"),
        ("precision", "higher"),
        ("recall_classifier", "higher"),
        ("heldout_discriminator_loss", None),
        ("heldout_discriminator_accuracy_real", None),
        ("train_sample_spread", None),
        ("early_stop_step", None),
        ("kid_std", None),
        ("loss_of_another_version", None),
    ],
)
def test_find_known_name_returns_its_declared_direction(name, better):
    column = columns.find(name)
    assert (column.name, column.better) == (name, better)
    assert column.sign == {"lower": -1, "higher": 1, None: 0}[better]


@pytest.mark.parametrize(
    "name, dtype, role",
    [
        ("round", "int", "key"),
        ("arm", "str", "key"),
        ("step", "int", "key"),
        ("diverged", "bool", "training"),
        ("early_stop_step", "int", "progress"),
        ("found_epoch", "int", "search"),
        ("flops_compact", "float", "cost"),
        ("evaluation", "str", "provenance"),
        ("sparsity_encoder", "float", "pruning"),
        ("inception_score_std", "float", "spread"),
        ("heldout_loss", "float", "metric"),
        ("heldout_sparsity", "float", "metric"),
        ("unknown", "float", "metric"),
    ],
)
def test_find_any_name_returns_type_and_role(name, dtype, role):
    column = columns.find(name)
    assert (column.dtype, column.role) == (dtype, role)


def test_find_family_column_is_labelled_after_its_metric():
    assert columns.find("heldout_kl").title == "held-out KL divergence (nats)"
    assert columns.find("interval_loss").title == "mean loss of training steps"
    assert columns.find("train_loss").title == "training loss"
    assert columns.find("kid_std").title == "KID, standard deviation"
    assert columns.find("seconds").title == "training time (s)"


def test_metric_of_family_column_is_its_metric():
    assert columns.metric_of("heldout_loss") == columns.metric_of("interval_loss")
    assert columns.metric_of("train_kl") == "kl" and columns.metric_of("fid") == "fid"


def test_find_column_described_by_workdir_returns_it_and_its_family(remembered):
    columns.remember(Column("coverage", better="higher", label="coverage"))
    assert columns.find("coverage").sign == 1
    assert columns.find("heldout_coverage").better == "higher"
    assert columns.find("coverage_std").role == "spread"
    columns.remember(Column("coverage", better="lower"))  # of another workdir
    assert columns.find("coverage").better == "lower"


def test_find_built_in_column_described_differently_keeps_built_in(
    remembered,
):
    columns.remember(Column("round"), Column("fid", better="higher"))
    assert columns.find("round").dtype == "int"
    registries.metric.get("fid")  # loaded, as in every process that measures it
    assert columns.find("fid").better == "lower"


@pytest.mark.parametrize("field", ["dtype", "role", "better", "unit", "label", "name"])
def test_is_valid_column_with_wrong_field_is_false(field):
    column = Column("coverage", better="higher")
    assert columns.is_valid(column)
    assert not columns.is_valid(column._replace(**{field: 3}))


def test_find_column_of_a_registered_metric_or_task_returns_it(registries_restored):
    coverage, contrast = Column("coverage", better="higher"), Column("contrast")
    registries.metric("coverage", network="classifier", columns=(coverage,))(len)
    registries.task("contrastive", columns=(contrast,))(len)
    assert columns.find("coverage") == coverage
    assert columns.find("heldout_contrast").label == "held-out contrast"
