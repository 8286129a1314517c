"""`Publisher`: messages to an application's WebSockets from any other process, such as a task or a cron job."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Collection, Iterator
from types import TracebackType
from typing import Any, Final

from ..backplane import channels
from ..backplane.urls import EMBEDDED, MEMORY, check
from ..errors import BackplaneError
from ..protocol import encoding
from ..protocol.encoding import Sendable
from ..protocol.frames import check_close, encode_close_payload
from .envelope import Envelope, Kind, check_excluded, encode
from .ids import node_of
from .names import check_name

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
        # Not at the top: most applications have one process, and need not have the package redis.
        from ..backplane.redis.server import RedisServer

        self._server = RedisServer(url, lambda: None)
        self._client = self._server.make_client()
        self._hub: Any = None
        """Of the connections, in a program that gevent has patched."""

    def __repr__(self) -> str:
        return f"<Publisher {self._server.url}>"

    def __enter__(self) -> Publisher:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections; whoever sends after that opens another. Any thread; idempotent."""
        self._client.close()

    def broadcast(
        self, endpoint: str, message: Sendable, room: str | None = None, exclude: Collection[str] = ()
    ) -> int:
        """Send to every connection of an endpoint, or of a room of it, but some. Any thread; waits for the server.

        Args:
            endpoint: the name of the `WebSocket`, which is its URL rule if it was given no other; a leading "/" may be
                left out.
            message: text, binary, or a dict or list that becomes JSON text.
            room: its name.
            exclude: ids of those that do not get it; at most 255. An unknown one is no error.

        Returns:
            How many nodes heard it, that is processes that have the endpoint, or members of the room. 0 is no error:
            the application may be about to start, or the room be empty. `nodes` tells whether there is such an
            endpoint, which is another question to the server, and so left to who wants to know.

        Raises:
            TypeError: the message is neither `str`, `bytes`, `dict` nor `list`, or the room no `str`.
            ValueError: the room's name is too long, too many are to be left out, or the text holds a lone surrogate.
            BackplaneError: the server is unreachable, refuses, or is none; after a timeout it may have gone out.
        """
        if room is not None:
            channels.check_room(room)
        check_excluded(exclude)
        ids = [one for one in exclude if node_of(one) is not None]
        channel = channels.of_endpoint(check_name(endpoint), room)
        return self._publish(channel, _message(Kind.BROADCAST, message, ids))

    def send_to(self, endpoint: str, connection_id: object, message: Sendable) -> bool:
        """Send to one connection of an endpoint. Any thread; waits for the server.

        Args:
            endpoint: as for `broadcast`.
            connection_id: its `ws.id`.
            message: text, binary, or a dict or list that becomes JSON text.

        Returns:
            Whether the node that the id names took it; False for what is no id. Whether the connection is still there,
            and of this endpoint, the node alone knows.

        Raises:
            TypeError: the message is neither `str`, `bytes`, `dict` nor `list`.
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
        envelope = Envelope(Kind.CLOSE, _NO_ORIGIN, 0, encode_close_payload(close))
        return self._publish_to(endpoint, connection_id, envelope)

    def nodes(self, endpoint: str) -> int:
        """How many nodes have an endpoint. Any thread; waits for the server, which finds it by its name.

        Args:
            endpoint: as for `broadcast`.

        Raises:
            BackplaneError: as for `broadcast`.
        """
        channel = self._server.prefix + channels.of_endpoint(check_name(endpoint))
        ((_, count),) = self._ask(lambda client: client.pubsub_numsub(channel))
        return int(count)

    def endpoints(self) -> list[str]:
        """Return the names of all endpoints that nodes have, sorted. Any thread; waits for the server.

        The server looks through all channels, of which each room is one: it is a question for people.

        Raises:
            BackplaneError: as for `broadcast`.
        """
        prefix = self._server.prefix
        pattern = prefix + channels.of_endpoint("*")
        heard = self._ask(lambda client: client.pubsub_channels(pattern))
        names = [one.decode(errors="replace").removeprefix(prefix) for one in heard]
        return sorted(
            channels.audience_of(name)[0] for name in names if channels.place_of(name) == "endpoint"
        )

    def _publish_to(self, endpoint: str, connection_id: object, envelope: Envelope) -> bool:
        node = node_of(connection_id)
        if node is None:
            return False
        envelope = envelope._replace(ids=(str(connection_id),), endpoint=check_name(endpoint))
        return self._publish(channels.of_node(node), envelope) > 0

    def _publish(self, channel: str, envelope: Envelope) -> int:
        name, data = f"{self._server.prefix}{channel}".encode(), encode(envelope)
        return int(self._ask(lambda client: client.publish(name, data)))

    def _ask(self, question: Callable[[Any], Any]) -> Any:
        import redis

        try:
            with self._lend_client() as client:
                return question(client)
        except (redis.RedisError, OSError) as error:
            what = "this is no Redis and no Valkey: " if isinstance(error, redis.InvalidResponse) else ""
            raise BackplaneError(f"{self._server.url}: {what}{self._server.reason(error)}") from None

    @contextlib.contextmanager
    def _lend_client(self) -> Iterator[Any]:
        """Return a client whose connections this thread may use."""
        # Not at the top: it needs no gevent.
        if "gevent.monkey" not in sys.modules:
            yield self._client
            return
        from ..hub.threads import get_own_hub, is_patched, passing_hub

        hub = get_own_hub() if is_patched() else None
        self._hub = self._hub or hub
        if hub is self._hub:
            yield self._client
            return
        # gevent's sockets are for the hub that they were made in.
        with passing_hub(), self._server.make_client() as client:
            yield client


def _message(kind: Kind, message: object, ids: Collection[str] = ()) -> Envelope:
    frame = encoding.encode(message, json.dumps)
    payload = encoding.payload_of(frame)
    return Envelope(kind, _NO_ORIGIN, 0, payload, encoding.is_text(frame), tuple(ids))
