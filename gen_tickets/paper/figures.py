"""The paper's figures and tables as data: panels, their curves, and what is claimed.

A curve is an arm of an experiment file, perhaps with options changed. A claim is one of
the paper's sentences with the test that judges it.
"""

from functools import partial
from typing import Callable, NamedTuple

from gen_tickets.paper import claims
from gen_tickets.paper.experiment import Variant, alone
from gen_tickets.paper.published import MODELS, title


class Measure(NamedTuple):
    """What a vertical axis shows: the first of these columns that was measured."""

    label: str
    columns: tuple[str, ...]


class Curve(NamedTuple):
    """An arm of an experiment file."""

    label: str
    file: str
    arm: str = "winning"
    variant: Variant = Variant()
    only_full: bool = False  #: not at the smaller scales


RECONSTRUCTION = Measure("reconstruction loss", ("heldout_reconstruction",))
ACCURACY = Measure("classifier's accuracy", ("accuracy_reconstructions",))
FRECHET = Measure("Fréchet distance", ("fid", "fd_classifier"))
INCEPTION = Measure("Inception Score", ("inception_score",))
DISCRIMINATOR = Measure("discriminator loss", ("heldout_discriminator_loss",))
STOP = Measure("early-stopping step", ("early_stop_step",))
QUALITY = Measure("quality", (*FRECHET.columns, *RECONSTRUCTION.columns))


class Panel(NamedTuple):
    """Curves drawn together, in the way that `panels.DRAW` has under `kind`."""

    title: str
    curves: tuple[Curve, ...]
    kind: str = "sparsity"
    measure: Measure = FRECHET
    published: float = 0.0  #: the paper's winning sparsity; 0: none is drawn


class Claim(NamedTuple):
    """A sentence of the paper's, and the test of `claims` that judges it."""

    text: str
    curves: tuple[Curve, ...]
    test: Callable[..., claims.Tested]
    measure: Measure = FRECHET


class Figure(NamedTuple):
    """A figure or table: what is drawn and what is judged."""

    name: str
    title: str
    panels: tuple[Panel, ...]
    claims: tuple[Claim, ...] = ()
    trains: bool = True  #: False: it shows what the other figures' experiments found

    def curves(self) -> list[Curve]:
        """All curves of panels and claims, each once."""
        found = [c for part in (*self.panels, *self.claims) for c in part.curves]
        return list(dict.fromkeys(found))


_AES, _VAES = ("linear AE", "conv AE"), ("VAE", "β-VAE", "ResNet-VAE")
_GANS = ("DCGAN", "SNGAN", "ResNet-DCGAN", "WGAN")
# Whose components are pruned alone at every scale, not only at the full one.
_DETAILED = (*_AES, "VAE", "DCGAN")


def _files(*names: str) -> list[tuple[str, str, float]]:
    """(model, experiment file, winning sparsity) of some rows of Table 1."""
    return [
        (model.name, file, share)
        for model in MODELS
        for file, share in model.files().items()
        if model.name in names
    ]


def _winning(file: str, label: str = "winning") -> Curve:
    return Curve(label, file)


def _random(file: str) -> Curve:
    return Curve("random", file, "random")


def _pair(file: str) -> tuple[Curve, Curve]:
    return _winning(file), _random(file)


def _against_sparsity(name, heading, models, measures, components) -> Figure:
    """Figures 4 to 6: both components pruned, each alone, and the random control."""
    panels, tickets = [], []
    for model, file, share in _files(*models):
        only_full = model not in _DETAILED
        each = [
            Curve(f"{part} only", file, "winning", alone(part), only_full)
            for part in components
        ]
        curves = (_winning(file, "both components"), *each, _random(file))
        for measure in measures:
            panels.append(Panel(title(file), curves, "sparsity", measure, share))
        text = f"{title(file)} has winning tickets up to {100 * share:.3g} % sparsity."
        test = partial(claims.winning_sparsity, published=share)
        tickets.append(Claim(text, (_winning(file),), test, measures[0]))
    return Figure(name, heading, tuple(panels), tuple(tickets))


FIG1 = Figure(
    "fig1",
    "Samples of winning and random tickets at each sparsity",
    tuple(
        Panel(title(file), _pair(file), "images")
        for _, file, _ in _files(*_VAES, *_GANS)
    ),
)
# Of what has a loss that falls: a GAN's two losses have no better side.
FIG2 = Figure(
    "fig2",
    "Early-stopping iteration against sparsity",
    tuple(
        Panel(title(file), _pair(file), "sparsity", STOP, share)
        for _, file, share in _files(*_AES, *_VAES)
    ),
)

_LATE = _winning("dcgan_cifar10", "iterative, rewound to step 10")
_ONE_SHOT = _winning("one_shot_dcgan_cifar10", "one-shot")
_TO_ZERO = _winning("rewind_dcgan_cifar10", "iterative, rewound to step 0")
_ONE_SHOT_WORSE = "One-shot pruning is worse than iterative at high sparsity."
_LATE_BETTER = "Late rewinding is nowhere worse than rewinding to initialization."

FIG3 = Figure(
    "fig3",
    "DCGAN on CIFAR-10: one-shot against iterative, initialization against late",
    (
        Panel("One-shot against iterative", (_LATE, _ONE_SHOT)),
        Panel("Rewound to 0 against late", (_LATE, _TO_ZERO)),
    ),
    (
        Claim(_ONE_SHOT_WORSE, (_LATE, _ONE_SHOT), claims.others_worse),
        Claim(_LATE_BETTER, (_LATE, _TO_ZERO), claims.nowhere_worse),
    ),
)

_CODERS, _RIVALS = ("encoder", "decoder"), ("generator", "discriminator")
_OF_AE, _OF_VAE = (RECONSTRUCTION, ACCURACY), (FRECHET, ACCURACY)
_OF_GAN = (FRECHET, INCEPTION, DISCRIMINATOR)
FIG4 = _against_sparsity("fig4", "Autoencoders", _AES, _OF_AE, _CODERS)
FIG5 = _against_sparsity("fig5", "Variational autoencoders", _VAES, _OF_VAE, _CODERS)
FIG6 = _against_sparsity(
    "fig6", "Generative adversarial networks", _GANS, _OF_GAN, _RIVALS
)

# {name: share of the channels that are cut}. Of none it is the dense training, searched,
# measured and timed as the others are.
_SHARES = {"dense": 1e-9, "10": 0.1, "30": 0.3, "50": 0.5, "65": 0.65, "80": 0.8}


def _early_birds(model: str) -> tuple[Curve, ...]:
    return tuple(
        Curve(
            name if name == "dense" else f"{name} %",
            f"early_bird_{model}_cifar10",
            "early_bird",
            Variant(name, (("prune.fraction", share),)),
        )
        for name, share in _SHARES.items()
    )


_BIRDS = {
    title(f"{model}_cifar10"): _early_birds(model)
    for model in ("dcgan", "vae", "resnet_vae", "resnet_dcgan")
}
_DCGAN = _BIRDS[title("dcgan_cifar10")]
_BIRD_MATCHES = (
    "DCGAN: with 88 % fewer FLOPs an early-bird ticket is not worse than dense (FID "
    "33.49, 37.71)."
)
_AS_GOOD = partial(claims.as_good_with_less, saving=0.88)
_TIME = partial(claims.time_saved, flops=0.88, time=0.47)
_BY_EPOCH_6 = partial(claims.found_by_epoch, last=6)

FIG7 = Figure(
    "fig7",
    "Early-bird tickets: quality, FLOPs and time against compression",
    tuple(Panel(model, birds, "tradeoff") for model, birds in _BIRDS.items()),
    (
        Claim(_BIRD_MATCHES, _DCGAN, _AS_GOOD),
        Claim("DCGAN: 88 % fewer FLOPs are 47 % less time, or more.", _DCGAN, _TIME),
        *(
            Claim(f"{model}: tickets are found by epoch 6.", birds, _BY_EPOCH_6)
            for model, birds in _BIRDS.items()
        ),
    ),
)


def _transfer(file: str, own: str, source: str) -> tuple[Panel, Claim]:
    curves = (
        Curve(f"{source}'s ticket", file, "transferred"),
        _winning(file, f"{own}'s own ticket"),
        _random(file),
    )
    text = f"A {source}'s ticket does in a {own} as the {own}'s own does, and better "
    claim = Claim(f"{text}than a random one.", curves, claims.like_the_own_ticket)
    return Panel(f"{source}'s tickets in a {own}", curves), claim


_TRANSFERS = (
    _transfer("transfer_vae_to_dcgan", "DCGAN generator", "VAE decoder"),
    _transfer("transfer_dcgan_to_vae", "VAE decoder", "DCGAN generator"),
)
FIG8 = Figure(
    "fig8",
    "Tickets transferred between VAE and DCGAN",
    tuple(panel for panel, _ in _TRANSFERS),
    tuple(claim for _, claim in _TRANSFERS),
)

# No training of its own: what the other figures' experiments have found.
_ALL = tuple(_winning(file) for _, file, _ in _files(*_AES, *_VAES, *_GANS))
TABLE1 = Figure(
    "table1",
    "Models, weights and winning sparsities",
    (Panel("Models", _ALL, "table1", QUALITY),),
    trains=False,
)

_DENSE = Curve("unpruned", "table2_imp", "dense")
_IMP = Curve("IMP, winning", "table2_imp")
_CONTROL = Curve("IMP mask, random weights", "table2_imp", "random")
_BIRD = Curve("early-bird", "table2_early_bird", "early_bird")
_BFLOAT16 = Variant("bfloat16", (("precision", "bfloat16"),))
_BIRD16 = _BIRD._replace(label="early-bird, bfloat16", variant=_BFLOAT16)
_SNIP, _GRASP = Curve("SNIP", "table2_snip"), Curve("GraSP", "table2_grasp")
_ROWS = (_DENSE, _IMP, _CONTROL, _BIRD, _BIRD16, _SNIP, _GRASP)
_IMP_MATCHES = "IMP's winning ticket matches the unpruned network (FID 37.77, 37.71)."
_BIRD_DOES = "The early-bird ticket matches the unpruned network (FID 33.49, 37.71)."
_WORSE = "SNIP and GraSP are worse than the early-bird ticket (FID 56.02, 65.53)."
_SAVES = "The early-bird ticket saves 88 % of the FLOPs and 47 % of the time."
_TIME16 = partial(claims.time_saved, flops=0.88, time=0.54)

TABLE2 = Figure(
    "table2",
    "DCGAN unpruned, by IMP, early-bird, SNIP and GraSP",
    (Panel("DCGAN", _ROWS, "table2"),),
    (
        Claim(_IMP_MATCHES, (_DENSE, _IMP), claims.matches),
        Claim(_BIRD_DOES, (_DENSE, _BIRD), claims.matches),
        Claim("So it does in 16 bits (FID 34.28).", (_DENSE, _BIRD16), claims.matches),
        Claim(_WORSE, (_BIRD, _SNIP, _GRASP), claims.others_worse),
        Claim(_SAVES, (_DENSE, _BIRD), _TIME),
        Claim("In 16 bits it saves 54 % of the time.", (_DENSE, _BIRD16), _TIME16),
    ),
)

FIGURES = {
    figure.name: figure
    for figure in (FIG1, FIG2, FIG3, FIG4, FIG5, FIG6, FIG7, FIG8, TABLE1, TABLE2)
}
