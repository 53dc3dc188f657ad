"""The paper's figures and tables, declared: panels, their curves, what is claimed.

A curve is an arm of a setting (`scales`), perhaps with options changed. What is not in
the paper's text as this project has it is not claimed here.
"""

from typing import Any, Callable, Mapping, NamedTuple

from gen_tickets.paper import claims
from gen_tickets.paper.scales import Changes


class Measure(NamedTuple):
    """What a vertical axis shows: the first of these columns that was measured."""

    label: str
    columns: tuple[str, ...]


class Curve(NamedTuple):
    """An arm of a setting with options changed."""

    label: str
    setting: str
    arm: str = "winning"
    changes: Changes = ()


class Panel(NamedTuple):
    """Curves of one measure against sparsity, beside the paper's winning sparsity."""

    title: str
    measure: Measure
    curves: tuple[Curve, ...]
    published: float = 0.0  # 0: none is drawn


class Tradeoff(NamedTuple):
    """Early-bird tickets of several shares of channels: quality, FLOPs and time."""

    title: str
    curves: tuple[Curve, ...]  # the first is dense
    measure: Measure
    published: bool  # whether Table 2 has the paper's point


class Images(NamedTuple):
    """Samples of each arm at each sparsity."""

    title: str
    curves: tuple[Curve, ...]


class Lines(NamedTuple):
    """The lines of Table 2, beside the paper's."""

    title: str
    curves: tuple[Curve, ...]
    measure: Measure


class Models(NamedTuple):
    """Table 1: weights of every model, and the winning sparsities found."""

    title: str
    curves: tuple[Curve, ...]


class Claim(NamedTuple):
    """A sentence of the paper's, and the test of results that judges it."""

    text: str
    curves: tuple[Curve, ...]
    measure: Measure
    test: Callable[..., claims.Judgement]


class Figure(NamedTuple):
    """A figure or table: what is drawn and what is judged."""

    name: str
    title: str
    panels: tuple[Any, ...]
    claims: tuple[Claim, ...] = ()
    trains: bool = True  # else it shows what the others' experiments have found

    def curves(self) -> list[Curve]:
        """All curves of panels and claims, each once."""
        found = [c for part in (*self.panels, *self.claims) for c in part.curves]
        return list(dict.fromkeys(found))


RECONSTRUCTION = Measure("reconstruction loss", ("heldout_reconstruction",))
ACCURACY = Measure("classifier's accuracy", ("accuracy_reconstructions",))
FRECHET = Measure("Fréchet distance", ("fid", "fd_classifier"))
INCEPTION = Measure("Inception Score", ("inception_score",))
DISCRIMINATOR = Measure("discriminator loss", ("heldout_discriminator_loss",))
STOP = Measure("early-stopping step", ("early_stop_step",))


class Model(NamedTuple):
    """A line of Table 1: the paper's name, weights, and winning sparsity by setting."""

    name: str
    weights: float
    sparsity: Mapping[str, float]
    measure: Measure


def _model(name: str, weights: float, files: str, both, measure: Measure) -> Model:
    on = both if isinstance(both, tuple) else (both, both)
    settings = (f"{files}_cifar10", f"{files}_celeba")
    return Model(name, weights, dict(zip(settings, on)), measure)


MODELS = (
    Model("linear AE", 200e3, {"ae_mnist": 0.892}, RECONSTRUCTION),
    _model("conv AE", 3e6, "ae", (0.956, 0.985), RECONSTRUCTION),
    _model("VAE", 5.6e6, "vae", 0.79, FRECHET),
    _model("β-VAE", 5.6e6, "beta_vae", 0.865, FRECHET),
    _model("ResNet-VAE", 2.8e6, "resnet_vae", 0.931, FRECHET),
    _model("DCGAN", 6.5e6, "dcgan", 0.832, FRECHET),
    _model("SNGAN", 6.7e6, "sngan", 0.892, FRECHET),
    _model("ResNet-DCGAN", 2.2e6, "resnet_dcgan", 0.79, FRECHET),
    _model("WGAN", 6.5e6, "wgan", (0.737, 0.59), FRECHET),
)
_DATA = {"mnist": "MNIST", "cifar10": "CIFAR-10", "celeba": "CelebA"}


def title(setting: str) -> str:
    """As "VAE on CIFAR-10"."""
    model = next(m.name for m in MODELS if setting in m.sparsity)
    return f"{model} on {_DATA[setting.rpartition('_')[2]]}"


def _settings(*names: str) -> list[tuple[str, Model]]:
    return [(s, m) for m in MODELS if m.name in names for s in m.sparsity]


def _one_alone(setting: str, component: str) -> Curve:
    changes = (("prune.components", (component,)),)
    return Curve(f"{component} only", setting, changes=changes)


def _four(setting: str, first: str, second: str) -> tuple[Curve, ...]:
    """Both components pruned, each alone, and the random control."""
    return (
        Curve("both components", setting),
        _one_alone(setting, first),
        _one_alone(setting, second),
        Curve("random", setting, "random"),
    )


def _pair(setting: str) -> tuple[Curve, ...]:
    return Curve("winning", setting), Curve("random", setting, "random")


def _ticket_claim(setting: str, model: Model) -> Claim:
    published = model.sparsity[setting]
    return Claim(
        f"{title(setting)} has winning tickets up to {100 * published:.3g} % sparsity.",
        (Curve("winning", setting),),
        model.measure,
        claims.winning_sparsity(published),
    )


def _against_sparsity(name, heading, models, measures, components) -> Figure:
    """Every model with its four curves, a panel a measure."""
    settings = _settings(*models)
    return Figure(
        name,
        heading,
        tuple(
            Panel(
                title(setting),
                measure,
                _four(setting, *components),
                model.sparsity[setting],
            )
            for setting, model in settings
            for measure in measures
        ),
        tuple(_ticket_claim(setting, model) for setting, model in settings),
    )


_AES, _VAES = ("linear AE", "conv AE"), ("VAE", "β-VAE", "ResNet-VAE")
_GANS = ("DCGAN", "SNGAN", "ResNet-DCGAN", "WGAN")
_CODER, _RIVALS = ("encoder", "decoder"), ("generator", "discriminator")

FIG1 = Figure(
    "fig1",
    "Samples of winning and random tickets at each sparsity",
    tuple(
        Images(title(setting), _pair(setting))
        for setting, _ in _settings(*_VAES, *_GANS)
    ),
)

# Of what has a loss that falls: a GAN's two losses have no better side.
FIG2 = Figure(
    "fig2",
    "Early-stopping iteration against sparsity",
    tuple(
        Panel(title(setting), STOP, _pair(setting), model.sparsity[setting])
        for setting, model in _settings(*_AES, *_VAES)
    ),
)

_LATE = Curve("iterative, rewound to step 10", "dcgan_cifar10")
_ONE_SHOT = Curve("one-shot", "one_shot_dcgan_cifar10")
_TO_ZERO = Curve("iterative, rewound to step 0", "rewind_dcgan_cifar10")

FIG3 = Figure(
    "fig3",
    "DCGAN on CIFAR-10: one-shot against iterative, initialization against late",
    (
        Panel("One-shot against iterative", FRECHET, (_LATE, _ONE_SHOT)),
        Panel("Rewound to 0 against late", FRECHET, (_LATE, _TO_ZERO)),
    ),
    (
        Claim(
            "One-shot pruning is worse than iterative at high sparsity.",
            (_LATE, _ONE_SHOT),
            FRECHET,
            claims.second_is_worse_at_the_top,
        ),
        Claim(
            "Late rewinding is at no sparsity worse than rewinding to initialization.",
            (_LATE, _TO_ZERO),
            FRECHET,
            claims.first_is_nowhere_worse,
        ),
    ),
)

FIG4 = _against_sparsity(
    "fig4", "Autoencoders", _AES, (RECONSTRUCTION, ACCURACY), _CODER
)
FIG5 = _against_sparsity(
    "fig5", "Variational autoencoders", _VAES, (FRECHET, ACCURACY), _CODER
)
FIG6 = _against_sparsity(
    *("fig6", "Generative adversarial networks", _GANS),
    *((FRECHET, INCEPTION, DISCRIMINATOR), _RIVALS),
)

# Shares of the channels that are cut. Of none it is the dense training, found, measured
# and timed in the same way as the others.
_NONE, _SHARES = 1e-9, (0.1, 0.3, 0.5, 0.65, 0.8)


def _bird(setting: str, share: float) -> Curve:
    label = "dense" if share == _NONE else f"{100 * share:g} %"
    return Curve(label, setting, "early_bird", (("prune.fraction", share),))


def _birds(setting: str) -> tuple[Curve, ...]:
    return tuple(_bird(setting, share) for share in (_NONE, *_SHARES))


_FIRST = "DCGAN on CIFAR-10"  # the one of Table 2
_BIRDS = {
    _FIRST: _birds("early_bird_dcgan_cifar10"),
    "VAE on CIFAR-10": _birds("early_bird_vae_cifar10"),
    "ResNet-VAE on CIFAR-10": _birds("early_bird_resnet_vae_cifar10"),
    "ResNet-DCGAN on CIFAR-10": _birds("early_bird_resnet_dcgan_cifar10"),
}

FIG7 = Figure(
    "fig7",
    "Early-bird tickets: quality, FLOPs and time against compression",
    tuple(
        Tradeoff(name, curves, FRECHET, published=name == _FIRST)
        for name, curves in _BIRDS.items()
    ),
    (
        Claim(
            "DCGAN: with 88 % fewer FLOPs an early-bird ticket is not worse than dense "
            "(FID 33.49, 37.71).",
            *(_BIRDS[_FIRST], FRECHET, claims.as_good_with_less(0.88)),
        ),
        Claim(
            "DCGAN: 88 % fewer FLOPs are 47 % less time, or more.",
            *(_BIRDS[_FIRST], FRECHET, claims.time_saved(0.88, 0.47)),
        ),
        *(
            Claim(
                f"{name}: early-bird tickets are found by epoch 6.",
                *(curves, FRECHET, claims.found_by_epoch(6)),
            )
            for name, curves in _BIRDS.items()
        ),
    ),
)


def _transfer(setting: str, here: str, there: str) -> tuple[Curve, ...]:
    return (
        Curve(f"{there}'s ticket", setting, "transferred"),
        Curve(f"{here}'s own ticket", setting),
        Curve("random", setting, "random"),
    )


_TO_GENERATOR = _transfer("transfer_vae_to_dcgan", "DCGAN generator", "VAE decoder")
_TO_DECODER = _transfer("transfer_dcgan_to_vae", "VAE decoder", "DCGAN generator")

FIG8 = Figure(
    "fig8",
    "Tickets transferred between VAE and DCGAN",
    (
        Panel("VAE decoder's tickets in a DCGAN generator", FRECHET, _TO_GENERATOR),
        Panel("DCGAN generator's tickets in a VAE decoder", FRECHET, _TO_DECODER),
    ),
    (
        Claim(
            "A VAE decoder's ticket does in a DCGAN as its own ticket does, and better "
            "than a random one.",
            *(_TO_GENERATOR, FRECHET, claims.like_the_own_ticket),
        ),
        Claim(
            "A DCGAN generator's ticket does in a VAE as its own ticket does, and "
            "better than a random one.",
            *(_TO_DECODER, FRECHET, claims.like_the_own_ticket),
        ),
    ),
)


def _line(label: str) -> Curve:
    """A line of Table 2, by its label; `arm` is found there."""
    return Curve(label, "table2", "")


_UNPRUNED, _BIRD = _line("unpruned"), _line("early-bird")
_SIXTEEN = _line("early-bird, bfloat16")

TABLE2 = Figure(
    "table2",
    "DCGAN unpruned, by IMP, early-bird, SNIP and GraSP",
    (Lines("DCGAN", (_UNPRUNED,), FRECHET),),
    (
        Claim(
            "IMP's winning ticket matches the unpruned network (FID 37.77, 37.71).",
            *((_UNPRUNED, _line("IMP, winning")), FRECHET, claims.matches_the_first),
        ),
        Claim(
            "The early-bird ticket matches the unpruned network (FID 33.49, 37.71).",
            *((_UNPRUNED, _BIRD), FRECHET, claims.matches_the_first),
        ),
        Claim(
            "So it does in 16 bits (FID 34.28, 37.71).",
            *((_UNPRUNED, _SIXTEEN), FRECHET, claims.matches_the_first),
        ),
        Claim(
            "SNIP and GraSP are worse than the early-bird ticket (FID 56.02, 65.53).",
            *((_BIRD, _line("SNIP"), _line("GraSP")), FRECHET),
            claims.all_worse_than_the_first,
        ),
        Claim(
            "The early-bird ticket saves 88 % of the FLOPs and 47 % of the time.",
            *((_UNPRUNED, _BIRD), FRECHET, claims.time_saved(0.88, 0.47)),
        ),
        Claim(
            "In 16 bits it saves 54 % of the time.",
            *((_UNPRUNED, _SIXTEEN), FRECHET, claims.time_saved(0.88, 0.54)),
        ),
    ),
)

# No training of its own: what the other figures' experiments have found.
TABLE1 = Figure(
    "table1",
    "Models, weights and winning sparsities",
    (
        Models(
            "Models",
            tuple(Curve("winning", s) for s, _ in _settings(*_AES, *_VAES, *_GANS)),
        ),
    ),
    trains=False,
)

FIGURES = {
    figure.name: figure
    for figure in (FIG1, FIG2, FIG3, FIG4, FIG5, FIG6, FIG7, FIG8, TABLE1, TABLE2)
}
