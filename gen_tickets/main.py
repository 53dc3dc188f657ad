"""python -m gen_tickets.main --config=experiments/FILE.py[:smoke] [--workdir=DIR]

Runs or resumes an experiment; the default is experiments/quickstart.py. A bare name,
--config=ae_mnist, selects an experiment that comes with gen_tickets;
--config=runs/mine/config.json uses the options of a run. Every option of
gen_tickets/config/options.py can be given, as --config.prune.rounds=5.
"""

import ml_collections
from absl import flags

from gen_tickets.cli import command_line
from gen_tickets.config import defaults

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "folder for all results; default runs/<experiment>"
)


def main(
    config: ml_collections.ConfigDict, experiment: command_line.Experiment
) -> None:
    """Runs the experiment, in its default workdir unless --workdir is given."""
    defaults.validate(config)
    # Imported late, so that --help and a wrong option do not wait for JAX to load.
    from gen_tickets import procedures
    from gen_tickets.distributed import devices, processes
    from gen_tickets.workdir import paths

    command_line.use_compilation_cache()
    processes.start(config.parallel)
    if experiment.size == "smoke":
        command_line.compile_quickly()
    devices.find()
    # A shell leaves the ~ of --workdir=~/runs/mine.
    workdir = str(paths.expanded(_WORKDIR.value or experiment.workdir))
    procedures.run(config, workdir)


if __name__ == "__main__":
    command_line.run(main)
