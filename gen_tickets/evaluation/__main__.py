"""Scores any folder or array of images against a data set.

  gen_tickets score --images DIR_OR_NPZ --reference SET

SET is a value of data.name (digits, mnist, cifar10, ...), or another folder of images
or .npz with uint8 `images` [N, H, W, C]. The reference keeps its own size unless
--image-size is given; images of other sizes are resized to it, and a line says so.
Classifier metrics need a classifier of the reference's labels: it is trained once per
machine and cached. If that takes more than a minute, --train-classifier must allow it.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gen_tickets.cli import command_line
from gen_tickets.config import registries, registry
from gen_tickets.config.options import OPTIONS
from gen_tickets.data import dataset as dataset_lib
from gen_tickets.distributed import devices
from gen_tickets.errors import UserError
from gen_tickets.evaluation import metrics, scores, sources
from gen_tickets.evaluation.features import classifier, extractors, references
from gen_tickets.workdir import paths, provenance

# Seconds that training a classifier may take without --train-classifier.
_UNASKED_SECONDS = 60.0
# Channels of a classifier's first stage.
_GREY_WIDTH, _COLOUR_WIDTH = 16, 64


def _of_samples() -> dict[str, registries.Metric]:
    """The metrics of samples, which need no reconstructions."""
    metrics = registries.metric.items()
    return {name: x for name, x in metrics if not x.of_reconstructions}


def _by_default(network: str) -> tuple[str, ...]:
    """The metrics of a network that are measured by default."""
    metrics = _of_samples().items()
    return tuple(name for name, x in metrics if x.network == network and x.by_default)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = command_line.Parser("gen_tickets score", __doc__)

    def add(name: str, **options: Any) -> None:
        parser.add_argument(name, **options)

    add("--images", required=True, metavar="DIR_OR_NPZ", help="the images to score")
    add("--reference", required=True, metavar="SET", help="the real images, see above")
    add(
        "--reference-split",
        default="train",
        choices=("train", "heldout"),
        help="default: %(default)s",
    )
    add(
        "--data.dir",
        default="",
        dest="data_dir",
        metavar="DIR",
        help=command_line.PREPARED_SETS,
    )
    add(
        "--image-size",
        type=int,
        default=0,
        help="side to which all images are resized; default: that of the reference",
    )
    add(
        "--crop",
        type=int,
        default=0,
        help="side of the reference's centre crop; default: that of the set, else the "
        "largest square",
    )
    add(
        "--metrics",
        default="",
        help=f"some of {', '.join(_of_samples())}, separated by commas; default: those "
        "of Inception for colour or unlabelled images if its weights are found, else "
        "those of the classifier",
    )
    add("--num", type=int, default=0, help="score only the first images; 0 = all")
    add(
        "--inception-weights",
        default="",
        metavar="PATH",
        help="file of Inception's weights; default: GEN_TICKETS_INCEPTION_WEIGHTS, "
        "else the cache",
    )
    add(
        "--download-weights",
        action="store_true",
        help=OPTIONS["eval.download_weights"].meaning,
    )
    add(
        "--train-classifier",
        action="store_true",
        help="allow training of the classifier to take more than a minute",
    )
    epochs = OPTIONS["eval.classifier_epochs"]
    add(
        "--classifier-epochs",
        type=int,
        default=epochs.default,
        help=f"{epochs.meaning}; default: %(default)s",
    )
    add(
        "--classifier-width",
        type=int,
        help="channels of the classifier's first stage; default: "
        f"{_GREY_WIDTH} for grey images, else {_COLOUR_WIDTH}",
    )
    add("--json", metavar="FILE", help="file to which the result is also written")
    return parser.parse_args(arguments)


def _check(options: argparse.Namespace) -> None:
    for name in ("image_size", "crop", "num"):
        _check_at_least(options, name, 0)
    _check_at_least(options, "classifier_epochs", 1)
    if options.classifier_width is not None:
        _check_at_least(options, "classifier_width", 1)
    known = _of_samples()
    for name in _asked(options):
        if name not in known:
            raise UserError(
                f"--metrics={options.metrics}",
                f"{name!r} is not a metric; allowed are {','.join(known)}",
                registry.nearest(name, known),
            )
    if "inception" in scores.networks(_asked(options)):
        _find_inception(options)


def _check_at_least(options: argparse.Namespace, name: str, minimum: int) -> None:
    value = getattr(options, name)
    if value < minimum:
        field = f"--{name.replace('_', '-')}={value}"
        raise UserError(field, f"{minimum} or more allowed")


def _asked(options: argparse.Namespace) -> tuple[str, ...]:
    names = [name.strip() for name in options.metrics.split(",") if name.strip()]
    return tuple(dict.fromkeys(names))


def _find_inception(options: argparse.Namespace) -> None:
    metrics.find_inception(
        options.inception_weights, options.download_weights, by_flags=True
    )


def _names(
    options: argparse.Namespace, dataset: dataset_lib.Dataset
) -> tuple[str, ...]:
    """The requested metrics; by default those of Inception, if they make sense."""
    names = _asked(options)
    if names:
        return names
    is_grey = dataset.train.images.shape[-1] == 1
    if dataset.train.labels is None or options.inception_weights or not is_grey:
        try:
            _find_inception(options)
        except UserError:
            if dataset.train.labels is None or options.inception_weights:
                raise
        else:
            return _by_default("inception")
    return _by_default("classifier")


def _read_images(
    options: argparse.Namespace, shape: tuple[int, ...]
) -> tuple[np.ndarray, dict[str, Any]]:
    """(uint8 [N, H, W, C], their description)."""
    found, resized = sources.read_sized("--images", options.images, shape[0])
    images = found.train.images
    if options.num > len(images):
        raise UserError(
            f"--num={options.num}",
            f"{options.images} has {len(images)} images",
            "give fewer, or 0 for all",
        )
    images = sources.fit(images[: options.num or len(images)], shape)
    names = ("name", "set", "reader", "other_files", "crop", "encoding")
    return images, {
        **{name: found.provenance[name] for name in names},
        "count": len(images),
        "image_size": images.shape[1],
        "resized": resized,
        "channels": images.shape[3],
        "sha256": sources.sha256(images),
    }


def _extractor(
    network: str, options: argparse.Namespace, dataset: dataset_lib.Dataset
) -> extractors.Extractor:
    if network == "inception":
        return extractors.of_inception(
            options.inception_weights, options.download_weights
        )
    if network == "pixels":
        return extractors.of_pixels()
    try:
        is_grey = dataset.train.images.shape[-1] == 1
        found = classifier.load_classifier(
            dataset,
            options.classifier_epochs,
            options.classifier_width or (_GREY_WIDTH if is_grey else _COLOUR_WIDTH),
            math.inf if options.train_classifier else _UNASKED_SECONDS,
        )
        return extractors.of_classifier(found)
    except UserError as error:  # it names data.name, an option of experiments
        field = f"--reference={options.reference}"
        raise UserError(field, error.problem, error.remedy) from None


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """The result: values and the conditions that define them; JSON-serializable.

    Raises:
      UserError: the images, the reference or the weights are invalid.
    """
    _check(options)
    dataset = sources.read_reference(
        options.reference, options.data_dir, options.crop, options.image_size
    )
    real: dataset_lib.ImageSet = getattr(dataset, options.reference_split)
    images, about = _read_images(options, real.images.shape[1:])
    names = _names(options, dataset)
    scores.check_counts(
        names, {"--images": len(images), "--reference": len(real.images)}
    )
    found = {x: _extractor(x, options, dataset) for x in scores.networks(names)}
    known = {}
    for network, extractor in found.items():
        key = references.key_of(dataset.provenance, options.reference_split, extractor)
        known[network] = references.load_reference(real.images, key, extractor)
    outputs = {network: x.extract(images) for network, x in found.items()}
    values = scores.score(names, outputs, known)
    scores.warn_of_few("--images", len(images))
    return {
        "values": values,
        "images": about,
        "references": {
            network: {"hash": reference.short_hash, **reference.key}
            for network, reference in known.items()
        },
        "extractors": {
            network: extractor.provenance() for network, extractor in found.items()
        },
        "reencoded": sources.reencoded(dataset.provenance),
        "provenance": provenance.collect(),
    }


def _lines(result: Mapping[str, Any]) -> Iterator[str]:
    """The table of values, and the conditions that define them."""
    values = result["values"]
    for name, value in values.items():
        if not name.endswith("_std"):
            spread = values.get(f"{name}_std")
            end = "" if spread is None else f" ± {spread:.6g}"
            yield f"{name:22} {value:.6g}{end}"
    images = result["images"]
    yield (
        f"images      {images['count']} of {images['set']}, {images['image_size']}x"
        f"{images['image_size']}x{images['channels']}, {images['crop']}, "
        f"{images['encoding']}"
    )
    if images["resized"]:
        yield f"            {images['resized']}"
    if images["other_files"]:
        yield f"            {images['other_files']} other files there are left out"
    reference = next(iter(result["references"].values()))
    yield (
        f"reference   {reference['set']}, split {reference['split']}, "
        f"{reference['count']} images, {reference['image_size']}x"
        f"{reference['image_size']}x{reference['channels']}, {reference['crop']}, "
        f"resize {reference['resize']} (Pillow {reference['pillow']}), "
        f"{reference['reader']}, {reference['encoding']}"
    )
    if result["reencoded"]:
        yield (
            "            this copy was encoded again as JPEG: numbers differ from "
            "those of the original pixels"
        )
    for kind, extractor in result["extractors"].items():
        detail = (
            f"ResNet-18 of {extractor['width']} channels, {extractor['accuracy']:.2%} "
            "right"
            if kind == "classifier"
            else f"weights {extractor['weights']}"
        )
        yield (
            f"{kind:11} {detail}, SHA-256 {extractor['sha256'][:12]}, reference "
            f"{result['references'][kind]['hash']}"
        )


def _run(arguments: Sequence[str] | None) -> None:
    options = _parse(arguments)
    command_line.use_compilation_cache()
    devices.find()
    result = evaluate(options)
    print("\n".join(_lines(result)))
    if options.json:
        text = json.dumps(result, indent=1) + "\n"
        paths.write_atomically(paths.expanded(options.json), text.encode())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status, 2 for wrong input."""
    return command_line.exit_status(lambda: _run(arguments))


if __name__ == "__main__":
    sys.exit(main())
