"""What was learned, in words."""

from dataclasses import replace

import pytest
from tests.unit.learned_bench import AHEAD, ASKED, CAPACITY, FOUND, decided

from poolwright.model.assessment import (
    Assessment,
    Basis,
    Share,
)
from poolwright.record.learned import learned_rows, learned_why, shares
from poolwright.record.wording import exact_duration, percent, replicas, rounded


def why(
    found: Assessment, *, past: bool = False, share: Share | None = None, **changes
) -> str | None:
    return learned_why(replace(ASKED, **changes), decided(found, share=share).inputs, past=past)


def test_an_slo_is_asked_for_in_one_sentence() -> None:
    assert why(FOUND) == f"{AHEAD}, 1.1 are needed now"
    assert why(FOUND, past=True) == (
        "4.7 replicas would be needed in 2 min 23 s (98% quantile), 1.1 were needed then"
    )


def test_a_queue_is_named_with_what_it_adds() -> None:
    found = replace(FOUND, waiting=30.0)
    assert why(found, evidence={"backlog": 0.4}, replicas=6) == (
        f"{AHEAD}, 1.1 are needed now, 0.40 more for the 30 that wait"
    )


def test_small_steps_below_what_was_tried_are_named() -> None:
    found = replace(FOUND, capacity=replace(CAPACITY, tested=0.4))
    assert why(found, replicas=9) == (
        f"{AHEAD}, 1.1 are needed now; fewer only step by step, as no load above 40% was tried yet"
    )


def test_a_count_that_is_kept_close_above_the_need_says_why() -> None:
    found = replace(FOUND, capacity=replace(CAPACITY, tested=0.9))
    assert why(found, replicas=9) == (
        f"{AHEAD}, 1.1 are needed now; fewer once that is clearly below a whole number"
    )
    hovering = "; 9 kept, as the last one that was given up was wanted back"
    assert why(found, replicas=9, detail=hovering) == (
        f"{AHEAD}, 1.1 are needed now;"
        " fewer later, as the last one that was given up was wanted back"
    )


def test_a_need_hardly_beyond_a_whole_number_says_why_it_is_not_rounded_up() -> None:
    assert FOUND.upper is not None
    assert why(FOUND, replicas=int(FOUND.upper)) == (
        f"{AHEAD}, 1.1 are needed now; so little beyond a whole number asks for no replica more"
    )


def test_a_need_slightly_beyond_the_count_is_told_to_have_to_last() -> None:
    assert FOUND.upper is not None
    lasting = "; one more if that lasts"
    assert why(FOUND, replicas=int(FOUND.upper), detail=lasting) == (
        f"{AHEAD}, 1.1 are needed now; one more if that lasts"
    )


def test_before_a_forecast_the_level_is_told() -> None:
    assert why(replace(FOUND, upper=None, history_s=55.0)) == (
        "1.3 replicas are needed on average over the last 2 min, 1.3 at most so far; 55 s of"
        " history are too little for a forecast, and until then it asks for no fewer"
    )


def test_before_a_forecast_growth_is_told_where_it_asks_for_more() -> None:
    young = replace(FOUND, upper=None, history_s=55.0)
    flat, growing = why(replace(young, carried_on=1.3)), why(replace(young, carried_on=2.46))
    assert "growing" not in flat
    assert growing == flat.replace(
        "1.3 at most so far", "1.3 at most so far, 2.5 where it goes on growing"
    )


def test_before_anything_is_learned_the_triggers_own_words_stand() -> None:
    still = replace(FOUND, learned=False)
    assert why(still, detail="still learning (12 requests ended)") == (
        "still learning (12 requests ended)"
    )
    assert learned_why(ASKED, decided().inputs) is None
    assert why(FOUND, kind="threshold") is None


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ({"chat": 0.6, "batch": 0.0}, "60% of chat"),
        ({"chat": 1.0, "batch": 0.25}, "all of chat, 25% of batch"),
        ({"chat": 0.0}, "no load"),
    ],
)
def test_an_accelerators_count_is_the_plans(classes, words) -> None:
    assert shares(classes) == words
    assert (
        why(FOUND, share=Share(classes, 1)) == f"the cheapest plan over the pools gives it {words}"
    )


def test_a_forecast_tells_whether_it_is_trusted() -> None:
    evidence = {"asked": 5.0}
    assert why(FOUND, kind="forecast", evidence=evidence) == (
        f"{AHEAD}; the best model's loss is 17% below the naive one's"
    )
    worse = replace(FOUND, skill=-0.02)
    assert why(worse, kind="forecast", evidence=evidence, replicas=None) == (
        f"{AHEAD}; the best model's loss is 2.0% above the naive one's."
        " That would be 5, but it is advice only until it does better"
    )
    assert why(replace(FOUND, skill=0.0), kind="forecast", evidence=evidence) == (
        f"{AHEAD}; no model does better than the naive one"
    )
    assert why(FOUND, kind="forecast", evidence={}) is None


def test_what_was_learned_of_a_pool() -> None:
    assert list(learned_rows(decided(FOUND))) == [
        (
            "carries",
            (
                "3.2 requests/s, 6,700 tokens/s a replica at the SLO of chat"
                " (measured from 1,240 requests, 3% error)"
            ),
        ),
        (
            "speed",
            "12.1 ms + 0.42 ms a request between tokens, 10 ms + 0.08 ms a token for prefill",
        ),
        (
            "corrected",
            (
                "17% more than modelled, because more requests missed their SLO than the model"
                " foresaw"
            ),
        ),
        ("start-up", "2 min 13 s at the 95th percentile, from 7 measured"),
        ("demand", "2.9 requests/s, none waiting"),
        ("needs", "1.3 replicas on average over the last 2 min, 0.90 over 5 min"),
        (
            "forecast",
            (
                "meet-slo: mean of 3 min 69%, mean of 15 min 31%;"
                " the best model's loss is 17% below the naive one's"
            ),
        ),
    ]
    assert not list(learned_rows(decided()))


def row(name: str, *found: Assessment, **inputs) -> list[str]:
    return [text for key, text in learned_rows(decided(*found, **inputs)) if key == name]


def test_a_forecast_that_was_lowered_says_by_how_much() -> None:
    said = "meet-slo: mean of 3 min 69%, mean of 15 min 31%"
    skill = "the best model's loss is 17% below the naive one's"
    assert row("forecast", replace(FOUND, lowered_by=0.26)) == [
        f"{said}; 0.26 less than they say, as no more was felt; {skill}"
    ]
    assert row("forecast", replace(FOUND, lowered_by=0.04)) == [f"{said}; {skill}"]


@pytest.mark.parametrize(
    ("factor", "words"),
    [
        (1.0, "by nothing: requests meet their SLO where the model says so"),
        (0.95, "5% less than modelled: fewer requests missed their SLO than the model foresaw"),
        (1.05, "5% more than modelled, as at first: no outcome has changed that yet"),
        (1.03, "3% more than modelled; 5% at first, and few requests have missed their SLO since"),
        (
            1.2,
            "20% more than modelled, because more requests missed their SLO than the model foresaw",
        ),
    ],
)
def test_corrections_have_their_reasons(factor: float, words: str) -> None:
    found = replace(FOUND, capacity=replace(CAPACITY, correction=factor))
    assert row("corrected", found) == [words]


def test_what_is_not_measured_is_called_so() -> None:
    guess = replace(CAPACITY, basis=Basis.PRIOR, requests=12.0, meets=False, drift="prefill 9 ms")
    found = replace(
        FOUND, capacity=guess, startups=0, startup_s=180.0, waiting=None, models={}, history_s=90.0
    )
    assert row("carries", found)[0].endswith(
        "at the SLO of chat (a cautious guess until 30 requests ended, 12 so far)"
    )
    assert row("SLO", found) == [
        "no load of this pool meets that of chat: the counts are best effort"
    ]
    assert row("changed", found) == ["prefill 9 ms"]
    assert row("start-up", found) == ["3 min, declared; none was measured yet"]
    assert row("start-up", replace(found, startups=2)) == [
        "3 min at the 95th percentile, from 2 measured and the declared one"
    ]
    assert row("demand", found) == ["2.9 requests/s, no replica says how many wait"]
    assert row("demand", replace(found, waiting=12.0)) == ["2.9 requests/s, 12 waiting"]
    assert row("needs", found)[0].endswith("0.90 over 90 s")
    assert not row("forecast", found)


def test_each_class_is_told_and_triggers_that_agree_are_told_once() -> None:
    batch = replace(FOUND, trigger="meet-batch", request_class="batch")
    ahead = replace(FOUND, trigger="ahead", quantile=0.95)
    proposals = (ASKED, replace(ASKED, trigger="ahead", kind="forecast"))
    inputs = {"share": Share({"chat": 1.0}, None, "cheapest mix 4 gpu"), "proposals": proposals}
    rows = list(learned_rows(decided(FOUND, batch, ahead, **inputs)))
    assert rows[0] == ("share", "all of chat (cheapest mix 4 gpu)")
    assert ["at the SLO of chat" in text for name, text in rows if name == "carries"] == [
        True,
        False,
    ]
    assert [text.rpartition(" for ")[2] for name, text in rows if name == "needs"] == [
        "chat",
        "batch",
    ]
    assert [text for name, text in rows if name == "forecast"] == [
        "meet-slo, meet-batch, ahead: mean of 3 min 69%, mean of 15 min 31%"
    ]
    names = [name for name, _ in learned_rows(decided(FOUND, share=Share({"chat": 0.0}, 0, "x")))]
    assert names == ["share", "carries", "speed", "corrected", "start-up"]


def test_the_figures_words() -> None:
    assert [exact_duration(s) for s in (45.0, 143.0, 120.0, 4000.0)] == [
        "45 s", "2 min 23 s", "2 min", "67 min",
    ]  # fmt: skip
    assert [rounded(x) for x in (0.0, 0.0818, 3.634, 222.5, 7714.3, 155_741.0)] == [
        "0", "0.0818", "3.63", "222", "7,710", "156,000",
    ]  # fmt: skip
    assert [percent(x) for x in (0.0, 0.017, 0.031, 0.982, 0.995, 1.0, -5.667)] == [
        "0%", "1.7%", "3%", "98%", "99.5%", "100%", "−567%",
    ]  # fmt: skip
    assert [replicas(x) for x in (0.004, 0.59, 4.71, 99.0, 1234.0)] == [
        "0", "0.59", "4.7", "99.0", "1,234",
    ]  # fmt: skip
