"""Finds a lottery ticket in a custom model: a Flax MLP on digits.

    python examples/prune_own_model.py

`gt.find_ticket` needs a loss, weights, batches and an optimizer. The weights can be any
pytree: from linen, nnx, Equinox, Haiku, or lists of arrays. `gt.wrap_optax` applies a
mask in your own training loop. The steps of the search are functions too: `gt.select`,
`gt.rewind`, and those in `gt.masks` and `gt.saliency`.
"""

import flax.linen as nn
import jax
import optax
from sklearn import datasets

import gen_tickets as gt

IMAGES, LABELS = datasets.load_digits(return_X_y=True)  # [1797, 64] in 0..16, [1797]
MODEL = nn.Sequential([nn.Dense(64), nn.relu, nn.Dense(32), nn.relu, nn.Dense(10)])


def batches(first, last, size=100):
    """{"images": [batches, size, 64], "labels": [batches, size]}."""
    images, labels = IMAGES[first:last] / 16, LABELS[first:last]
    return {
        "images": images.reshape(-1, size, 64),
        "labels": labels.reshape(-1, size),
    }


def loss(params, batch):
    logits = MODEL.apply({"params": params}, batch["images"])
    return optax.softmax_cross_entropy_with_integer_labels(
        logits, batch["labels"]
    ).mean()


def train_on(ticket, data, epochs=5):
    """A custom training loop; pruned weights stay exactly 0."""
    optimizer = gt.wrap_optax(optax.adam(1e-2), ticket.masks)
    params, state = ticket.params, optimizer.init(ticket.params)

    @jax.jit
    def step(params, state, batch):
        updates, state = optimizer.update(jax.grad(loss)(params, batch), state, params)
        return optax.apply_updates(params, updates), state

    for _ in range(epochs):
        for i in range(len(data["labels"])):
            batch = {name: array[i] for name, array in data.items()}
            params, state = step(params, state, batch)
    return params


def main():
    data, heldout = batches(0, 1400), batches(1400, 1700)
    params = MODEL.init(jax.random.key(0), IMAGES)["params"]
    ticket, rounds = gt.find_ticket(
        loss,
        params,
        data,
        optax.adam(1e-2),
        rounds=6,
        fraction=0.36,
        rewind=14,
        epochs=10,
        heldout=heldout,
    )
    print("sparsity  winning  random  (held-out cross-entropy)")
    for one in rounds:
        print(f"{one.sparsity:8.4f}  {one.winning:7.3f}  {one.random:6.3f}")
    gt.tickets.save("runs/own_model/ticket.npz", ticket)
    ticket = gt.tickets.load("runs/own_model/ticket.npz", like=params)
    number = ticket.provenance["round"]
    won = f"round {number} is the sparsest winning ticket"
    print(won if number else "no round has a winning ticket")
    heldout = jax.tree.map(jax.numpy.concatenate, heldout)
    print(
        f"trained in a loop of one's own: {loss(train_on(ticket, data), heldout):.3f}"
    )


if __name__ == "__main__":
    main()
