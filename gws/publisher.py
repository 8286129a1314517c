"""`Publisher`: messages to an application's WebSockets from any other process, such as a task or a cron job."""

from __future__ import annotations

from collections.abc import Collection
from types import TracebackType
from typing import Any, Final

from .backplane import channels
from .backplane.contract import BackplaneError
from .backplane.envelope import Envelope, Kind, encode
from .backplane.urls import EMBEDDED, MEMORY, check, redact, split_namespace
from .ids import node_of
from .protocol.frames import check_close

CONNECT_TIMEOUT: Final = 3.0
"""Seconds, as for the servers themselves."""
ANSWER_TIMEOUT: Final = 5.0
"""Seconds in which the server of the backplane answers, or counts as away."""
MAX_CONNECTIONS: Final = 10
"""Connections to it: more threads at once wait for each other, as a publish takes less than a millisecond."""

_NO_ORIGIN: Final = 0
_UNREACHABLE: Final = {
    MEMORY: "reaches no other process",
    EMBEDDED: "is private to the workers of one gunicorn",
}


class Publisher:
    """Sends to the connections of an application, from outside of it: at most once, and nothing is repeated.

    It needs no gevent and no Flask application. Any thread may use it, and so may a forked child. It connects when it
    first has something to send, and anew when the connection has been lost meanwhile.

    Args:
        url: of the backplane, as the application has it: redis://, rediss://, unix://, valkey:// or valkeys://.

    Raises:
        BackplaneError: the URL is none, or one that other processes cannot use, or the package redis is not installed.
    """

    def __init__(self, url: str) -> None:
        if check(url) in _UNREACHABLE:
            raise BackplaneError(
                f"{url} {_UNREACHABLE[url]}: use a redis:// or unix:// URL, in the application as well"
            )
        self._url = redact(url)
        plain, self._namespace = split_namespace(url)
        self._client = _make_client(plain, self._url)

    def __repr__(self) -> str:
        return f"<Publisher {self._url}>"

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; whoever sends after that opens another. Any thread; twice is once."""
        self._client.close()

    def broadcast(
        self, endpoint: str, message: str | bytes, room: str | None = None, exclude: Collection[str] = ()
    ) -> int:
        """Send to every connection of an endpoint, or of a room of it, but some. Any thread; waits for the server.

        Args:
            endpoint: the name of the `WebSocket`, which is its URL rule; a leading "/" may be left out.
            message: text or binary.
            room: its name.
            exclude: ids of those that do not get it; at most 255. An unknown one is no error.

        Returns:
            How many nodes heard it, that is processes that have the endpoint, or members of the room.

        Raises:
            TypeError: the message is neither `str` nor `bytes`, or the room no `str`.
            ValueError: the room's name is too long, too many are to be left out, or the text holds a lone surrogate.
            BackplaneError: the server is away, refuses, or is none; after a timeout the message may have gone out.
        """
        if room is not None:
            channels.check_room(room)
        ids = [one for one in exclude if node_of(one) is not None]
        channel = channels.of_endpoint(_name_of(endpoint), room)
        return self._publish(channel, _message(Kind.BROADCAST, message, ids))

    def send_to(self, endpoint: str, connection_id: object, message: str | bytes) -> bool:
        """Send to one connection of an endpoint. Any thread; waits for the server.

        Args:
            endpoint: as for `broadcast`.
            connection_id: its `ws.id`.
            message: text or binary.

        Returns:
            Whether the node that the id names took it; False for what is no id. Whether the connection is still there
            the node alone knows.

        Raises:
            TypeError: the message is neither `str` nor `bytes`.
            ValueError: the text holds a lone surrogate.
            BackplaneError: as for `broadcast`.
        """
        return self._publish_to(endpoint, connection_id, _message(Kind.SEND, message))

    def close_connection(
        self,
        endpoint: str,
        connection_id: object,
        code: int = 1000,
        reason: str = "Connection closed",
    ) -> bool:
        """Close one connection of an endpoint, as `ws.close` does. Any thread; waits for the server.

        Args:
            endpoint: as for `broadcast`.
            connection_id: its `ws.id`.
            code: that a Close frame may carry (RFC 6455 §7.4).
            reason: text for people; at most 123 bytes of UTF-8.

        Returns:
            As `send_to`.

        Raises:
            TypeError, ValueError: a code or reason that may not be sent.
            BackplaneError: as for `broadcast`.
        """
        close = check_close(code, reason)
        payload = close.code.to_bytes(2, "big") + close.reason.encode()
        return self._publish_to(endpoint, connection_id, Envelope(Kind.CLOSE, _NO_ORIGIN, 0, payload))

    def _publish_to(self, endpoint: str, connection_id: object, envelope: Envelope) -> bool:
        node = node_of(connection_id)
        if node is None:
            return False
        envelope = envelope._replace(ids=(str(connection_id),), endpoint=_name_of(endpoint))
        return self._publish(channels.of_node(node), envelope) > 0

    def _publish(self, channel: str, envelope: Envelope) -> int:
        import redis

        try:
            return int(self._client.publish(f"{self._namespace}:{channel}".encode(), encode(envelope)))
        except (redis.RedisError, OSError) as error:
            raise BackplaneError(f"{self._url}: {self._reason(error)}") from None

    def _reason(self, error: Exception) -> str:
        """What went wrong; a server that has no AUTH repeats the password."""
        password = self._client.connection_pool.connection_kwargs.get("password")
        return str(error).replace(password, "***") if password else str(error)


def _make_client(url: str, shown_url: str) -> Any:
    # Not at the top: most applications have one process, and need not have the package redis.
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    try:
        pool: Any = redis.BlockingConnectionPool.from_url(
            url,
            max_connections=MAX_CONNECTIONS,
            timeout=ANSWER_TIMEOUT,
            protocol=2,
            socket_timeout=ANSWER_TIMEOUT,
            socket_connect_timeout=CONNECT_TIMEOUT,
            # A message that is sent again may arrive twice.
            retry=Retry(NoBackoff(), 0),
        )
        pool.make_connection()
    except (ValueError, TypeError, AttributeError, redis.RedisError) as error:
        raise BackplaneError(f"{shown_url} is no URL of a server: {redact(str(error))}") from None
    return redis.Redis.from_pool(pool)


def _message(kind: Kind, message: object, ids: Collection[str] = ()) -> Envelope:
    if isinstance(message, str):
        return Envelope(kind, _NO_ORIGIN, 0, message.encode(), True, tuple(ids))
    if isinstance(message, bytes):
        return Envelope(kind, _NO_ORIGIN, 0, message, False, tuple(ids))
    raise TypeError(f"a message is a str or bytes, not {type(message).__name__}")


def _name_of(endpoint: str) -> str:
    """As `WebSocket` has it."""
    return endpoint if endpoint.startswith("/") else f"/{endpoint}"
