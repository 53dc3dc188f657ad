"""Generative adversarial networks: {generator, discriminator}.

One step is `task.discriminator_steps` updates of the discriminator, each on its own
real images and latents, then one of the generator on new latents (Goodfellow et al.
2014, algorithm 1). An update changes the weights and statistics of one component and
leaves the other unchanged. Real and generated images pass batch norm separately.

Metrics of a step, and of an evaluation (there one number per image):

- discriminator_loss: real term + fake term; generator_loss; loss: the sum of both
  objectives, which shows whether a member diverged, not how good it is.
- discriminator_accuracy_real, _fake: fraction of real logits above 0, of generated
  logits below 0. Meaningless for a Wasserstein critic.
- gradient_penalty: if enabled, without its weight (steps only).
- sample_spread (evaluation only): standard deviation of a pixel over a batch of
  samples, divided by that over the real batch, averaged over pixels. About 1 for a good
  generator, about 0 for one that collapsed to a single image.
"""

from collections.abc import Collection

import jax
import jax.numpy as jnp
import ml_collections
from jax import lax
from jaxtyping import Array, Float, Key, UInt8

from gen_tickets import losses, models, trees
from gen_tickets.config import registries
from gen_tickets.config.column import Column
from gen_tickets.data import pixels
from gen_tickets.distributed import mesh
from gen_tickets.tasks import average, networks
from gen_tickets.tasks.task import Metrics, Setting, Task
from gen_tickets.training import optimizer as optimizer_lib
from gen_tickets.training import state as state_lib
from gen_tickets.training.state import TrainState
from gen_tickets.trees import Masks, Tree

_GREY_LEVEL = 1 / 127.5


def clip_weights(params: Tree, limit: float) -> Tree:
    """Clips kernels and their biases to [-limit, limit], but not batch norm."""
    names = trees.named_leaves(params)

    def clip(name: str, x: Array) -> Array:
        layer = name.rpartition("/")[0]
        return jnp.clip(x, -limit, limit) if f"{layer}/kernel" in names else x

    return trees.map_named(clip, params)


class _Game:
    """The two networks, their objectives and their updates, for one member."""

    def __init__(self, config: ml_collections.ConfigDict, setting: Setting) -> None:
        image_shape, sizes = setting.image_shape, setting.channels
        self.discriminator, self.generator = models.build(
            config,
            image_shape,
            1,
            (sizes.get("discriminator", ()), sizes.get("generator", ())),
            setting.lowering,
        )
        self.latent_size = config.model.latent_size
        self.networks = {
            "generator": networks.Network(self.generator, (self.latent_size,)),
            "discriminator": networks.Network(self.discriminator, image_shape),
        }
        self.terms = registries.loss.get(config.task.loss).terms()
        self.num_updates = config.task.discriminator_steps
        self.weight_clip = config.task.weight_clip
        self.penalty_weight = config.task.gradient_penalty
        self.batch_statistics = config.eval.batch_norm == "batch"
        self.optimizer = optimizer_lib.make(config.optimizer, setting.num_steps)

    def init(self, key: Key[Array, ""]) -> TrainState:
        params, stats = networks.init(self.networks, key)
        return state_lib.create(params, stats, self.optimizer)

    def _latents(
        self, key: Key[Array, ""], count: int
    ) -> Float[Array, "{count} {self.latent_size}"]:
        return mesh.divide(jax.random.normal(key, (count, self.latent_size)))

    def _generate(
        self,
        params: Tree,
        stats: Tree,
        latents: Float[Array, "n latent"],
        train: bool,
        advance: Collection[str] = (),
    ) -> tuple[Float[Array, "n h w c"], Tree]:
        """-> (images [N, H, W, C] in [-1, 1], statistics of the generator)."""
        return networks.apply(self.generator, params, stats, latents, train, advance)

    def _judge(
        self,
        params: Tree,
        stats: Tree,
        images: Float[Array, "n h w c"],
        advance: Collection[str] = (),
    ) -> tuple[Float[Array, " n"], Tree]:
        """-> (logits [N], statistics of the discriminator)."""
        # Always uses the batch's own statistics, also in evaluation: training passes
        # real and generated batches separately, and running statistics fit neither.
        logits, stats = networks.apply(
            self.discriminator, params, stats, images, True, advance
        )
        return logits[:, 0], stats

    def _discriminator_metrics(
        self, real: Float[Array, " n"], fake: Float[Array, " n"]
    ) -> dict[str, Float[Array, " n"]]:
        """Named numbers [N] from logits [N]."""
        return {
            "discriminator_loss": self.terms.real(real) + self.terms.fake(fake),
            "discriminator_accuracy_real": (real > 0).astype(jnp.float32),
            "discriminator_accuracy_fake": (fake < 0).astype(jnp.float32),
        }

    def _discriminator_objective(
        self,
        params: Tree,
        stats: Tree,
        images: Float[Array, "n h w c"],
        fakes: Float[Array, "n h w c"],
        key: Key[Array, ""],
    ) -> tuple[Float[Array, ""], tuple[Metrics, Tree]]:
        """-> (objective of the discriminator, (its metrics, its statistics))."""
        # One power iteration per update: the second pass advances batch norm only.
        real, after = self._judge(params, stats, images, networks.ALL)
        fake, after = self._judge(params, after, fakes, (networks.BATCH_NORM,))
        named = self._discriminator_metrics(real, fake)
        metrics = {name: values.mean() for name, values in named.items()}
        objective = metrics["discriminator_loss"]
        if self.penalty_weight > 0:
            # With batch norm, points share their batch's statistics, as in the other
            # two passes; Gulrajani et al. 2017 use a critic without batch norm.
            penalty = losses.gradient_penalty(
                lambda x: self._judge(params, after, x)[0], images, fakes, key
            ).mean()
            metrics["gradient_penalty"] = penalty
            objective += self.penalty_weight * penalty
        return objective, ({**metrics, "loss": objective}, after)

    def _fakes(
        self, params: Tree, stats: Tree, key: Key[Array, ""], count: int
    ) -> Float[Array, "n h w c"]:
        """Images of a generator with these weights, for a discriminator update."""
        return self._generate(params, stats, self._latents(key, count), True)[0]

    def _generator_objective(
        self,
        params: Tree,
        stats: Tree,
        judge: losses.Term,
        latents: Float[Array, "n latent"],
    ) -> tuple[Float[Array, ""], Tree]:
        """-> (objective of the generator, its statistics); judge returns logits."""
        fakes, stats = self._generate(params, stats, latents, True, networks.ALL)
        return self.terms.generator(judge(fakes)).mean(), stats

    def _discriminator_step(
        self,
        state: TrainState,
        masks: Masks,
        images: UInt8[Array, "n h w c"],
        key: Key[Array, ""],
    ) -> tuple[TrainState, Metrics]:
        latent_key, mix_key = jax.random.split(key)
        generator = state.params["generator"], state.stats["generator"]
        fakes = self._fakes(*generator, latent_key, len(images))
        # Differentiates with respect to this component only.
        differentiate = jax.grad(self._discriminator_objective, has_aux=True)
        grads, (metrics, stats) = differentiate(
            state.params["discriminator"],
            state.stats["discriminator"],
            pixels.to_float(images),
            fakes,
            mix_key,
        )
        grads = {"discriminator": grads}
        state = state_lib.apply_update(state, grads, masks, self.optimizer)
        if self.weight_clip > 0:
            clipped = clip_weights(state.params["discriminator"], self.weight_clip)
            state = state._replace(params={**state.params, "discriminator": clipped})
        return state._replace(stats={**state.stats, "discriminator": stats}), metrics

    def _generator_step(
        self, state: TrainState, masks: Masks, latents: Float[Array, "n latent"]
    ) -> tuple[TrainState, Float[Array, ""]]:
        def judge(images: Float[Array, "n h w c"]) -> Float[Array, " n"]:
            params, stats = state.params["discriminator"], state.stats["discriminator"]
            return self._judge(params, stats, images)[0]

        objective = jax.value_and_grad(self._generator_objective, has_aux=True)
        (loss, stats), grads = objective(
            state.params["generator"], state.stats["generator"], judge, latents
        )
        grads = {"generator": grads}
        state = state_lib.apply_update(state, grads, masks, self.optimizer)
        return state._replace(stats={**state.stats, "generator": stats}), loss

    def step(
        self,
        state: TrainState,
        masks: Masks,
        images: UInt8[Array, "images h w c"],
        key: Key[Array, ""],
    ) -> tuple[TrainState, Metrics]:
        count = self.num_updates
        batches = images.reshape(count, -1, *images.shape[1:])

        def update(
            state: TrainState, i_and_batch: tuple[Array, Array]
        ) -> tuple[TrainState, Metrics]:
            i, batch = i_and_batch
            step_key = jax.random.fold_in(key, i)
            return self._discriminator_step(state, masks, mesh.divide(batch), step_key)

        state, metrics = lax.scan(update, state, (jnp.arange(count), batches))
        metrics = {name: values.mean() for name, values in metrics.items()}
        latents = self._latents(jax.random.fold_in(key, count), batches.shape[1])
        state, loss = self._generator_step(state, masks, latents)
        metrics |= {"generator_loss": loss, "loss": metrics["loss"] + loss}
        return state._replace(step=state.step + 1), metrics

    def loss(
        self,
        params: Tree,
        stats: Tree,
        images: UInt8[Array, "n h w c"],
        key: Key[Array, ""],
    ) -> Float[Array, ""]:
        """Sum of both objectives; a component has the gradient of its own objective."""

        def judge(images: Float[Array, "n h w c"]) -> Float[Array, " n"]:
            fixed = lax.stop_gradient(params["discriminator"])
            return self._judge(fixed, stats["discriminator"], images)[0]

        latent_key, mix_key = jax.random.split(key)
        generator = lax.stop_gradient(params["generator"]), stats["generator"]
        fakes = self._fakes(*generator, latent_key, len(images))
        discriminator_loss, _ = self._discriminator_objective(
            params["discriminator"],
            stats["discriminator"],
            pixels.to_float(images),
            fakes,
            mix_key,
        )
        latents = self._latents(latent_key, len(images))
        generator_loss, _ = self._generator_objective(
            params["generator"], stats["generator"], judge, latents
        )
        return discriminator_loss + generator_loss

    def _samples(
        self, state: TrainState, latents: Float[Array, "n latent"]
    ) -> Float[Array, "n h w c"]:
        """Float images of the generator in evaluation mode."""
        player = state.params["generator"], state.stats["generator"]
        return self._generate(*player, latents, self.batch_statistics)[0]

    def evaluate(
        self, state: TrainState, images: UInt8[Array, "n h w c"], key: Key[Array, ""]
    ) -> Metrics:
        images = pixels.to_float(images)
        fakes = self._samples(state, self._latents(key, len(images)))
        player = state.params["discriminator"], state.stats["discriminator"]
        real, _ = self._judge(*player, images)
        fake, _ = self._judge(*player, fakes)
        named = self._discriminator_metrics(real, fake)
        generator_loss = self.terms.generator(fake)
        # A batch that repeats one image has no spread; one grey level bounds the ratio.
        spread = fakes.std(0).mean() / jnp.maximum(images.std(0).mean(), _GREY_LEVEL)
        return {
            "loss": named["discriminator_loss"] + generator_loss,
            "generator_loss": generator_loss,
            "sample_spread": jnp.full(len(images), spread),
            **named,
        }

    def sample(
        self, state: TrainState, latents: Float[Array, "n latent"]
    ) -> UInt8[Array, "n h w c"]:
        return pixels.to_uint8(self._samples(state, latents))


# Losses of adversarial networks do not measure quality, so no direction is better.
_COLUMNS = (
    Column("discriminator_loss", label="discriminator loss"),
    Column("generator_loss", label="generator loss"),
    Column("discriminator_accuracy_real", label="discriminator accuracy, real"),
    Column("discriminator_accuracy_fake", label="discriminator accuracy, fake"),
    Column("gradient_penalty", label="gradient penalty"),
    Column("sample_spread", label="spread of the samples"),
)


@registries.task(
    "gan",
    options=(
        "task.loss",
        "task.discriminator_steps",
        "task.weight_clip",
        "task.gradient_penalty",
        "model.discriminator",
        "model.generator",
        "eval.average_decay",
    ),
    reconstructs=False,
    loss_is_quality=False,
    columns=_COLUMNS,
)
def gan(config: ml_collections.ConfigDict, setting: Setting) -> Task:
    """Generative adversarial network."""
    game = _Game(config, setting)
    task = Task(
        init=game.init,
        step=game.step,
        loss=game.loss,
        evaluate=game.evaluate,
        reconstruct=None,
        sample=game.sample,
        latent_size=game.latent_size,
        components=tuple(game.networks),
        networks=game.networks,
    )
    return average.keep(task, ("generator",), config.eval.average_decay)
