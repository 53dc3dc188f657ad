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
from gen_tickets.tasks import networks
from gen_tickets.tasks.task import Metrics, Setting, Task
from gen_tickets.training import optimizer as optimizer_lib
from gen_tickets.training import state as state_lib
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Masks, Tree

_RECONSTRUCTION = Column("reconstruction", better="lower", label="reconstruction error")
# Neither direction is better: it does not measure how good a model is.
_KL = Column("kl", unit="nats", label="KL divergence")


@registries.task("ae", columns=(_RECONSTRUCTION,))
def autoencoder(config: ml_collections.ConfigDict, setting: Setting) -> Task:
    """Autoencoder, mean squared error; see `tasks.build`."""
    return _build(config, setting, variational=False)


@registries.task("vae", options=("task.beta",), columns=(_RECONSTRUCTION, _KL))
def variational_autoencoder(
    config: ml_collections.ConfigDict, setting: Setting
) -> Task:
    """Variational autoencoder, beta-VAE where task.beta is not 1; see `tasks.build`."""
    return _build(config, setting, variational=True)


def _build(
    config: ml_collections.ConfigDict, setting: Setting, variational: bool
) -> Task:
    latent_size, beta = config.model.latent_size, config.task.beta
    num_codes = 2 * latent_size if variational else latent_size
    image_shape, sizes = setting.image_shape, setting.channels
    encoder, decoder = models.build(
        config,
        image_shape,
        num_codes,
        (sizes.get("encoder", ()), sizes.get("decoder", ())),
        setting.lowering,
    )
    parts = {
        "encoder": networks.Network(encoder, image_shape),
        "decoder": networks.Network(decoder, (latent_size,)),
    }
    optimizer = optimizer_lib.make(config.optimizer, setting.num_steps)
    num_pixels = math.prod(image_shape)
    batch_statistics = config.eval.batch_norm == "batch"

    def apply(
        component: str, params: Tree, stats: Tree, x: Float[Array, "n ..."], train: bool
    ) -> tuple[Array, Tree]:
        """Runs one component; only training changes its statistics."""
        advance = networks.ALL if train else ()
        return networks.apply(
            parts[component].module,
            params[component],
            stats[component],
            x,
            train or batch_statistics,
            advance,
        )

    def encode(
        params: Tree, stats: Tree, images: UInt8[Array, "n h w c"], train: bool
    ) -> tuple[Float[Array, "n latent"], Float[Array, "n latent"] | None, Tree]:
        """-> (latent mean, latent log-variance or None, encoder statistics)."""
        codes, stats = apply("encoder", params, stats, pixels.to_float(images), train)
        if not variational:
            return codes, None, stats
        mean, log_variance = jnp.split(codes, 2, axis=-1)
        return mean, log_variance, stats

    def name(
        error: Float[Array, " n"], kl: Float[Array, " n"]
    ) -> dict[str, Float[Array, " n"]]:
        """Named loss terms of squared errors [N] and KL divergences [N]."""
        if variational:
            return {"loss": error + beta * kl, "reconstruction": error, "kl": kl}
        return {"loss": error / num_pixels, "reconstruction": error / num_pixels}

    def terms(
        params: Tree,
        stats: Tree,
        images: UInt8[Array, "n h w c"],
        key: Key[Array, ""],
        train: bool,
    ) -> tuple[dict[str, Float[Array, " n"]], Tree]:
        """Named loss terms [N] of a batch, and the statistics after it."""
        latents, log_variance, encoder_stats = encode(params, stats, images, train)
        kl = jnp.zeros(len(images))
        if log_variance is not None:
            kl = losses.gaussian_kl(latents, log_variance)
            noise = jax.random.normal(key, latents.shape)
            latents = latents + jnp.exp(0.5 * log_variance) * noise
        outputs, decoder_stats = apply("decoder", params, stats, latents, train)
        error = losses.squared_error(pixels.to_float(images), outputs)
        return name(error, kl), {"encoder": encoder_stats, "decoder": decoder_stats}

    def init(key: Key[Array, ""]) -> TrainState:
        params, stats = networks.init(parts, key)
        return state_lib.create(params, stats, optimizer)

    def loss(
        params: Tree, stats: Tree, images: UInt8[Array, "n h w c"], key: Key[Array, ""]
    ) -> Float[Array, ""]:
        return terms(params, stats, images, key, True)[0]["loss"].mean()

    def step(
        state: TrainState,
        masks: Masks,
        images: UInt8[Array, "n h w c"],
        key: Key[Array, ""],
    ) -> tuple[TrainState, Metrics]:
        def mean_loss(params: Tree) -> tuple[Float[Array, ""], tuple[Metrics, Tree]]:
            named, stats = terms(params, state.stats, images, key, True)
            means = {name: values.mean() for name, values in named.items()}
            return means["loss"], (means, stats)

        grads, (metrics, stats) = jax.grad(mean_loss, has_aux=True)(state.params)
        state = state_lib.apply_update(state, grads, masks, optimizer)
        return state._replace(step=state.step + 1, stats=stats), metrics

    def evaluate(
        state: TrainState, images: UInt8[Array, "n h w c"], key: Key[Array, ""]
    ) -> Metrics:
        return terms(state.params, state.stats, images, key, False)[0]

    def evaluate_constant(
        output: Float[Array | np.ndarray, "h w c"], images: UInt8[Array, "n h w c"]
    ) -> Metrics:
        constant = pixels.to_float(output)[None]
        error = losses.squared_error(pixels.to_float(images), constant)
        return name(error, jnp.zeros_like(error))

    def sample(
        state: TrainState, latents: Float[Array, "n latent"]
    ) -> UInt8[Array, "n h w c"]:
        out, _ = apply("decoder", state.params, state.stats, latents, False)
        return pixels.to_uint8(out)

    def reconstruct(
        state: TrainState, images: UInt8[Array, "n h w c"]
    ) -> UInt8[Array, "n h w c"]:
        mean, _, _ = encode(state.params, state.stats, images, False)
        return sample(state, mean)

    return Task(
        init,
        step,
        loss,
        evaluate,
        reconstruct,
        sample,
        latent_size,
        components=tuple(parts),
        networks=parts,
        evaluate_constant=evaluate_constant,
    )
