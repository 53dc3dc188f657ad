"""The metrics against closed forms, brute force, and published implementations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gen_tickets.errors import UserError
from gen_tickets.evaluation.distances import (
    InceptionScore,
    Moments,
    frechet_distance,
    inception_score,
    kernel_distance,
    precision_recall,
    squared_mmd,
)


def _features(seed, count, width, shift=0.0):
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(width, width)) / np.sqrt(width)
    return random.normal(size=(count, width)) @ mixing + shift


def _nuclear_norm_distance(first, second):
    """FID from the rows themselves, without any covariance."""

    def scaled(rows):
        return (rows - rows.mean(0)) / np.sqrt(len(rows) - 1)

    left, right = scaled(first), scaled(second)
    shift = first.mean(0) - second.mean(0)
    trace = np.linalg.svd(left @ right.T, compute_uv=False).sum()
    return shift @ shift + (left**2).sum() + (right**2).sum() - 2 * trace


@pytest.mark.parametrize("counts, width", [((60, 50), 128), ((90, 200), 24)], ids=str)
def test_frechet_distance_equals_nuclear_norm_form(counts, width):
    first = _features(0, counts[0], width)
    second = _features(1, counts[1], width, 0.1)
    found = frechet_distance(Moments.of(first), Moments.of(second))
    expected = _nuclear_norm_distance(first, second)
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_frechet_distance_diagonal_covariances_equals_closed_form():
    variances = np.array([[0.5, 2.0, 0.0, 1.0], [1.5, 0.25, 3.0, 1.0]])
    means = np.array([[0.0, 1.0, 2.0, 3.0], [0.5, 1.0, 1.0, 3.0]])
    first, second = (
        Moments(10, mean, np.diag(variance)) for mean, variance in zip(means, variances)
    )
    expected = (np.diff(means, axis=0) ** 2).sum() + (
        np.diff(np.sqrt(variances), axis=0) ** 2
    ).sum()
    np.testing.assert_allclose(frechet_distance(first, second), expected, rtol=1e-12)


@pytest.mark.parametrize("count", [5, 300])
def test_frechet_distance_is_zero_to_itself_and_symmetric(count):
    rows = _features(0, count, 16)
    other = Moments.of(_features(1, 40, 16, 0.5))
    moments = Moments.of(rows)
    assert 0 <= frechet_distance(moments, moments) <= 1e-6
    shuffled = Moments.of(np.random.default_rng(2).permutation(rows))
    np.testing.assert_allclose(
        frechet_distance(shuffled, other), frechet_distance(moments, other), rtol=1e-10
    )
    np.testing.assert_allclose(
        frechet_distance(other, moments), frechet_distance(moments, other), rtol=1e-10
    )


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(0, 99))
def test_moments_of_merged_parts_equal_moments_of_whole(sizes, seed):
    rows = _features(seed, sum(sizes) + 1, 5, shift=30.0)
    whole = Moments.of(rows)
    np.testing.assert_allclose(whole.mean, rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(
        whole.covariance, np.cov(rows, rowvar=False), rtol=1e-10, atol=1e-11
    )
    streamed, merged = Moments.empty(5), Moments.empty(5)
    for part in np.split(rows, np.cumsum(sizes)):
        streamed = streamed.update(part)
        merged = Moments.empty(5).update(part).merge(merged)
    for other in (streamed, merged):
        assert other.count == len(rows)
        np.testing.assert_allclose(other.mean, whole.mean, rtol=1e-12)
        np.testing.assert_allclose(
            other.covariance, whole.covariance, rtol=1e-10, atol=1e-11
        )


def test_moments_of_float32_features_are_summed_in_float64():
    rows = (_features(0, 500, 4) + 1000).astype(np.float32)
    np.testing.assert_allclose(
        Moments.of(rows).mean, rows.astype(np.float64).mean(0), rtol=1e-14
    )


def _brute_mmd(first, second):
    def kernel(x, y):
        return (x @ y / len(x) + 1) ** 3

    def within(rows):
        values = [
            kernel(x, y)
            for i, x in enumerate(rows)
            for j, y in enumerate(rows)
            if i != j
        ]
        return np.mean(values)

    cross = np.mean([kernel(x, y) for x in first for y in second])
    return within(first) + within(second) - 2 * cross


def test_squared_mmd_equals_brute_force():
    first, second = _features(0, 12, 6), _features(1, 9, 6, 0.5)
    np.testing.assert_allclose(
        squared_mmd(first, second), _brute_mmd(first, second), rtol=1e-10
    )


def test_squared_mmd_is_unbiased():
    random = np.random.default_rng(0)
    values = [squared_mmd(*random.normal(size=(2, 20, 8))) for _ in range(400)]
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(len(values))


def test_kernel_distance_equals_brute_force_on_subsets():
    first, second = _features(0, 40, 6), _features(1, 30, 6, 0.5)
    random = np.random.RandomState(7)
    values = []
    for _ in range(4):
        rows = random.choice(40, 20, replace=False)
        others = random.choice(30, 20, replace=False)
        values.append(_brute_mmd(first[rows], second[others]))
    found = kernel_distance(first, second, num_subsets=4, subset_size=20, seed=7)
    np.testing.assert_allclose(found, (np.mean(values), np.std(values)), rtol=1e-10)
    whole = kernel_distance(first[:30], second, num_subsets=2, subset_size=30)
    np.testing.assert_allclose(
        whole, (squared_mmd(first[:30], second), 0), rtol=1e-9, atol=1e-12
    )


def test_inception_score_uniform_is_one_and_one_hot_num_classes():
    assert inception_score(np.zeros((20, 7)), 4) == InceptionScore(1.0, 0.0)
    sure = np.tile(1000.0 * np.eye(7), (5, 1))
    found = inception_score(sure, 5)
    np.testing.assert_allclose(found, (7, 0), atol=1e-12)


def test_inception_score_equals_the_formula_on_contiguous_splits():
    logits = np.random.default_rng(0).normal(size=(23, 6)).astype(np.float32) * 2
    scores = []
    for start, end in ((0, 7), (7, 15), (15, 23)):
        p = np.exp(logits[start:end].astype(np.float64))
        p /= p.sum(1, keepdims=True)
        # The score is exp(H(y) - H(y|x)).
        marginal = p.mean(0)
        scores.append(
            np.exp(-(marginal * np.log(marginal)).sum() + (p * np.log(p)).sum(1).mean())
        )
    found = inception_score(logits, 3)
    np.testing.assert_allclose(found, (np.mean(scores), np.std(scores)), rtol=1e-12)
    assert inception_score(logits[::-1], 3).mean != pytest.approx(found.mean, rel=1e-9)


def _brute_share(rows, centres, k):
    def reach(i):
        return sorted(np.linalg.norm(centres - centres[i], axis=1))[k]

    reaches = np.array([reach(i) for i in range(len(centres))])
    inside = [(np.linalg.norm(centres - row, axis=1) <= reaches).any() for row in rows]
    return np.mean(inside)


@pytest.mark.parametrize("k", [1, 3])
def test_precision_and_recall_equal_brute_force(k):
    real, fake = _features(0, 60, 4), _features(1, 45, 4, 0.7)
    found = precision_recall(real, fake, k)
    assert found == (_brute_share(fake, real, k), _brute_share(real, fake, k))
    assert 0 < found.precision < 1 and 0 < found.recall < 1


def test_precision_recall_collapsed_samples_are_one_and_near_zero():
    real = _features(0, 100, 4)
    fake = real[0] + 1e-6 * _features(1, 30, 4)
    assert precision_recall(real, fake).precision == 1
    assert precision_recall(real, fake).recall <= 0.01


@pytest.mark.parametrize(
    "call",
    [
        lambda rows: Moments.of(rows[:1]),
        lambda rows: Moments.of(rows * np.nan),
        lambda rows: Moments.of(rows[0]),
        lambda rows: Moments.empty(3).update(rows),
        lambda rows: frechet_distance(Moments.of(rows), Moments.empty(4)),
        lambda rows: frechet_distance(Moments.of(rows), Moments.of(rows[:, :2])),
        lambda rows: squared_mmd(rows, rows[:, :2]),
        lambda rows: kernel_distance(rows, rows, subset_size=21),
        lambda rows: kernel_distance(rows, rows, 0, 10),
        lambda rows: inception_score(rows, 21),
        lambda rows: inception_score(rows, 0),
        lambda rows: inception_score(rows + np.inf),
        lambda rows: precision_recall(rows, rows[:3]),
        lambda rows: precision_recall(rows, rows, 0),
    ],
)
def test_distances_of_invalid_arrays_raise_one_line_user_error(call):
    with pytest.raises(UserError) as caught:
        call(_features(0, 20, 4))
    assert "\n" not in str(caught.value)


def test_distances_equal_published_implementations():
    """pytorch-fid 0.3.0 (scipy 1.17.1) and torch-fidelity 0.4.0 in float64."""
    first, second = _features(0, 500, 64), _features(1, 400, 64, 0.05)
    distance = frechet_distance(Moments.of(first), Moments.of(second))
    np.testing.assert_allclose(distance, 33.3875206366815, rtol=1e-9)
    np.testing.assert_allclose(
        squared_mmd(first[:400], second), 0.08907182598695407, rtol=1e-9
    )
    found = kernel_distance(first, second, num_subsets=10, subset_size=100)
    expected = 0.09423244405511344, 0.021266754126900263
    np.testing.assert_allclose(found, expected, rtol=1e-9)
