"""One Redis or Valkey server: connections to it, and what its refusals mean."""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    InvalidResponse,
    RedisError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry

from ...errors import BackplaneError
from ...printable import printable
from ..urls import censor, redact, split_namespace

ANSWER_TIMEOUT: Final = 4.0
"""Seconds in which the server says something, or counts as away: less than other nodes have before they count as dead,
who are not to be taken for that when it is the server; and longer than its pauses."""
CONNECT_TIMEOUT: Final = 3.0
PROBE_TIMEOUT: Final = 1.0
"""Seconds to find out whether a server that says nothing to TLS says something without."""
MAX_CONNECTIONS: Final = 10
"""Of a `Publisher`: more threads at once wait for each other, as to publish takes less than a millisecond."""

MAX_ERROR: Final = 2000
"""Characters of an error that are looked at; what it says stands at its head."""

CLOSED: Final = "Connection closed by server"
"""How redis-py says that."""


class RedisServer:
    """Where the server is.

    Args:
        url: of a scheme that `urls` knows.
        prepare: called before each connection; may wait, and may raise `BackplaneError`.

    Raises:
        BackplaneError: the URL has a part that cannot be.
    """

    def __init__(self, url: str, prepare: Callable[[], None]) -> None:
        self.url = redact(url)
        plain, namespace = split_namespace(url)
        self.prefix = f"{namespace}:"
        """What the server's names of channels begin with."""
        self._prepare = prepare
        self._has_answered = False
        self._make_pool = functools.partial(
            redis.BlockingConnectionPool.from_url,
            plain,
            max_connections=MAX_CONNECTIONS,
            timeout=ANSWER_TIMEOUT,
            protocol=2,
            socket_timeout=ANSWER_TIMEOUT,
            socket_connect_timeout=CONNECT_TIMEOUT,
            # A message that is sent again may arrive twice.
            retry=Retry(NoBackoff(), 0),
        )
        try:
            # For what it makes of the URL.
            self._pool = self._make_pool()
            self._make_connection()
        except (ValueError, TypeError, AttributeError, RedisError) as error:
            # What it was about may be a part of the password.
            reason = (
                error if self.url == url else "the package redis knows no such option, or no such value of it"
            )
            raise BackplaneError(f"{self.url} is no URL of a server: {reason}") from None

    def make_client(self) -> Any:
        """Return a client with a pool of connections of its own, none of which is made yet."""
        return redis.Redis.from_pool(self._make_pool())

    def connect(self) -> Any:
        """Return a connection that the server has answered on.

        Raises:
            BackplaneError: it never will.
            RedisError, OSError: it does not now.
        """
        self._prepare()
        connection = self._make_connection()
        try:
            connection.connect()
            ping(connection)
            self._has_answered = True
        except BaseException as error:
            connection.disconnect()
            hopeless = self._hopeless(error, connection)
            if hopeless is not None:
                raise BackplaneError(hopeless) from None
            raise
        return connection

    def _make_connection(self) -> Any:
        # One that the pool does not keep, or wait for.
        return self._pool.connection_class(**self._pool.connection_kwargs)

    def reason(self, error: BaseException) -> str:
        """Return what went wrong, for people. A server may say anything, also the password that it has been sent."""
        return printable(self.censor(str(error)[:MAX_ERROR]))

    def censor(self, text: str) -> str:
        """Return a text without what it repeats of the user name and the passwords."""
        known = self._pool.connection_kwargs
        secrets = (known.get(name) for name in ("username", "password", "ssl_password"))
        return censor(text, [secret for secret in secrets if secret])

    def _hopeless(self, error: BaseException, connection: Any) -> str | None:
        """Why it makes no sense to try again; None if it does."""
        cause = error.__context__
        if isinstance(error, AuthenticationError | AuthorizationError | ResponseError):
            return f"{self.url} refuses: {self.reason(error)}"
        if isinstance(error, InvalidResponse) or CLOSED in str(error):
            return f"{self.url} is no Redis and no Valkey, or takes TLS (rediss://): {self.reason(error)}"
        if isinstance(cause, ssl.SSLError):
            return f"no TLS with {self.url}: {cause}"
        if isinstance(error, TimeoutError) and not self._has_answered and _has_no_tls(connection):
            return f"no TLS with {self.url}: the server answers without it (redis://)"
        if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
            return f"{self.url} names an unknown host: {cause}"
        return None


def ping(connection: Any) -> None:
    """Wait for a sign of life.

    Raises:
        RedisError, OSError: there is none.
    """
    connection.send_command("PING", check_health=False)
    answer = connection.read_response()
    if answer not in (b"PONG", "PONG"):
        raise InvalidResponse(f"it answers PING with {answer!r}")


def _has_no_tls(connection: Any) -> bool:
    """Return whether the server takes a TLS handshake for a command, of which it awaits the end."""
    if not isinstance(connection, redis.SSLConnection):
        return False
    try:
        with socket.create_connection((connection.host, connection.port), PROBE_TIMEOUT) as plain:
            plain.sendall(b"PING\r\n")
            return plain.recv(1) in (b"+", b"-")
    except OSError:
        return False
