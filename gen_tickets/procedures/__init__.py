"""Which procedure the options of an experiment ask for."""

from gen_tickets.paper import table2
from gen_tickets.procedures import early_bird, lottery


def kind(config) -> type[lottery.Lottery]:
    """The procedure of one experiment."""
    if config.prune.schedule == "early_bird":
        return early_bird.EarlyBird
    return lottery.Lottery


def run(config, workdir) -> None:
    """Runs an experiment in `workdir`, or goes on with it; see `lottery.run`."""
    if config.suite == "table2":
        table2.run(config, workdir, run)
    else:
        lottery.run(config, workdir, kind(config))
