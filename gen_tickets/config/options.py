"""Every option of gen_tickets, declared once: default, meaning, what is allowed."""

from gen_tickets.config import option, registries
from gen_tickets.config.option import Option

# Larger arrays are not possible; refused here, not where an array is made.
_MOST_UNITS, _MOST_PIXELS = 2**20, 2**13

OPTIONS: dict[str, Option] = {
    "seed": option.Whole(0, "seed of the first run; run r of one seed never changes"),
    "runs": option.Whole(5, "independent runs, trained together as one population", 1),
    "arms": option.Choice(
        ("winning", "random"),
        "tickets trained each round, pruning goes on from the winning one; random is "
        "the control, rewound_random that of the mask alone",
        (
            ("winning", "random"),
            ("winning", "random", "rewound_random"),
            ("winning", "rewound_random"),
            ("winning",),
        ),
    ),
    "procedure": option.Choice(
        "tickets",
        "what is done: tickets are searched for, or the stability of training at "
        "possible rewind steps is analysed, or networks train sparse from the start "
        "while their masks change (dynamic)",
        ("tickets", "stability", "dynamic"),
    ),
    "precision": option.Choice(
        "float32",
        "operands of convolutions and products; weights and sums stay float32",
        ("float32", "bfloat16"),
    ),
    "data.name": option.Choice(
        "digits",
        "where the images come from",
        registries.data_set,
        others="the name of a TFDS image set",
    ),
    "data.dir": option.Text("", "prepared TFDS sets, image folder or .npz file"),
    "data.download": option.Switch(
        False, "let TFDS download and prepare a missing set"
    ),
    "data.resident": option.Switch(
        True,
        "hold the training images on the devices; False reads batches as they are due",
    ),
    "data.crop": option.Whole(
        0,
        "side of the centre square kept; 0 = what the set asks for, else all",
        high=_MOST_PIXELS,
    ),
    "data.image_size": option.Whole(
        0,
        "side in pixels after the resize; 0 = what the set asks for, else its own",
        high=_MOST_PIXELS,
    ),
    "data.batch_size": option.Whole(128, "images in a training step", 1),
    "data.limit": option.Whole(0, "training images used; 0 = all"),
    "model.name": option.Choice("linear", "the networks", registries.model),
    "model.widths": option.Wholes(
        (128, 64, 12),
        "units or channels of each layer, from the image inwards",
        _MOST_UNITS,
    ),
    "model.latent_size": option.Whole(3, "numbers in a latent vector", 1, _MOST_UNITS),
    "model.patch": option.Whole(
        1, "side in pixels of the squares that a U-Net sees as one place", 1
    ),
    "model.blocks": option.Whole(2, "residual blocks of each width", 1),
    "model.attention": option.Wholes(
        (16,),
        "sides in pixels of the maps that attend to themselves; () = none",
        _MOST_PIXELS,
        may_be_empty=True,
    ),
    "model.norm_groups": option.Whole(
        32, "groups of channels that group norm normalizes by themselves", 1
    ),
    "model.dropout": option.Number(
        0.0, "share of a residual block's activations that training drops", 0, 1
    ),
    "model.initializer": option.Choice(
        "authors",
        "how kernels are drawn: uniform as PyTorch does by default, or N(0, 0.02)",
        ("authors", "radford"),
    ),
    "model.discriminator": option.Choice(
        "authors",
        "of a GAN: ReLU and batch norm in every layer, or leaky ReLU and none in the "
        "first one",
        ("authors", "radford"),
    ),
    "task.name": option.Choice("ae", "what is learned", registries.task),
    "task.beta": option.Number(1.0, "weight of the KL term (beta-VAE: > 1)"),
    "task.loss": option.Choice(
        "bce",
        "what the two networks of a GAN minimise",
        registries.loss,
    ),
    "task.discriminator_steps": option.Whole(
        1, "updates of the discriminator in a step, each on a batch of its own", 1
    ),
    "task.weight_clip": option.Number(
        0.0, "largest |weight| of a critic's kernels and biases; 0 = no clipping"
    ),
    "task.gradient_penalty": option.Number(
        0.0, "weight of (|gradient of the discriminator| - 1)^2; 0 = none"
    ),
    "diffusion.steps": option.Whole(1000, "timesteps from an image to noise", 4),
    "diffusion.schedule": option.Choice(
        "linear", "how fast an image turns into noise", registries.noise_schedule
    ),
    "diffusion.prediction": option.Choice(
        "epsilon",
        "what is predicted: the noise, or v = signal * noise - noise level * image",
        ("epsilon", "v"),
    ),
    "diffusion.timesteps": option.Choice(
        "uniform",
        "how the timesteps of a training batch are drawn; importance is by their loss",
        ("uniform", "importance"),
    ),
    "diffusion.min_snr": option.Number(
        0.0, "largest signal-to-noise ratio that weights the loss; 0 = no weights"
    ),
    "diffusion.sampler": option.Choice(
        "ddim",
        "how samples are made: without, or (ancestral) with noise in every step",
        ("ddim", "ancestral"),
    ),
    "diffusion.sampling_steps": option.Whole(
        50, "timesteps that a sample takes, evenly spaced", 1
    ),
    "optimizer.name": option.Choice(
        "adam",
        "how a gradient becomes a step",
        registries.optimizer,
    ),
    "optimizer.learning_rate": option.Number(1e-3, "step size", is_open=True),
    "optimizer.schedule": option.Choice(
        "constant",
        "learning rate over a training",
        registries.rate_schedule,
    ),
    "optimizer.weight_decay": option.Number(0.0, "L2 coefficient"),
    "optimizer.b1": option.Number(0.9, "decay of the first moment, or momentum", 0, 1),
    "optimizer.b2": option.Number(0.999, "decay of the second moment", 0, 1),
    "optimizer.scale_l1": option.Number(
        0.0, "L1 coefficient of batch-norm scales, added to their gradient"
    ),
    "train.epochs": option.Whole(0, "passes over the training images; or give steps"),
    "train.steps": option.Whole(0, "training steps; or give epochs"),
    "prune.method": option.Choice(
        "magnitude", "saliency of a weight", registries.saliency
    ),
    "prune.schedule": option.Choice(
        "iterative",
        "what is scored: the last winning ticket, the trained dense network, the "
        "initial weights, or (early_bird) the channels of every epoch",
        ("iterative", "one_shot", "at_initialization", "early_bird"),
    ),
    "prune.batches": option.Whole(
        8, "training batches that a saliency of images averages over", 1
    ),
    "prune.fraction": option.Number(
        0.2,
        "share of surviving prunable weights removed a round; early_bird: of channels",
        0,
        1,
        is_open=True,
    ),
    "prune.rounds": option.Whole(20, "rounds after the dense one", 1),
    "prune.scope": option.Choice(
        "global",
        "pool saliencies over the network, over a component, or prune each layer",
        ("global", "component", "layer"),
    ),
    "prune.components": option.Texts((), "components to prune; () = all"),
    "prune.exclude": option.Texts(
        (), "patterns of weights never pruned, as encoder/conv_0/*"
    ),
    "early_bird.distance": option.Number(
        0.1,
        "masks nearer to the five before (share of channels that differ) are a ticket",
        is_open=True,
    ),
    "early_bird.epochs": option.Whole(
        20, "epochs within which the masks must come to stand still", 6
    ),
    "early_bird.take_last": option.Switch(
        False, "cut by the last mask where none stood still; else nothing is cut"
    ),
    "early_bird.multiple": option.Whole(
        0, "channels left are rounded up to a multiple; 0 = 8 on accelerators, else 1"
    ),
    "dynamic.methods": option.Choices(
        ("rigl", "static"),
        "how masks change, each an arm of the experiment",
        ("static", "set", "rigl", "magran"),
    ),
    "dynamic.distribution": option.Choice(
        "erk",
        "densities of layers: Erdos-Renyi kernel, or all the same",
        ("erk", "uniform"),
    ),
    "dynamic.fraction": option.Number(
        0.3, "share of a layer's weights that a change moves at step 0", 0, 1
    ),
    "dynamic.every_steps": option.Whole(100, "training steps between changes", 1),
    "dynamic.end": option.Number(
        0.75, "share of the training after which masks stay (set: never)", 0, 1.01
    ),
    "ticket.path": option.Text("", "workdir whose tickets are transferred; '' = none"),
    "ticket.map": option.Texts(
        (), "components to transfer, there:here, as decoder:generator"
    ),
    "rewind.step": option.Steps(
        "10",
        "when in the dense training a ticket's weights were as it goes back to; auto = "
        "the first step that an instability analysis finds stable",
    ),
    "stability.steps": option.Wholes(
        (),
        "steps that are analysed; () = 0, 10 and 0.5 to 20 % of a training",
        low=0,
        may_be_empty=True,
    ),
    "stability.copies": option.Whole(
        2, "copies that go on from a step, each with SGD noise of its own", 2
    ),
    "stability.points": option.Whole(
        11, "points at which the line between two copies is measured", 3
    ),
    "stability.margin": option.Number(
        0.03, "largest relative instability that counts as stable", is_open=True
    ),
    "stability.reset_optimizer": option.Switch(
        False,
        "copies begin with a new optimizer, as rewound tickets do (masked ones always)",
    ),
    "stability.tickets": option.Text(
        "", "workdir whose masks the copies have; '' = dense networks"
    ),
    "stability.round": option.Whole(0, "round of those masks"),
    "eval.every_steps": option.Whole(
        0, "steps between held-out evaluations; 0 = an epoch"
    ),
    "eval.num_shown": option.Whole(32, "reconstructions and samples in a picture", 1),
    "eval.batch_norm": option.Choice(
        "running",
        "statistics that generate and reconstruct; batch is what the paper's code does",
        ("running", "batch"),
    ),
    "eval.average_decay": option.Number(
        0.0, "decay of the averaged weights that are sampled; 0 = the last ones", 0, 1
    ),
    "eval.metrics": option.Choices(
        (),
        "what is measured of samples and reconstructions, beside the losses",
        registries.metric,
    ),
    "eval.num_samples": option.Whole(10_000, "samples that a metric takes", 1),
    "eval.every_rounds": option.Whole(
        1, "rounds between metrics; 0 = first and last only"
    ),
    "eval.inception_weights": option.Text(
        "", "file of Inception's weights; '' = GEN_TICKETS_INCEPTION_WEIGHTS, the cache"
    ),
    "eval.download_weights": option.Switch(
        False, "fetch Inception's weights (96 MB) where there are none"
    ),
    "eval.classifier_epochs": option.Whole(
        10, "passes over the training images that the set's classifier takes", 1
    ),
    "eval.classifier_width": option.Whole(
        64, "channels of the classifier's first stage; 16 for a CPU", 1
    ),
    "eval.verdict": option.Text(
        "heldout_reconstruction", "column that the verdict compares", may_be_empty=False
    ),
    "keep.rounds": option.Choice(
        "best",
        "rounds whose trained weights are kept: best = the dense round, the last one, "
        "and the sparsest that matches and that is found, as the verdict has it",
        ("best", "all", "last"),
    ),
    "checkpoint.every_seconds": option.Number(60.0, "seconds between checkpoints"),
    "log.writer": option.Choice(
        "tensorboard",
        "what writes TensorBoard's events; clu is clu.metric_writers, on TensorFlow",
        ("tensorboard", "clu"),
    ),
    "profile.steps": option.Whole(
        0, "training steps that are traced for TensorBoard, once compiled; 0 = none"
    ),
    "parallel.devices": option.Whole(
        0, "devices that members and batches share; 0 = all"
    ),
    "parallel.members_per_device": option.Whole(
        0, "members a device trains at the same time; 0 = what its memory allows"
    ),
    "parallel.coordinator": option.Text(
        "", "host:port of process 0 of several; '' = what Slurm or Cloud TPU says"
    ),
    "parallel.processes": option.Whole(
        0, "processes of one experiment; 0 = what the launcher says, else 1"
    ),
    "parallel.process": option.Whole(
        -1, "number of this process, from 0; -1 = what the launcher says", -1
    ),
}


# Options that say how to run or draw, not what to compute: they may change at a
# restart.
HOW_TO_RUN = (
    "data.dir",
    "data.download",
    "data.resident",
    "eval.num_shown",
    "eval.inception_weights",
    "eval.download_weights",
    "keep.rounds",
    "checkpoint.every_seconds",
    "log.writer",
    "profile.steps",
    "parallel.devices",
    "parallel.members_per_device",
    "parallel.coordinator",
    "parallel.processes",
    "parallel.process",
)

# Options that only judge what was computed: they may change, too, unless it is by them
# that rewind.step="auto" chooses.
HOW_TO_JUDGE = ("eval.verdict", "stability.margin")

# Options of earlier versions that changed no result; they are ignored in workdirs that
# have them.
REMOVED = ("suite", "paper.sparsity")
