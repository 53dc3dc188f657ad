"""Numbers that say how good samples and reconstructions are, measured within a run.

Samples come from latent vectors that depend on the seed alone, so that arms, runs and
rounds differ in weights only. All else that a number depends on is in
`Evaluator.provenance`; 12 hex digits of it stand beside the number, in the column
`evaluation`.
"""

import math

import jax

from gen_tickets.errors import UserError
from gen_tickets.evaluation.features import cache, extractors, references, weights
from gen_tickets.evaluation.features.batches import map_batches
from gen_tickets.evaluation.scores import (
    TABLE,
    check_counts,
    columns,
    kinds,
    score,
    warn_of_few,
)

# What the seed's key is folded with: no number of a run, which others fold it with.
_LATENTS = 2**31 - 1


def find_inception(path, download, by_flags=False):
    """Raises UserError unless Inception's weights are at hand, or may be fetched.

    Args:
      path: where they are said to be; empty: where `weights` looks.
      download: whether they may be fetched.
      by_flags: whether the message names the flags of `python -m
        gen_tickets.evaluation`, or the options of an experiment.
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
            f"{field}: Inception's weights are needed ({error}); give {option}=PATH, "
            f"set {weights.PATH_VARIABLE}=PATH, or give {switch}"
        ) from None


def check(config) -> None:
    """Refuses, before anything slow, metrics that these options do not allow.

    Raises:
      UserError: no weights of Inception, too few samples, a task without what a
        metric measures, or a verdict on what is not measured.
    """
    names, verdict = config.eval.metrics, config.eval.verdict
    for name, metric in TABLE.items():
        if verdict in metric.columns and name not in names:
            raise UserError(
                f"eval.verdict={verdict!r}: is measured by eval.metrics={name!r} only, "
                f"not by {tuple(names)}; add it, or compare another column"
            )
    if "accuracy" in names and config.task.name == "gan":
        raise UserError(
            "eval.metrics='accuracy': is of reconstructions, which task.name='gan' "
            "has not; leave it out"
        )
    check_counts(names, {"eval.num_samples": config.eval.num_samples})
    if "inception" in kinds(names):
        find_inception(config.eval.inception_weights, config.eval.download_weights)


def draw_samples(sample, count, batch_size, latent_size, seed):
    """Samples from standard normal latents that the seed alone determines.

    Args:
      sample: latents [batch_size, latent_size] -> uint8 [batch_size, H, W, C].
      count: how many samples.
      batch_size: latents a call.
      latent_size, seed: of the latents.

    Returns:
      uint8 [count, H, W, C].
    """
    key = jax.random.fold_in(jax.random.key(seed), _LATENTS)
    # Whole batches, as batch norm may normalise by them.
    shape = (-(-count // batch_size) * batch_size, latent_size)
    return map_batches(sample, jax.random.normal(key, shape), batch_size)[:count]


class Evaluator:
    """What stays fixed in an experiment: networks, references, latent vectors."""

    def __init__(self, config, dataset):
        """Loads or trains the networks, and computes the references or finds them.

        Args:
          config: all options, `eval.metrics` not empty.
          dataset: data.Dataset.

        Raises:
          UserError: as `check`; no labels for a classifier; too few images.
        """
        check(config)
        self._names = tuple(config.eval.metrics)
        self._of_samples = [n for n in self._names if TABLE[n].compute is not None]
        self._config, self._heldout = config, dataset.heldout
        self._sha256_heldout = dataset.provenance["sha256_heldout"]
        train_images = dataset.train.images
        check_counts(self._names, {"training images": len(train_images)})
        if self._of_samples:
            warn_of_few("eval.num_samples", config.eval.num_samples)
        self._extractors = {
            kind: _extractor(kind, config, dataset) for kind in kinds(self._names)
        }
        self._references = {}
        for kind in kinds(self._of_samples):
            key = references.key_of(dataset.provenance, "train", self._extractors[kind])
            self._references[kind] = references.load_reference(
                train_images, key, self._extractors[kind]
            )

    def is_due(self, round_number: int, last_round: int) -> bool:
        """Whether a round is measured; the dense and the last one always are."""
        every = self._config.eval.every_rounds
        always = round_number in (0, last_round)
        return always or (every > 0 and round_number % every == 0)

    @property
    def provenance(self) -> dict:
        """All that the numbers depend on but the member's weights; JSON-able."""
        return {
            "num_samples": self._config.eval.num_samples,
            "latents": f"standard normal, seed {self._config.seed}",
            "batch_size": self._config.data.batch_size,
            "batch_norm": self._config.eval.batch_norm,
            "sha256_heldout": self._sha256_heldout,
            "extractors": {
                kind: extractor.provenance()
                for kind, extractor in self._extractors.items()
            },
            "references": {
                kind: {"hash": reference.short_hash, **reference.key}
                for kind, reference in self._references.items()
            },
        }

    @property
    def short_hash(self) -> str:
        """12 hex digits that stand for the provenance."""
        return cache.short_hash(self.provenance)

    def undefined(self) -> dict[str, float]:
        """The columns of a member that diverged."""
        return dict.fromkeys(columns(self._names), math.nan) | self._count()

    def measure(self, sample, reconstruct) -> dict[str, float]:
        """The columns of one member.

        Args:
          sample: latents [n, latent_size] -> uint8 [n, H, W, C].
          reconstruct: uint8 [n, H, W, C] -> the same shape and type; None where the
            task has none.
        """
        values = {}
        if self._of_samples:
            images = self._samples(sample)
            outputs = {
                kind: self._extractors[kind].extract(images)
                for kind in self._references
            }
            values = score(self._of_samples, outputs, self._references)
        if "accuracy" in self._names:
            values["accuracy_reconstructions"] = self._accuracy(reconstruct)
        return {name: values[name] for name in columns(self._names)} | self._count()

    def _count(self):
        return {"num_samples": self._config.eval.num_samples}

    def _samples(self, sample):
        """uint8 [num_samples, H, W, C] from latents that the seed alone determines."""
        config = self._config
        return draw_samples(
            *(sample, config.eval.num_samples, config.data.batch_size),
            *(config.model.latent_size, config.seed),
        )

    def _accuracy(self, reconstruct):
        images, labels = self._heldout
        images = map_batches(reconstruct, images, self._config.data.batch_size)
        logits = self._extractors["classifier"].extract(images).logits
        return float((logits.argmax(1) == labels).mean())


def _extractor(kind, config, dataset):
    options = config.eval
    if kind == "inception":
        return extractors.of_inception(
            options.inception_weights, options.download_weights
        )
    return extractors.of_classifier(
        dataset, options.classifier_epochs, options.classifier_width
    )
