"""Every counter of this process, named and documented once.

>>> from gws.metrics import counters
>>> counters["slow_consumers"]
0
"""

from __future__ import annotations

from collections import Counter
from typing import Final, Literal, TypeAlias

CounterName: TypeAlias = Literal[
    "slow_consumers",
    "keepalive_timeouts",
    "slow_bodies",
    "slow_readers",
    "callback_errors",
    "rooms_refused",
    "messages_refused",
    "undelivered",
    "backplane_published",
    "backplane_unconfirmed",
    "backplane_dropped",
    "backplane_received",
    "backplane_lost",
    "backplane_unreachable",
    "backplane_malformed",
    "backplane_unanswered",
    "backplane_reconnects",
]
"""A misspelt one is an error of mypy's."""

COUNTERS: Final[dict[CounterName, str]] = {
    "slow_consumers": "connections closed with 1008: more than `max_outbox_size` waited for the client to read",
    "keepalive_timeouts": "connections lost: no answer to a ping within `ping_timeout`",
    "slow_bodies": "HTTP connections ended: the body of a request came too slowly",
    "slow_readers": "HTTP connections ended: the client read an answer too slowly",
    "callback_errors": "connections closed, or messages dropped, after a fault in gws; the log has a traceback",
    "rooms_refused": "times that another thread had a connection join more than `max_rooms`",
    "messages_refused": "connections closed with 1003 or 1007: a message was no JSON, or not of the type expected",
    "undelivered": "messages of other threads, for each receiver, given up because the hub took none for 5 seconds",
    "backplane_published": "messages that the server of the backplane has confirmed",
    "backplane_unconfirmed": "messages on their way when that server went away: they may have arrived",
    "backplane_dropped": "messages for which the buffer had no room while that server was away",
    "backplane_received": "messages that came from other processes, heartbeats included",
    "backplane_lost": "messages that others have sent and that did not come: gaps in their numbers",
    "backplane_unreachable": "messages that came for a client that was gone",
    "backplane_malformed": "messages dropped: not gws's, of another version, or such as no process can have sent",
    "backplane_unanswered": "processes that did not answer `count` or `connections` in time",
    "backplane_reconnects": "times that the server of the backplane was back",
}
"""What each counts, from the start of the process."""

counters: Counter[CounterName] = Counter()
"""Incremented where it happens: `counters["slow_consumers"] += 1`."""
