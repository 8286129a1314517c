"""The benchmark's report: figures in, Markdown out."""

from findings import Failure, Findings, Sample
from load_generator import Load
from report import as_markdown
from workloads import CONNECTIONS, MESSAGES, P99, TARGETS, WORKLOADS, Target, Workload

ECHO = Workload("echo", "Echo of something", Load("echo", 64), ("gws", "picows"))


def findings(*rates: tuple[str, float], others: float = 0.0) -> Findings:
    """Return rounds of gws and its peers, in the order in which they are given."""
    found = Findings({"date": "2026-11-22"}, {"rounds": 1}, {"gws": {"gevent": "26.9"}, "picows": {}})
    for server, rate in rates:
        number = len(found.all("echo", server)) + 1
        shares = {"server_share": 1.0, "load_share": 0.5}
        figures = {"per_second": rate, "cpu_us": 1e6 / rate, "p50_us": 1.0, "p99_us": 2.0, **shares}
        found.samples.append(Sample(number, server, "echo", others, figures))
    return found


def row_with(text: str, *words: str) -> list[str]:
    """Return the cells of the one row of a table that has all of these."""
    [row] = [
        line for line in text.splitlines() if line.startswith("|") and all(word in line for word in words)
    ]
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_a_target_is_judged_by_the_ratio_of_medians() -> None:
    found = findings(
        ("gws", 90), ("gws", 100), ("gws", 300), ("picows", 50), ("picows", 100), ("picows", 100)
    )
    text = as_markdown(found, [ECHO], [Target(MESSAGES, ("echo", "gws"), 0.9, than=("echo", "picows"))])
    assert row_with(text, "gws / picows")[2:] == [
        *("messages/s", "1.00", "1.00 to 3.00", "1.00", "at least 0.90", "met")
    ]


def test_a_missed_target_is_said_to_be_missed() -> None:
    text = as_markdown(findings(("gws", 2000)), [ECHO], [Target(CONNECTIONS, ("echo", "gws"), 2500)])
    assert row_with(text, "connections/s")[-2:] == ["at least 2,500", "**missed**"]


def test_a_latency_is_to_be_at_most_its_bound() -> None:
    found = findings(("gws", 10), ("picows", 10))
    text = as_markdown(
        found, [ECHO], [Target(P99, ("echo", "gws"), 1.2, at_most=True, than=("echo", "picows"))]
    )
    assert row_with(text, "gws / picows")[-2:] == ["at most 1.20", "met"]


def test_a_target_beside_a_peer_that_was_left_out_is_not_measured() -> None:
    text = as_markdown(
        findings(("gws", 10)), [ECHO], [Target(MESSAGES, ("echo", "gws"), 2, than=("echo", "picows"))]
    )
    assert "not measured" in row_with(text, "gws / picows")


def test_a_disturbed_round_does_not_count_beside_quiet_ones() -> None:
    found = findings(("gws", 100), ("gws", 102))
    found.samples += findings(("gws", 10), others=0.5).samples
    assert row_with(as_markdown(found, [ECHO], ()), "102")[1::6] == ["101 (100 to 102)", "2 of 3"]


def test_what_was_left_out_and_what_failed_is_named() -> None:
    found = findings(("gws", 10))
    found.left_out["robyn"] = "no wheel"
    found.failures.append(Failure("picows", "echo", 2, "3 overtaken"))
    text = as_markdown(found, [ECHO], ())
    assert "- left out: robyn, no wheel" in text
    assert "- picows, echo, round 2: 3 overtaken" in text


def test_gws_is_faultless_only_if_it_was_measured_and_nothing_failed() -> None:
    found = findings(("gws", 10))
    found.failures.append(Failure("picows", "echo", 1, "lost"))
    assert found.faultless(frozenset({"gws"}))
    assert not found.faultless(frozenset({"gws", "picows"}))


def test_every_target_is_about_servers_that_its_workloads_measure() -> None:
    measured = {(workload.name, server) for workload in WORKLOADS for server in workload.servers}
    assert {target.subject for target in TARGETS} <= measured
    assert {target.than for target in TARGETS if target.than} <= measured
