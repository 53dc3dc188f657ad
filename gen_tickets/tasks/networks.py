"""Running the two networks of a task: weights, and what else they carry along.

stats[component] = {collection: tree}, every linen collection of the network beside its
weights: "batch_stats" (running mean and variance) and "spectral" (the vectors of the
power iteration). A network without any has {}.
"""

import jax

BATCH_NORM = "batch_stats"
ALL = (BATCH_NORM, "spectral")


def init(modules, inputs, key):
    """Draws the weights of every component.

    Args:
      modules: {component: Flax module, called as module(x, train)}.
      inputs: {component: an input of it}, only the shape matters.
      key: one key; component i uses fold_in(key, i).

    Returns:
      (params, stats), first level = component.
    """
    params, stats = {}, {}
    for i, (component, module) in enumerate(modules.items()):
        variables = module.init(jax.random.fold_in(key, i), inputs[component], False)
        params[component] = variables.pop("params")
        stats[component] = variables
    return params, stats


def apply(module, params, stats, x, train: bool, advance=()):
    """Runs one network.

    Args:
      module: the network; params, stats: its own, without the component's name.
      x: its input [N, ...].
      train: batch norm normalises with this batch's statistics, else the running ones.
      advance: collections that this batch changes (ALL in training); a collection
        that is not named stays as it is.

    Returns:
      (output, stats after).
    """
    # Batch norm writes its running statistics in every training pass: let it, and
    # keep them only if asked.
    mutable = [
        name for name in stats if name in advance or (train and name == BATCH_NORM)
    ]
    variables = {"params": params, **stats}
    output, changed = module.apply(variables, x, train, mutable=mutable)
    return output, {**stats, **{n: changed[n] for n in changed if n in advance}}
