"""Quality metrics of samples and reconstructions, measured during a run.

Samples come from latent vectors that depend only on the seed, so arms, runs and rounds
differ only in their weights. `Evaluator.provenance` has everything else that a value
depends on; 12 hex digits of its hash are stored with the value, in the column
`evaluation`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np
from jaxtyping import Array, UInt8

from gen_tickets.config import registries
from gen_tickets.data.dataset import Dataset
from gen_tickets.errors import UserError
from gen_tickets.evaluation import scores
from gen_tickets.evaluation.features import (
    cache,
    classifier,
    extractors,
    references,
    weights,
)
from gen_tickets.evaluation.features.batches import map_batches
from gen_tickets.evaluation.scores import Outputs
from gen_tickets.workdir import baselines as baselines_lib

# Folded into the key of the seed; cannot be a run number.
_LATENTS = 2**31 - 1


def find_inception(path: str, download: bool, by_flags: bool = False) -> None:
    """Raises UserError unless Inception's weights exist or may be downloaded.

    Args:
      path: of the file; empty: where `weights` searches.
      download: whether they may be downloaded.
      by_flags: whether the message names the flags of `python -m
        gen_tickets.evaluation` instead of the options of an experiment.
    """
    if download and not path:
        return
    field = "--metrics" if by_flags else "eval.metrics"
    option = "--inception-weights" if by_flags else "eval.inception_weights"
    switch = "--download-weights" if by_flags else "eval.download_weights=true"
    try:
        weights.find_weights(path or None)
    except UserError as error:
        raise UserError(
            field,
            f"Inception's weights are needed ({error})",
            f"give {option}=PATH, set {weights.PATH_VARIABLE}=PATH, or give {switch}",
        ) from None


def check(config: ml_collections.ConfigDict) -> None:
    """Raises UserError, before anything slow, if Inception's weights are missing."""
    if "inception" in scores.networks(config.eval.metrics):
        find_inception(config.eval.inception_weights, config.eval.download_weights)


def draw_samples(
    sample: Callable[[Array], Array],
    count: int,
    batch_size: int,
    latent_size: int,
    seed: int,
) -> UInt8[np.ndarray, "n h w c"]:
    """Samples from standard normal latents that depend only on the seed.

    Args:
      sample: latents [batch_size, latent_size] -> uint8 [batch_size, H, W, C].
      count: number of samples.
      batch_size: latents per call.
      latent_size, seed: of the latents.

    Returns:
      uint8 [count, H, W, C].
    """
    key = jax.random.fold_in(jax.random.key(seed), _LATENTS)
    # Full batches, because batch norm may use their statistics.
    shape = (-(-count // batch_size) * batch_size, latent_size)
    return map_batches(sample, jax.random.normal(key, shape), batch_size)[:count]


class Evaluator:
    """The fixed parts of the evaluation: networks, references, latent vectors."""

    def __init__(self, config: ml_collections.ConfigDict, dataset: Dataset) -> None:
        """Loads or trains the networks, and loads or computes the references.

        Args:
          config: validated options that `check` passed, `eval.metrics` not empty.
          dataset: training and held-out images.

        Raises:
          UserError: there are no labels for a classifier, or too few images.
        """
        self._names = tuple(config.eval.metrics)
        self._of_samples: list[str] = []
        self._of_reconstructions: list[str] = []
        for name in self._names:
            reconstructs = registries.metric.get(name).of_reconstructions
            group = self._of_reconstructions if reconstructs else self._of_samples
            group.append(name)
        self._config, self._heldout = config, dataset.heldout
        self._sha256_heldout = dataset.provenance["sha256_heldout"]
        train_images = dataset.train.images
        scores.check_counts(self._names, {"training images": len(train_images)})
        if self._of_samples:
            scores.warn_of_few("eval.num_samples", config.eval.num_samples)
        self._extractors = {
            network: _extractor(network, config, dataset)
            for network in scores.networks(self._names)
        }
        self._references = {}
        for network in scores.networks(self._of_samples):
            extractor = self._extractors[network]
            key = references.key_of(dataset.provenance, "train", extractor)
            self._references[network] = references.load_reference(
                train_images, key, extractor
            )

    def is_due(self, round_number: int, last_round: int) -> bool:
        """Whether to measure a round; round 0 and the last round always are."""
        every = self._config.eval.every_rounds
        always = round_number in (0, last_round)
        return always or (every > 0 and round_number % every == 0)

    @property
    def provenance(self) -> dict:
        """All that values depend on, except the member's weights; JSON-serializable."""
        sampling = registries.task.get(self._config.task.name).sampling
        return {
            **{name: self._config[name] for name in sampling},
            "num_samples": self._config.eval.num_samples,
            "latents": f"standard normal, seed {self._config.seed}",
            "batch_size": self._config.data.batch_size,
            "batch_norm": self._config.eval.batch_norm,
            "sha256_heldout": self._sha256_heldout,
            "extractors": {
                network: extractor.provenance()
                for network, extractor in self._extractors.items()
            },
            "references": {
                network: {"hash": reference.short_hash, **reference.key}
                for network, reference in self._references.items()
            },
        }

    @property
    def short_hash(self) -> str:
        """The first 12 hex digits of the hash of the provenance."""
        return cache.short_hash(self.provenance)

    def undefined(self) -> dict[str, float]:
        """The columns of a member that diverged."""
        return dict.fromkeys(scores.columns(self._names), math.nan) | self._count()

    def measure(
        self,
        sample: Callable[[Array], Array],
        reconstruct: Callable[[Array], Array] | None,
        latent_size: int,
    ) -> dict[str, float]:
        """The columns of one member.

        Args:
          sample: latents [n, latent_size] -> uint8 [n, H, W, C].
          reconstruct: uint8 [n, H, W, C] -> the same shape and type; None if the
            task has none.
          latent_size: numbers in a latent of the task.
        """
        values: dict[str, float] = {}
        if self._of_samples:
            config = self._config
            count, batch_size = config.eval.num_samples, config.data.batch_size
            samples = draw_samples(sample, count, batch_size, latent_size, config.seed)
            values |= self._score_samples(self._outputs(self._of_samples, samples))
        if self._of_reconstructions and reconstruct:
            images, batch_size = self._heldout.images, self._config.data.batch_size
            images = map_batches(reconstruct, images, batch_size)
            outputs = self._outputs(self._of_reconstructions, images)
            values |= self._score_reconstructions(outputs)
        names = scores.columns(self._names)
        return {name: values[name] for name in names} | self._count()

    def baselines(self, mean_image: np.ndarray) -> dict[str, dict[str, float]]:
        """{column: {baseline: value}} of real images, a constant image, and noise.

        Uses at most as many images of each as there are held-out images, because
        Inception takes minutes on a CPU.

        Args:
          mean_image: uint8 [H, W, C], of the training images.
        """
        images = np.asarray(self._heldout.images)
        count = min(self._config.eval.num_samples, len(images))
        random = np.random.default_rng(self._config.seed)
        noise = random.integers(0, 256, (count, *mean_image.shape), np.uint8)
        real = images[:: len(images) // count][:count]
        constant = self._outputs(self._names, mean_image[None])
        samples = {
            baselines_lib.REAL: self._outputs(self._of_samples, real),
            baselines_lib.MEAN: _repeated(constant, count),
            baselines_lib.NOISE: self._outputs(self._of_samples, noise),
        }
        reconstructions = {
            baselines_lib.REAL: self._outputs(self._of_reconstructions, images),
            baselines_lib.MEAN: _repeated(constant, len(images)),
        }
        scored = [(k, self._score_samples(x)) for k, x in samples.items()]
        scored += [
            (k, self._score_reconstructions(x)) for k, x in reconstructions.items()
        ]
        found: dict[str, dict[str, float]] = {}
        for baseline, values in scored:
            for column, value in values.items():
                found.setdefault(column, {})[baseline] = value
        return found

    def _score_samples(self, outputs: Mapping[str, Any]) -> dict[str, float]:
        """The columns of samples, except those that need more images than given."""
        metrics = [(x, registries.metric.get(x)) for x in self._of_samples]
        counts = {network: len(x.features) for network, x in outputs.items()}
        names = [x for x, of in metrics if counts[of.network] >= of.minimum]
        return scores.score(names, outputs, self._references)

    def _score_reconstructions(self, outputs: Mapping[str, Any]) -> dict[str, float]:
        """The columns of reconstructions of all held-out images."""
        reference = dict.fromkeys(outputs, self._heldout.labels)
        return scores.score(self._of_reconstructions, outputs, reference)

    def _outputs(
        self, names: Sequence[str], images: UInt8[np.ndarray, "n h w c"]
    ) -> dict[str, Outputs]:
        """{network: its outputs on the images}, for the networks that metrics need."""
        return {
            network: self._extractors[network].extract(images)
            for network in scores.networks(names)
        }

    def _count(self) -> dict[str, float]:
        return {"num_samples": self._config.eval.num_samples}


def _repeated(outputs: Mapping[str, Any], count: int) -> dict[str, Any]:
    """{network: its outputs of one image, `count` times}."""
    return {
        network: jax.tree.map(lambda x: np.repeat(x, count, axis=0), of_one)
        for network, of_one in outputs.items()
    }


def _extractor(
    network: str, config: ml_collections.ConfigDict, dataset: Dataset
) -> extractors.Extractor:
    options = config.eval
    if network == "inception":
        return extractors.of_inception(
            options.inception_weights, options.download_weights
        )
    if network == "pixels":
        return extractors.of_pixels()
    found = classifier.load_classifier(
        dataset,
        options.classifier_epochs,
        options.classifier_width,
        stages=options.classifier_stages,
    )
    return extractors.of_classifier(found)
