"""Saliencies: one number per weight, higher = keep.

Every saliency is called as `score(params, task=, stats=, batches=, key=) -> tree as
params`, for one member, and has defaults for arguments that it does not use:
`magnitude` needs only the weights. `batches` are training images, uint8
[B, N, H, W, C]. Gradients are those of the task's own loss, averaged over the batches;
in a GAN, each network has the gradient of its own objective. Only kernels are ranked.

For a custom model, the task is any object with the attribute that a saliency reads:
`snip` and `grasp` take a `HasLoss`, where `batches` is any tree of arrays with the
batches along their first axis; `synflow` takes a `HasNetworks`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from gen_tickets import trees
from gen_tickets.config import registries
from gen_tickets.errors import UserError
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.trees import Tree

_FAINT = 1e-20  # see synflow


@runtime_checkable
class HasLoss(Protocol):
    """The part of a task that gradient-based saliencies use."""

    @property
    def loss(self) -> Callable[[Tree, Tree, Tree, Array], Array]:
        """(params, stats, batch, key) -> scalar, differentiable in params."""


@runtime_checkable
class HasModule(Protocol):
    """The part of a network that architecture-based saliencies use."""

    @property
    def module(self) -> nn.Module:
        """Called as module(x, train)."""

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one example."""


@runtime_checkable
class HasNetworks(Protocol):
    """The part of a task that architecture-based saliencies use."""

    @property
    def networks(self) -> Mapping[str, HasModule]:
        """{component: network}."""


def _check_initial(options: Mapping[str, Any]) -> None:
    """Raises UserError unless the initial weights are scored."""
    schedule = options["prune.schedule"]
    if schedule != "at_initialization":
        raise UserError(
            f"prune.method={options['prune.method']!r}",
            f"scores initial weights, not those of prune.schedule={schedule!r}",
            "give prune.schedule='at_initialization' and rewind.step=0",
        )


def _check_flow(options: Mapping[str, Any]) -> None:
    """Raises UserError if the flow through the kernels is undefined."""
    name = options["model.name"]
    model = registries.model.get(name)
    if model.normalizes_kernels or model.normalizes_examples:
        divided = "kernels by their" if model.normalizes_kernels else "examples by a"
        raise UserError(
            f"prune.method={options['prune.method']!r}",
            f"model.name={name!r} divides {divided} norm, so that no flow through "
            "the kernels is defined",
            "give magnitude, snip or grasp",
        )


@registries.saliency("magnitude")
def magnitude(
    params: Tree,
    task: object = None,
    stats: Tree = None,
    batches: Tree = None,
    key: Key[Array, ""] | None = None,
) -> Tree:
    """|w|: the score of iterative magnitude pruning (paper, Section 3.1)."""
    del task, stats, batches, key
    return jax.tree.map(jnp.abs, params)


@registries.saliency("random")
def random(
    params: Tree,
    task: object = None,
    stats: Tree = None,
    batches: Tree = None,
    *,
    key: Key[Array, ""],
) -> Tree:
    """Uniform in [0, 1): a random mask, as a baseline."""
    del task, stats, batches
    # One draw for all leaves: each would take a twentieth of a second to compile.
    flat, unravel = ravel_pytree(jax.tree.map(lambda x: jnp.zeros(x.shape), params))
    return unravel(jax.random.uniform(key, flat.shape))


def _mean(
    function: Callable[[Tree, Array], Tree], batches: Tree, key: Key[Array, ""]
) -> Tree:
    """Mean of function(batch, key) over batches, computed sequentially."""

    def add(total: Tree, i_and_batch: tuple[Array, Tree]) -> tuple[Tree, None]:
        i, batch = i_and_batch
        value = function(batch, jax.random.fold_in(key, i))
        return jax.tree.map(jnp.add, total, value), None

    count = len(jax.tree.leaves(batches)[0])
    first = jax.tree.map(lambda x: x[0], batches)
    shapes = jax.eval_shape(function, first, key)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
    total, _ = lax.scan(add, zeros, (jnp.arange(count), batches))
    return jax.tree.map(lambda x: x / count, total)


def _gradient(
    params: Tree, task: HasLoss, stats: Tree, batches: Tree, key: Key[Array, ""]
) -> Tree:
    return _mean(
        lambda batch, key: jax.grad(task.loss)(params, stats, batch, key), batches, key
    )


def _times(a: Tree, b: Tree) -> Tree:
    return jax.tree.map(jnp.multiply, a, b)


@registries.saliency("snip", of_images=True, check=_check_initial)
def snip(
    params: Tree, task: HasLoss, stats: Tree, batches: Tree, key: Key[Array, ""]
) -> Tree:
    """|w * g|: sensitivity of the loss to the mask of w (Lee et al. 2019)."""
    g = _gradient(params, task, stats, batches, key)
    return jax.tree.map(jnp.abs, _times(params, g))


@registries.saliency("grasp", of_images=True, check=_check_initial)
def grasp(
    params: Tree,
    task: HasLoss,
    stats: Tree,
    batches: Tree,
    key: Key[Array, ""],
    names: Sequence[str] | None = None,
) -> Tree:
    """w * (H g): the gradient flow that is lost without w (Wang et al. 2020).

    The paper's S = -w * (H g) is the increase of the gradient flow without w. The paper
    removes the largest S, so the saliency is its negative. g and H are taken over the
    unpruned (nonzero) kernels: the leaves in `names`, or if None, those named as in
    Flax.
    """
    kernels = masks_lib.kernel_names(params, names)
    g = _gradient(params, task, stats, batches, key)

    def of_kernel(name: str, g: Array, w: Array) -> Array:
        return jnp.where(w != 0, g, 0) if name in kernels else 0 * g

    g = trees.map_named(of_kernel, g, params)

    def hessian_times_g(batch: Tree, key: Key[Array, ""]) -> Tree:
        # Reverse over reverse: the gradient rules of convolutions have no forward mode.
        def along_g(params: Tree) -> Array:
            grads = jax.grad(task.loss)(params, stats, batch, key)
            products = jax.tree.leaves(jax.tree.map(jnp.vdot, grads, g))
            return sum(products, start=jnp.zeros(()))

        return jax.grad(along_g)(params)

    return _times(params, _mean(hessian_times_g, batches, key))


@registries.saliency("synflow", check=_check_flow)
def synflow(
    params: Tree,
    task: HasNetworks,
    stats: Tree,
    batches: Tree = None,
    key: Key[Array, ""] | None = None,
) -> Tree:
    """|w| * dR/d|w|, R = 1^T prod |W| 1: the flow through w (Tanaka et al. 2020).

    R is the sum of a network's outputs for an input of ones, with |w| as weights, no
    biases, and batch norms that divide by 1; no images are needed. The input is scaled
    down so that a final tanh is linear, which scales all scores of a network equally.
    """
    del batches, key
    still = {"mean": jnp.zeros_like, "var": jnp.ones_like}
    scores = {}
    for component, network in task.networks.items():
        ones = jnp.full((1, *network.input_shape), _FAINT)
        flowing = trees.map_named(
            lambda name, x: 0 * x if name.endswith("/bias") else jnp.abs(x),
            params[component],
        )
        fixed = trees.map_named(
            lambda name, x: still[name.rpartition("/")[2]](x), stats[component]
        )

        def flow(flowing: Tree) -> Float[Array, ""]:
            variables = {"params": flowing, **fixed}
            outputs: Tree = network.module.apply(variables, ones, False)
            return outputs.sum() / _FAINT

        scores[component] = _times(flowing, jax.grad(flow)(flowing))
    return scores
