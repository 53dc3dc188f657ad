"""Iterative magnitude pruning of a model that is not ours: a Flax MLP on digits.

    python examples/prune_own_model.py

The model and its training loop are one's own; all they take from gen_tickets are masks.
Where kernels are not called "kernel", list them by hand: names = ("0/w", "1/w"), and
give them to `gt.masks.sparsity` and `gt.masks.layer_counts`, too.
"""

import flax.linen as nn
import jax
import optax
from sklearn import datasets

import gen_tickets as gt

ROUNDS, FRACTION, STEPS = 6, 0.36, 150
IMAGES, LABELS = datasets.load_digits(return_X_y=True)  # [1797, 64] in 0..16, [1797]
TRAIN, TEST = (IMAGES[:1400] / 16, LABELS[:1400]), (IMAGES[1400:] / 16, LABELS[1400:])
MODEL = nn.Sequential([nn.Dense(64), nn.relu, nn.Dense(32), nn.relu, nn.Dense(10)])
OPTIMIZER = optax.adam(1e-2)


def loss(params, images, labels):
    logits = MODEL.apply({"params": params}, images)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


@jax.jit
def train(params, masks):
    """STEPS of Adam on all images; what is masked stays exactly 0."""

    def step(_, params_and_moments):
        params, moments = params_and_moments
        grads = gt.masks.apply(masks, jax.grad(loss)(params, *TRAIN))
        updates, moments = OPTIMIZER.update(grads, moments)
        return gt.masks.apply(masks, optax.apply_updates(params, updates)), moments

    return jax.lax.fori_loop(0, STEPS, step, (params, OPTIMIZER.init(params)))[0]


def find_ticket(start):
    """Trains, scores, selects and rewinds, ROUNDS times."""
    masks, names = gt.masks.dense(start), gt.masks.prunable_names(start)
    total = sum(size for size, _ in gt.masks.layer_counts(masks).values())
    for round_number in range(1, ROUNDS + 1):
        trained = train(gt.rewind(masks, start), masks)
        num_keep = gt.masks.keep_count(total, FRACTION, round_number)
        masks, _ = gt.select(gt.saliency.magnitude(trained), masks, names, [num_keep])
    return gt.tickets.Ticket(masks, gt.rewind(masks, start))


def main():
    start, other = (MODEL.init(jax.random.key(i), IMAGES)["params"] for i in (0, 1))
    gt.tickets.save("runs/own_model/ticket.npz", find_ticket(start))
    ticket = gt.tickets.load("runs/own_model/ticket.npz")
    print(f"sparsity {gt.masks.sparsity(ticket.masks):.4f}; held-out cross-entropy:")
    for arm, params, masks in (
        ("dense", start, gt.masks.dense(start)),
        ("winning", ticket.params, ticket.masks),
        ("random", gt.rewind(ticket.masks, other), ticket.masks),
    ):
        print(f"{arm:8s} {loss(train(params, masks), *TEST):.3f}")


if __name__ == "__main__":
    main()
