"""How long answers took: counted, in a bounded memory, and drawn."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from typing import Final

PERCENTILES: Final = (50.0, 75.0, 90.0, 99.0, 99.9)
WIDTH: Final = 40
"""Characters of the longest bar."""


class Latencies:
    """Counts latencies to three digits, so that a minute of them takes no more memory than a second."""

    def __init__(self) -> None:
        self.count = 0
        self._counts: Counter[int] = Counter()
        """By microseconds."""

    def add(self, seconds: float) -> None:
        """Count one."""
        microseconds = int(seconds * 1e6)
        step = 1
        while microseconds >= 1000 * step:
            step *= 10
        self._counts[microseconds - microseconds % step] += 1
        self.count += 1

    def percentiles(self) -> list[float]:
        """Return the seconds within which each of `PERCENTILES` was answered, and the longest."""
        found: list[float] = []
        wanted = [self.count * percent / 100 for percent in PERCENTILES]
        total = 0
        for microseconds, count in sorted(self._counts.items()):
            total += count
            while len(found) < len(wanted) and total >= wanted[len(found)]:
                found.append(microseconds / 1e6)
        return [*found, max(self._counts) / 1e6]

    def bars(self) -> Iterator[str]:
        """Yield a line for each step of 1, 2 or 5 times a power of ten between the shortest and the longest."""
        ordered = sorted(self._counts.items())
        steps = [
            (low, high)
            for low, high in itertools.pairwise(_steps())
            if high > ordered[0][0] and low <= ordered[-1][0]
        ]
        sums = [sum(count for at, count in ordered if low <= at < high) for low, high in steps]
        for (_, high), count in zip(steps, sums, strict=True):
            bar = "#" * round(WIDTH * count / max(sums)) or ("." if count else "")
            yield f"{f'< {duration(high / 1e6)}':>10} {count:>10} {100 * count / self.count:5.1f} % {bar}".rstrip()


def _steps() -> list[int]:
    return [0, *(digit * 10**power for power in range(1, 9) for digit in (1, 2, 5))]


def duration(seconds: float) -> str:
    """Return seconds for people."""
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
