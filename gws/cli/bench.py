"""`gws bench`: how many messages a second a WebSocket answers, and how soon."""

from __future__ import annotations

import asyncio
import contextlib
import re
import resource
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

import click
from websockets.client import ClientProtocol
from websockets.uri import parse_uri

from ..protocol.frames import encode_text
from .lane import Lane, Tally
from .latencies import PERCENTILES, duration
from .target import INTERRUPTED, MAX_SIZE, Target, describe_refusal, handshake_options, make_target

AT_ONCE: Final = 100
"""Handshakes that wait for an answer at a time."""
OPEN_TIMEOUT: Final = 10.0
"""Seconds for a connection and its handshake."""
GREETINGS: Final = 0.2
"""Seconds for what a server says of its own when somebody connects."""
LAST_ANSWERS: Final = 2.0
"""Seconds for what is on its way when the time is over."""
BUSY: Final = 0.9
"""Of a core: what this program takes before it, and not the server, may be what is measured."""

_UNITS: Final = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0}
_CLOSED_LOOP: Final = (
    "Each connection waits for its answer before it sends again: while the server stalls nothing is sent, and the "
    "stall is counted once (coordinated omission). For latencies under a given load, use --rate."
)
_OPEN_LOOP: Final = (
    "Latencies count from the moment at which a message was due, so a stall is in all that it delays."
)


def _read_duration(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """Return seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|)", value)
    if found is None or not float(found[1]):
        raise click.BadParameter("a duration is written 500ms, 10s or 1m")
    return float(found[1]) * _UNITS[found[2]]


@click.command()
@handshake_options
@click.option("-c", "--connections", default=10, show_default=True, type=click.IntRange(1))
@click.option("-d", "--duration", "seconds", default="10s", show_default=True, callback=_read_duration)
@click.option(
    "--rate",
    type=click.FloatRange(0, min_open=True),
    help="Messages a second of all connections; default: most.",
)
@click.option("-m", "--message", help="What to send; by default 32 bytes of text.")
@click.option("--size", type=click.IntRange(1, 16 * 1024 * 1024), help="Send so many bytes of text.")
def bench(
    connections: int,
    seconds: float,
    rate: float | None,
    message: str | None,
    size: int | None,
    **options: Any,
) -> None:
    """Measure the WebSocket at URL, which answers each message with one, such as an echo.

    Exit codes: 0, or 1 if there was any error or no answer, 2 for a wrong option, 130 for Ctrl-C.
    """
    if message is not None and size is not None:
        raise click.UsageError("give --message or --size, and not both")
    text = message if message is not None else "x" * (size or 32)
    target = make_target(**options)
    _allow_files(connections)
    run = Bench(target, connections, seconds, rate, text)
    asyncio.run(run.run())
    for line in run.report():
        click.echo(line)
    failed = bool(run.tally.errors) or not run.tally.latencies.count
    sys.exit(INTERRUPTED if run.is_interrupted else int(failed))


def _allow_files(connections: int) -> None:
    """Raise the limit of open files, as far as it may be, to that of the connections and a few more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 64
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


class Bench:
    """One run.

    Args:
        target: where to.
        connections: how many.
        seconds: how long.
        rate: messages a second, or None for as many as are answered.
        message: what to send.
    """

    def __init__(
        self, target: Target, connections: int, seconds: float, rate: float | None, message: str
    ) -> None:
        self.tally = Tally()
        self.is_interrupted = False
        self._target = target
        self._connections = connections
        self._seconds = seconds
        self._rate = rate
        self._message = message
        self._answer = encode_text(message)
        self._lanes: list[Lane] = []
        self._stop = asyncio.Event()
        self._took = 0.0
        self._cpu = 0.0
        self._answered = 0

    async def run(self) -> None:
        """Connect, send, and close."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._interrupt)
        gate = asyncio.Semaphore(AT_ONCE)
        opening = [asyncio.ensure_future(self._open(gate)) for _ in range(self._connections)]
        stopping = asyncio.ensure_future(self._stop.wait())
        everybody = asyncio.ensure_future(asyncio.wait(opening))
        await asyncio.wait([everybody, stopping], return_when=asyncio.FIRST_COMPLETED)
        if self._lanes and not self._stop.is_set():
            await self._measure()
        for task in (stopping, *opening):
            task.cancel()
        await everybody
        await self._close()

    def _interrupt(self) -> None:
        self.is_interrupted = True
        self._stop.set()

    async def _open(self, gate: asyncio.Semaphore) -> None:
        async with gate:
            why = await self._try_to_open()
        if why:
            self.tally.errors[why] += 1

    async def _try_to_open(self) -> str:
        """Return why there is no connection; "" if there is one."""
        try:
            lane = await asyncio.wait_for(self._connect(), OPEN_TIMEOUT)
            why = await asyncio.wait_for(lane.opened, OPEN_TIMEOUT)
        except asyncio.TimeoutError:
            return "no answer in time"
        except OSError as error:
            return describe_refusal(error)
        if why:
            lane.abort()
        else:
            self._lanes.append(lane)
        return why

    async def _connect(self) -> Lane:
        target, parts = self._target, urlsplit(self._target.url)
        protocol = ClientProtocol(
            parse_uri(target.url),
            origin=target.origin,  # type: ignore[arg-type] # a `str` by another name
            subprotocols=target.subprotocols or None,  # type: ignore[arg-type]
            max_size=MAX_SIZE,
        )
        _, lane = await asyncio.get_running_loop().create_connection(
            lambda: Lane(protocol, target.headers, self._message, self._answer, self.tally),
            str(parts.hostname),
            parts.port or (443 if target.tls else 80),
            ssl=target.tls,
        )
        return lane

    async def _measure(self) -> None:
        await _wait(self._stop, GREETINGS)
        self.tally.has_begun = True
        began, cpu = time.perf_counter(), time.process_time()
        progress = asyncio.ensure_future(self._show_progress(began))
        if self._rate is None:
            for lane in self._lanes:
                lane.send_in_a_loop()
            await _wait(self._stop, self._seconds)
        else:
            await self._send_at_rate(began, self._rate)
        self.tally.is_over = True
        self._took = time.perf_counter() - began
        self._cpu = time.process_time() - cpu
        self._answered = self.tally.latencies.count
        end = time.perf_counter() + LAST_ANSWERS
        while time.perf_counter() < end and any(lane.waiting and not lane.has_ended for lane in self._lanes):
            await asyncio.sleep(0.01)
        progress.cancel()
        missing = sum(len(lane.waiting) for lane in self._lanes)
        if missing and not self.is_interrupted:
            self.tally.errors["messages without an answer"] += missing

    async def _send_at_rate(self, began: float, rate: float) -> None:
        """Send each message when it is due, by turns on each connection, whatever has been answered."""
        number = 0
        total = int(rate * self._seconds) or 1
        while number < total and not self._stop.is_set():
            ahead = began + number / rate - time.perf_counter()
            if ahead > 0:
                await _wait(self._stop, ahead)
                continue
            # All that is due by now, and then whoever has been answered.
            until = min(total, int((time.perf_counter() - began) * rate) + 1, number + len(self._lanes))
            lanes = [lane for lane in self._lanes if not lane.has_ended]
            if not lanes:
                return
            for due in range(number, until):
                lanes[due % len(lanes)].send(began + due / rate)
            number = until
            await asyncio.sleep(0)

    async def _show_progress(self, began: float) -> None:
        before = 0
        while sys.stderr.isatty():
            await asyncio.sleep(1)
            count, errors = self.tally.latencies.count, sum(self.tally.errors.values())
            line = f"{time.perf_counter() - began:4.0f} s  {count - before:>9,} messages/s  {errors} errors"
            click.echo(f"\r\x1b[K{line}", nl=False, err=True)
            before = count

    async def _close(self) -> None:
        if sys.stderr.isatty():
            click.echo("\r\x1b[K", nl=False, err=True)
        for lane in self._lanes:
            lane.close()
        await asyncio.sleep(0.05)
        for lane in self._lanes:
            lane.abort()

    def report(self) -> Iterator[str]:
        """Yield what was found, a line each."""
        tally, latencies = self.tally, self.tally.latencies
        load = "as fast as it answers" if self._rate is None else f"{self._rate:,.0f} messages/s"
        yield (
            f"{self._target.shown}: {len(self._lanes)} of {self._connections} connections, "
            f"{len(self._message.encode())} bytes a message, {load}"
        )
        if latencies.count:
            answered = f"{latencies.count:,} of {tally.sent:,} messages answered in {self._took:.1f} s"
            yield f"{answered}: {self._answered / self._took:,.0f} messages/s"
            names = [*(f"p{percent:g}" for percent in PERCENTILES), "max"]
            figures = zip(names, latencies.percentiles(), strict=True)
            yield "latency  " + "  ".join(f"{name} {duration(value)}" for name, value in figures)
            yield from latencies.bars()
            yield _CLOSED_LOOP if self._rate is None else _OPEN_LOOP
            share = self._cpu / self._took
            advice = (
                ", so the server may be faster: run several at once, or use a lower --rate"
                if share > BUSY
                else ""
            )
            yield f"This program took {share:.0%} of a core{advice}."
        yield f"errors: {sum(tally.errors.values())}"
        for what, count in tally.errors.most_common():
            yield f"{count:>10} {what}"


async def _wait(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, so long at the most."""
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
