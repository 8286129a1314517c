"""`gws.protocol.handshake`: RFC 6455 §4.2, and who may connect (§10.2)."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Request
from websockets.server import ServerProtocol

from gws.errors import HandshakeRefusedError
from gws.protocol.handshake import accept, encode_response

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
"""With `ACCEPT`, the example of RFC 6455 §1.3."""
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

REQUEST = {
    "Host": "server.example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def request(**changes: str | None) -> list[tuple[str, str]]:
    """Return the RFC's request with headers replaced (`Sec_WebSocket_Key=...`), or left out (None)."""
    headers: dict[str, str | None] = {**REQUEST}
    headers.update({name.replace("_", "-"): value for name, value in changes.items()})
    return [(name, value) for name, value in headers.items() if value is not None]


def answer(headers: list[tuple[str, str]]) -> dict[str, str]:
    """Return the headers of the 101; each comes once."""
    response = accept("GET", "HTTP/1.1", headers).headers
    names = [name.lower() for name, _ in response]
    assert len(set(names)) == len(names)
    return dict(response)


def refusal(
    headers: list[tuple[str, str]], method: str = "GET", protocol: str = "HTTP/1.1"
) -> HandshakeRefusedError:
    with pytest.raises(HandshakeRefusedError) as caught:
        accept(method, protocol, headers)
    return caught.value


# Accepted


def test_the_example_of_the_rfc_is_accepted() -> None:
    assert answer(request()) == {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": ACCEPT,
    }


@pytest.mark.parametrize("octets", [bytes(16), b"\xff" * 16, bytes(range(16))])
def test_the_accept_value_is_computed_from_the_key(octets: bytes) -> None:
    key = base64.b64encode(octets).decode()
    digest = hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()
    assert answer(request(Sec_WebSocket_Key=key))["Sec-WebSocket-Accept"] == base64.b64encode(digest).decode()


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
def test_the_case_of_header_names_does_not_matter(change: Callable[[str], str]) -> None:
    headers = [(change(name), value) for name, value in request()]
    assert answer(headers)["Sec-WebSocket-Accept"] == ACCEPT


@pytest.mark.parametrize("upgrade", ["websocket", "WebSocket", "WEBSOCKET"])
def test_the_case_of_the_upgrade_does_not_matter(upgrade: str) -> None:
    assert answer(request(Upgrade=upgrade))["Upgrade"] == "websocket"


@pytest.mark.parametrize(
    "connection",
    ["upgrade", "UPGRADE", "keep-alive, Upgrade", "Upgrade, keep-alive", "a,b ,\tupgrade , c", ",Upgrade"],
)
def test_upgrade_may_stand_anywhere_in_the_connection_header(connection: str) -> None:
    assert answer(request(Connection=connection))["Sec-WebSocket-Accept"] == ACCEPT


def test_upgrade_may_stand_in_a_second_connection_header() -> None:
    headers = [*request(Connection="keep-alive"), ("Connection", "Upgrade")]
    assert answer(headers)["Sec-WebSocket-Accept"] == ACCEPT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ("Sec-WebSocket-Extensions", "x-unknown"),
        ("Sec-WebSocket-Extensions", "=;=bad"),
        ("Sec-WebSocket-Protocol", "chat, superchat"),
        ("Origin", "https://example.com"),
        ("Cookie", "a=b"),
        ("X-Latin", "\xe4\xff"),
    ],
)
def test_what_is_offered_and_not_spoken_is_left_unanswered(name: str, value: str) -> None:
    assert set(answer([*request(), (name, value)])) == {"Upgrade", "Connection", "Sec-WebSocket-Accept"}


# Refused


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "OPTIONS", "CONNECT", "get"])
def test_another_method_than_get_is_405_and_says_which_is_allowed(method: str) -> None:
    refused = refusal(request(), method=method)
    assert (refused.status, refused.headers) == (405, {"Allow": "GET"})


@pytest.mark.parametrize("protocol", ["HTTP/1.0", "HTTP/0.9"])
def test_an_older_http_is_505(protocol: str) -> None:
    assert refusal(request(), protocol=protocol).status == 505


@pytest.mark.parametrize("upgrade", [None, "h2c", "websockets", "websocket, h2c", "websocket/13"])
def test_a_request_for_no_websocket_is_426_and_says_what_is_spoken(upgrade: str | None) -> None:
    refused = refusal(request(Upgrade=upgrade))
    assert (refused.status, refused.headers) == (426, {"Upgrade": "websocket"})


@pytest.mark.parametrize("connection", [None, "close", "keep-alive", "upgraded", "not-upgrade"])
def test_a_connection_header_without_upgrade_is_426(connection: str | None) -> None:
    refused = refusal(request(Connection=connection))
    assert (refused.status, refused.headers) == (426, {"Upgrade": "websocket"})


def test_a_plain_get_is_426() -> None:
    refused = refusal([("Host", "server.example.com")])
    assert (refused.status, refused.headers) == (426, {"Upgrade": "websocket"})


@pytest.mark.parametrize(
    "key",
    [
        None,
        "",
        "x",
        "not base64!",
        base64.b64encode(bytes(15)).decode(),
        base64.b64encode(bytes(17)).decode(),
        base64.b64encode(bytes(1000)).decode(),
        KEY.rstrip("="),
        f"{KEY}=x",
        f"{KEY}, {KEY}",
        "dGhlIHNhbXBsZSBub25jZ\xff==",
    ],
)
def test_a_missing_or_malformed_key_is_400(key: str | None) -> None:
    refused = refusal(request(Sec_WebSocket_Key=key))
    assert (refused.status, refused.headers) == (400, {})
    assert "Sec-WebSocket-Key" in str(refused)


def test_two_keys_are_400() -> None:
    assert refusal([*request(), ("Sec-WebSocket-Key", KEY)]).status == 400


def test_a_missing_version_is_400() -> None:
    refused = refusal(request(Sec_WebSocket_Version=None))
    assert refused.status == 400
    assert "Sec-WebSocket-Version" in str(refused)


@pytest.mark.parametrize("version", ["", "0", "7", "8", "12", "14", "013", "13.0", "13, 8", "x"])
def test_another_version_is_426_and_says_which_is_spoken(version: str) -> None:
    refused = refusal(request(Sec_WebSocket_Version=version))
    assert (refused.status, refused.headers) == (426, {"Sec-WebSocket-Version": "13"})
    assert repr(version) in str(refused)


def test_two_versions_are_426() -> None:
    refused = refusal([*request(), ("Sec-WebSocket-Version", "8")])
    assert (refused.status, refused.headers) == (426, {"Sec-WebSocket-Version": "13"})


@pytest.mark.parametrize("name", ["Upgrade", "Connection", "Sec-WebSocket-Protocol"])
@pytest.mark.parametrize("value", ["", "\xff", '"', "a b", "@@@", "(,)"])
def test_a_header_that_is_no_list_of_tokens_is_400(name: str, value: str) -> None:
    refused = refusal(request(**{name: value}))
    assert (refused.status, refused.headers) == (400, {})
    assert name in str(refused)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        request(Upgrade=None),
        request(Connection="close"),
        request(Sec_WebSocket_Key="bad"),
        request(Sec_WebSocket_Version="8"),
        request(Connection='"'),
    ],
)
def test_a_refusal_says_why_in_one_line(headers: list[tuple[str, str]]) -> None:
    message = str(refusal(headers))
    assert message
    assert "\n" not in message


def test_a_refused_handshake_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    refusal(request(Sec_WebSocket_Key="bad"))
    assert caplog.records == []


# The response's head


def test_the_head_of_the_101() -> None:
    head = encode_response(
        [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", ACCEPT)]
    )
    assert head == (
        b"HTTP/1.1 101 Switching Protocols\r\n"
        b"Upgrade: websocket\r\n"
        b"Connection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
        b"\r\n"
    )


def test_headers_keep_their_order_and_may_repeat() -> None:
    assert encode_response([("Set-Cookie", "b=1"), ("Set-Cookie", "a=2")]).endswith(
        b"\r\nSet-Cookie: b=1\r\nSet-Cookie: a=2\r\n\r\n"
    )


def test_header_values_are_latin_1() -> None:
    assert b"X: \xe4\r\n" in encode_response([("X", "ä")])


def test_a_head_without_headers_ends() -> None:
    assert encode_response([]) == b"HTTP/1.1 101 Switching Protocols\r\n\r\n"


# The quick way, which `websockets` is the oracle of

VALUES = {
    "Upgrade": ["websocket", "WebSocket", "h2c", "websocket, h2c", "", "websocket "],
    "Connection": ["Upgrade", "keep-alive, Upgrade", "keep-alive", "upgrade,", "Up grade", ""],
    "Sec-WebSocket-Key": [KEY, KEY[:-1], "dGhlIHNhbXBsZSBub25jZR==", "AAAA", KEY + " ", "é" * 24, ""],
    "Sec-WebSocket-Version": ["13", "8", "13, 8", "013"],
    "Sec-WebSocket-Protocol": ["chat", "chat, chat", "", "a b"],
    "Sec-WebSocket-Extensions": ["permessage-deflate", "permessage-deflate; client_max_window_bits", "x; ;"],
    "Host": ["server.example.com"],
}
header = st.sampled_from(sorted(VALUES)).flatmap(
    lambda name: st.tuples(st.sampled_from([name, name.lower()]), st.sampled_from(VALUES[name]))
)


@settings(max_examples=1500, deadline=None, derandomize=True, database=None)
@given(st.lists(header, max_size=3), st.sets(st.sampled_from(sorted(REQUEST)), max_size=1), st.booleans())
def test_any_handshake_is_answered_as_websockets_answers_it(
    changes: list[tuple[str, str]], left_out: set[str], is_replaced: bool
) -> None:
    replaced = {name.title() for name, _ in changes} if is_replaced else set()
    headers = [(n, v) for n, v in REQUEST.items() if n.title() not in replaced and n not in left_out]
    headers += changes
    oracle = ServerProtocol().accept(Request("/", Headers(headers)))
    try:
        accepted = answer(headers)
    except HandshakeRefusedError:
        assert oracle.status_code != 101
    else:
        assert oracle.status_code == 101
        assert accepted == {name: value for name, value in oracle.headers.raw_items() if name != "Date"}
