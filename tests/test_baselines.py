"""Baselines from NumPy, and as a file of a workdir."""

import jax.numpy as jnp
import numpy as np
import pytest

from gen_tickets import tasks
from gen_tickets.config import defaults
from gen_tickets.errors import UserError
from gen_tickets.procedures import baselines as procedure
from gen_tickets.training import loop
from gen_tickets.workdir import baselines, paths

RANDOM = np.random.default_rng(0)
TRAIN, HELDOUT = (RANDOM.integers(0, 256, (n, 4, 4, 1), np.uint8) for n in (9, 7))


@pytest.mark.parametrize("name, divisor", [("ae", 16), ("vae", 1)])
def test_baselines_autoencoder_equal_error_of_mean_image(name, divisor):
    config = defaults.get_config()
    config.task.name, config.model.widths = name, (4, 2)
    task = tasks.build(config, (4, 4, 1), 10)
    mean = procedure._mean_image(*loop.in_batches(TRAIN, 4))
    np.testing.assert_allclose(mean, TRAIN.mean(0, dtype=np.float64), rtol=1e-6)
    found = procedure.of_task(task, mean, *loop.in_batches(HELDOUT, 4))
    difference = (HELDOUT - TRAIN.mean(0, dtype=np.float64)) / 127.5
    expected = (difference**2).sum((1, 2, 3)).mean() / divisor
    known = found["heldout_reconstruction"]
    assert known == {baselines.MEAN: pytest.approx(expected, rel=1e-5)}
    assert found["heldout_loss"] == known
    constant = task.evaluate_constant(mean, jnp.asarray(HELDOUT))
    assert set(found) == {f"heldout_{x}" for x in constant}


def test_baselines_gan_are_empty():
    config = defaults.get_config()
    config.task.name, config.model.name, config.model.widths = "gan", "convstack", (2,)
    task = tasks.build(config, (8, 8, 1), 10)
    assert procedure.of_task(task, None, None, None) == {}


def test_read_baselines_returns_written_and_refuses_damage(tmp_path):
    assert baselines.read(tmp_path) == {}
    baselines.write(tmp_path, {"fid": {"noise images": 3.5, "x": np.nan}})
    assert baselines.read(tmp_path) == {"fid": {"noise images": 3.5}}
    for text in ("[1]", '{"fid": {"x": "y"}}', "{"):
        paths.baselines_path(tmp_path).write_text(text)
        with pytest.raises(UserError, match="is not an intact table of baselines"):
            baselines.read(tmp_path)
