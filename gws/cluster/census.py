"""Who is connected to the other nodes: each of them is asked, and answers in a second or is left out."""

from __future__ import annotations

import secrets
import struct
import uuid
from collections.abc import Callable
from typing import Final, NamedTuple

from gevent.event import Event

from ..backplane import channels
from ..errors import BadEnvelopeError
from ..metrics import counters
from .envelope import Envelope, Kind
from .ids import is_of_node
from .membership import Membership
from .node import Node
from .plausible import Rule

ANSWER_TIMEOUT: Final = 1.0
"""Seconds for the others to say who is connected to them; who is later is left out, and counted."""

MAX_CONNECTIONS: Final = 1 << 31
"""Of a node: a descriptor is an `int` of C."""

_QUESTION = struct.Struct("!QB")
"""Its number, and whether the ids are asked for too; behind it the room, if it is about one, after a zero."""
_ANSWER = struct.Struct("!QQ")
"""The question's number, and how many there are; behind it the bytes of their ids."""
_ID_SIZE = 16


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
        node: this one.
        membership: who else there is.
        members_of: returns the ids of the connections here, by the endpoint's name and the room, if it is about one.
    """

    def __init__(
        self, node: Node, membership: Membership, members_of: Callable[[str, str | None], list[str]]
    ) -> None:
        self._node = node
        self._membership = membership
        self._members_of = members_of
        self._questions: dict[int, Question] = {}
        membership.gone.append(self._forget)
        node.on(Kind.QUESTION, self._receive_question, all=Rule(has_endpoint=True))
        node.on(Kind.ANSWER, self._receive_answer, node=Rule())

    def ask(self, endpoint: str, room: str | None, with_ids: bool) -> Question:
        """Ask the other nodes, and wait for their answers, `ANSWER_TIMEOUT` at most. Any greenlet, any thread.

        Args:
            endpoint: the name of the endpoint that the question is about.
            room: the room, if it is about one.
            with_ids: whether the ids are asked for too.
        """
        io, nodes = self._node.io, self._membership.alive()
        question = Question(nodes, with_ids)
        if io is None or not nodes:
            return question
        number = secrets.randbits(64)
        self._questions[number] = question
        try:
            payload = _QUESTION.pack(number, with_ids) + (b"" if room is None else b"\0" + room.encode())
            self._node.publish(channels.ALL, Kind.QUESTION, payload, endpoint=endpoint)
            if not io.wait(question.answered, ANSWER_TIMEOUT):
                counters["backplane_unanswered"] += len(question.waits_for)
        finally:
            del self._questions[number]
        return question

    def _receive_question(self, channel: str, envelope: Envelope) -> None:
        asked = _parse_question(envelope.payload)
        members = self._members_of(envelope.endpoint, asked.room)
        payload = _ANSWER.pack(asked.number, len(members))
        if asked.with_ids:
            payload += b"".join(uuid.UUID(member).bytes for member in members)
        self._node.publish(channels.of_node(envelope.origin), Kind.ANSWER, payload)

    def _receive_answer(self, channel: str, envelope: Envelope) -> None:
        """Take the answer of another node; one that comes too late, or twice, says nothing."""
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

    def _forget(self, node: int) -> None:
        for question in tuple(self._questions.values()):
            question.leave_out(node)


def _parse_question(payload: bytes) -> Asked:
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
