"""Exports samples, reconstructions or weights of a trained network to files.

  gen_tickets export WORKDIR OUTPUT [--what samples] [--num 5000]
  gen_tickets export WORKDIR OUTPUT --format torch [--round 4]

The network is the winning ticket of the best round unless --round, --arm and --run say
otherwise; `keep.rounds` determines which rounds exist. Images are written to an .npz
with uint8 `images` [N, H, W, C], or to a folder, as one .png each. Formats of weights:

- npz: a ticket with the trained weights, which `gen_tickets.load` reads;
- safetensors: arrays named as in `trees.named_leaves`, with the prefix params/, masks/
  or stats/;
- torch: a folder with weights.npz and model.py, PyTorch modules with the same outputs.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Callable, Sequence

import jax
import numpy as np

from gen_tickets import trained, trees
from gen_tickets.cli import command_line, experiment_file
from gen_tickets.data import dataset as dataset_lib
from gen_tickets.distributed import devices
from gen_tickets.errors import UserError
from gen_tickets.evaluation import metrics
from gen_tickets.evaluation.features.batches import map_batches
from gen_tickets.pytorch import source
from gen_tickets.trained import Trained
from gen_tickets.workdir import images as images_lib
from gen_tickets.workdir import npz, paths, tickets

_KINDS = ("samples", "reconstructions", "weights")
_FORMATS = ("npz", "safetensors", "torch")


def _compiled(
    member: Trained, what: str, function: Callable[..., jax.Array] | None
) -> Callable[..., jax.Array]:
    """A compiled function of a task; raises UserError if the task has none."""
    if function is None:
        raise UserError(
            f"--what={what}",
            f"task.name={member.config.task.name!r} has none",
            "give another",
        )
    return jax.jit(function)


def samples(member: Trained, num: int, seed: int | None = None) -> np.ndarray:
    """Samples of a network from standard normal latents.

    Args:
      member: from `trained.load`.
      num: number of samples.
      seed: of the latents; None: that of the experiment. If num also equals
        `eval.num_samples`, these are the samples measured by `eval.metrics`.

    Returns:
      uint8 [num, H, W, C].
    """
    config, state = member.config, member.state
    sample = _compiled(member, "samples", member.task.sample)
    return metrics.draw_samples(
        lambda latents: sample(state, latents),
        num,
        config.data.batch_size,
        member.task.latent_size,
        config.seed if seed is None else seed,
    )


def reconstructions(
    member: Trained, num: int | None = None, data_dir: str = ""
) -> np.ndarray:
    """Reconstructions of the first held-out images.

    Args:
      member: from `trained.load`.
      num: number of images; None: all of them.
      data_dir: current folder of the images; "": unchanged since training.

    Returns:
      uint8 [num, H, W, C].

    Raises:
      UserError: the task has no reconstructions, or there are fewer held-out images.
    """
    config, state = member.config.copy_and_resolve_references(), member.state
    reconstruct = _compiled(member, "reconstructions", member.task.reconstruct)
    config.data.dir = data_dir or config.data.dir
    images = dataset_lib.load(config).heldout.images
    if num is not None and num > len(images):
        raise UserError(
            f"--num={num}", f"there are {len(images)} held-out images", "give fewer"
        )
    return map_batches(
        lambda batch: reconstruct(state, batch), images[:num], config.data.batch_size
    )


def write_weights(output: pathlib.Path, member: Trained, form: str) -> None:
    """Writes a network's weights, masks and statistics.

    Args:
      output: path of a new file, or of a new folder for "torch".
      member: from `trained.load`.
      form: "npz", "safetensors" or "torch", see the module.

    Raises:
      UserError: a package is missing, or PyTorch has no counterpart of an operation.
    """
    if form == "torch":
        source.write(output, member)
        return
    if form == "npz":
        parts = member.masks, member.params, member.stats
        tickets.save(output, tickets.Ticket(*parts, member.provenance, member.channels))
        return
    paths.write_atomically(output, _safetensors(member))


def _safetensors(member: Trained) -> bytes:
    try:
        from safetensors.numpy import save
    except ImportError:
        raise UserError(
            "--format=safetensors",
            "needs the package safetensors",
            "pip install safetensors",
        ) from None
    parts = {"params": member.params, "masks": member.masks, "stats": member.stats}
    arrays = {
        name: np.ascontiguousarray(leaf)
        for name, leaf in trees.named_leaves(parts).items()
    }
    about = {"provenance": json.dumps(member.provenance)}
    return bytes(save(arrays, metadata=about))


def _what(options: argparse.Namespace) -> str:
    """What to export: weights if a format of weights is given, else samples."""
    what = options.what or ("weights" if options.format else "samples")
    if options.format and what != "weights":
        raise UserError(
            f"--format={options.format}",
            f"is of weights, not of {what}",
            "leave it out",
        )
    return str(what)


def _check_output(options: argparse.Namespace, what: str) -> None:
    """Raises UserError if the output would overwrite a file or has a wrong suffix."""
    output, form = pathlib.Path(options.output), options.format or "npz"
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise UserError(output, "is there already", "give another name")
    allowed, described = ["", ".npz"], f"--what={what}"
    if what == "weights":
        allowed = [""] if form == "torch" else [f".{form}"]
        described = f"--format={form}"
    if output.suffix not in allowed:
        names = {"": "the name of a new folder, without a suffix"}
        remedy = " or ".join(names.get(x, f"a name that ends in {x}") for x in allowed)
        raise UserError(output, f"is no name for {described}", f"give {remedy}")
    if options.num is not None and options.num < 1:
        raise UserError(f"--num={options.num}", "1 or more allowed")


def _write_images(output: pathlib.Path, images: np.ndarray) -> None:
    if output.suffix == ".npz":
        npz.write(output, {"images": images})
        return
    digits = len(str(len(images) - 1))
    for i, image in enumerate(images):
        images_lib.write_image(output / f"{i:0{digits}d}.png", image)


def _export(options: argparse.Namespace) -> str:
    """Writes the output; returns a description of it."""
    what = _what(options)
    _check_output(options, what)
    output = pathlib.Path(options.output)
    member = trained.load(options.workdir, options.round, options.arm, options.run)
    if what == "weights":
        write_weights(output, member, options.format or "npz")
        return f"{output}: weights of {member.title}"
    if what == "samples":
        images = samples(member, options.num or 5000, options.seed)
    else:
        images = reconstructions(member, options.num, options.data_dir)
    _write_images(output, images)
    shape = "x".join(map(str, images.shape[1:]))
    return f"{output}: {len(images)} {what}, {shape}, of {member.title}"


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = command_line.Parser("gen_tickets export", __doc__)
    add = parser.add_argument
    add(
        "workdir",
        metavar="WORKDIR",
        help="of a run, or an .npz written by --format=npz",
    )
    add("output", metavar="OUTPUT", help="a new file, or a new folder without a suffix")
    add(
        "--what",
        choices=_KINDS,
        help="default: weights if --format is given, else samples",
    )
    add("--format", choices=_FORMATS, help="format of weights; default: npz")
    add("--round", type=int, help="default: the best one, else the last one kept")
    add("--arm", default="", help="default: winning, if the round has it")
    add("--run", type=int, default=0, help="default: 0")
    add(
        "--num",
        type=int,
        help="number of images; default: 5000 samples, or all held-out images",
    )
    add("--seed", type=int, help="seed of the latents; default: that of the experiment")
    add(
        "--data.dir",
        default="",
        dest="data_dir",
        metavar="DIR",
        help="folder of the experiment's images; default: unchanged",
    )
    add(
        "--extensions",
        metavar="FILE.py",
        help="the file that registers your own model or data set",
    )
    return parser.parse_args(words)


def _run(words: Sequence[str] | None) -> None:
    options = _parse(words)
    command_line.use_compilation_cache()
    devices.find()
    if options.extensions:
        experiment_file.run(options.extensions)
    print(_export(options))


def main(words: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status, 2 for wrong input."""
    return command_line.exit_status(lambda: _run(words))


if __name__ == "__main__":
    sys.exit(main())
