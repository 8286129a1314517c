"""A benchmark in which a peer does not start, or cannot be had, has failed, and says why."""

from __future__ import annotations

import pytest
from bench import measure_all
from cores import choose_cores
from fan_out_workloads import FLASK_SOCKETIO
from findings import Failure, Findings, Sample, exit_status
from load_generator import build
from measuring import Bench
from peers import Home, Runnable, Server
from progress import Progress
from workloads import WORKLOADS

OURS = frozenset({"gws"})
PLANNED = [("echo-1", "gws"), ("echo-1", "robyn")]


def measured(*servers: str) -> Findings:
    findings = Findings({}, {})
    findings.samples = [Sample(1, server, "echo-1", 0.0, {"per_second": 1.0}) for server in servers]
    return findings


def test_everybody_measured_is_a_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_status(measured("gws", "robyn"), PLANNED, OURS) == 0
    assert capsys.readouterr().err == ""


def test_a_peer_that_is_measured_and_not_faultless_is_no_failure_of_ours() -> None:
    findings = measured("gws", "robyn")
    findings.failures.append(Failure("robyn", "echo-1", 1, "3 overtaken"))
    assert exit_status(findings, PLANNED, OURS) == 0


def test_a_peer_that_cannot_be_had_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    findings = measured("gws")
    findings.left_out["robyn"] = "no wheel"
    assert exit_status(findings, PLANNED, OURS) == 1
    assert capsys.readouterr().err == "not measured: robyn, echo-1: no wheel\n"


def test_a_peer_that_does_not_start_is_a_failure_with_its_last_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    workload = next(workload for workload in WORKLOADS if workload.name == "echo-1").miniature()
    peer = Runnable(Server("robyn", "such_a_program", "", (), home=Home.CHECKOUT), {})
    findings = measured("gws")
    measure_all(Bench(build(), choose_cores(), 0.1, 0), [(1, workload, peer)], findings, Progress())
    assert exit_status(findings, PLANNED, OURS) == 1
    assert "not measured: robyn, echo-1:" in capsys.readouterr().err
    assert "such_a_program_echo.py" in findings.failures[0].reason


def test_flask_socketio_gets_the_gunicorn_that_its_worker_needs() -> None:
    assert "gunicorn[gevent]" in FLASK_SOCKETIO
