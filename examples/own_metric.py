"""A metric of your own: coverage (Naeem et al. 2020).

python -m gen_tickets.main --config=examples/own_metric.py
"""

from scipy.spatial.distance import cdist

from gen_tickets.config import registries
from gen_tickets.config.column import Column
from gen_tickets.experiments import dcgan_digits

NEIGHBOURS, ROWS = 5, 2000


@registries.metric(
    "coverage",
    network="classifier",
    columns=(Column("coverage", better="higher"),),
    minimum=NEIGHBOURS + 1,
)
def coverage(outputs, reference):
    """Share of real images that have a sample near (Naeem et al. 2020)."""
    real, samples = reference.features[:ROWS], outputs.features[:ROWS]
    to_real = cdist(real, real)
    to_real.sort(axis=1)
    radii = to_real[:, NEIGHBOURS]  # the nearest, at 0, is the image itself
    return ((cdist(real, samples).min(axis=1) < radii).mean(),)


def get_config(size="full"):
    config = dcgan_digits.get_config(size)
    config.eval.metrics = ("coverage",)
    config.eval.verdict = "coverage"
    return config
