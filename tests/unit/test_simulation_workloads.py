"""Workloads: the public traces' formats, classes, places of mistakes; who gets which class."""

import gzip

import pytest

from poolwright.model.rule import ClassRule, Mode, PoolRole, PoolRule, ServiceRule
from poolwright.runtime.traces import arrivals_at, open_trace
from poolwright.simulation.coding import coding_hour
from poolwright.simulation.workloads import TraceError, read_trace

PLAIN = "arrival_s,prompt_tokens,output_tokens"


def service(*classes: str) -> ServiceRule:
    pools = (PoolRule("gpu", PoolRole.DEFAULT, "simulated", {}, 1, 4),)
    return ServiceRule("s", Mode.ACT, tuple(ClassRule(name) for name in classes), pools, (), ())


@pytest.mark.parametrize(
    "lines",
    [
        [
            "TIMESTAMP,ContextTokens,GeneratedTokens\n",
            "2023-11-16 18:17:03.9799600,5,6\n",
            "2023-11-16 18:17:05.4799600,7,8\n",
        ],
        ["Timestamp,Model,Request tokens,Response tokens\n", '12,"a, b",5,6\n', "13.5,x,7,8\n"],
        [
            '{"timestamp": 1000, "input_length": 5, "output_length": 6, "hash_ids": []}\n',
            "\n",
            '{"timestamp": 2500, "input_length": 7, "output_length": 8, "hash_ids": []}\n',
        ],
        ["\ufeffoutput_tokens, arrival_s,prompt_tokens\n", "8,4.5,7\n", "\n", "6,3,5\n"],
    ],
    ids=["azure", "burstgpt", "mooncake", "plain"],
)
def test_each_format_gives_the_same_requests_in_order(lines):
    found = read_trace(lines, "trace")
    assert found.arrival_s.tolist() == pytest.approx([0.0, 1.5])
    assert (found.input_tokens.tolist(), found.output_tokens.tolist()) == ([5, 7], [6, 8])
    assert (found.request_class, found.duration_s) == (None, pytest.approx(1.5))


@pytest.mark.parametrize(
    ("lines", "place"),
    [
        ([PLAIN, "1,x,2"], "b:2"),
        ([PLAIN, "1,2,3", "", "nan,2,3"], "b:4"),
        ([PLAIN, "1,-2,3"], "b:2"),
        ([PLAIN, "1,2"], "b:2"),
        (["a,b,c", "1,2,3"], "b:1"),
        ([], "b:1"),
        (['{"timestamp": 0, "input_length": 5, "output_length": 6}', "{}"], "b:2"),
        (["{", "{}"], "b:1"),
    ],
)
def test_a_mistake_is_told_with_its_line(lines, place):
    with pytest.raises(TraceError, match=place):
        read_trace(lines, "b")


def test_an_empty_trace_takes_no_time():
    assert read_trace([PLAIN], "b").duration_s == 0.0


def test_requests_have_the_class_of_their_column_or_the_first_of_the_service():
    lines = [f"{PLAIN},class", "2,5,6,batch", "1,7,8,", "3,9,9, chat"]
    workload = read_trace(lines, "b")
    assert workload.classes == {"batch", "chat"}
    found = [
        (a.at, a.request_class)
        for a in arrivals_at(workload, service("chat", "batch"), origin_s=10)
    ]
    assert found == [(10.0, "chat"), (11.0, "batch"), (12.0, "chat")]
    with pytest.raises(TraceError, match=r"class batch, but s has chat"):
        arrivals_at(workload, service("chat"), origin_s=0)


def test_a_service_without_classes_serves_a_trace_without_classes():
    workload = read_trace([PLAIN, "1,5,6"], "b")
    assert [a.request_class for a in arrivals_at(workload, service(), origin_s=0)] == ["default"]
    classed = read_trace([f"{PLAIN},class", "1,5,6,chat"], "b")
    with pytest.raises(TraceError, match="no classes"):
        arrivals_at(classed, service(), origin_s=0)


def test_files_are_opened_and_what_cannot_be_is_told(tmp_path):
    (tmp_path / "t.csv").write_text(f"{PLAIN}\n1,5,6\n")
    with gzip.open(tmp_path / "t.csv.gz", "wt") as file:
        file.write(f"{PLAIN}\n1,5,6\n")
    plain, zipped = (open_trace(tmp_path / name) for name in ("t.csv", "t.csv.gz"))
    assert plain.input_tokens.tolist() == zipped.input_tokens.tolist() == [5]
    (tmp_path / "cut.csv.gz").write_bytes((tmp_path / "t.csv.gz").read_bytes()[:-9])
    for name in ("cut.csv.gz", "nowhere.csv"):
        with pytest.raises(TraceError, match=name):
            open_trace(tmp_path / name)


def test_the_generated_hour_is_the_same_for_a_seed_and_as_long_as_the_trace():
    hour = coding_hour(1)
    assert (len(hour.arrival_s), hour.duration_s) == (8819, pytest.approx(3480, rel=0.01))
    assert hour.arrival_s.tolist() == coding_hour(1).arrival_s.tolist()
    assert hour.arrival_s.tolist() != coding_hour(2).arrival_s.tolist()
