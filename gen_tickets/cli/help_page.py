"""The help page of `gen_tickets run [EXPERIMENT] --help`: every option, in groups."""

import textwrap
from typing import Any

import ml_collections

from gen_tickets import experiments
from gen_tickets.config import defaults
from gen_tickets.config.options import OPTIONS

_WIDTH = 88
_USAGE = """\
usage: gen_tickets run [EXPERIMENT[:SIZE]] [--workdir=DIR] [--config.OPTION=VALUE ...]
       gen_tickets stability [EXPERIMENT[:SIZE]] ...
       python -m gen_tickets.main [--config=EXPERIMENT[:SIZE]] ...

Runs or resumes an experiment; stability finds the steps to which its tickets can be
rewound. EXPERIMENT is a name of the list below (default: quickstart), a file, or the
config.json of a workdir. SIZE is smoke (takes seconds) or another size that the file
defines, such as gpu or laptop. DIR, by default runs/EXPERIMENT[-SIZE], holds all
results."""
_GROUPS = {
    "": "The experiment",
    "data": "Images",
    "model": "Networks",
    "task": "Learning task",
    "optimizer": "Optimizer",
    "train": "Length of training",
    "prune": "Pruning",
    "early_bird": "Early-bird tickets (prune.schedule=early_bird)",
    "dynamic": "Dynamic sparse training (procedure=dynamic)",
    "diffusion": "Diffusion (task.name=diffusion)",
    "ticket": "Transferred tickets",
    "rewind": "Rewinding",
    "stability": "Instability analysis (procedure=stability, rewind.step=auto)",
    "eval": "Evaluation",
    "checkpoint": "Checkpoints",
    "keep": "Trained networks that are kept",
    "log": "Logs",
    "profile": "Profile",
    "parallel": "Devices and processes",
}


def of_run(config: ml_collections.ConfigDict, name: str) -> str:
    """Usage, experiments and every option with its value, meaning and choices.

    Args:
      config: the options of an experiment.
      name: of the experiment.
    """
    default = {option: of.default for option, of in OPTIONS.items()}
    values = default | defaults.flatten_nested(config.to_dict())
    names = f"experiments: {', '.join(experiments.names())}"
    wrapped = textwrap.fill(names, _WIDTH, subsequent_indent="  ")
    parts = [_USAGE, wrapped, f"Options, with their values in {name}:"]
    groups = dict.fromkeys(name.rpartition(".")[0] for name in OPTIONS)
    parts += [_group(group, values) for group in groups]
    return "\n\n".join(parts)


def _group(group: str, values: dict[str, Any]) -> str:
    """The options of one group, with its title."""
    lines = [_GROUPS[group]]
    for name, option in OPTIONS.items():
        if name.rpartition(".")[0] != group:
            continue
        lines.append(f"  --config.{name}={values[name]!r}")
        summaries = option.summaries()
        allowed = "" if summaries else f"; {option.allowed}"
        lines.append(_indented(f"{option.meaning}{allowed}", 6))
        lines += [_indented(f"{name}: {text}", 8) for name, text in summaries.items()]
    return "\n".join(lines)


def _indented(text: str, margin: int) -> str:
    spaces = " " * margin
    return textwrap.fill(
        text, _WIDTH, initial_indent=spaces, subsequent_indent=f"{spaces}  "
    )
