"""What waits to be sent on one connection; no I/O."""

from __future__ import annotations


class Outbox:
    """Frames in the order in which they go out.

    Attributes:
        size: bytes of them.
    """

    __slots__ = ("_frames", "_unsent", "size")

    def __init__(self) -> None:
        self.size = 0
        self._frames: list[bytes] = []
        self._unsent: memoryview | None = None
        """What the kernel did not take of a frame that it has begun with; it goes out before all others."""

    def queue_last(self, frame: bytes) -> None:
        """Have a frame go out behind the others."""
        self._frames.append(frame)
        self.size += len(frame)

    def queue_first(self, frame: bytes) -> None:
        """Have a frame go out before the others; before anything was taken."""
        self._frames.insert(0, frame)
        self.size += len(frame)

    def take(self) -> bytes | memoryview:
        """Return bytes to send next, as many as one call of the kernel may take; `sent` says how many it took."""
        data: bytes | memoryview
        frames = self._frames
        if self._unsent is not None:
            data = self._unsent
            self._unsent = None
        elif len(frames) == 1:
            data = frames.pop()
        else:
            data = b"".join(frames)
            frames.clear()
        return data

    def sent(self, data: bytes | memoryview, count: int) -> bool:
        """Keep what is left of the bytes that `take` has returned; False when something is."""
        self.size -= count
        if count < len(data):
            self._unsent = memoryview(data)[count:]
            return False
        return True

    def drop_queued(self) -> None:
        """Drop every frame that the kernel has not begun with."""
        self._frames.clear()
        self.size = len(self._unsent or b"")

    def clear(self) -> None:
        """Drop everything."""
        self._frames.clear()
        self._unsent = None
        self.size = 0
