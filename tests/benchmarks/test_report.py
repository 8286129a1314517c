"""The benchmark's report: figures in, Markdown and drawings out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from bench import publish
from findings import Failure, Findings, Sample
from load_generator import Load
from report import as_markdown
from workloads import CONNECTIONS, MESSAGES, P99, TARGETS, WORKLOADS, Target, Workload

ECHO = Workload("echo", "Echo of something", Load("echo", 64), ("gws", "picows"))


def findings(*rates: tuple[str, float], others: float = 0.0, load_share: float = 0.5) -> Findings:
    """Return rounds of gws and its peers, in the order in which they are given."""
    found = Findings({"date": "2026-11-22"}, {"rounds": 1}, {"gws": {"gevent": "26.9"}, "picows": {}})
    for server, rate in rates:
        number = len(found.all("echo", server)) + 1
        times = {"cpu_us": 1e6 / rate, "p50_us": 1250.0, "p99_us": 2500.0}
        figures = {"per_second": rate, **times, "server_share": 0.8, "load_share": load_share}
        found.samples.append(Sample(number, server, "echo", others, figures))
    return found


def markdown(found: Findings, *targets: Target) -> str:
    return as_markdown("# Figures", found, [ECHO], targets, drawn=False)


def row_with(text: str, *words: str) -> list[str]:
    """Return the cells of the one row of a table that has all of these."""
    [row] = [
        line for line in text.splitlines() if line.startswith("|") and all(word in line for word in words)
    ]
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_a_row_has_medians_in_the_units_of_its_head() -> None:
    text = markdown(findings(("gws", 1000), ("gws", 4000), ("gws", 2000)))
    assert row_with(text, "server", "p99")[1:] == [
        *("messages/s", "CPU µs/message", "p50 ms", "p99 ms"),
        *("server's core %", "load's core %", "quiet rounds"),
    ]
    assert row_with(text, "| gws")[1:] == [
        *("2,000 (1,000 to 4,000)", "500.00 (250.00 to 1,000.00)", "1.25", "2.50", "80", "50", "3 of 3")
    ]


def test_a_disturbed_round_does_not_count_beside_quiet_ones() -> None:
    found = findings(("gws", 100), ("gws", 102))
    found.samples += findings(("gws", 10), others=0.5).samples
    assert row_with(markdown(found), "102")[1::6] == ["101 (100 to 102)", "2 of 3"]


def test_where_no_round_was_quiet_all_count() -> None:
    found = findings(("gws", 100), ("gws", 102), others=0.5)
    assert row_with(markdown(found), "102")[1::6] == ["101 (100 to 102)", "0 of 2"]


def test_where_the_load_is_what_is_full_the_row_says_so() -> None:
    assert row_with(markdown(findings(("gws", 10), load_share=0.95)), "| gws")[6] == "95, the limit"


def test_a_target_is_judged_by_the_ratio_of_medians() -> None:
    found = findings(
        ("gws", 90), ("gws", 100), ("gws", 300), ("picows", 50), ("picows", 100), ("picows", 100)
    )
    text = markdown(found, Target(MESSAGES, ("echo", "gws"), 0.9, than=("echo", "picows")))
    assert row_with(text, "gws / picows")[2:] == [
        *("messages/s", "1.00", "1.00 to 3.00", "1.00", "at least 0.90", "met")
    ]


def test_where_no_round_counts_for_both_the_medians_are_compared() -> None:
    found = findings(("gws", 90), ("picows", 45))
    found.samples.append(Sample(2, "picows", "echo", 0.0, found.samples[1].figures))
    found.samples[1] = Sample(1, "picows", "echo", 0.5, found.samples[1].figures)
    text = markdown(found, Target(MESSAGES, ("echo", "gws"), 3, than=("echo", "picows")))
    assert row_with(text, "gws / picows")[3:] == [
        "2.00",
        "2.00 to 2.00",
        "2.00",
        "at least 3.00",
        "**missed**",
    ]


def test_a_missed_target_is_said_to_be_missed() -> None:
    text = markdown(findings(("gws", 2000)), Target(CONNECTIONS, ("echo", "gws"), 2500))
    assert row_with(text, "connections/s")[-2:] == ["at least 2,500", "**missed**"]


def test_a_latency_is_to_be_at_most_its_bound() -> None:
    found = findings(("gws", 10), ("picows", 10))
    text = markdown(found, Target(P99, ("echo", "gws"), 1.2, at_most=True, than=("echo", "picows")))
    assert row_with(text, "gws / picows")[-2:] == ["at most 1.20", "met"]


def test_a_target_beside_a_peer_that_was_left_out_is_not_measured() -> None:
    target = Target(MESSAGES, ("echo", "gws"), 2, than=("echo", "picows"))
    assert "not measured" in row_with(markdown(findings(("gws", 10)), target), "gws / picows")


def test_what_was_left_out_and_what_failed_is_named() -> None:
    found = findings(("gws", 10))
    found.left_out["robyn"] = "no wheel"
    found.failures.append(Failure("picows", "echo", 2, "3 overtaken"))
    text = markdown(found)
    assert "- left out: robyn, no wheel" in text
    assert "- picows, echo, round 2: 3 overtaken" in text


def test_every_target_is_about_servers_that_its_workloads_measure() -> None:
    measured = {(workload.name, server) for workload in WORKLOADS for server in workload.servers}
    assert {target.subject for target in TARGETS} <= measured
    assert {target.than for target in TARGETS if target.than} <= measured


def test_without_matplotlib_there_are_tables_and_every_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    publish("# Figures", findings(("gws", 12)), [ECHO], (), tmp_path, "README.md", "results.json")
    assert capsys.readouterr().err.startswith("nothing is drawn: matplotlib is not installed")
    text = (tmp_path / "README.md").read_text()
    assert row_with(text, "| gws")[1] == "12"
    assert "![" not in text
    assert json.loads((tmp_path / "results.json").read_text())["samples"][0]["figures"]["per_second"] == 12


def test_each_table_is_drawn(tmp_path: Path) -> None:
    publish("# Figures", findings(("gws", 12)), [ECHO], (), tmp_path, "README.md", "results.json")
    assert "![Echo of something](echo.svg)" in (tmp_path / "README.md").read_text()
    assert ">12</text>" in (tmp_path / "echo.svg").read_text()
