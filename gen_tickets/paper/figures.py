"""The paper's figures and tables as data: panels, curves and claims.

The figure "beyond" is about later papers, on diffusion models and sparse training.

A curve is an arm of an experiment file, possibly with changed options. A claim is a
statement of the paper with the test that judges it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from gen_tickets.paper import claims
from gen_tickets.paper.published import (
    DDPM_TICKETS,
    MODELS,
    SPARSE_DDPM,
    SPARSE_GENERATOR,
    title,
)


class Variant(NamedTuple):
    """Changed options of an experiment file, and the suffix of its workdir."""

    name: str = ""
    changes: tuple[tuple[str, Any], ...] = ()
    width: float = 1.0  #: factor of all widths: below 1, a smaller dense network


class Curve(NamedTuple):
    """An arm of an experiment file."""

    label: str
    file: str
    arm: str = "winning"
    variant: Variant = Variant()
    only_full: bool = False  #: omitted at smaller scales


# Columns to draw: the first one that was measured.
RECONSTRUCTION = ("heldout_reconstruction",)
ACCURACY = ("accuracy_reconstructions",)
FRECHET = ("fid", "fd_classifier")
INCEPTION = ("inception_score",)
DISCRIMINATOR = ("heldout_discriminator_loss",)
STOP = ("early_stop_step",)
QUALITY = (*FRECHET, *RECONSTRUCTION)


class Panel(NamedTuple):
    """Curves drawn together, by the function `panels.DRAW[kind]`."""

    title: str
    curves: tuple[Curve, ...]
    kind: str = "sparsity"
    columns: tuple[str, ...] = FRECHET
    published: float = 0.0  #: the paper's winning sparsity; 0: not drawn


class Claim(NamedTuple):
    """A statement of the paper, and the test of `claims` that judges it."""

    text: str
    curves: tuple[Curve, ...]
    test: Callable[..., claims.Tested]
    columns: tuple[str, ...] = FRECHET
    is_of_quality: bool = True  #: False: about time or epochs, so gates do not matter


class Figure(NamedTuple):
    """A figure or table: its panels and its claims."""

    title: str
    panels: tuple[Panel, ...]
    claims: tuple[Claim, ...] = ()
    trains: bool = True  #: False: it shows results of other figures' experiments

    def curves(self) -> list[Curve]:
        """All curves of panels and claims, without repetition."""
        parts: list[Panel | Claim] = [*self.panels, *self.claims]
        found = [curve for part in parts for curve in part.curves]
        return list(dict.fromkeys(found))


def _files(*kinds: str) -> list[tuple[str, float]]:
    """(experiment file, winning sparsity) of some kinds of models, from Table 1."""
    models = [model for model in MODELS if model.kind in kinds]
    return [pair for model in models for pair in model.sparsity.items()]


def alone(component: str) -> Variant:
    """Prunes only one component, and trains only the winning arm."""
    changes = (("prune.components", (component,)), ("arms", ("winning",)))
    return Variant(component, changes)


def _pair(file: str, label: str = "winning") -> tuple[Curve, Curve]:
    return Curve(label, file), Curve("random", file, "random")


def _samples() -> Figure:
    panels = [Panel(title(x), _pair(x), "images") for x, _ in _files("vae", "gan")]
    title_ = "Samples of winning and random tickets at each sparsity"
    return Figure(title_, tuple(panels))


def _early_stopping() -> Figure:
    # Only models whose loss measures quality: lower losses of a GAN are not better.
    panels = [
        Panel(title(file), _pair(file), "sparsity", STOP, share)
        for file, share in _files("ae", "vae")
    ]
    return Figure("Early-stopping iteration against sparsity", tuple(panels))


def _dcgan() -> Figure:
    late = Curve("iterative, rewound to step 10", "dcgan_cifar10")
    one_shot = Curve("one-shot", "one_shot_dcgan_cifar10")
    to_zero = Curve("iterative, rewound to step 0", "rewind_dcgan_cifar10")
    worse = "One-shot pruning is worse than iterative at high sparsity."
    better = "Late rewinding is nowhere worse than rewinding to initialization."
    return Figure(
        "DCGAN on CIFAR-10: one-shot against iterative, initialization against late",
        (
            Panel("One-shot against iterative", (late, one_shot)),
            Panel("Rewound to 0 against late", (late, to_zero)),
        ),
        (
            Claim(worse, (late, one_shot), claims.others_worse),
            Claim(better, (late, to_zero), claims.nowhere_worse),
        ),
    )


# Experiments that prune single components at every scale, not only at full scale.
_DETAILED = ("ae_mnist", "ae_cifar10", "vae_cifar10", "dcgan_cifar10")


def _against_sparsity(
    heading: str,
    kind: str,
    drawn: tuple[tuple[str, ...], ...],
    components: tuple[str, ...],
) -> Figure:
    """Figures 4 to 6: both components pruned, each alone, and the random control."""
    panels, tickets = [], []
    for file, share in _files(kind):
        both, random = _pair(file, "both components")
        only_full = file not in _DETAILED
        each = [
            Curve(f"{part} only", file, "winning", alone(part), only_full)
            for part in components
        ]
        curves = (both, *each, random)
        panels += [Panel(title(file), curves, "sparsity", x, share) for x in drawn]
        text = f"{title(file)} has winning tickets up to {100 * share:.3g} % sparsity."
        test = partial(claims.winning_sparsity, published=share)
        tickets.append(Claim(text, (both,), test, drawn[0]))
    return Figure(heading, tuple(panels), tuple(tickets))


# {name: fraction of the channels to remove}; "dense" removes none, but is searched,
# measured and timed like the others.
_SHARES = {"dense": 1e-9, "10": 0.1, "30": 0.3, "50": 0.5, "65": 0.65, "80": 0.8}
_NOTHING = ("prune.fraction", _SHARES["dense"])
_of_cost = partial(Claim, is_of_quality=False)
_SAVES_47 = partial(claims.time_saved, flops=0.88, time=0.47)


def _tickets(file: str, names: tuple[str, ...] = tuple(_SHARES)) -> tuple[Curve, ...]:
    found = []
    for name in names:
        label = name if name == "dense" else f"{name} %"
        variant = Variant(name, (("prune.fraction", _SHARES[name]),))
        found.append(Curve(label, file, "early_bird", variant))
    return tuple(found)


def _small(file: str, name: str, width: float, *changes: tuple[str, Any]) -> Curve:
    """A control: a narrower dense network, trained from scratch."""
    variant = Variant(f"small_{name}", (_NOTHING, *changes), width)
    return Curve(f"widths x {width:.2g}", file, "early_bird", variant)


def _all_small(file: str) -> tuple[Curve, ...]:
    shares = [(name, share) for name, share in _SHARES.items() if name != "dense"]
    return tuple(_small(file, name, 1 - share) for name, share in shares)


def _early_birds() -> Figure:
    models = ("dcgan", "vae", "resnet_vae", "resnet_dcgan")
    files = {title(f"{x}_cifar10"): f"early_bird_{x}_cifar10" for x in models}
    tickets = {name: _tickets(file) for name, file in files.items()}
    dcgan = tickets[title("dcgan_cifar10")]
    text = "DCGAN: with 88 % fewer FLOPs an early-bird ticket is not worse than dense "
    as_good = partial(claims.as_good_with_less, saving=0.88)
    by_epoch_6 = partial(claims.found_by_epoch, last=6)
    return Figure(
        "Early-bird tickets: quality, FLOPs and time against compression",
        tuple(
            Panel(name, (*curves, *_all_small(files[name])), "tradeoff")
            for name, curves in tickets.items()
        ),
        (
            Claim(f"{text}(FID 33.49, 37.71).", dcgan, as_good),
            _of_cost("DCGAN: 88 % fewer FLOPs are 47 % less time.", dcgan, _SAVES_47),
            *(
                _of_cost(f"{name}: tickets are found by epoch 6.", curves, by_epoch_6)
                for name, curves in tickets.items()
            ),
        ),
    )


def _transfer() -> Figure:
    panels, likes = [], []
    for file, own, source in (
        ("transfer_vae_to_dcgan", "DCGAN generator", "VAE decoder"),
        ("transfer_dcgan_to_vae", "VAE decoder", "DCGAN generator"),
    ):
        ticket = Curve(f"{source}'s ticket", file, "transferred")
        curves = (ticket, *_pair(file, f"{own}'s own ticket"))
        panels.append(Panel(f"{source}'s tickets in a {own}", curves))
        text = f"A {source}'s ticket does in a {own} as the {own}'s own ticket does, "
        text += "and better than a random one."
        likes.append(Claim(text, curves, claims.like_the_own_ticket))
    title_ = "Tickets transferred between VAE and DCGAN"
    return Figure(title_, tuple(panels), tuple(likes))


def _models() -> Figure:
    # Needs no training: it shows results of the other figures' experiments.
    winning = tuple(_pair(file)[0] for file, _ in _files("ae", "vae", "gan"))
    panel = Panel("Models", winning, "table1", QUALITY)
    return Figure("Models, weights and winning sparsities", (panel,), trains=False)


def _methods() -> Figure:
    dense = Curve("unpruned", "table2_imp", "dense")
    imp = Curve("IMP, winning", "table2_imp")
    control = Curve("IMP mask, random weights", "table2_imp", "random")
    early_bird = Curve("early-bird", "table2_early_bird", "early_bird")
    bfloat16 = Variant("bfloat16", (("precision", "bfloat16"),))
    early_bird_16 = early_bird._replace(label="early-bird, bfloat16", variant=bfloat16)
    snip, grasp = Curve("SNIP", "table2_snip"), Curve("GraSP", "table2_grasp")
    rows = (dense, imp, control, early_bird, early_bird_16, snip, grasp)
    saves_54 = partial(claims.time_saved, flops=0.88, time=0.54)
    text = "{} matches the unpruned network (FID {}, 37.71)."
    imp_matches = text.format("IMP's winning ticket", 37.77)
    early_bird_matches = text.format("The early-bird ticket", 33.49)
    bfloat16_matches = text.format("In 16 bits it", 34.28)
    worse = "SNIP and GraSP are worse than the early-bird ticket (FID 56.02, 65.53)."
    saves = "The early-bird ticket saves 88 % of the FLOPs and 47 % of the time."
    judged = (
        Claim(imp_matches, (dense, imp), claims.matches),
        Claim(early_bird_matches, (dense, early_bird), claims.matches),
        Claim(bfloat16_matches, (dense, early_bird_16), claims.matches),
        Claim(worse, (early_bird, snip, grasp), claims.others_worse),
        _of_cost(saves, (dense, early_bird), _SAVES_47),
        _of_cost(
            "In 16 bits it saves 54 % of the time.", (dense, early_bird_16), saves_54
        ),
    )
    title_ = "DCGAN unpruned, by IMP, early-bird, SNIP and GraSP"
    return Figure(title_, (Panel("DCGAN", rows, "table2"),), judged)


SPARSE = (0.5, 0.8, 0.9)  # sparsities of rigl_ddpm_mnist and rigl_dcgan_mnist


def _beyond() -> Figure:
    names = {"rigl": "RigL", "set": "SET", "magran": "MagRan", "static": "static"}
    tickets = _pair("ddpm_mnist")
    found, sparse, generator = DDPM_TICKETS, SPARSE_DDPM, SPARSE_GENERATOR
    shares = ("prune.sparsities", SPARSE)
    same = shares, ("prune.rounds", len(SPARSE)), ("arms", ("winning",))
    snip = ("prune.method", "snip"), ("prune.schedule", "at_initialization")
    pruned = {"IMP, rewound": Variant("imp", same)}
    pruned["SNIP"] = Variant("snip", (*same, *snip, ("rewind.step", "0")))
    ddpm, gan = (
        tuple(Curve(name, f"rigl_{model}", arm) for arm, name in names.items())
        + tuple(Curve(name, model, variant=change) for name, change in pruned.items())
        for model in ("ddpm_mnist", "dcgan_mnist")
    )
    bird = "early_bird_ddpm_cifar10"
    # Narrower networks keep the three channels per group that the tickets have.
    six, four = ("model.norm_groups", 6), ("model.norm_groups", 4)
    narrow = _small(bird, "30", 0.75, six), _small(bird, "50", 0.5, four)
    birds = (*_tickets(bird, ("dense", "30", "50")), *narrow)
    panels = (
        Panel("Tickets of a DDPM (Jiang et al. 2023)", tickets, published=found),
        Panel("Sparse DDPM (Oliveira et al. 2025)", ddpm, published=sparse),
        Panel("Sparse DCGAN (STU-GAN 2022)", gan, published=generator),
        Panel("Early-bird tickets of a DDPM (Whalen et al. 2025)", birds, "tradeoff"),
        Panel("Samples of tickets of a DDPM", tickets, "images"),
    )
    winning = "DDPMs have winning tickets at 90 to 99 % sparsity (Jiang et al. 2023)."
    trained = "Sparse from the first step, diffusion models are as good as dense at 25 "
    trained += "to 50 % (Oliveira et al. 2025)."
    gans = "Sparse from the first step, GANs are as good as dense with 20 % of their "
    gans += "generator and 30 % of their discriminator (STU-GAN 2022: BigGAN, better)."
    is_found = partial(claims.winning_sparsity, published=found)
    is_as_good = partial(claims.as_good_as_dense, published=sparse)
    is_gan_as_good = partial(claims.as_good_as_dense, published=generator)
    return Figure(
        "Diffusion models, and training that is sparse from the first step",
        panels,
        (
            Claim(winning, tickets[:1], is_found),
            Claim(trained, ddpm[:1], is_as_good),
            Claim(gans, gan[:1], is_gan_as_good),
        ),
    )


_CODERS, _OF_GAN = ("encoder", "decoder"), ("generator", "discriminator")
_AE, _VAE = (RECONSTRUCTION, ACCURACY), (FRECHET, ACCURACY)
_GAN = (FRECHET, INCEPTION, DISCRIMINATOR)

FIGURES = {
    "fig1": _samples(),
    "fig2": _early_stopping(),
    "fig3": _dcgan(),
    "fig4": _against_sparsity("Autoencoders", "ae", _AE, _CODERS),
    "fig5": _against_sparsity("Variational autoencoders", "vae", _VAE, _CODERS),
    "fig6": _against_sparsity("Adversarial networks", "gan", _GAN, _OF_GAN),
    "fig7": _early_birds(),
    "fig8": _transfer(),
    "table1": _models(),
    "table2": _methods(),
    "beyond": _beyond(),
}
