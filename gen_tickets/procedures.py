"""Which procedure the options of an experiment ask for."""

from gen_tickets import early_bird, lottery, table2


def run(config, workdir) -> None:
    """Runs an experiment in `workdir`, or goes on with it; see `lottery.run`."""
    procedure = early_bird if config.prune.schedule == "early_bird" else lottery
    if config.suite == "table2":
        procedure = table2
    procedure.run(config, workdir)
