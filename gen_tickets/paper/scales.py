"""The same figures at four sizes: which experiment stands for which of the paper's.

A setting is one of the paper's trainings, by the name of its file in experiments/. At
`full` each is what that file says, at `gpu` a shorter one, at `laptop` mostly another
set and a smaller network, at `smoke` that in seconds. Where a scale has nothing for a
setting, its figures leave it out, and say so.
"""

from typing import Any, Mapping, NamedTuple

from gen_tickets.paper.experiment import Experiment

Changes = tuple[tuple[str, Any], ...]

# Whose tickets an experiment takes over (Fig. 8): another setting, and its changes.
_SOURCES: dict[str, tuple[str, Changes]] = {
    "transfer_vae_to_dcgan": ("vae_cifar10", (("prune.components", ("decoder",)),)),
    "transfer_dcgan_to_vae": ("transfer_vae_to_dcgan", ()),
}

# A curve beside the main one needs no control of its own.
_ONE_ARM = {"arms": ("winning",)}


class StandIn(NamedTuple):
    """What is run for a setting."""

    file: str
    name: str = ""  # of its folder; "": as the file
    changes: Mapping[str, Any] = {}  # what is trained
    extent: Mapping[str, Any] = {}  # how long, in how many runs and rounds
    aside: Mapping[str, Any] | None = _ONE_ARM  # of its variants; None: it has none
    instead: str = ""  # of what the paper took, in words


class Scale(NamedTuple):
    """What is run for each setting, in which size of the experiment files."""

    name: str
    words: str
    size: str
    settings: Mapping[str, StandIn]

    def experiment(self, setting: str, changes: Changes = ()) -> Experiment | None:
        """What is run for a setting with options changed; None: nothing is."""
        found = self.settings.get(setting)
        if found is None or (changes and found.aside is None):
            return None
        source = None
        if setting in _SOURCES:
            source = self.experiment(*_SOURCES[setting])
        aside = (found.aside or {}) if changes else {}
        options = {**found.changes, **found.extent, **aside, **dict(changes)}
        name = ",".join([found.name or found.file, *map(_text, changes)])
        return Experiment(name, found.file, self.size, tuple(options.items()), source)

    def instead(self, setting: str) -> str:
        """In words, what stands in for the paper's data and sizes; "": nothing."""
        return self.settings[setting].instead if setting in self.settings else ""


def _text(change) -> str:
    name, value = change
    return f"{name}={'+'.join(value) if isinstance(value, tuple) else value}"


# --- full: the files as they are, and what the paper measures --------------------

_AES = ("ae_cifar10", "ae_celeba")
_VAES = ("vae", "beta_vae", "resnet_vae", "early_bird_vae", "early_bird_resnet_vae")
_GANS = ("dcgan", "sngan", "resnet_dcgan", "wgan")
_GANS += ("early_bird_dcgan", "early_bird_resnet_dcgan")
_GANS += ("one_shot_dcgan", "rewind_dcgan")


def _full(file: str, names: tuple[str, ...]) -> StandIn:
    options: dict[str, Any] = {"eval.metrics": names}
    if "fid" in names:
        options |= {"eval.verdict": "fid", "eval.num_samples": 50_000}
    aside = {} if file.startswith("early_bird") else _ONE_ARM
    return StandIn(file, changes=options, aside=aside)


_VAE, _GAN = ("fid", "accuracy"), ("fid", "inception_score", "fd_classifier")

FULL = Scale(
    "full",
    "the paper's experiments, 5 runs and 20 rounds",
    "full",
    {
        "ae_mnist": _full("ae_mnist", ("accuracy",)),
        "ae_cifar10": _full("ae_cifar10", ("accuracy",)),
        "ae_celeba": StandIn("ae_celeba"),  # without classes
        **{f"{name}_cifar10": _full(f"{name}_cifar10", _VAE) for name in _VAES},
        **{f"{name}_celeba": _full(f"{name}_celeba", ("fid",)) for name in _VAES[:3]},
        **{f"{name}_cifar10": _full(f"{name}_cifar10", _GAN) for name in _GANS},
        **{
            f"{name}_celeba": _full(f"{name}_celeba", ("fid", "inception_score"))
            for name in _GANS[:4]
        },
        "transfer_vae_to_dcgan": _full("transfer_vae_to_dcgan", _GAN),
        "transfer_dcgan_to_vae": _full("transfer_dcgan_to_vae", _VAE),
        "table2": StandIn("table2"),
    },
)

# --- gpu: one accelerator, about a day -------------------------------------------

# 36 % a round are two of the paper's rounds of 20 %.
_COARSE = {"runs": 3, "prune.fraction": 0.36, "prune.rounds": 8}
_CLASSIFIED = {
    "eval.metrics": ("fd_classifier", "accuracy"),
    "eval.verdict": "fd_classifier",
}


def _short(file: str, epochs: int, more=None, aside=None) -> StandIn:
    extent = {**_COARSE, "train.epochs": epochs}
    instead = f"{epochs} epochs, 3 runs, 8 rounds of 36 %"
    return StandIn(file, "", more or {}, extent, aside, instead)


def _short_bird(file: str, epochs: int, more=None) -> StandIn:
    extent = {"runs": 3, "train.epochs": epochs}
    instead = f"{epochs} epochs, 3 runs"
    return StandIn(file, "", more or {}, extent, {}, instead)


GPU = Scale(
    "gpu",
    "CIFAR-10 and MNIST, fewer epochs, runs and rounds",
    "full",
    {
        "ae_mnist": StandIn("ae_mnist", changes={"eval.metrics": ("accuracy",)}),
        "ae_cifar10": _short(
            "ae_cifar10", 20, {"eval.metrics": ("accuracy",)}, _ONE_ARM
        ),
        "vae_cifar10": _short("vae_cifar10", 20, _CLASSIFIED, _ONE_ARM),
        "beta_vae_cifar10": _short("beta_vae_cifar10", 20, _CLASSIFIED),
        "resnet_vae_cifar10": _short("resnet_vae_cifar10", 20, _CLASSIFIED),
        "dcgan_cifar10": _short("dcgan_cifar10", 30, aside=_ONE_ARM),
        "sngan_cifar10": _short("sngan_cifar10", 30),
        "resnet_dcgan_cifar10": _short("resnet_dcgan_cifar10", 30),
        "wgan_cifar10": _short("wgan_cifar10", 60),
        "one_shot_dcgan_cifar10": _short("one_shot_dcgan_cifar10", 30, _ONE_ARM),
        "rewind_dcgan_cifar10": _short("rewind_dcgan_cifar10", 30, _ONE_ARM),
        "early_bird_dcgan_cifar10": _short_bird("early_bird_dcgan_cifar10", 60),
        "early_bird_vae_cifar10": _short_bird(
            "early_bird_vae_cifar10", 60, _CLASSIFIED
        ),
        "transfer_vae_to_dcgan": _short("transfer_vae_to_dcgan", 30),
        "transfer_dcgan_to_vae": _short("transfer_dcgan_to_vae", 20, _CLASSIFIED),
        "table2": StandIn(
            "table2",
            extent={
                **_COARSE,
                "prune.rounds": 4,  # 83.2 %, as the paper's
                "train.epochs": 60,
            },
            instead="60 epochs, 3 runs, 4 rounds of 36 %",
        ),
    },
)

# --- laptop: two cores, a day for everything ---------------------------------------

# On the digits DCGAN is that of experiments/dcgan_digits.py; the others are it with
# another network or another loss.
_DIGITS_VAE = {
    "task.name": "vae",
    "data.batch_size": 64,
    "optimizer.b1": 0.9,
    "optimizer.weight_decay": 1e-5,
    "eval.average_decay": 0.0,
    **_CLASSIFIED,
}
_RESNET = {"model.name": "resnet", "model.widths": (8, 16)}
_SNGAN = {"model.name": "sngan", "model.widths": (8, 16, 32), "task.loss": "hinge"}
_SLOW = {"optimizer.learning_rate": 2e-4}
_WGAN = {
    "task.loss": "wasserstein",
    "task.weight_clip": 0.01,
    "task.discriminator_steps": 5,
    "optimizer.b1": 0.0,
    "optimizer.learning_rate": 5e-4,
}
_GENERATOR = {"prune.components": ("generator",), "ticket.map": ("decoder:generator",)}
_DECODER = {"prune.components": ("decoder",), "ticket.map": ("generator:decoder",)}
# Long enough that a search of 6 to 10 of its epochs is a small part of the training.
_BIRD_STEPS = 3700


def _digits(name: str, changes=(), steps: int = 0, widths="24, 48", aside=_ONE_ARM):
    """A network of the digits in the place of one of CIFAR-10."""
    instead = f"digits instead of CIFAR-10, widths {widths}, 3 runs, 5 rounds of 50 %"
    extent = {"train.steps": steps} if steps else {}
    return StandIn("dcgan_digits", name, dict(changes), extent, aside, instead)


LAPTOP = Scale(
    "laptop",
    "two CPU cores: MNIST in full, digits in the place of CIFAR-10, no CelebA",
    "full",
    {
        "ae_mnist": StandIn(
            "ae_mnist",
            # Every second of the paper's sparsities.
            aside={
                **_ONE_ARM,
                "runs": 3,
                "prune.fraction": 0.36,
                "prune.rounds": 10,
            },
            instead="10 epochs at a falling rate",
        ),
        "vae_cifar10": _digits("vae_digits", _DIGITS_VAE, 900),
        "beta_vae_cifar10": _digits(
            "beta_vae_digits", {**_DIGITS_VAE, "task.beta": 4.0}, 900, aside=None
        ),
        "resnet_vae_cifar10": _digits(
            "resnet_vae_digits", {**_DIGITS_VAE, **_RESNET}, 500, "8, 16", None
        ),
        "dcgan_cifar10": _digits("dcgan_digits"),
        "sngan_cifar10": _digits("sngan_digits", _SNGAN, 500, "8, 16, 32", None),
        "resnet_dcgan_cifar10": _digits(
            "resnet_dcgan_digits", {**_RESNET, **_SLOW}, 500, "8, 16", None
        ),
        "wgan_cifar10": _digits("wgan_digits", _WGAN, 400, aside=None),
        "one_shot_dcgan_cifar10": _digits(
            "one_shot_dcgan_digits", {**_ONE_ARM, "prune.schedule": "one_shot"}
        ),
        "rewind_dcgan_cifar10": _digits(
            "rewind_dcgan_digits", {**_ONE_ARM, "rewind.step": 0}
        ),
        "early_bird_dcgan_cifar10": StandIn(
            "early_bird_digits",
            extent={"train.steps": _BIRD_STEPS},
            aside={},
            instead="digits instead of CIFAR-10, widths 24, 48, 3 runs",
        ),
        "transfer_vae_to_dcgan": _digits("transfer_vae_to_dcgan_digits", _GENERATOR),
        "transfer_dcgan_to_vae": _digits(
            "transfer_dcgan_to_vae_digits", {**_DIGITS_VAE, **_DECODER}, 900
        ),
        "table2": StandIn(
            "table2",
            "table2_small",
            changes={
                "model.widths": (24, 48, 96),
                "data.limit": 2000,
                "data.batch_size": 64,
                "optimizer.learning_rate": 5e-4,
                "early_bird.epochs": 14,  # of 31 steps
            },
            extent={
                "runs": 3,
                "train.epochs": 0,
                "train.steps": 600,
                "prune.fraction": 0.59,  # twice is the 83.2 % of the paper's 8 rounds
                "prune.rounds": 2,
                "eval.num_samples": 2000,
                "eval.classifier_epochs": 5,
                "eval.classifier_width": 8,
            },
            instead="2000 images, widths 24, 48, 96, 600 steps, 3 runs, 2 rounds",
        ),
    },
)

# --- smoke: the laptop's, in seconds ----------------------------------------------


def _smoke(found: StandIn) -> StandIn:
    return found._replace(
        extent={}, aside=found.aside and _ONE_ARM, instead="digits, 30 steps, 2 rounds"
    )


_ON_DIGITS = {"data.name": "digits"}

SMOKE = Scale(
    "smoke",
    "seconds, on digits: whether it all works, no result",
    "smoke",
    {
        **{setting: _smoke(found) for setting, found in LAPTOP.settings.items()},
        "ae_mnist": _smoke(StandIn("ae_mnist", changes=_ON_DIGITS)),
        "table2": _smoke(
            StandIn("table2", changes={**_ON_DIGITS, "model.widths": (8, 16)})
        ),
    },
)

SCALES = {scale.name: scale for scale in (SMOKE, LAPTOP, GPU, FULL)}
