"""Who is connected to the other nodes: each of them is asked, and answers in a second or is left out."""

from __future__ import annotations

import secrets
import struct
import uuid
from collections.abc import Sequence
from typing import Final, Protocol

from gevent.event import Event

from .backplane import channels
from .backplane.envelope import Envelope, Kind
from .hub_io import HubIO, counters

ANSWER_TIMEOUT: Final = 1.0
"""Seconds for the others to say who is connected to them; who is later is left out, and counted."""

_QUESTION = struct.Struct("!Q?")
"""Its number, and whether the ids are asked for too; behind it the room, if it is about one, after a zero."""
_ANSWER = struct.Struct("!QQ")
"""The question's number, and how many there are; behind it the bytes of their ids."""
_ID_SIZE = 16


class Publish(Protocol):
    """Sends an envelope to whoever hears a channel; does not wait."""

    def __call__(self, channel: str, kind: Kind, *, payload: bytes, endpoint: str = "") -> None:
        """Send it."""


class Question:
    """What was asked, and the answers so far.

    Attributes:
        waits_for: the nodes that have not answered.
        count: the connections of those that have.
        ids: theirs, if they were asked for.
    """

    def __init__(self, nodes: set[int]) -> None:
        self.waits_for = nodes
        self.count = 0
        self.ids: list[str] = []
        self.answered = Event()

    def leave_out(self, node: int) -> None:
        """A node has answered, or never will."""
        self.waits_for.discard(node)
        if not self.waits_for:
            self.answered.set()


class Census:
    """The questions of one node, and its answers to those of others.

    Args:
        publish: as `Cluster` does it.
    """

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._questions: dict[int, Question] = {}

    def ask(self, io: HubIO, nodes: set[int], endpoint: str, room: str | None, with_ids: bool) -> Question:
        """Ask these nodes, and wait for their answers, `ANSWER_TIMEOUT` at most. Any greenlet, any thread.

        Args:
            io: of the hub in which the answers come.
            nodes: their numbers.
            endpoint: the name of the endpoint that the question is about.
            room: the room, if it is about one.
            with_ids: whether the ids are asked for too.
        """
        question = Question(nodes)
        number = secrets.randbits(64)
        self._questions[number] = question
        try:
            payload = _QUESTION.pack(number, with_ids) + (b"" if room is None else b"\0" + room.encode())
            self._publish(channels.ALL, Kind.QUESTION, payload=payload, endpoint=endpoint)
            if not io.wait(question.answered, ANSWER_TIMEOUT):
                counters["backplane_unanswered"] += len(question.waits_for)
        finally:
            del self._questions[number]
        return question

    def answer(self, envelope: Envelope, members: Sequence[str]) -> None:
        """Tell another node who is here.

        Args:
            envelope: its question.
            members: the ids of those that are meant.

        Raises:
            struct.error: it is no question.
        """
        number, with_ids = _QUESTION.unpack_from(envelope.payload)
        payload = _ANSWER.pack(number, len(members))
        if with_ids:
            payload += b"".join(uuid.UUID(member).bytes for member in members)
        self._publish(channels.of_node(envelope.origin), Kind.ANSWER, payload=payload)

    def receive_answer(self, envelope: Envelope) -> None:
        """Take the answer of another node; one that comes too late, or twice, says nothing.

        Raises:
            struct.error, ValueError: it is none.
        """
        number, count = _ANSWER.unpack_from(envelope.payload)
        question = self._questions.get(number)
        if question is None or envelope.origin not in question.waits_for:
            return
        ids = envelope.payload[_ANSWER.size :]
        question.ids += [str(uuid.UUID(bytes=ids[at : at + _ID_SIZE])) for at in range(0, len(ids), _ID_SIZE)]
        question.count += count
        question.leave_out(envelope.origin)

    def forget(self, node: int) -> None:
        """Wait no longer for a node that is gone."""
        for question in tuple(self._questions.values()):
            question.leave_out(node)


def asked_room(envelope: Envelope) -> str | None:
    """The room that a question is about; None if it is about the whole endpoint.

    Raises:
        UnicodeDecodeError: it is no text.
    """
    room = envelope.payload[_QUESTION.size :]
    return room[1:].decode() if room else None
