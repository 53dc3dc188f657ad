"""Autoencoders and variational autoencoders: {encoder, decoder}.

- ae: mean over images and pixels of the squared error (the paper's MSE).
- vae: mean over images of sum-squared error + beta * KL(q(z|x) || N(0, 1))
  (the negative ELBO of a decoder with variance 1/2; Higgins 2017 for beta).
"""

import math

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from gen_tickets import losses, models
from gen_tickets.config import registries
from gen_tickets.config.column import Column
from gen_tickets.data import pixels
from gen_tickets.tasks import networks, single_loss
from gen_tickets.tasks.task import Metrics, Setting, Task
from gen_tickets.training import optimizer as optimizer_lib
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Tree

_RECONSTRUCTION = Column("reconstruction", better="lower", label="reconstruction error")
# Neither direction is better: the KL divergence does not measure quality.
_KL = Column("kl", unit="nats", label="KL divergence")


@registries.task("ae", columns=(_RECONSTRUCTION,))
def autoencoder(config: ml_collections.ConfigDict, setting: Setting) -> Task:
    """Autoencoder with mean squared error."""
    return _build(config, setting, variational=False)


@registries.task("vae", options=("task.beta",), columns=(_RECONSTRUCTION, _KL))
def variational_autoencoder(
    config: ml_collections.ConfigDict, setting: Setting
) -> Task:
    """Variational autoencoder, or beta-VAE if task.beta is not 1."""
    return _build(config, setting, variational=True)


class _Autoencoder:
    """Encoder and decoder, variational or deterministic."""

    def __init__(
        self, config: ml_collections.ConfigDict, setting: Setting, variational: bool
    ) -> None:
        self.variational, self.beta = variational, config.task.beta
        self.latent_size = config.model.latent_size
        self.batch_statistics = config.eval.batch_norm == "batch"
        self.num_pixels = math.prod(setting.image_shape)
        sizes = setting.channels
        encoder, decoder = models.build(
            config,
            setting.image_shape,
            2 * self.latent_size if variational else self.latent_size,
            (sizes.get("encoder", ()), sizes.get("decoder", ())),
            setting.lowering,
        )
        self.parts = {
            "encoder": networks.Network(encoder, setting.image_shape),
            "decoder": networks.Network(decoder, (self.latent_size,)),
        }

    def _apply(
        self,
        component: str,
        params: Tree,
        stats: Tree,
        x: Float[Array, "n ..."],
        train: bool,
    ) -> tuple[Array, Tree]:
        """Runs one component; its statistics change only in training."""
        return networks.apply(
            self.parts[component].module,
            params[component],
            stats[component],
            x,
            train or self.batch_statistics,
            networks.ALL if train else (),
        )

    def _encode(
        self, params: Tree, stats: Tree, images: UInt8[Array, "n h w c"], train: bool
    ) -> tuple[Float[Array, "n latent"], Float[Array, "n latent"] | None, Tree]:
        """-> (latent mean, latent log-variance or None, encoder statistics)."""
        images = pixels.to_float(images)
        codes, stats = self._apply("encoder", params, stats, images, train)
        if not self.variational:
            return codes, None, stats
        mean, log_variance = jnp.split(codes, 2, axis=-1)
        return mean, log_variance, stats

    def _name(
        self, error: Float[Array, " n"], kl: Float[Array, " n"]
    ) -> dict[str, Float[Array, " n"]]:
        """Named loss terms of squared errors [N] and KL divergences [N]."""
        if self.variational:
            loss = error + self.beta * kl
            return {"loss": loss, "reconstruction": error, "kl": kl}
        count = self.num_pixels
        return {"loss": error / count, "reconstruction": error / count}

    def terms(
        self,
        params: Tree,
        stats: Tree,
        images: UInt8[Array, "n h w c"],
        key: Key[Array, ""],
        train: bool,
    ) -> tuple[dict[str, Float[Array, " n"]], Tree]:
        """Named loss terms [N] of a batch, and the updated statistics."""
        latents, log_variance, after = self._encode(params, stats, images, train)
        kl = jnp.zeros(len(images))
        if log_variance is not None:
            kl = losses.gaussian_kl(latents, log_variance)
            noise = jax.random.normal(key, latents.shape)
            latents = latents + jnp.exp(0.5 * log_variance) * noise
        outputs, of_decoder = self._apply("decoder", params, stats, latents, train)
        error = losses.squared_error(pixels.to_float(images), outputs)
        return self._name(error, kl), {"encoder": after, "decoder": of_decoder}

    def evaluate_constant(
        self,
        output: Float[Array | np.ndarray, "h w c"],
        images: UInt8[Array, "n h w c"],
    ) -> Metrics:
        constant = pixels.to_float(output)[None]
        error = losses.squared_error(pixels.to_float(images), constant)
        return self._name(error, jnp.zeros_like(error))

    def sample(
        self, state: TrainState, latents: Float[Array, "n latent"]
    ) -> UInt8[Array, "n h w c"]:
        out, _ = self._apply("decoder", state.params, state.stats, latents, False)
        return pixels.to_uint8(out)

    def reconstruct(
        self, state: TrainState, images: UInt8[Array, "n h w c"]
    ) -> UInt8[Array, "n h w c"]:
        mean, _, _ = self._encode(state.params, state.stats, images, False)
        return self.sample(state, mean)


def _build(
    config: ml_collections.ConfigDict, setting: Setting, variational: bool
) -> Task:
    model = _Autoencoder(config, setting, variational)
    return single_loss.build(
        model.parts,
        model.terms,
        optimizer_lib.make(config.optimizer, setting.num_steps),
        reconstruct=model.reconstruct,
        sample=model.sample,
        latent_size=model.latent_size,
        evaluate_constant=model.evaluate_constant,
    )
