"""The tests of the paper's claims, on synthetic rows with a known answer."""

import pytest

from gen_tickets.paper import claims
from gen_tickets.paper.claims import Evidence, NotTried

METRIC = "fd_classifier"
LOW, HIGH = (1.0, 2.0, 3.0), (21.0, 22.0, 23.0)


def row(number, run, arm, sparsity, quality, **more):
    return {
        "round": number,
        "run": run,
        "arm": arm,
        "sparsity": sparsity,
        "remaining": 1 - sparsity,
        "seconds": 12.0,
        "diverged": False,
        "flops_dense": 1000.0,
        METRIC: quality,
        **more,
    }


def evidence(label, arm, *rounds):
    """An arm with the qualities of its runs in each round of 50 %."""
    rows = [
        row(number, run, arm, 1 - 0.5**number, value)
        for number, values in enumerate(rounds, start=1)
        for run, value in enumerate(values)
    ]
    return Evidence(label, arm, rows)


def early_bird(saved, seconds, values, epochs=(6, 6, 6)):
    """Tickets that save such a share of weights and FLOPs."""
    rows = [
        row(
            1,
            run,
            "early_bird",
            saved,
            value,
            flops_compact=1000 * (1 - saved),
            seconds=seconds,
            found_epoch=epoch,
        )
        for run, (value, epoch) in enumerate(zip(values, epochs))
    ]
    kept = round(1000 * (1 - saved))
    layers = [
        {"round": 1, "run": row["run"], "layer": x, "total": 1000, "kept": kept}
        for row in rows
        for x in ("a", "b")
    ]
    return Evidence(f"{saved}", "early_bird", rows, layers)


def test_compare_diverged_run_tests_the_others():
    first = evidence("a", "winning", LOW)
    second = evidence("b", "winning", (1.5, 2.5, 3.5))
    for x in second.rows:
        x["diverged"] = x["run"] == 0
    order, text = claims.compare(
        METRIC, first.last(METRIC), second.last(METRIC), ("a", "b")
    )
    assert order == 0 and "(b, 1 diverged)" in text


def test_others_worse_compares_at_the_highest_common_sparsity():
    iterative = evidence("iterative", "winning", HIGH, LOW)
    one_shot = evidence("one-shot", "winning", LOW, HIGH, LOW)
    holds, text = claims.others_worse(METRIC, iterative, one_shot)
    assert holds and text.startswith("at 75.0 % sparsity fd_classifier ")
    assert not claims.others_worse(METRIC, iterative, iterative)[0]


def test_others_worse_names_the_share_of_the_component_at_that_sparsity():
    first = evidence("first", "winning", LOW, LOW, LOW)
    for x in first.rows:
        x |= {"sparsity_generator": 2 * x["sparsity"] / 3, "sparsity_critic": 0.0}
    _, text = claims.others_worse(METRIC, first, evidence("b", "winning", HIGH, HIGH))
    assert text.startswith("at 75.0 % sparsity (50.0 % of the generator) ")


def test_others_worse_without_common_sparsity_compares_the_last_rounds():
    bird = early_bird(0.9, 1.0, LOW)
    snip = evidence("SNIP", "winning", LOW, HIGH)
    assert claims.others_worse(METRIC, bird, snip, snip)[0]
    assert not claims.others_worse(METRIC, bird, snip, early_bird(0.6, 1.0, LOW))[0]


def test_others_worse_with_two_runs_is_not_tried():
    iterative = evidence("iterative", "winning", HIGH, LOW)
    with pytest.raises(NotTried, match="one-shot: it needs 3 runs"):
        claims.others_worse(METRIC, iterative, evidence("one-shot", "winning", LOW[:2]))


def test_nowhere_worse_counts_every_sparsity():
    late = evidence("late", "winning", LOW, LOW)
    zero = evidence("zero", "winning", LOW, HIGH)
    holds, text = claims.nowhere_worse(METRIC, late, zero)
    assert holds and "better than zero at 1 of 2 sparsities" in text
    holds, text = claims.nowhere_worse(METRIC, zero, late)
    assert not holds and text.endswith("significantly worse at 1")


def test_nowhere_worse_of_close_sparsities_pairs_equal_rounds():
    """Rounds 17 to 20 of 20 % are nearer to each other than the tolerance."""
    late = evidence("late", "winning", *[(n, n + 0.01, n + 0.02) for n in range(20)])
    for x in late.rows:
        x["sparsity"] = 1 - 0.8 ** x["round"]
    holds, text = claims.nowhere_worse(METRIC, late, late)
    assert holds and "at 0 of 20 sparsities, significantly worse at 0" in text


def test_nowhere_worse_without_common_sparsity_is_not_tried():
    with pytest.raises(NotTried, match="no sparsity"):
        claims.nowhere_worse(
            METRIC, evidence("a", "winning", LOW), early_bird(0.9, 1.0, LOW)
        )


@pytest.mark.parametrize("published, holds", [(0.892, True), (0.98, False)])
def test_winning_sparsity_judges_round_below_published_sparsity(published, holds):
    dense = [row(0, run, "dense", 0.0, 10.0 + run) for run in range(3)]
    winning = evidence("w", "winning", *[LOW] * 4, HIGH, HIGH, HIGH).rows
    random = evidence("r", "random", *[(50.0, 51.0, 52.0)] * 7).rows
    found = Evidence("w", "winning", [*dense, *winning, *random])
    judged, text = claims.winning_sparsity(METRIC, found, published)
    assert judged is holds and "93.8 %" in text
    with pytest.raises(NotTried):  # the first round is at 50 %
        claims.winning_sparsity(METRIC, found, 0.3)


@pytest.mark.parametrize("published, holds", [(0.5, True), (0.8, False)])
def test_as_good_as_dense_asks_for_any_method_at_the_sparsity(published, holds):
    dense = [row(0, run, "dense", 0.0, 1.5 + run) for run in range(3)]
    rows = evidence("s", "static", HIGH, HIGH).rows + evidence("r", "rigl", LOW).rows
    test = claims.as_good_as_dense
    judged, text = test(METRIC, Evidence("s", "static", [*dense, *rows]), published)
    assert judged is holds and "rigl up to 50.0 %" in text
    with pytest.raises(NotTried, match="needs at least 3 runs"):
        test(METRIC, Evidence("s", "static", [*dense[:2], *rows]), published)


def test_like_the_own_ticket_compares_with_own_and_random():
    test = claims.like_the_own_ticket
    own, random = evidence("own", "winning", LOW), evidence("r", "random", HIGH)
    near = evidence("t", "transferred", (1.5, 2.0, 3.0))
    assert test(METRIC, near, own, random)[0]
    far = evidence("t", "transferred", (11.0, 12.0, 13.0))
    assert not test(METRIC, far, own, random)[0]
    assert not test(METRIC, near, own, near)[0]


def test_like_the_own_ticket_of_one_component_says_its_sparsity():
    own, random = evidence("own", "winning", LOW), evidence("r", "random", HIGH)
    for one in own.rows:
        one.update(sparsity_encoder=0.0, sparsity_decoder=0.969)
    text = claims.like_the_own_ticket(METRIC, own, own, random)[1]
    assert text.startswith("at 50.0 % sparsity (96.9 % of the decoder) ")


def test_matches_compares_the_last_rounds():
    first = evidence("unpruned", "dense", LOW)
    assert claims.matches(METRIC, first, first)[0]
    assert not claims.matches(METRIC, first, evidence("SNIP", "winning", LOW, HIGH))[0]


@pytest.mark.parametrize("sparsities", [(0.0, 0.0, 0.0), (0.0, 0.6, 0.6)])
@pytest.mark.parametrize("test", [claims.matches, claims.others_worse])
def test_claim_of_search_without_ticket_is_not_tried(test, sparsities):
    """Runs without a ticket are dense networks, which match themselves."""
    first = evidence("unpruned", "dense", LOW)
    bird = early_bird(0.6, 1.0, LOW)._replace(label="early-bird")
    for one, sparsity in zip(bird.rows, sparsities, strict=True):
        one |= {"sparsity": sparsity, "found_epoch": 6 if sparsity else float("nan")}
    found = f"early-bird: no ticket in {sparsities.count(0.0)} of 3 runs"
    with pytest.raises(NotTried, match=found):
        test(METRIC, first, bird)


def test_early_bird_claims_use_ticket_nearest_published_saving():
    found = [early_bird(0.0, 100.0, LOW), early_bird(0.5, 60.0, HIGH)]
    with pytest.raises(NotTried, match="the most is 50.0 %"):
        claims.as_good_with_less(METRIC, *found, saving=0.88)
    found.append(early_bird(0.86, 40.0, LOW))
    holds, text = claims.as_good_with_less(METRIC, *found, saving=0.88)
    assert holds and text.startswith("with 86.0 % fewer FLOPs")
    holds, text = claims.time_saved(METRIC, *found, flops=0.88, time=0.47)
    assert holds and text == "86.0 % fewer FLOPs are 60.0 % less time"
    assert not claims.time_saved(METRIC, *found, flops=0.88, time=0.61)[0]
    found[2] = early_bird(0.86, 40.0, HIGH)
    assert not claims.as_good_with_less(METRIC, *found, saving=0.88)[0]


def test_early_bird_claims_leave_out_runs_without_ticket():
    """They are dense networks; a mean over both kinds would describe neither."""
    dense, cut = early_bird(0.0, 100.0, LOW), early_bird(0.86, 40.0, LOW)
    mixed = cut._replace(rows=[*cut.rows[:2], dense.rows[2]])
    whole = cut._replace(rows=dense.rows)
    assert [x.rows for x in claims.compressed([mixed, whole])] == [cut.rows[:2]]
    holds, text = claims.time_saved(METRIC, dense, mixed, flops=0.88, time=0.47)
    assert holds and "60.0 %" in text
    with pytest.raises(NotTried, match="3 runs"):
        claims.as_good_with_less(METRIC, dense, mixed, saving=0.88)
    with pytest.raises(NotTried, match="about 88.0 %"):
        claims.as_good_with_less(METRIC, dense, whole, saving=0.88)


def test_savings_of_narrower_dense_network_count_its_weights():
    dense, cut = early_bird(0.0, 100.0, LOW), early_bird(0.86, 40.0, LOW)
    narrow = cut._replace(rows=[{**x, "sparsity": 0.0} for x in cut.rows])
    found = claims.savings(dense, narrow)
    assert found == pytest.approx({"flops": 0.86, "weights": 0.86, "seconds": 0.6})
    # The layers of runs without a ticket are not those of the others.
    mixed = cut._replace(rows=cut.rows[:2], layers=[*cut.layers[:4], *dense.layers[4:]])
    assert claims.savings(dense, mixed)["weights"] == pytest.approx(0.86)


@pytest.mark.parametrize(
    "epochs, holds",
    [((6, 6, 6), True), ((6, 7, 6), False), ((6, 6, float("nan")), False)],
)
def test_found_by_epoch_requires_every_search(epochs, holds):
    found = [early_bird(0.0, 1.0, LOW), early_bird(0.5, 1.0, LOW, epochs)]
    assert claims.found_by_epoch(METRIC, *found, last=6)[0] is holds
