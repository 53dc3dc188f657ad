"""What a trained member makes, brought out of its workdir: images, or its weights.

  python -m gen_tickets.export WORKDIR OUTPUT [--what samples] [--num 5000]

WORKDIR keeps the networks of the round that was trained last; a member of it is chosen
by --arm and --run. OUTPUT is an .npz of uint8 `images` [N, H, W, C], or a folder that
gets a .png of each; of --what=weights a ticket, which `tickets.load` reads, with the
trained weights in the place of those it starts from.
"""

import argparse
import contextlib
import io
import pathlib
import sys
from typing import Any, NamedTuple

import numpy as np

from gen_tickets import procedures
from gen_tickets.cli import command_line, experiment_file
from gen_tickets.config import defaults
from gen_tickets.data import dataset as dataset_lib
from gen_tickets.errors import UserError
from gen_tickets.evaluation import metrics
from gen_tickets.evaluation.features.batches import map_batches
from gen_tickets.procedures import setup
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.training.round_state import Position
from gen_tickets.training.state import TrainState
from gen_tickets.workdir import checkpoints
from gen_tickets.workdir import images as images_lib
from gen_tickets.workdir import lock, paths, provenance, tickets

_KINDS = ("samples", "reconstructions", "weights")


class Member(NamedTuple):
    """One trained member of a workdir."""

    prepared: setup.Prepared  #: of the networks that it is a member of
    state: TrainState  #: without the axis of members
    masks: Any  #: bool, of the shapes of its weights
    sparsity: float  #: of the whole networks, also where channels were cut out
    position: Position
    arm: str
    run: int
    data: dict[str, Any]  #: provenance of its images

    @property
    def title(self) -> str:
        """Where it stands, in words."""
        end = "" if self.position.finished else f", step {self.position.step}"
        return f"round {self.position.round}{end}, arm {self.arm}, run {self.run}"


def load(workdir: str | pathlib.Path, arm: str = "", run: int | None = None) -> Member:
    """A member of the newest checkpoint of a workdir; its images are not read.

    Args:
      workdir: of an experiment that no process is running.
      arm: "" is the first one of the round, the winning one where there is one.
      run: None is the first one there.

    Raises:
      UserError: no checkpoint, or no such member.
    """
    config = lock.stored_config(workdir)
    data = lock.stored_provenance(workdir)["data"]
    nothing = UserError(workdir, "has no checkpoint yet", "run it, or go on with it")
    with contextlib.ExitStack() as stack:
        stack.callback(lock.lock(workdir).release)
        if not paths.checkpoints_dir(workdir).is_dir():
            raise nothing
        shape = (data["image_size"], data["image_size"], data["channels"])
        prepared = setup.prepare(config, shape, data["num_train"])
        with contextlib.closing(checkpoints.Checkpoints(workdir)) as store:
            trained = procedures.of(config).trained(prepared, store, workdir)
    if trained is None:
        raise nothing
    arms, runs = trained.population.arms, trained.population.runs
    arm, run = arm or arms[0], runs[0] if run is None else run
    if arm not in arms or run not in runs:
        raise UserError(
            f"--arm={arm} --run={run}",
            f"the newest checkpoint of {workdir} (round {trained.position.round}) has "
            f"arms {', '.join(arms)} and runs {', '.join(map(str, runs))}",
            "give one of them",
        )
    index = trained.population.index(arm, run)
    whole = (trained.round_state.state, trained.round_state.masks)
    state, masks = trained.population.layout.member(whole, index)
    sparsity = masks_lib.sparsity(trained.masks_of(index))
    position = trained.position
    return Member(trained.prepared, state, masks, sparsity, position, arm, run, data)


def samples(member: Member, num: int, seed: int | None = None) -> np.ndarray:
    """Images of a member's own, from standard normal latents.

    Args:
      member: from `load`.
      num: how many.
      seed: of the latents; None is the experiment's, whose samples are those that
        `eval.metrics` measured where `eval.num_samples` is as large.

    Returns:
      uint8 [num, H, W, C].
    """
    config, sample = member.prepared.config, member.prepared.sample
    return metrics.draw_samples(
        lambda latents: sample(member.state, latents),
        num,
        config.data.batch_size,
        member.prepared.task.latent_size,
        config.seed if seed is None else seed,
    )


def reconstructions(
    member: Member, num: int | None = None, data_dir: str = ""
) -> np.ndarray:
    """What a member makes of the first held-out images.

    Args:
      member: from `load`.
      num: how many; None: all of them.
      data_dir: where the images lie now; "" is where they lay.

    Returns:
      uint8 [num, H, W, C].

    Raises:
      UserError: its task has none, or there are fewer held-out images.
    """
    config, reconstruct = member.prepared.config, member.prepared.reconstruct
    if reconstruct is None:
        raise UserError(
            "--what=reconstructions",
            f"task.name={config.task.name!r} makes none",
            "give samples or weights",
        )
    config = config.copy_and_resolve_references()
    config.data.dir = data_dir or config.data.dir
    images = dataset_lib.load(config).heldout.images
    if num is not None and num > len(images):
        raise UserError(
            f"--num={num}", f"there are {len(images)} held-out images", "give fewer"
        )
    return map_batches(
        lambda batch: reconstruct(member.state, batch),
        images[:num],
        config.data.batch_size,
    )


def trained_ticket(member: Member) -> tickets.Ticket:
    """Masks, trained weights and statistics of a member, as a ticket is kept."""
    about = {
        "config": defaults.flatten(member.prepared.config),
        "arm": member.arm,
        "run": member.run,
        "round": member.position.round,
        "sparsity": member.sparsity,
        "step": member.position.step,
        "data": member.data,
        **provenance.collect(),
    }
    state, channels = member.state, member.prepared.channels
    return tickets.Ticket(member.masks, state.params, state.stats, about, channels)


def _check_output(options) -> None:
    """Raises UserError where something would be lost, or written under a wrong name."""
    output = pathlib.Path(options.output)
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise UserError(output, "is there already", "give another name")
    if options.what == "weights" and output.suffix != ".npz":
        raise UserError(output, "--what=weights is one file", "give a name.npz")
    if options.num is not None and options.num < 1:
        raise UserError(f"--num={options.num}", "1 or more allowed")


def _write_images(output: pathlib.Path, images: np.ndarray) -> None:
    if output.suffix == ".npz":
        content = io.BytesIO()
        np.savez(content, images=images)
        paths.write_atomically(output, content.getvalue())
        return
    digits = len(str(len(images) - 1))
    for i, image in enumerate(images):
        images_lib.write_image(output / f"{i:0{digits}d}.png", image)


def _export(options) -> str:
    """Writes the output; returns what was written, in words."""
    _check_output(options)
    output = pathlib.Path(options.output)
    member = load(options.workdir, options.arm, options.run)
    if options.what == "weights":
        tickets.save(output, trained_ticket(member))
        return f"{output}: weights of {member.title}"
    if options.what == "samples":
        images = samples(member, options.num or 5000, options.seed)
    else:
        images = reconstructions(member, options.num, options.data_dir)
    _write_images(output, images)
    shape = "x".join(map(str, images.shape[1:]))
    return f"{output}: {len(images)} {options.what}, {shape}, of {member.title}"


def _parse(words):
    parser = command_line.Parser(
        prog="python -m gen_tickets.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("workdir", metavar="WORKDIR")
    add("output", metavar="OUTPUT", help="an .npz, or a new folder of .png files")
    add("--what", default="samples", choices=_KINDS)
    add("--num", type=int, help="images; default 5000, or all held-out ones")
    add("--arm", default="", help="default: winning, where it trained last")
    add("--run", type=int, help="default: the first one there")
    add("--seed", type=int, help="of the latents; default: the experiment's own")
    add(
        "--data.dir",
        default="",
        dest="data_dir",
        metavar="DIR",
        help="where the experiment's images lie now; default: where they lay",
    )
    add(
        "--extensions",
        metavar="FILE.py",
        help="the file that adds a model or a data set of your own",
    )
    return parser.parse_args(words)


def _run(words) -> None:
    options = _parse(words)
    command_line.use_compilation_cache()
    if options.extensions:
        experiment_file.run(options.extensions)
    print(_export(options))


def main(words=None) -> int:
    """The command line; returns the exit status, 2 for wrong input."""
    return command_line.exit_status(lambda: _run(words))


if __name__ == "__main__":
    sys.exit(main())
