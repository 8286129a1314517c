"""A connection on which permessage-deflate was agreed (RFC 7692)."""

from __future__ import annotations

from collections.abc import Callable

from ..protocol.deflate import Agreement, Deflater, Inflater
from ..settings import Settings
from .connection import Connection


class CompressedConnection(Connection):
    """A connection whose messages may be compressed.

    Args:
        settings: limits and deadlines, and how to compress.
        on_ending: called once, as soon as it is known that the connection ends.
        agreement: as was agreed.
    """

    __slots__ = ("_agreement", "_deflater")

    def __init__(self, settings: Settings, on_ending: Callable[[], object], agreement: Agreement) -> None:
        super().__init__(settings, on_ending)
        assert settings.compression is not None
        self._agreement = agreement
        if agreement.server_no_context_takeover:
            key = (settings.compression, agreement.server_max_window_bits)
            deflaters = self.io.deflaters
            if key not in deflaters:
                deflaters[key] = Deflater(settings.compression, agreement, self.io.compressing)
            self._deflater: Deflater | None = deflaters[key]
        else:
            self._deflater = Deflater(settings.compression, agreement, self.io.compressing)

    def queue(self, frame: bytes) -> bool:
        """Compress a frame, if that is worth it, and queue it."""
        deflater = self._deflater
        return deflater is not None and super().queue(deflater.encode(frame))

    def _release(self) -> None:
        super()._release()
        # The application may keep `ws`, and with it the connection.
        self._deflater = None

    def _new_inflater(self) -> Inflater:
        return Inflater(self._agreement)
