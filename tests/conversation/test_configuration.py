"""Settings: arguments of `WebSocket`, or the application's `GWS_…`; an argument wins, and a bad one is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask

from gws import WebSocket

from ..conftest import StartServer
from ..support.client_frames import PING, TEXT
from ..support.raw_client import FIN, RawClient, closed, said


def test_two_applications_in_one_process_have_their_own_endpoints_and_settings(
    start_server: StartServer,
) -> None:
    server = start_server("two_applications")
    for path, name, size in ("/shared", "app", 10), ("/second/shared", "second", 20):
        with RawClient(server, path) as client:
            client.say("x" * size, "x" * (size + 1))
            assert client.read_to_end() == [
                said(f"{name} {'x' * size}"),
                closed(1009, f"message is over {size} bytes"),
                FIN,
            ]


COMPLAINTS: list[tuple[str, Any, type[Exception], str]] = [
    ("max_message_size", 0, ValueError, "max_message_size is a whole number above zero, not 0"),
    ("max_outbox_size", -1, ValueError, "max_outbox_size is a whole number above zero, not -1"),
    ("ping_timeout", None, ValueError, "ping_timeout is a number above zero, not None"),
    ("close_timeout", "5", ValueError, "close_timeout is a number above zero, not '5'"),
    ("handshake_timeout", True, ValueError, "handshake_timeout is a number"),
    ("ping_interval", float("nan"), ValueError, "ping_interval is a number"),
    ("allowed_origins", "https://a.example", TypeError, "allowed_origins is a list of strings"),
    ("nonsense", 1, TypeError, ""),
]


@pytest.mark.parametrize(
    ("setting", "value", "kind", "complaint"),
    COMPLAINTS,
    ids=[f"{setting}={value!r}" for setting, value, _, _ in COMPLAINTS],
)
def test_a_setting_that_cannot_work_is_refused_when_the_endpoint_is_made(
    setting: str, value: Any, kind: type[Exception], complaint: str
) -> None:
    with pytest.raises(kind, match=f"^{re.escape(complaint)}"):
        WebSocket(Flask("other"), "/x", **{setting: value})


def test_an_argument_wins_over_the_applications_setting(start_server: StartServer) -> None:
    server = start_server("settings")
    for path, size in ("/own", 5), ("/configured", 10):
        with RawClient(server, path) as client:
            assert client.read_frame() == (PING, b"")
            client.say("x" * size, "x" * (size + 1))
            frames = [frame for frame in client.read_to_end() if frame[0] != PING]
            assert frames == [said("x" * size), closed(1009, f"message is over {size} bytes"), FIN]
        with RawClient(server, path) as client:
            client.say("close")
            frames = [frame for frame in client.read_to_end() if frame[0] != PING]
            assert frames == [said("close"), closed(1000, "Connection closed"), FIN]


def test_a_connection_may_have_next_to_no_limits(start_server: StartServer) -> None:
    server = start_server("settings")
    for path in ("/unlimited", "/often"):
        with RawClient(server, path) as client:
            client.say("x" * 2_000_000 if path == "/unlimited" else "x")
            frames = (client.read_frame() for _ in range(10_000))
            assert next(frame for frame in frames if frame[0] == TEXT)[1] in ("x", "x" * 2_000_000)


@pytest.mark.parametrize("way", ["python", "worker"])
def test_a_misspelt_setting_is_warned_of_when_the_server_starts(start_server: StartServer, way: str) -> None:
    server = start_server("bare", way, config={"GWS_MAX_MESAGE_SIZE": 1000})
    server.wait_for_log("did you mean 'GWS_MAX_MESSAGE_SIZE'?")
