"""Who is connected to the other nodes: each of them is asked, and answers in a second or is left out."""

from __future__ import annotations

import secrets
import struct
import uuid
from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

from gevent.event import Event

from ..backplane import channels
from ..errors import BadEnvelopeError
from ..hub.io import HubIO
from ..metrics import counters
from .envelope import Envelope, Kind
from .ids import is_of_node

ANSWER_TIMEOUT: Final = 1.0
"""Seconds for the others to say who is connected to them; who is later is left out, and counted."""

MAX_CONNECTIONS: Final = 1 << 31
"""Of a node: a descriptor is an `int` of C."""

_QUESTION = struct.Struct("!QB")
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
        with_ids: whether theirs are asked for.
        ids: theirs.
    """

    def __init__(self, nodes: set[int], with_ids: bool) -> None:
        self.waits_for = nodes
        self.with_ids = with_ids
        self.count = 0
        self.ids: list[str] = []
        self.answered = Event()

    def leave_out(self, node: int) -> None:
        """Stop waiting for a node, which has answered or never will."""
        self.waits_for.discard(node)
        if not self.waits_for:
            self.answered.set()


class Asked(NamedTuple):
    """What another node asks for.

    Attributes:
        number: of its question.
        with_ids: whether it wants to know the ids, beside how many there are.
        room: which it is about; None if it is about the whole endpoint.
    """

    number: int
    with_ids: bool
    room: str | None


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
        question = Question(nodes, with_ids)
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

    def answer(self, node: int, asked: Asked, members: Sequence[str]) -> None:
        """Tell another node who is here.

        Args:
            node: its number.
            asked: its question.
            members: the ids of those that are meant.
        """
        payload = _ANSWER.pack(asked.number, len(members))
        if asked.with_ids:
            payload += b"".join(uuid.UUID(member).bytes for member in members)
        self._publish(channels.of_node(node), Kind.ANSWER, payload=payload)

    def receive_answer(self, envelope: Envelope) -> None:
        """Take the answer of another node; one that comes too late, or twice, says nothing.

        Raises:
            struct.error, BadEnvelopeError: it is none.
        """
        number, count = _ANSWER.unpack_from(envelope.payload)
        listed = envelope.payload[_ANSWER.size :]
        ids = [listed[at : at + _ID_SIZE] for at in range(0, len(listed), _ID_SIZE)]
        if count > MAX_CONNECTIONS or (listed and len(listed) != count * _ID_SIZE):
            raise BadEnvelopeError("an answer that does not add up")
        if not all(is_of_node(one, envelope.origin) for one in ids):
            raise BadEnvelopeError("an answer with the connections of another node")
        question = self._questions.get(number)
        if question is None or envelope.origin not in question.waits_for:
            return
        if len(ids) != (count if question.with_ids else 0):
            raise BadEnvelopeError("an answer to another question")
        question.ids += [str(uuid.UUID(bytes=one)) for one in ids]
        question.count += count
        question.leave_out(envelope.origin)

    def forget(self, node: int) -> None:
        """Wait no longer for a node that is gone."""
        for question in tuple(self._questions.values()):
            question.leave_out(node)


def parse_question(payload: bytes) -> Asked:
    """Return what the payload of a question asks for.

    Raises:
        struct.error, ValueError, BadEnvelopeError: it is none.
    """
    number, with_ids = _QUESTION.unpack_from(payload)
    mark, name = payload[_QUESTION.size :][:1], payload[_QUESTION.size + 1 :]
    if with_ids > 1 or mark not in (b"", b"\0"):
        raise BadEnvelopeError("a question that is none")
    room = name.decode() if mark else None
    if room is not None:
        channels.check_room(room)
    return Asked(number, bool(with_ids), room)
