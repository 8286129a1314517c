"""Frames to messages: fragments, decompression, UTF-8, the size limit, control frames and the peer's Close.

Two ways lead through this file and give the same result. The plain one is `FrameReader` calling back for each
frame. The quick one is the loop in `receive_data`, which takes whole, final, short text frames: they are most of
what servers receive, and the loop, long as it is for one function, is several times as fast for them.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Callable
from sys import getsizeof
from typing import Final, TypeAlias

from ..errors import InvalidPayloadError, MessageTooBigError, ProtocolError
from .deflate import Inflater
from .frames import MAX_CONTROL_PAYLOAD, Close, FrameReader, Opcode, encode_frame, parse_close
from .masking import apply_mask

Message: TypeAlias = str | bytes
"""A text message is `str`, a binary one `bytes`."""

LEAST_SIZE: Final = 1024
"""Bytes of memory that a message counts for at least. Those of the quick loop, which has no time to weigh them, take up
to 564: 125 bytes of UTF-8 with one emoji."""

_new_utf8_decoder = codecs.getincrementaldecoder("utf-8")


class MessageReader:
    """Reassembles a client's messages and answers its control frames.

    Args:
        messages: where complete messages are appended, in order.
        send: called with each frame that the protocol answers by itself (pongs).
        max_message_size: bytes; a longer message raises as soon as a header announces it, or as soon as a compressed
            one has become as much.
        inflater: for compressed messages, if permessage-deflate was agreed on.
    """

    __slots__ = (
        "_decoder",
        "_discards",
        "_final",
        "_frames",
        "_inflater",
        "_is_compressed",
        "_opcode",
        "_parts",
        "_quick",
        "_send",
        "_size",
        "close",
        "max_message_size",
        "messages",
        "space",
        "unread",
    )

    def __init__(
        self,
        messages: list[Message],
        send: Callable[[bytes], object],
        *,
        max_message_size: int,
        inflater: Inflater | None = None,
    ) -> None:
        self.messages = messages
        self.max_message_size = max_message_size
        self.close: Close | None = None
        """The peer's Close, once it has come; what comes after it is ignored (RFC 6455 §5.5.1)."""
        self._send = send
        self._quick = max_message_size >= MAX_CONTROL_PAYLOAD
        """Whether the next byte is the first of a message, and a short frame fits the limit."""
        self._frames = FrameReader(allow_rsv1=inflater is not None)
        self._inflater = inflater
        self._is_compressed = False
        """Whether the current message is."""
        self._discards = False
        """Whether nobody wants messages any more."""
        self.space = sys.maxsize
        """Bytes of memory that messages may still take, but for those of the quick loop; whoever has handled them sets
        it. The message that takes the last of it is the last one that is read."""
        self.unread = b""
        """What has come behind that; whoever has set `space` takes it and gives it back."""
        self._opcode: Opcode | None = None
        """TEXT or BINARY while a message is being received, None between messages."""
        self._final = False
        """Whether the current frame is its message's last one."""
        self._size = 0
        """Bytes of the current message so far: announced, or decompressed."""
        self._parts: bytearray | None = None
        """The payload so far of a message that comes in more than one piece."""
        self._decoder: codecs.IncrementalDecoder | None = None

    def guess_next(self) -> int:
        """Bytes of a data frame's payload that are about to come (`FrameReader`)."""
        return self._frames.guess_next()

    def receive_data(self, data: bytes | memoryview) -> None:
        """Take bytes from the socket; `messages` and `close` tell what they held.

        Large pieces come as a view of a buffer, to be copied no more often than it takes to unmask them.

        Raises:
            ProtocolError: the connection fails with its code; the reader must not be used again.
        """
        if self._quick and type(data) is bytes:
            # Anything out of the ordinary, errors included, is left to the plain way.
            octets = data
            append = self.messages.append
            position = 0
            end = len(octets)
            try:
                if 5 < end < 132 and octets[0] == 0x81 and octets[1] == end + 122:
                    # One frame that fills the read.
                    append(apply_mask(octets[6:], octets[2:6]).decode())
                    return
                while end - position > 5 and octets[position] == 0x81:
                    length = octets[position + 1] - 128
                    payload = position + 6
                    after = payload + length
                    if not 0 <= length < 126 or after > end:
                        break
                    append(apply_mask(octets[payload:after], octets[position + 2 : payload]).decode())
                    position = after
            except UnicodeDecodeError:
                pass
            if position == end:
                return
            if position:
                data = octets[position:]
        self._receive_plainly(data)

    def take_unread(self) -> memoryview:
        """Return what is unread, to be received again when there is space; a view, and so not the quick way."""
        data, self.unread = self.unread, b""
        return memoryview(data)

    def discard(self) -> None:
        """From now on only answer pings and look for the peer's Close: nobody wants messages any more."""
        self._discards = True
        self._quick = False
        self._parts = self._decoder = None

    def _receive_plainly(self, data: bytes | memoryview) -> None:
        if self.close is not None:
            return
        self.unread = self._frames.receive_data(data, self)
        self._quick = (
            self.close is None
            and not self._discards
            and self._opcode is None
            and self._frames.between_frames
            and self.max_message_size >= MAX_CONTROL_PAYLOAD
        )

    def begin_frame(self, opcode: Opcode, length: int, fin: bool, rsv1: bool) -> None:
        """Check a data frame's place in its message and the message's size (`FrameSink`)."""
        if self._discards:
            return
        if opcode is Opcode.CONTINUATION:
            if self._opcode is None:
                raise ProtocolError("continuation frame without a message to continue")
            # "An endpoint MUST NOT set the "Per-Message Compressed" bit of control frames and non-first fragments of a
            # data message" (RFC 7692 §6.1)
            if rsv1:
                raise ProtocolError("reserved bits are set")
        elif self._opcode is not None:
            raise ProtocolError("new message inside a fragmented one")
        else:
            self._opcode = opcode
            self._is_compressed = rsv1
        if not self._is_compressed:
            self._add_size(length)
        self._final = fin

    def receive_payload(self, payload: bytes, finished: bool) -> None:
        """Collect payload, or hand the message on with its last piece (`FrameSink`)."""
        if self._discards:
            return
        last = finished and self._final
        if self._is_compressed:
            assert self._inflater is not None
            payload = self._inflater.inflate(payload, last, self.max_message_size - self._size)
            self._add_size(len(payload))
        if not last or self._parts is not None:
            self._collect(payload, last)
        elif self._opcode is Opcode.BINARY:
            self._end_message(payload)
        else:
            self._end_message(_decode(payload))

    def receive_control(self, opcode: Opcode, payload: bytes) -> bool:
        """Answer a ping, keep a Close, and let a pong pass (`FrameSink`)."""
        if opcode is Opcode.PING:
            # "Upon receipt of a Ping frame, an endpoint MUST send a Pong frame in response" (RFC 6455 §5.5.2)
            self._send(encode_frame(Opcode.PONG, payload))
        elif opcode is Opcode.CLOSE:
            self.close = parse_close(payload)
        return self.close is None

    def _add_size(self, size: int) -> None:
        self._size += size
        if self._size > self.max_message_size:
            raise MessageTooBigError(f"message is over {self.max_message_size} bytes")

    def _collect(self, payload: bytes, last: bool) -> None:
        if self._parts is None:
            self._parts = bytearray()
            self._decoder = _new_utf8_decoder() if self._opcode is Opcode.TEXT else None
        if self._decoder is not None:
            # Checked piece by piece, so that bad text fails at once and not at the end of a long message.
            try:
                self._decoder.decode(payload, last)
            except UnicodeDecodeError as error:
                raise InvalidPayloadError("text is not UTF-8") from error
            # Python waits for the third byte of a surrogate, which the second one gives away.
            undecoded = self._decoder.getstate()[0]
            if undecoded[:1] == b"\xed" and undecoded[1:2] >= b"\xa0":
                raise InvalidPayloadError("text is not UTF-8")
        self._parts += payload
        if last:
            whole, self._parts = self._parts, None
            self._end_message(bytes(whole) if self._decoder is None else whole.decode())

    def _end_message(self, message: Message) -> None:
        self._opcode = None
        self._size = 0
        self.messages.append(message)
        self.space -= max(getsizeof(message), LEAST_SIZE)
        if self.space <= 0:
            self._frames.pause()


def _decode(payload: bytes) -> str:
    # "When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in fact, a
    # valid UTF-8 stream, that endpoint MUST Fail the WebSocket Connection" (RFC 6455 §8.1)
    try:
        return payload.decode()
    except UnicodeDecodeError as error:
        raise InvalidPayloadError("text is not UTF-8") from error
