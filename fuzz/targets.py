"""What is fuzzed: each target takes any bytes, and raises nothing but what gws documents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gws.errors import HandshakeRefusedError, ProtocolError
from gws.protocol import handshake
from gws.protocol.deflate import Agreement, Compression, Inflater
from gws.protocol.frames import FrameReader, Opcode
from gws.protocol.messages import Message, MessageReader
from gws.protocol.origins import check_origin

MAX_MESSAGE_SIZE: Final = 2000
"""Bytes."""


class _Sink:
    """Checks that every frame is told of in order and whole."""

    def __init__(self) -> None:
        self.expected = 0
        self.in_frame = False
        self.ended = False
        self.told: list[object] = []

    def begin_frame(self, opcode: Opcode, length: int, fin: bool, rsv1: bool) -> None:
        assert not self.in_frame
        assert opcode < Opcode.CLOSE
        self.expected, self.in_frame = length, True
        self.told.append((opcode, length, fin, rsv1))

    def receive_payload(self, payload: bytes, finished: bool) -> None:
        assert self.in_frame
        self.expected -= len(payload)
        assert finished == (self.expected == 0)
        self.in_frame = not finished
        # One piece or several is all the same.
        if self.told and isinstance(self.told[-1], bytes):
            self.told[-1] += payload
        else:
            self.told.append(payload)

    def receive_control(self, opcode: Opcode, payload: bytes) -> bool:
        assert len(payload) <= 125
        self.told.append((opcode, payload))
        self.ended = opcode is Opcode.CLOSE
        return not self.ended


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[place : place + size] for place in range(0, len(data), size)]


def read_frames(data: bytes) -> None:
    """Return the frame reader: bytes in any pieces give the same frames. The first byte says in which, and the bits."""
    settings, data = (data[0], data[1:]) if data else (0, b"")
    outcomes = []
    for size in (len(data) or 1, settings % 8 + 1):
        sink = _Sink()
        reader = FrameReader(allow_rsv1=settings >= 128)
        error = ""
        try:
            for piece in _pieces(data, size):
                if not sink.ended:
                    reader.receive_data(piece, sink)
        except ProtocolError as caught:
            error = str(caught)
            assert len(error.encode()) <= 123
        outcomes.append((sink.told, error))
    assert outcomes[0] == outcomes[1]


def read_messages(data: bytes) -> None:
    """Return the message layer with permessage-deflate: the same, and no message is over its limit."""
    settings, data = (data[0], data[1:]) if data else (0, b"")
    outcomes = []
    for size in (len(data) or 1, settings % 8 + 1):
        messages: list[Message] = []
        sent: list[bytes] = []
        inflater = Inflater(Agreement(False, settings >= 192, 15, 15)) if settings >= 128 else None
        reader = MessageReader(messages, sent.append, max_message_size=MAX_MESSAGE_SIZE, inflater=inflater)
        error = 0
        try:
            for piece in _pieces(data, size):
                reader.receive_data(piece)
        except ProtocolError as caught:
            error = caught.code
            assert error in (1002, 1007, 1009)
        for message in messages:
            assert len(message if isinstance(message, bytes) else message.encode()) <= MAX_MESSAGE_SIZE
        # Of two faults in one compressed message, it depends on the pieces which is met first.
        outcomes.append((messages, sent, reader.close, error and (inflater is not None or error)))
    assert outcomes[0] == outcomes[1]


def shake_hands(data: bytes) -> None:
    """Return the handshake: an answer of whole header lines, or a refusal of one line. The data are header lines."""
    lines = data.decode("latin-1").split("\n")
    headers = [
        ("Host", "a.example"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
    ]
    for line in lines:
        name, colon, value = line.partition(":")
        # A name that is there already is replaced, so that much is tried of a handshake that is else valid.
        headers = [pair for pair in headers if pair[0].lower() != name.lower()]
        if colon:
            headers.append((name, value.strip()))
    refusal: HandshakeRefusedError | None = None
    accepted = handshake.Accepted([], None, None)
    try:
        check_origin(dict(headers).get("Origin", "null"), "https://a.example", ["https://*.b.example"])
        accepted = handshake.accept(
            "GET", "HTTP/1.1", headers, subprotocols=["chat.v2", "chat.v1"], compression=Compression()
        )
    except HandshakeRefusedError as error:
        refusal = error
    if refusal is not None:
        assert 400 <= refusal.status < 600
        assert "\n" not in str(refusal)
    head = handshake.encode_response(accepted.headers)
    assert head.count(b"\r\n") == len(accepted.headers) + 2
    assert head.replace(b"\r\n", b"").isascii()
    assert accepted.subprotocol in (None, "chat.v1", "chat.v2")


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "frames": read_frames,
    "messages": read_messages,
    "handshake": shake_hands,
}
"""By the name of the folder that has what was found."""
