"""A task of your own: a denoising autoencoder (Vincent et al. 2008).

python -m gen_tickets.main --config=examples/own_task.py
"""

import jax

from gen_tickets import losses
from gen_tickets.config import registries
from gen_tickets.data import pixels
from gen_tickets.experiments import quickstart
from gen_tickets.tasks import autoencoder, networks
from gen_tickets.training import optimizer as optimizer_lib
from gen_tickets.training import state as state_lib

BLACK = 0.3  # share of pixels


@registries.task("denoising")
def denoising(config, setting):
    """Denoising autoencoder, mean squared error (Vincent et al. 2008)."""
    whole = autoencoder.autoencoder(config, setting)
    optimizer = optimizer_lib.make(config.optimizer, setting.num_steps)

    def terms(params, stats, images, key):
        kept = jax.random.bernoulli(key, 1 - BLACK, images.shape[:3] + (1,))
        x, after = pixels.to_float(images * kept), {}
        for name in ("encoder", "decoder"):
            x, after[name] = networks.apply(
                whole.networks[name].module, params[name], stats[name], x, True
            )
        error = losses.squared_error(pixels.to_float(images), x).mean()
        return error / x[0].size, after

    def step(state, masks, images, key):
        differentiate = jax.value_and_grad(terms, has_aux=True)
        (loss, stats), grads = differentiate(state.params, state.stats, images, key)
        state = state_lib.apply_update(state, grads, masks, optimizer)
        return state._replace(step=state.step + 1, stats=stats), {"loss": loss}

    def loss(params, stats, images, key):
        return terms(params, stats, images, key)[0]

    return whole._replace(step=step, loss=loss)


def get_config(size="full"):
    config = quickstart.get_config(size)
    config.task.name = "denoising"
    return config
