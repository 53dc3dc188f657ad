"""Trained networks of an experiment, read from its workdir and ready for Flax.

    trained = gen_tickets.load("runs/quickstart")
    codes = trained.apply("encoder", images)  # float32 [N, H, W, C] in [-1, 1]

Nothing is written or locked, so runs of other users and runs that are still training
can be read. The option `keep.rounds` determines which rounds are kept.
"""

import pathlib
import re
from collections.abc import Collection
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import ml_collections

from gen_tickets import tasks
from gen_tickets.config import defaults
from gen_tickets.errors import UserError
from gen_tickets.report import kept, outcomes
from gen_tickets.report.verdict import Verdict
from gen_tickets.tasks import networks
from gen_tickets.tasks.task import Task
from gen_tickets.training import schedule as schedule_lib
from gen_tickets.training.state import TrainState
from gen_tickets.workdir import paths, tickets


class Trained(NamedTuple):
    """One trained member; the first level of all trees and dicts is the component."""

    #: Flax modules, called as module.apply(variables, x, False)
    modules: dict[str, Any]
    #: trained weights, float32, exactly 0.0 where pruned; their running average if
    #: `eval.average_decay` is not 0
    params: dict[str, Any]
    masks: dict[str, Any]  #: bool, True = kept
    stats: dict[str, Any]  #: batch-norm statistics and other collections
    config: ml_collections.ConfigDict
    verdict: Verdict | None  #: of its experiment; None for a single file
    provenance: dict[str, Any]  #: round, arm, run, sparsity, step, data, versions
    channels: dict[str, Any]  #: {component: channels} if compacted, else {}
    task: Task  #: its `evaluate`, `sample` and `reconstruct` take `state`

    @property
    def variables(self) -> dict[str, Any]:
        """{component: variables of its module}."""
        return {
            component: {"params": self.params[component], **self.stats[component]}
            for component in self.modules
        }

    @property
    def state(self) -> TrainState:
        """The state for the task's functions, with a new optimizer state."""
        shapes = jax.eval_shape(self.task.init, jax.random.key(0))
        state = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        step = jnp.int32(self.provenance["step"])
        return state._replace(params=self.params, stats=self.stats, step=step)

    @property
    def title(self) -> str:
        """Round, arm and run as text."""
        return "round {round}, arm {arm}, run {run}".format(**self.provenance)

    def apply(self, component: str, x: jax.Array) -> jax.Array:
        """Output of a network in evaluation mode (running batch-norm statistics).

        Args:
          component: a key of `modules`, such as "encoder".
          x: float32: images [N, H, W, C] in [-1, 1], or latents [N, latent].

        Returns:
          float32: codes [N, latent] of an encoder (of a VAE [N, 2 * latent]: mean and
          log-variance), logits [N, 1] of a discriminator, images [N, H, W, C] in
          [-1, 1] of a decoder or generator. A denoiser predicts at time 0, with the
          least noise; for others, call its module with `times`.

        Raises:
          KeyError: there is no such component.
        """
        output, _ = networks.apply(
            self.modules[component],
            self.params[component],
            self.stats[component],
            x,
            train=False,
        )
        return output


class _Member(NamedTuple):
    round: int
    arm: str
    run: int


def load(
    path: str | pathlib.Path,
    round: int | None = None,
    arm: str = "",
    run: int = 0,
) -> Trained:
    """Loads a trained network from a workdir, or from a file written by `export`.

    Args:
      path: workdir, a file in it, or an exported .npz.
      round: None: the sparsest round with a winning ticket, according to the verdict;
        if there is none or it was not kept, the last round that was kept.
      arm: "": the winning arm, if the round has one; round 0 has only "dense".
      run: number of the run.

    Raises:
      UserError: nothing was kept, the member was not kept, or a file is damaged.
    """
    path = pathlib.Path(path)
    if path.is_file():
        return _build(tickets.load(path), None, path)
    members = _members(path)
    if not members:
        raise UserError(
            path,
            "holds no trained networks",
            "give a workdir whose first round has ended; one of an earlier version can "
            "be continued for one more round (prune.rounds), whose networks are kept",
        )
    verdict = outcomes.load(path).judge()
    numbers = {member.round for member in members}
    best = kept.best_round(verdict)
    if round is None:
        round = best if best in numbers else max(numbers)
    arms = [member.arm for member in members if member.round == round]
    arm = arm or ("winning" if "winning" in arms else min(arms, default=""))
    member = _Member(round, arm, run)
    if member not in members:
        raise _not_kept(path, member, members)
    return _build(tickets.load(paths.trained_path(path, *member)), verdict, path)


def _members(workdir: pathlib.Path) -> set[_Member]:
    """The members kept in a workdir."""
    found = set()
    for path in workdir.glob("trained/round_*/*.npz"):
        name = "/".join(path.parts[-2:])
        match = re.fullmatch(r"round_(\d+)/(\w+)_run_(\d+)\.npz", name)
        if match:
            found.add(_Member(int(match[1]), match[2], int(match[3])))
    return found


def _not_kept(
    workdir: pathlib.Path, wanted: _Member, members: Collection[_Member]
) -> UserError:
    def listed(values: Collection[Any]) -> str:
        return ", ".join(map(str, sorted(values)))

    of_round = [member for member in members if member.round == wanted.round]
    if not of_round:
        problem = f"keeps rounds {listed({member.round for member in members})}"
    else:
        arms, runs = {x.arm for x in of_round}, {x.run for x in of_round}
        problem = f"has arms {listed(arms)} and runs {listed(runs)} in that round"
    given = [f"{name}={x}" for name, x in wanted._asdict().items() if x != ""]
    return UserError(
        ", ".join(given),
        f"{workdir} {problem}",
        "give one of them; keep.rounds='all' keeps every round of a run",
    )


def _build(
    ticket: tickets.Ticket, verdict: Verdict | None, path: pathlib.Path
) -> Trained:
    """Builds the networks described by a ticket's provenance, with its weights.

    Raises:
      UserError: its experiment is not recorded, or is of a newer version.
    """
    about = ticket.provenance
    if not {"config", "data", "step", "round", "arm", "run"} <= about.keys():
        raise UserError(
            path,
            "is no trained network of an experiment",
            "tickets.load reads tickets",
        )
    config, data = defaults.restore(about["config"]), about["data"]
    num_steps = schedule_lib.make(config, data["num_train"]).num_steps
    shape = (data["image_size"], data["image_size"], data["channels"])
    task = tasks.build(config, shape, num_steps, ticket.channels)
    return Trained(
        modules={name: network.module for name, network in task.networks.items()},
        params=tickets.to_device(ticket.params),
        masks=tickets.to_device(ticket.masks),
        stats=tickets.to_device(ticket.stats),
        config=config,
        verdict=verdict,
        provenance=about,
        channels=ticket.channels,
        task=task,
    )
