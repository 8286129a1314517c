"""`gws.protocol.origins`: which pages are let in, and which spellings of an allowed origin are refused at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gws.errors import HandshakeRefusedError
from gws.protocol.origins import check_origin, parse_allowed, parse_origin


def is_let_in(origin: str, own: str, *allowed: str) -> bool:
    try:
        check_origin(origin, own, allowed)
    except HandshakeRefusedError:
        return False
    return True


@pytest.mark.parametrize(
    ("origin", "own"),
    [
        ("http://example.org", "http://example.org"),
        ("https://example.org", "https://example.org"),
        ("http://example.org:80", "http://example.org"),
        ("http://example.org", "http://example.org:80"),
        ("https://example.org:443", "https://example.org"),
        ("https://example.org", "https://example.org:443"),
        ("http://example.org:8080", "http://example.org:8080"),
        ("HTTP://Example.ORG", "http://example.org"),
        ("http://example.org", "http://EXAMPLE.org"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://127.0.0.1", "http://127.0.0.1:80"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://[::1]", "http://[::1]:80"),
        ("https://[2001:DB8::1]:443", "https://[2001:db8::1]"),
        ("http://xn--bcher-kva.example", "http://xn--bcher-kva.example"),
    ],
)
def test_a_page_of_the_same_origin_is_let_in(origin: str, own: str) -> None:
    assert is_let_in(origin, own)


@pytest.mark.parametrize(
    ("origin", "own"),
    [
        ("https://evil.example", "https://example.org"),
        ("http://example.org", "https://example.org"),
        ("https://example.org", "http://example.org"),
        ("http://example.org:8080", "http://example.org"),
        ("http://example.org:443", "http://example.org"),
        ("https://example.org:80", "https://example.org"),
        ("http://sub.example.org", "http://example.org"),
        ("http://example.org.evil.example", "http://example.org"),
        ("http://evil-example.org", "http://example.org"),
        ("http://example.org@evil.example", "http://example.org"),
        ("http://example.org/", "http://example.org"),
        ("http://[::1]:8080", "http://[::1]"),
        ("http://[::2]", "http://[::1]"),
        ("http://localhost", "http://127.0.0.1"),
        ("null", "http://example.org"),
        ("", "http://example.org"),
        ("*", "http://example.org"),
        ("http://example.org:99999", "http://example.org"),
        ("http://example.org:x", "http://example.org"),
        ("http://[::1", "http://example.org"),
        ("http://example.org http://evil.example", "http://example.org"),
        ("file://", "http://example.org"),
    ],
)
def test_a_page_of_another_origin_is_not(origin: str, own: str) -> None:
    assert not is_let_in(origin, own)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example", "https://app.example"),
        ("https://app.example", "https://APP.example"),
        ("https://APP.example", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("https://app.example", "https://app.example:443"),
        ("http://app.example", "http://app.example:80"),
        ("https://a.app.example", "https://*.app.example"),
        ("https://a.b.app.example", "https://*.app.example"),
        ("https://A.app.example:443", "HTTPS://*.App.example"),
        ("https://a.app.example:8443", "https://*.app.example:8443"),
        ("https://a_b.c-d.app.example", "https://*.app.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("http://[2001:db8::1]", "http://[2001:DB8:0:0::0001]"),
        ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://a.xn--bcher-kva.example", "https://*.xn--bcher-kva.example"),
        ("http://[::1]", "http://[::1]:80"),
        ("null", "null"),
        ("null", "*"),
        ("https://any.example:1234", "*"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
    ],
)
def test_an_allowed_origin_is_let_in(origin: str, allowed: str) -> None:
    assert is_let_in(origin, "https://example.org", "https://other.example", allowed)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example", "http://app.example"),
        ("https://app.example:8443", "https://app.example"),
        ("https://app.example", "https://*.app.example"),
        ("https://evilapp.example", "https://*.app.example"),
        ("https://app.example.evil.example", "https://app.example"),
        ("https://a.app.example.evil.example", "https://*.app.example"),
        ("https://appXexample", "https://app.example"),
        ("https://.app.example", "https://*.app.example"),
        ("https://a..app.example", "https://*.app.example"),
        ("https://a.app.example:8443", "https://*.app.example"),
        ("https://a.app.example", "https://*.app.example:8443"),
        ("https://a.app.example.", "https://*.app.example"),
        ("https://evil.com/.app.example", "https://*.app.example"),
        ("https://evil.com?.app.example", "https://*.app.example"),
        ("https://evil.com#.app.example", "https://*.app.example"),
        ("https://evil.com\\.app.example", "https://*.app.example"),
        ("https://evil.com:1.app.example", "https://*.app.example"),
        ("https://evil.com@a.app.example", "https://*.app.example"),
        ("https://evil.com,https://a.app.example", "https://*.app.example"),
        ("https://evil.com https://a.app.example", "https://*.app.example"),
        ("https://a.app.example https://evil.com", "https://*.app.example"),
        ("https://a.app.example https://b.app.example", "https://*.app.example"),
        ("https://a.app.example, https://b.app.example", "https://*.app.example"),
        ("https://evil.com%2f.app.example", "https://*.app.example"),
        ("https://evil\xe9.app.example", "https://*.app.example"),
        ("https://a.app.example/", "https://*.app.example"),
        ("https://a.app.example\t", "https://*.app.example"),
        ("https://a.app.example\n", "https://*.app.example"),
        ("https://a.app.example:", "https://*.app.example"),
        ("https://[::1].app.example", "https://*.app.example"),
        ("https://app.example/", "https://app.example"),
        ("https://app.example https://app.example", "https://app.example"),
        ("http://localhost:30000", "http://localhost:3000"),
        ("http://localhost:65537", "http://localhost:1"),
        ("http://localhost:03000", "http://localhost:3000"),
        ("null", "https://*.app.example"),
        ("NULL", "null"),
        ("null null", "null"),
        ("http://1", "http://[::1]"),
    ],
)
def test_an_origin_that_no_pattern_matches_is_not(origin: str, allowed: str) -> None:
    assert not is_let_in(origin, "https://example.org", allowed)


def test_the_own_origin_is_let_in_whatever_is_allowed() -> None:
    assert is_let_in("https://example.org", "https://example.org", "https://app.example")


def test_a_refused_origin_is_403_and_named_with_the_setting_that_lets_it_in() -> None:
    with pytest.raises(HandshakeRefusedError) as caught:
        check_origin("https://evil.example", "https://example.org", ())
    assert caught.value.status == 403
    for part in ("https://evil.example", "https://example.org", "GWS_ALLOWED_ORIGINS"):
        assert part in str(caught.value)


# What may be allowed

REFUSED = {
    "ok.example": "https://ok.example",
    "ok.example:8443": "https://ok.example:8443",
    "*.ok.example": "https://*.ok.example",
    "localhost": "https://localhost",
    "https://ok.example/": "https://ok.example",
    "https://ok.example/chat?x#y": "https://ok.example",
    "https://OK.example/": "https://ok.example",
    "https://*.ok.example/": "https://*.ok.example",
    " https://ok.example": "https://ok.example",
    "wss://ok.example": "https://ok.example",
    "ws://localhost:8080/web_socket": "http://localhost:8080",
    "https://b\xfccher.example": "https://xn--bcher-kva.example",
    "https://*.B\xdcCHER.example:8443": "https://*.xn--bcher-kva.example:8443",
    "https://stra\xdfe.example": "https://xn--strae-oqa.example",
    "Null": "null",
    "": None,
    "https://": None,
    "https://*": None,
    "https://*ok.example": None,
    "https://*.*.ok.example": None,
    "https://a.*.example": None,
    "https://ok.*": None,
    "https://ok.exampl?": None,
    "https://ok.[ae]xample": None,
    "https://*.": None,
    "https://.ok.example": None,
    "https://ok..example": None,
    "*://ok.example": None,
    "http*://ok.example": None,
    "**": None,
    "http://localhost:*": None,
    "http://localhost:300?": None,
    "http://localhost:": None,
    "http://localhost:0": None,
    "http://localhost:65536": None,
    "http://localhost:port": None,
    "https://me@ok.example": None,
    "https://a.example https://b.example": None,
    "https://a.example,https://b.example": None,
    "https://ok.example\n": "https://ok.example",
    "https://o\N{KELVIN SIGN}.example": "https://ok.example",
    "http://127.1": None,
    "http://1.2.3.256": None,
    "http://*.0.0.1": None,
    "http://*.[::1]": None,
    "http://[::1": None,
    "http://[::g]": None,
    "file://": None,
    "//ok.example": None,
}
"""What no browser sends, and what it must be; None where nobody can tell."""


@pytest.mark.parametrize("origin", REFUSED)
def test_what_no_browser_sends_is_refused_with_the_right_spelling(origin: str) -> None:
    with pytest.raises(ValueError, match=r"^allowed_origins: ") as refusal:
        parse_allowed(origin)
    right = REFUSED[origin]
    assert repr(origin) in str(refusal.value)
    assert str(refusal.value).endswith(f"write {right!r}" if right else '"*" is everybody')
    if right:
        parse_allowed(right)


@given(st.text(st.sampled_from("az.*:/@?#[]1 ,-_%\\\n\xe9"), max_size=30))
def test_a_host_below_an_allowed_one_is_nothing_but_labels(before: str) -> None:
    origin = f"https://{before}.app.example"
    if is_let_in(origin, "http://own.example", "https://*.app.example"):
        assert all(label.replace("-", "a").replace("_", "a").isalnum() for label in before.split("."))
        assert before.isascii()


@given(st.text())
def test_any_text_is_one_origin_or_none(text: str) -> None:
    found = parse_origin(text)
    assert found is None or text == "null" or text.lower().startswith(f"{found.scheme}://")


def test_a_long_origin_takes_no_longer_than_its_length() -> None:
    for piece in ("a", "a.", "a-", ".", "a:", "[", "1"):
        assert parse_origin("https://" + piece * 200_000 + "!") is None
