"""Every option of gen_tickets, declared once: default, meaning, allowed values."""

from gen_tickets.config import option, registries
from gen_tickets.config.option import Option

# Larger arrays are impossible: refused here, before an array is made.
_MOST_UNITS, _MOST_PIXELS = 2**20, 2**13

OPTIONS: dict[str, Option] = {
    "seed": option.Whole(0, "random seed; run r of a seed is always the same"),
    "runs": option.Whole(5, "independent runs, trained together as one population", 1),
    "arms": option.Choice(
        ("winning", "random"),
        "tickets trained each round; the winning one is pruned further; random is "
        "the control, rewound_random the control for the mask alone",
        (
            ("winning", "random"),
            ("winning", "random", "rewound_random"),
            ("winning", "rewound_random"),
            ("winning",),
        ),
    ),
    "procedure": option.Choice(
        "tickets",
        "what to do: search for tickets, analyse the stability of training at "
        "possible rewind steps, or train sparse networks from the start with "
        "changing masks (dynamic)",
        ("tickets", "stability", "dynamic"),
    ),
    "precision": option.Choice(
        "float32",
        "operands of convolutions and matrix products; weights and sums stay float32",
        ("float32", "bfloat16"),
    ),
    "data.name": option.Choice(
        "digits",
        "data set",
        registries.data_set,
        others="the name of a TFDS image set, such as mnist or cifar10",
    ),
    "data.dir": option.Text(
        "",
        "image folder, .npz file, or folder of prepared TFDS sets ('' = TFDS_DATA_DIR, "
        "else ~/tensorflow_datasets)",
    ),
    "data.download": option.Switch(
        False, "let TFDS download and prepare a missing set"
    ),
    "data.resident": option.Switch(
        True,
        "hold the training images on the devices; False reads batches from disk",
    ),
    "data.crop": option.Whole(
        0,
        "side of the centre crop; 0 = default of the set, else the largest square",
        high=_MOST_PIXELS,
    ),
    "data.image_size": option.Whole(
        0,
        "side in pixels after resizing; 0 = default of the set, else the original",
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
    "model.latent_size": option.Whole(3, "length of a latent vector", 1, _MOST_UNITS),
    "model.patch": option.Whole(
        1, "side in pixels of the patches that a U-Net treats as one position", 1
    ),
    "model.blocks": option.Whole(
        2, "residual blocks per width on the way down; one more on the way up", 0
    ),
    "model.attention": option.Wholes(
        (16,),
        "sides in pixels of the feature maps with self-attention; () = none",
        _MOST_PIXELS,
        may_be_empty=True,
    ),
    "model.norm_groups": option.Whole(32, "number of groups of group norm", 1),
    "model.dropout": option.Number(
        0.0, "dropout rate of residual blocks in training", 0, 1
    ),
    "model.initializer": option.Choice(
        "authors",
        "distribution of initial kernels: authors = uniform, as PyTorch's default; "
        "radford = normal with standard deviation 0.02; he = normal with standard "
        "deviation sqrt(2 / fan-in), for deep networks without batch norm",
        ("authors", "radford", "he"),
    ),
    "model.discriminator": option.Choice(
        "authors",
        "discriminator of a GAN: authors = ReLU, batch norm in every layer; radford = "
        "leaky ReLU 0.2, no batch norm in the first layer",
        ("authors", "radford"),
    ),
    "model.generator": option.Choice(
        "authors",
        "start of a residual GAN's generator: authors = a vector, repeated over its "
        "first map; radford = the latent vector projected to this map",
        ("authors", "radford"),
    ),
    "task.name": option.Choice("ae", "learning task", registries.task),
    "task.beta": option.Number(1.0, "weight of the KL term (beta-VAE: > 1)"),
    "task.loss": option.Choice(
        "bce",
        "adversarial loss of a GAN",
        registries.loss,
    ),
    "task.discriminator_steps": option.Whole(
        1, "discriminator updates per step, each on its own batch", 1
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
        "distribution of training timesteps: uniform, or (importance) in proportion to "
        "the root mean square of their last losses",
        ("uniform", "importance"),
    ),
    "diffusion.min_snr": option.Number(
        0.0, "gamma of min-SNR loss weights, such as 5; 0 = unweighted loss"
    ),
    "diffusion.regions": option.Whole(
        1,
        "1, 2 or 4 equal regions of timesteps, each with a separate denoiser and "
        "ticket, joined in sampling",
        1,
        4,
    ),
    "diffusion.sampler": option.Choice(
        "ddim",
        "sampler: without new noise (ddim) or with noise in every step (ancestral)",
        ("ddim", "ancestral"),
    ),
    "diffusion.sampling_steps": option.Whole(
        50, "timesteps of a sample, evenly spaced", 1
    ),
    "optimizer.name": option.Choice(
        "adam",
        "optimizer",
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
        0.0, "coefficient of an L1 penalty on the scales of batch or group norm"
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
        8, "training batches averaged by saliencies that use images", 1
    ),
    "prune.fraction": option.Number(
        0.2,
        "fraction of remaining weights pruned per round; early_bird: of channels",
        0,
        1,
        is_open=True,
    ),
    "prune.rounds": option.Whole(20, "rounds after the dense one", 1),
    "prune.sparsities": option.Numbers(
        (),
        "sparsity of the prunable weights in each round; () = use prune.fraction",
        1,
        is_increasing=True,
    ),
    "prune.scope": option.Choice(
        "global",
        "weights that are ranked together: all, those of each component, or those of "
        "each layer",
        ("global", "component", "layer"),
    ),
    "prune.rates": option.Numbers(
        (),
        "relative pruning rates: one for each component (prune.scope=component), or "
        "(layer) interpolated by depth from the first to the last layer of each "
        "component, such as (1, 2, 1) to prune the middle of a U-Net most; () = equal",
    ),
    "prune.components": option.Texts(
        (), "components to prune, such as encoder or generator; () = all"
    ),
    "prune.exclude": option.Texts(
        (),
        "patterns of names of weights that are never pruned, such as encoder/conv_0/*",
    ),
    "early_bird.distance": option.Number(
        0.1,
        "a mask that differs from each of the five before it in less than this "
        "fraction of the channels is a ticket",
        is_open=True,
    ),
    "early_bird.epochs": option.Whole(
        20, "epochs within which the masks must become stable", 6
    ),
    "early_bird.take_last": option.Switch(
        False, "if no mask is stable, use the last one; False: then nothing is pruned"
    ),
    "early_bird.multiple": option.Whole(
        0, "kept channels are rounded up to a multiple; 0 = 8 on accelerators, else 1"
    ),
    "dynamic.methods": option.Choices(
        ("rigl", "static"),
        "how masks change; each method is an arm",
        ("static", "set", "rigl", "magran"),
    ),
    "dynamic.distribution": option.Choice(
        "erk",
        "densities of layers: Erdos-Renyi kernel, or all equal",
        ("erk", "uniform"),
    ),
    "dynamic.fraction": option.Number(
        0.3, "fraction of a layer's kept weights replaced per change, at step 0", 0, 1
    ),
    "dynamic.every_steps": option.Whole(100, "training steps between changes", 1),
    "dynamic.end": option.Number(
        0.75,
        "fraction of training after which masks are fixed (set: never)",
        0,
        1,
        is_closed=True,
    ),
    "ticket.path": option.Text("", "workdir whose tickets are transferred; '' = none"),
    "ticket.map": option.Texts(
        (), "components to transfer, source:target, such as decoder:generator"
    ),
    "rewind.step": option.Steps(
        "10",
        "dense training step to which tickets are rewound; auto = the first step that "
        "an instability analysis finds stable",
    ),
    "rewind.sweep": option.StepsList(
        (),
        "increasing steps, such as (0, 100, '1ep'): tickets for each of them from one "
        "dense training; () = for rewind.step alone",
    ),
    "stability.steps": option.Wholes(
        (),
        "steps to analyse; () = 0, 10 and 0.5 to 20 % of the training",
        low=0,
        may_be_empty=True,
    ),
    "stability.copies": option.Whole(
        2, "copies trained from each step, each with its own SGD noise", 2
    ),
    "stability.points": option.Whole(
        11, "points at which the line between two copies is measured", 3
    ),
    "stability.margin": option.Number(
        0.03, "largest relative instability that counts as stable", is_open=True
    ),
    "stability.reset_optimizer": option.Switch(
        False,
        "copies start with a new optimizer, as rewound tickets do (masked ones always)",
    ),
    "stability.tickets": option.Text(
        "", "workdir of the masks of the copies; '' = dense networks"
    ),
    "stability.round": option.Whole(0, "round of those masks"),
    "eval.every_steps": option.Whole(
        0, "steps between held-out evaluations; 0 = an epoch"
    ),
    "eval.num_shown": option.Whole(
        32, "reconstructions and samples in an image grid", 1
    ),
    "eval.batch_norm": option.Choice(
        "running",
        "batch-norm statistics for samples and reconstructions: running averages, or "
        "those of the batch, as in the paper's code",
        ("running", "batch"),
    ),
    "eval.average_decay": option.Number(
        0.0, "decay of the averaged weights for samples; 0 = use the last weights", 0, 1
    ),
    "eval.metrics": option.Choices(
        (),
        "metrics of samples and reconstructions, besides the losses",
        registries.metric,
    ),
    "eval.num_samples": option.Whole(10_000, "samples per metric", 1),
    "eval.every_rounds": option.Whole(
        1, "measure eval.metrics every so many rounds; 0 = first and last only"
    ),
    "eval.inception_weights": option.Text(
        "", "file of Inception's weights; '' = GEN_TICKETS_INCEPTION_WEIGHTS, the cache"
    ),
    "eval.download_weights": option.Switch(
        False, "download Inception's weights (96 MB) if they are missing"
    ),
    "eval.classifier_epochs": option.Whole(
        10, "training epochs of the data set's classifier", 1
    ),
    "eval.classifier_width": option.Whole(
        64, "channels of the classifier's first stage; 16 for a CPU", 1
    ),
    "eval.classifier_stages": option.Whole(
        4, "stages of the classifier, a ResNet-18 with 4; fewer to check a setup", 1, 4
    ),
    "eval.verdict": option.Text(
        "heldout_reconstruction",
        "column of results.csv on which the verdict is based",
        may_be_empty=False,
    ),
    "keep.rounds": option.Choice(
        "best",
        "rounds whose trained weights are kept: best = the dense round, the last one, "
        "and, by the verdict, the sparsest that matches and the sparsest found",
        ("best", "all", "last"),
    ),
    "checkpoint.every_seconds": option.Number(60.0, "seconds between checkpoints"),
    "log.writer": option.Choice(
        "tensorboard",
        "writer of TensorBoard events; clu = clu.metric_writers, needs TensorFlow",
        ("tensorboard", "clu"),
    ),
    "profile.steps": option.Whole(
        0, "training steps traced for TensorBoard, after compilation; 0 = none"
    ),
    "parallel.devices": option.Whole(0, "devices to use; 0 = all"),
    "parallel.members_per_device": option.Whole(
        0, "members a device trains at the same time; 0 = what its memory allows"
    ),
    "parallel.coordinator": option.Text(
        "",
        "host:port of process 0; '' = from the launcher (Slurm, Cloud TPU, Kubernetes)",
    ),
    "parallel.processes": option.Whole(
        0, "processes of one experiment; 0 = from the launcher, else 1"
    ),
    "parallel.process": option.Whole(
        -1, "number of this process, from 0; -1 = from the launcher", -1
    ),
}


# Options that determine how to run or draw, not what is computed: they may be changed
# when a run is resumed.
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

# Options that only affect how results are judged: they may be changed too, unless
# rewind.step="auto" depends on them.
HOW_TO_JUDGE = ("eval.verdict", "stability.margin")

# Options of earlier versions without influence on results; ignored in old workdirs.
REMOVED = ("suite", "paper.sparsity")
