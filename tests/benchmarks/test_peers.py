"""A benchmark in which a peer does not start, or cannot be had, has failed, and says why."""

from __future__ import annotations

import pytest
from bench import measure_all
from cores import choose_cores
from findings import Failure, Findings, Sample
from load_generator import build
from measuring import Bench
from peers import Home, Runnable, Server
from workloads import WORKLOADS

OURS = frozenset({"gws"})
PLANNED = [("echo-1", "gws"), ("echo-1", "robyn")]


def measured(*servers: str) -> Findings:
    findings = Findings({}, {})
    findings.samples = [Sample(1, server, "echo-1", 0.0, {"per_second": 1.0}) for server in servers]
    return findings


def test_everybody_measured_is_a_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert measured("gws", "robyn").exit_status(PLANNED, OURS) == 0
    assert capsys.readouterr().err == ""


def test_a_peer_that_is_measured_and_not_faultless_is_no_failure_of_ours() -> None:
    findings = measured("gws", "robyn")
    findings.failures.append(Failure("robyn", "echo-1", 1, "3 overtaken"))
    assert findings.exit_status(PLANNED, OURS) == 0


def test_a_fault_of_ours_is_a_failure_even_though_all_was_measured() -> None:
    findings = measured("gws", "robyn")
    findings.failures.append(Failure("gws", "echo-1", 1, "1 overtaken"))
    assert findings.exit_status(PLANNED, OURS) == 1


def test_a_peer_that_cannot_be_had_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    findings = measured("gws")
    findings.left_out["robyn"] = "no wheel"
    assert findings.exit_status(PLANNED, OURS) == 1
    assert capsys.readouterr().err == "not measured: robyn, echo-1: no wheel\n"


def test_a_peer_that_does_not_start_is_a_failure_with_its_last_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    workload = next(workload for workload in WORKLOADS if workload.name == "echo-1").miniature()
    peer = Runnable(Server("robyn", "such_a_program", "", (), home=Home.CHECKOUT), {})
    findings = measured("gws")
    measure_all(Bench(build(), choose_cores(), 0.1, 0), [(1, workload, peer)], findings)
    assert findings.exit_status(PLANNED, OURS) == 1
    assert "not measured: robyn, echo-1:" in capsys.readouterr().err
    assert "such_a_program_echo.py" in findings.failures[0].reason
