"""The data set's classifier: its network, its augmentation, its training, its cache."""

import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import untrained

from gen_tickets.config import defaults
from gen_tickets.data import dataset as dataset_lib
from gen_tickets.errors import UserError
from gen_tickets.evaluation.features import (
    cache,
    classifier,
    training_time,
    weights,
)
from gen_tickets.kernels.lowering import LIBRARY
from gen_tickets.pruning import masks as masks_lib
from gen_tickets.tasks import classifier as classifier_lib
from gen_tickets.training import loop as loop_lib

pytestmark = pytest.mark.usefixtures("library_convolutions")

RNG = np.random.default_rng(0)
WIDTH, EPOCHS = 2, 1


def digits():
    config = defaults.get_config()
    config.data.image_size = 8
    return dataset_lib.load(config)


@pytest.fixture(scope="module")
def dataset():
    return digits()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _cache(folder, monkeypatch):
    monkeypatch.setenv(weights.CACHE_VARIABLE, str(folder))


# --- the network -----------------------------------------------------------------


def test_resnet18_has_published_cifar_weight_count_and_shapes():
    network = classifier.ResNet18(64, 10, lowering=LIBRARY)
    image = jnp.zeros((2, 32, 32, 3))
    variables = jax.eval_shape(
        lambda key: network.init(key, image, False), jax.random.key(0)
    )
    sizes = [leaf.size for leaf in jax.tree.leaves(variables["params"])]
    # The count that public PyTorch versions for CIFAR-10 have.
    assert sum(sizes) == 11_173_962
    outputs = jax.eval_shape(lambda v: network.apply(v, image, False), variables)
    assert outputs.features.shape == (2, 512) and outputs.logits.shape == (2, 10)


def test_resnet18_outputs_equal_explicit_library_convolutions():
    """Written out with the library's convolution, on random weights and statistics."""
    dataset = fake_set(3)
    network = classifier.ResNet18(WIDTH, 3, lowering=LIBRARY)
    arrays = untrained.train(dataset, network, classifier_lib.Recipe(1), {})
    for name in arrays:
        if name.endswith(("bias", "mean")):
            arrays[name] = RNG.normal(size=arrays[name].shape).astype(np.float32)
        elif name.endswith(("scale", "var")):
            arrays[name] = RNG.uniform(0.5, 2, arrays[name].shape).astype(np.float32)

    def unit(x, conv, norm, strides=1):
        def weight(part):
            return arrays[f"params/classifier/{part}"]

        def statistic(part):
            return arrays[f"stats/classifier/batch_stats/{norm}/{part}"]

        kernel = weight(f"{conv}/kernel")
        pad = kernel.shape[0] // 2
        x = jax.lax.conv_general_dilated(
            x,
            kernel,
            (strides, strides),
            ((pad, pad), (pad, pad)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        x = (x - statistic("mean")) / np.sqrt(statistic("var") + 1e-5)
        return x * weight(f"{norm}/scale") + weight(f"{norm}/bias")

    images = dataset.train.images[:2]
    x = np.maximum(unit(images / np.float32(127.5) - 1, "stem", "norm_stem"), 0)
    for stage in range(4):
        for i in range(2):
            block, strides = f"block_{stage}_{i}", 1 + (stage > 0 and i == 0)
            y = unit(x, f"{block}/conv_0", f"{block}/norm_0", strides)
            y = unit(np.maximum(y, 0), f"{block}/conv_1", f"{block}/norm_1")
            if strides > 1:
                names = f"{block}/conv_shortcut", f"{block}/norm_shortcut"
                x = unit(x, *names, strides)
            x = np.maximum(x + y, 0)
    assert x.shape == (2, 1, 1, 8 * WIDTH)
    features = x.mean((1, 2))
    kernel, bias = (
        arrays[f"params/classifier/logits/{part}"] for part in ("kernel", "bias")
    )
    key = {"image_size": 8, "channels": 3}
    found = classifier.Classifier(
        network, classifier.variables_of(arrays), 0.0, key, ""
    ).extract(images)
    np.testing.assert_allclose(found.features, features, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(
        found.logits, features @ kernel + bias, rtol=1e-4, atol=1e-4
    )


# --- augmentation ----------------------------------------------------------------


def candidates(image, shift, flip):
    """{bytes: (rows, columns, mirrored)} of all that augmentation may make of it."""
    padded = np.pad(image, ((shift, shift), (shift, shift), (0, 0)))
    height, width, _ = image.shape
    found = {}
    for i in range(2 * shift + 1):
        for j in range(2 * shift + 1):
            moved = padded[i : i + height, j : j + width]
            found[moved.tobytes()] = (i, j, False)
            if flip:
                found[moved[:, ::-1].tobytes()] = (i, j, True)
    return found


@pytest.mark.parametrize("flip", [False, True])
def test_augment_shifts_and_flips_whole_images(flip):
    images = RNG.integers(1, 256, (60, 9, 7, 3), np.uint8)
    augmented = classifier_lib.augment(images, jax.random.key(1), 2, flip)
    assert augmented.dtype == jnp.uint8
    drawn = [
        candidates(image, 2, flip)[np.asarray(after).tobytes()]
        for image, after in zip(images, augmented)
    ]
    rows, columns, mirrored = map(set, zip(*drawn))
    assert rows == columns == set(range(5))
    assert mirrored == ({False, True} if flip else {False})
    assert len(set(drawn)) > 15  # each image has its own


def test_augment_without_shift_and_flip_is_identity():
    images = RNG.integers(0, 256, (5, 6, 6, 1), np.uint8)
    after = classifier_lib.augment(images, jax.random.key(0), 0, False)
    np.testing.assert_array_equal(after, images)


def fake_set(channels, num_classes=3, count=40):
    images = RNG.integers(0, 256, (count, 8, 8, channels), np.uint8)
    labels = (np.arange(count) % num_classes).astype(np.int32)
    part = dataset_lib.ImageSet(images, labels)
    about = {"name": "fake", "sha256_train": "a", "sha256_heldout": "b"}
    return dataset_lib.Dataset(part, part, about)


def test_recipe_augments_colour_images_only():
    for channels, expected in ((1, (0, False)), (3, (4, True))):
        recipe = classifier._key(fake_set(channels), 1, 4)["recipe"]
        assert (recipe["shift"], recipe["flip"]) == expected


# --- the task, in the loop of all tasks ------------------------------------------


class Linear(nn.Module):
    """A network of one layer, to see the task alone."""

    @nn.compact
    def __call__(self, x, train):
        features = x.reshape(len(x), -1)
        return classifier_lib.Outputs(features, nn.Dense(3, name="logits")(features))


@pytest.fixture(scope="module")
def linear():
    recipe = classifier_lib.Recipe(num_steps=10, learning_rate=0.05, shift=1, flip=True)
    task = classifier_lib.build(Linear(), (4, 4, 3), recipe)
    init, step, evaluate = map(jax.jit, (task.init, task.step, task.evaluate))
    return task._replace(init=init, step=step, evaluate=evaluate)


EXAMPLES = {
    "images": RNG.integers(0, 256, (20, 4, 4, 3), np.uint8),
    "labels": RNG.integers(0, 3, 20).astype(np.int32),
}


def test_evaluate_loss_and_accuracy_equal_numpy(linear):
    state = linear.init(jax.random.key(0))
    found = linear.evaluate(state, EXAMPLES, jax.random.key(1))
    layer = state.params["classifier"]["logits"]
    x = EXAMPLES["images"].reshape(20, -1) / 127.5 - 1.0
    logits = x @ np.asarray(layer["kernel"], np.float64) + np.asarray(layer["bias"])
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    expected = -np.log(p[np.arange(20), EXAMPLES["labels"]])
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)
    right = logits.argmax(1) == EXAMPLES["labels"]
    np.testing.assert_array_equal(found["accuracy"], right)


def test_loop_with_labels_equals_single_steps(linear):
    loop = loop_lib.make_loop(linear)
    keys = jax.random.split(jax.random.key(2), 2)
    state = jax.vmap(linear.init)(keys)
    masks = masks_lib.dense(state.params)
    order = RNG.integers(0, 20, (loop_lib.MAX_STRETCH, 2, 6)).astype(np.int32)
    alone = jax.tree.map(lambda x: np.asarray(x)[1], state)
    for i in range(3):
        batch = {name: x[order[i, 1]] for name, x in EXAMPLES.items()}
        alone_masks = jax.tree.map(lambda x: x[1], masks)
        key = jax.random.fold_in(keys[1], i)
        alone, _ = linear.step(alone, alone_masks, batch, key)
    totals = loop_lib.empty_totals(linear, EXAMPLES, 2)
    examples = jax.tree.map(jnp.asarray, EXAMPLES)
    state, _ = loop.stretch(state, totals, masks, examples, order, keys, 3)
    for x, y in zip(jax.tree.leaves(state.params), jax.tree.leaves(alone.params)):
        np.testing.assert_allclose(x[1], y, rtol=1e-5, atol=1e-6)
    batches, sizes = loop_lib.in_batches(EXAMPLES, 8)
    assert batches["images"].shape == (3, 8, 4, 4, 3)
    np.testing.assert_array_equal(
        batches["labels"].reshape(-1)[:20], EXAMPLES["labels"]
    )
    found = loop.evaluate(state, batches, sizes, keys)
    plain = linear.evaluate(jax.tree.map(lambda x: x[0], state), EXAMPLES, keys[0])
    np.testing.assert_allclose(found["loss"][0], plain["loss"].mean(), rtol=1e-5)


# --- training and cache ----------------------------------------------------------


@pytest.fixture(scope="module")
def trained(dataset, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(weights.CACHE_VARIABLE, str(folder))
        return classifier.load_classifier(dataset, EPOCHS, WIDTH)


def test_load_classifier_accuracy_is_above_chance_and_reported(trained, dataset):
    images, labels = dataset.heldout
    outputs = trained.extract(images)
    assert outputs.features.shape == (300, 8 * WIDTH)
    accuracy = (outputs.logits.argmax(1) == labels).mean()
    assert accuracy > 0.3  # chance is 0.1
    assert trained.accuracy == pytest.approx(accuracy, abs=1e-6)


def test_extract_features_do_not_depend_on_other_images(trained, dataset):
    images = dataset.heldout.images
    whole, part = trained.extract(images[:20]), trained.extract(images[7:12])
    np.testing.assert_allclose(whole.features[7:12], part.features, atol=1e-5)


def test_load_classifier_twice_trains_once(trained, dataset, monkeypatch):
    monkeypatch.setattr(classifier, "_train", None)
    again = classifier.load_classifier(dataset, EPOCHS, WIDTH)
    assert again.fingerprint == trained.fingerprint
    for x, y in zip(*(jax.tree.leaves(c.variables) for c in (trained, again))):
        np.testing.assert_array_equal(x, y)


def test_load_classifier_damaged_cache_trains_again(
    trained, dataset, monkeypatch, capfd
):
    path = cache.path_of("classifier", trained.key)
    content = path.read_bytes()
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files if name != "about"}
    path.write_bytes(content[: len(content) // 2])
    monkeypatch.setattr(classifier, "_train", lambda *_: arrays)
    again = classifier.load_classifier(dataset, EPOCHS, WIDTH)
    assert again.fingerprint == trained.fingerprint
    assert f"{path}: damaged" in capfd.readouterr().err
    assert path.read_bytes() == content


def test_key_of_each_changed_input_gives_another_hash():
    one = fake_set(1)
    other = one._replace(train=one.train._replace(labels=one.train.labels[::-1]))
    pixels = one._replace(provenance={**one.provenance, "sha256_train": "c"})
    keys = [
        classifier._key(*arguments)
        for arguments in (
            (one, 1, 4),
            (one, 2, 4),
            (one, 1, 8),
            (other, 1, 4),
            (pixels, 1, 4),
            (fake_set(3), 1, 4),
            (one, 1, 4, 1),  # of one stage
        )
    ]
    assert len({cache.short_hash(key) for key in keys}) == len(keys)


# --- what it refuses -------------------------------------------------------------


def test_load_classifier_without_usable_labels_raises_user_error():
    unlabelled = dataset_lib.ImageSet(np.zeros((20, 8, 8, 3), np.uint8), None)
    dataset = dataset_lib.Dataset(unlabelled, unlabelled, {"name": "faces"})
    with pytest.raises(UserError, match="data.name=faces: has no labels.*fid"):
        classifier.load_classifier(dataset, 1, 2)
    constant = fake_set(1, num_classes=1)
    with pytest.raises(UserError, match="labels are 0 to 0"):
        classifier.load_classifier(constant, 1, 2)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 9, 9, 1), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((2, 8, 8, 1)),
        np.zeros((0, 8, 8, 1), np.uint8),
    ],
)
def test_extract_wrong_shape_or_type_raises_user_error(trained, images):
    with pytest.raises(UserError, match="images="):
        trained.extract(images)


def test_load_classifier_diverged_training_raises_and_caches_nothing(
    dataset, folder, monkeypatch
):
    before = set(folder.iterdir())

    def diverge(state, totals, *_):
        params = jax.tree.map(lambda x: x * np.nan, state.params)
        return state._replace(params=params), totals

    loop = loop_lib.Loop(stretch=diverge, evaluate=None)
    monkeypatch.setattr(loop_lib, "make_loop", lambda task: loop)
    with pytest.raises(UserError, match="eval.classifier_epochs=3.*diverged"):
        classifier.load_classifier(dataset, 3, WIDTH)
    assert set(folder.iterdir()) == before


# --- the expected time -----------------------------------------------------------


def test_expected_seconds_of_resnet18_equal_hand_count_of_products():
    """At a rate of 1; all but a few percent of the FLOPs are products."""

    def convolution(taps, fan_in, width):  # taps along a side that meet a pixel
        return taps**2 * fan_in * width

    stem = convolution(3 * 32 - 2, 3, 64)
    others = 512 * 10  # the last layer
    for stage in range(4):
        side, width = 32 >> stage, 64 << stage
        same = convolution(3 * side - 2, width, width)
        others += 4 * same
        if stage:  # the first convolution and the shortcut have stride 2
            others += convolution(3 * side - 1, width // 2, width) - same
            others += convolution(side, width // 2, width)
    # Forward, gradient of the weights, and of the input except for the images.
    products = 2 * 128 * (2 * stem + 3 * others)
    network = classifier.ResNet18(64, 10, lowering=LIBRARY)
    recipe = classifier_lib.Recipe(num_steps=7, shift=4, flip=True)
    task = classifier_lib.build(network, (32, 32, 3), recipe)
    batch = {
        "images": jax.ShapeDtypeStruct((128, 32, 32, 3), jnp.uint8),
        "labels": jax.ShapeDtypeStruct((128,), jnp.int32),
    }
    seconds = training_time.expected_seconds(task, batch, 7, flops_per_second=1.0)
    assert 7 * products <= seconds < 1.03 * 7 * products


def test_measured_rate_is_flops_of_both_passes_over_seconds(monkeypatch):
    class Layer(nn.Module):
        @nn.compact
        def __call__(self, x, train):
            return nn.Dense(30, use_bias=False)(x)

    ticks = iter((5.0, 7.0))
    clock = types.SimpleNamespace(monotonic=lambda: next(ticks))
    monkeypatch.setattr(training_time, "time", clock)
    rate = training_time.measured_rate(lambda _: Layer(), (50, 20), LIBRARY)
    products = 2 * 2 * 50 * 20 * 30  # gradients of the weights and of the input
    assert rate == pytest.approx(products / 2, rel=0.03)
