"""One whole DCGAN step against PyTorch in float64: weights, statistics, moments."""

import functools

import jax
import numpy as np
import pytest

from gen_tickets.pruning import masks as masks_lib
from tests import gans

KEY = jax.random.key(0)
BATCH = 6


class TorchGame:
    """DCGAN of widths (4, 6) on 8x8x2 images, written as PyTorch users write it."""

    def __init__(self, state, masks, config):
        self.torch = pytest.importorskip("torch")
        nn = self.torch.nn
        self.names = {
            "discriminator": "conv_0 norm_0 - conv_1 norm_1 - outputs".split(),
            "generator": "base norm_base - conv_0 norm_0 - pixels -".split(),
        }
        self.nets = {
            "discriminator": nn.Sequential(
                nn.Conv2d(2, 4, 4, 2, 1, bias=False),
                nn.BatchNorm2d(4),
                nn.ReLU(),
                nn.Conv2d(4, 6, 4, 2, 1, bias=False),
                nn.BatchNorm2d(6),
                nn.ReLU(),
                nn.Conv2d(6, 1, 2),
            ),
            "generator": nn.Sequential(
                nn.ConvTranspose2d(3, 6, 2, bias=False),
                nn.BatchNorm2d(6),
                nn.ReLU(),
                nn.ConvTranspose2d(6, 4, 4, 2, 1, bias=False),
                nn.BatchNorm2d(4),
                nn.ReLU(),
                nn.ConvTranspose2d(4, 2, 4, 2, 1),
                nn.Tanh(),
            ),
        }
        self.optimizers, self.masks = {}, {}
        for component, net in self.nets.items():
            net.double()
            adam = state.opt_state[component][0]
            b1, b2 = config.optimizer.b1, config.optimizer.b2
            optimizer = self.torch.optim.Adam(
                net.parameters(), config.optimizer.learning_rate, (b1, b2)
            )
            trees_of = state.params, masks, {component: adam.mu}, {component: adam.nu}
            leaves = [self.read(component, tree[component]) for tree in trees_of]
            for name, parameter in net.named_parameters():
                parameter.data = leaves[0][name].double()
                optimizer.state[parameter] = {
                    "step": self.torch.tensor(float(adam.count)),
                    "exp_avg": leaves[2][name].double(),
                    "exp_avg_sq": leaves[3][name].double(),
                }
            self.optimizers[component], self.masks[component] = optimizer, leaves[1]

    def read(self, component, tree):
        """{parameter name of PyTorch: tensor} of a tree like the params."""
        read = {}
        for i, layer in enumerate(self.names[component]):
            for name, leaf in tree.get(layer, {}).items():
                leaf = np.array(leaf)
                if name == "kernel" and component == "discriminator":
                    leaf = leaf.transpose(3, 2, 0, 1)
                elif name == "kernel":
                    leaf = leaf[::-1, ::-1].transpose(2, 3, 0, 1)
                name = "bias" if name == "bias" else "weight"
                read[f"{i}.{name}"] = self.torch.tensor(leaf.copy())
        return read

    def update(self, component, loss):
        """One optimizer step of one network, its mask obeyed."""
        net, optimizer = self.nets[component], self.optimizers[component]
        optimizer.zero_grad()
        loss.backward()
        for name, parameter in net.named_parameters():
            parameter.grad *= self.masks[component][name]
        optimizer.step()
        for name, parameter in net.named_parameters():
            parameter.data *= self.masks[component][name]

    def tracks(self, component, yes):
        """Whether a network's passes are seen by its running statistics."""
        for module in self.nets[component]:
            if isinstance(module, self.torch.nn.BatchNorm2d):
                module.track_running_stats = yes

    def step(self, images, first_latents, second_latents):
        bce = self.torch.nn.functional.binary_cross_entropy_with_logits
        generator, discriminator = self.nets["generator"], self.nets["discriminator"]
        tensor = functools.partial(self.torch.tensor, dtype=self.torch.float64)
        ones = self.torch.ones(len(images), dtype=self.torch.float64)
        real = tensor(np.asarray(images) / 127.5 - 1).permute(0, 3, 1, 2)

        self.tracks("generator", False)
        fake = generator(tensor(first_latents)[:, :, None, None]).detach()
        self.tracks("generator", True)
        loss = bce(discriminator(real).flatten(), ones)
        loss = loss + bce(discriminator(fake).flatten(), 0 * ones)
        self.update("discriminator", loss)

        self.tracks("discriminator", False)
        fake = generator(tensor(second_latents)[:, :, None, None])
        self.update("generator", bce(discriminator(fake).flatten(), ones))
        self.tracks("discriminator", True)
        return loss.item()


def with_moments(state, masks):
    """The state in mid-training: Adam moments are not 0, and masked."""
    rng = np.random.default_rng(1)
    opt_state = {}
    for component, (adam, *rest) in state.opt_state.items():
        mask = masks[component]
        mu = jax.tree.map(lambda x: 0.05 * rng.normal(size=x.shape), adam.mu)
        nu = jax.tree.map(lambda x: rng.uniform(0.01, 0.1, x.shape), adam.nu)
        mu, nu = (jax.tree.map(np.float32, moment) for moment in (mu, nu))
        mu, nu = (masks_lib.apply(mask, moment) for moment in (mu, nu))
        adam = adam._replace(count=np.int32(10), mu=mu, nu=nu)
        opt_state[component] = (adam, *rest)
    return state._replace(opt_state=opt_state)


def test_dcgan_step_with_masks_equals_pytorch():
    pytest.importorskip("torch")
    config = gans.make_config()
    task = gans.make_task()
    state = jax.jit(task.init)(KEY)
    masks = gans.draw_masks(state.params, 0.6)
    state = with_moments(gans.pruned(state, masks), masks)
    images = gans.make_images(BATCH)
    game = TorchGame(state, masks, config)
    first_key = jax.random.split(jax.random.fold_in(KEY, 0))[0]
    latents = [
        np.asarray(jax.random.normal(key, (BATCH, 3)))
        for key in (first_key, jax.random.fold_in(KEY, 1))
    ]
    loss = game.step(images, *latents)
    after, metrics = jax.jit(task.step)(state, masks, images, KEY)

    close = functools.partial(np.testing.assert_allclose, rtol=0, atol=1e-5)
    close(metrics["discriminator_loss"], loss)
    for component, net in game.nets.items():
        adam = after.opt_state[component][0]
        weights = game.read(component, after.params[component])
        mu, nu = (game.read(component, moment) for moment in (adam.mu, adam.nu))
        for name, parameter in net.named_parameters():
            moments = game.optimizers[component].state[parameter]
            close(weights[name], parameter.detach(), err_msg=f"{component} {name}")
            close(mu[name], moments["exp_avg"], err_msg=f"{component} {name}")
            close(nu[name], moments["exp_avg_sq"], err_msg=f"{component} {name}")
        statistics = after.stats[component]["batch_stats"]
        for layer, module in zip(game.names[component], net, strict=True):
            if layer in statistics:
                close(statistics[layer]["mean"], module.running_mean)
                close(statistics[layer]["var"], module.running_var)
