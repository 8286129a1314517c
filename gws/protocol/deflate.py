"""permessage-deflate (RFC 7692): what is agreed on, and messages into and out of DEFLATE.

The offers of the client are negotiated by the `websockets` package.
"""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from websockets.exceptions import NegotiationError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.typing import ExtensionParameter

from ..errors import ProtocolError
from .frames import Opcode, encode_frame, header_size

_TAIL: Final = b"\x00\x00\xff\xff"
"""What a sender leaves out at the end of a message, and a receiver puts back (RFC 7692 §7.2.1)."""

MAX_SIZE: Final = 512 * 1024
"""Bytes of the longest message that is compressed. One that does not shrink takes 25 ms, in which nobody is served."""

_CONTROL = 0x08


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """What an endpoint agrees to, and how it compresses; docs/protocol.md has what each costs.

    Attributes:
        server_no_context_takeover: whether each message sent is compressed without the memory of those before it.
            Connections then share one compressor, and a broadcast is compressed once for all of them; but short
            messages shrink less.
        client_no_context_takeover: whether clients are asked to do so, which spares the memory for decompressing
            while nothing is being received.
        server_max_window_bits: 9 to 15; the base-2 logarithm of the bytes that are remembered of what was sent. 12 is
            the default of `websockets`: 4 KiB hold some dozens of chat messages.
        client_max_window_bits: 8 to 15; the same for what is received, of clients that can be told.
        level: 1 (quick) to 9 (small), as in zlib.
        memory_level: 1 to 9; 5 is the default of `websockets`, a sixteenth of the memory of zlib's.
        minimum_size: bytes; shorter messages are sent as they are, for they would hardly become shorter.
    """

    server_no_context_takeover: bool = False
    client_no_context_takeover: bool = False
    server_max_window_bits: int = 12
    client_max_window_bits: int = 12
    level: int = 6
    memory_level: int = 5
    minimum_size: int = 64

    def __post_init__(self) -> None:
        """Refuse what could not work.

        Raises:
            ValueError: naming the attribute and what it takes.
        """
        for name, lowest, highest in (
            ("server_max_window_bits", 9, 15),
            ("client_max_window_bits", 8, 15),
            ("level", 1, 9),
            ("memory_level", 1, 9),
        ):
            value = getattr(self, name)
            if type(value) is not int or not lowest <= value <= highest:
                raise ValueError(f"{name} is {lowest} to {highest}, not {value!r}")
        if type(self.minimum_size) is not int or self.minimum_size < 1:
            raise ValueError(f"minimum_size is a whole number above zero, not {self.minimum_size!r}")

    def factory(self) -> ServerPerMessageDeflateFactory:
        """Return what negotiates with a client, for `websockets`' `ServerProtocol`."""
        return _Factory(
            server_no_context_takeover=self.server_no_context_takeover,
            client_no_context_takeover=self.client_no_context_takeover,
            server_max_window_bits=self.server_max_window_bits,
            client_max_window_bits=self.client_max_window_bits,
        )


class _Factory(ServerPerMessageDeflateFactory):
    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        # zlib makes no window of 8 bits, and websockets knows that since version 17 only.
        if ("server_max_window_bits", "8") in params:
            raise NegotiationError("zlib has no window of 8 bits")
        return super().process_request_params(params, accepted_extensions)


class Agreement(NamedTuple):
    """The parameters that server and client have agreed on (RFC 7692 §7.1)."""

    server_no_context_takeover: bool
    client_no_context_takeover: bool
    server_max_window_bits: int
    client_max_window_bits: int


def find_agreement(extensions: Iterable[Extension]) -> Agreement | None:
    """Return what was negotiated, if permessage-deflate is among these."""
    for extension in extensions:
        if isinstance(extension, PerMessageDeflate):
            return Agreement(
                extension.local_no_context_takeover,
                extension.remote_no_context_takeover,
                extension.local_max_window_bits,
                extension.remote_max_window_bits,
            )
    return None


class Allowance:
    """The time that compressors have together; when it is used up, messages are sent as they are (RFC 7692 §6).

    Args:
        seconds: how long, before `renew` is called.
        clock: tells the time, in seconds.
        on_use: called as soon as some of it is used.
    """

    __slots__ = ("_on_use", "clock", "seconds", "used")

    def __init__(self, seconds: float, clock: Callable[[], float], on_use: Callable[[], object]) -> None:
        self.seconds = seconds
        self.clock = clock
        self.used = 0.0
        self._on_use = on_use

    def use(self, seconds: float) -> None:
        """Count some of it as used."""
        if not self.used:
            self._on_use()
        self.used += seconds

    def renew(self) -> None:
        """All of it is there again."""
        self.used = 0.0


_UNLIMITED: Final = Allowance(math.inf, float, bool)
"""That of a compressor which holds up nobody but its caller."""


class Deflater:
    """Compresses the messages to one client; or, without context takeover, to any number of clients.

    Args:
        compression: how to.
        agreement: as was agreed.
        allowance: of time; without one, there is no end to it.
    """

    __slots__ = (
        "_allowance",
        "_bits",
        "_compression",
        "_compressor",
        "_flush",
        "_keeps_context",
        "_last",
        "_minimum_size",
    )

    def __init__(
        self, compression: Compression, agreement: Agreement, allowance: Allowance = _UNLIMITED
    ) -> None:
        self._allowance = allowance
        self._compression = compression
        self._bits = agreement.server_max_window_bits
        self._keeps_context = not agreement.server_no_context_takeover
        self._minimum_size = compression.minimum_size
        self._compressor: zlib._Compress | None = None
        # A full flush ends as a sync flush does, and forgets: no other way to forget is as cheap.
        self._flush = zlib.Z_SYNC_FLUSH if self._keeps_context else zlib.Z_FULL_FLUSH
        self._last = (b"", b"")
        """The last frame and what became of it, for a broadcast comes once for each connection."""

    def encode(self, frame: bytes) -> bytes:
        """Compress a message that is one frame, as `encode_text` makes it.

        A control frame stays as it is, and so does a message that is too short to be worth it, over `MAX_SIZE`, or late
        for the allowance: what is compressed later refers to compressed messages only (RFC 7692 §7.2.1).
        """
        if frame is self._last[0]:
            return self._last[1]
        first = frame[0]
        header = header_size(frame)
        size = len(frame) - header
        if first & _CONTROL or not self._minimum_size <= size <= MAX_SIZE:
            return frame
        allowance = self._allowance
        if allowance.used >= allowance.seconds:
            return frame
        began = allowance.clock()
        compressor = self._compressor
        if compressor is None:
            settings = self._compression
            compressor = zlib.compressobj(settings.level, wbits=-self._bits, memLevel=settings.memory_level)
            self._compressor = compressor
        data = compressor.compress(memoryview(frame)[header:]) + compressor.flush(self._flush)
        encoded = encode_frame(Opcode(first & 0x0F), data[: -len(_TAIL)], rsv1=True)
        allowance.use(allowance.clock() - began)
        if not self._keeps_context:
            if len(encoded) > len(frame):
                encoded = frame
            self._last = (frame, encoded)
        return encoded


class Inflater:
    """Decompresses the messages of one client.

    Args:
        agreement: as was agreed.
    """

    __slots__ = ("_bits", "_decompressor", "_has_begun", "_keeps_context", "_padding")

    def __init__(self, agreement: Agreement) -> None:
        self._bits = agreement.client_max_window_bits
        self._keeps_context = not agreement.client_no_context_takeover
        self._decompressor: zlib._Decompress | None = None
        self._has_begun = False
        """Whether a byte of the current message has come."""
        self._padding = b""
        """What has come behind a block that said it was the final one."""

    def inflate(self, payload: bytes, last: bool, limit: int) -> bytes:
        """Decompress a piece of a message.

        Args:
            payload: the piece, as it has come.
            last: whether the message ends with it.
            limit: bytes that it may become; more than one byte over it is not made of it, and the rest is lost.

        Raises:
            ProtocolError: it is not DEFLATE, or goes on behind its final block.
        """
        if payload:
            self._has_begun = True
        elif not self._has_begun:
            # Without even the octet 0 of an empty message (RFC 7692 §7.2.3.6) there is no block to put the tail to.
            return b""
        decompressor = self._decompressor
        if decompressor is None:
            decompressor = self._decompressor = zlib.decompressobj(wbits=-self._bits)
        try:
            if decompressor.eof:
                inflated = b""
                self._padding += payload
            else:
                inflated = decompressor.decompress(payload, limit + 1)
                if last and not decompressor.eof and len(inflated) <= limit:
                    inflated += decompressor.decompress(_TAIL, limit + 1 - len(inflated))
                elif decompressor.eof:
                    self._padding = decompressor.unused_data
        except zlib.error as error:
            raise ProtocolError("compressed data is corrupt") from error
        # A final block is followed by the octet 0 that makes an empty block of the tail (RFC 7692 §7.2.3.4).
        if self._padding not in (b"", b"\0"):
            raise ProtocolError("compressed data goes on behind its final block")
        if last:
            self._has_begun = False
            self._padding = b""
            if decompressor.eof or not self._keeps_context:
                self._decompressor = None
        return inflated
