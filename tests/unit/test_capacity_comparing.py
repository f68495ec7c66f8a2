"""Times of an accelerator against those of the default pools, and when they are an advantage."""

import numpy as np
import pytest

from poolwright.capacity.comparing import NOTHING, better, compare
from poolwright.capacity.ended import EndedTimes
from poolwright.model.assessment import Comparison
from poolwright.model.rule import ClassRule

AT = 1_000_000.0
CHAT = ClassRule("chat", ttft_s=2.0, itl_s=0.05)


def times(ttft_s: float, itl_s: float, e2e_s: float = 5.0, count: int = 200) -> EndedTimes:
    found = EndedTimes()
    at = np.linspace(AT - 400.0, AT, count)
    found.note(at, *(np.full(count, seconds) for seconds in (ttft_s, itl_s, e2e_s)))
    return found


def against(mine: EndedTimes, *, rule: ClassRule = CHAT, **defaults: EndedTimes):
    return compare(rule, mine, defaults, AT)


def margins(found: list[Comparison]) -> dict[str, float | None]:
    return {one.time: one.margin for one in found}


def test_each_time_that_the_slo_names_is_compared() -> None:
    found = against(times(0.3, 0.002), gpu=times(0.4, 0.02, count=900))
    assert [(one.request_class, one.time) for one in found] == [("chat", "ttft"), ("chat", "itl")]
    assert margins(found) == pytest.approx({"ttft": 0.25, "itl": 0.9})
    itl = found[1]
    assert (itl.requests, itl.default_pool, itl.default_requests) == (200, "gpu", 900)
    assert (itl.p95_s, itl.default_p95_s) == pytest.approx((0.002, 0.02))
    batch = against(times(9, 9, 3.0), rule=ClassRule("batch", e2e_s=600.0), gpu=times(1, 1, 6.0))
    assert margins(batch) == pytest.approx({"e2e": 0.5})


def test_of_several_default_pools_the_quickest_counts_time_by_time() -> None:
    slow, quick = times(0.3, 0.04), times(0.6, 0.01)
    found = against(times(0.3, 0.005), slow=slow, quick=quick)
    assert [one.default_pool for one in found] == ["slow", "quick"]
    assert margins(found) == pytest.approx({"ttft": 0.0, "itl": 0.5})
    # One that cannot tell is no quick one.
    found = against(times(0.3, 0.005), slow=slow, idle=times(0.1, 0.001, count=9))
    assert {one.default_pool for one in found} == {"slow"}


@pytest.mark.parametrize(
    ("mine", "other"),
    [
        (times(0.1, 0.001, count=99), times(0.4, 0.02)),
        (times(0.1, 0.001), times(0.4, 0.02, count=99)),
        (times(0.1, 0.001), NOTHING),
        (times(0.0, 0.0), times(0.0, 0.0)),
        (times(0.1, np.nan), times(0.4, np.nan)),
    ],
    ids=["few here", "few there", "none there", "no time at all", "a time that nobody tells"],
)
def test_what_is_not_known_on_both_sides_says_nothing(mine, other) -> None:
    found = against(mine, gpu=other)
    assert found[1].margin is None
    assert found[1].requests == (0 if np.isnan(mine.seconds[:, :, 1]).all() else found[0].requests)
    assert better(found, 0.0) == ()


def test_without_a_p95_the_pool_with_most_requests_is_named() -> None:
    found = against(times(0.1, 0.001), a=NOTHING, b=times(1, 1, count=50), c=times(1, 1, count=9))
    assert [(one.default_pool, one.default_requests) for one in found] == [("b", 50), ("b", 50)]


def test_stale_requests_say_nothing() -> None:
    mine, gpu, later = times(0.3, 0.002), times(0.4, 0.02), AT + 180.0
    gpu.note(*(np.array([seconds]) for seconds in (later, 0.4, 0.02, 5.0)))
    assert set(margins(compare(CHAT, mine, {"gpu": gpu}, later)).values()) == {None}
    mine.note(*(np.array([seconds]) for seconds in (later, 0.3, 0.002, 5.0)))
    assert margins(compare(CHAT, mine, {"gpu": gpu}, later))["itl"] == pytest.approx(0.9)


def one(request_class: str, time: str, margin: float | None) -> Comparison:
    return Comparison(request_class, time, 200, 0.1, "gpu", 200, 0.2, margin)


@pytest.mark.parametrize(
    ("ttft", "itl", "is_better"),
    [
        (0.0, 0.30, True),
        (0.29, 0.29, False),
        (0.9, -0.01, False),
        (None, 0.9, False),
        (0.9, 0.1, True),
        (-0.2, -0.2, False),
    ],
)
def test_better_by_the_margin_in_one_time_and_worse_in_none(ttft, itl, is_better) -> None:
    found = better((one("chat", "ttft", ttft), one("chat", "itl", itl)), 0.30)
    assert bool(found) == is_better
    if found:
        assert found[0].margin == max(ttft, itl)


def test_each_class_is_judged_for_itself() -> None:
    worse, best = one("batch", "e2e", -0.5), one("code", "itl", 0.6)
    several = (one("chat", "ttft", 0.4), one("chat", "itl", 0.5), worse, best)
    assert [(b.request_class, b.time) for b in better(several, 0.3)] == [
        ("chat", "itl"),
        ("code", "itl"),
    ]
    assert better((), 0.0) == ()
