"""What permessage-deflate costs: memory for each connection, CPU time for each message, and what it saves.

`python benchmarks/compression.py` takes half a minute. A message is JSON as a chat sends it, 150 bytes, each another.
"""

from __future__ import annotations

import gc
import random
import time
import zlib
from pathlib import Path
from typing import NamedTuple

from gws import Compression
from gws.protocol.deflate import Agreement, Deflater, Inflater
from gws.protocol.frames import encode_text

CONNECTIONS = 500
MESSAGES = 50
WORDS = (
    "signal",
    "night",
    "rooftop",
    "penguin",
    "riddle",
    "joker",
    "lamp",
    "cave",
    "car",
    "butler",
    "meet",
    "now",
)

CASES = {
    "default": Compression(),
    "default, server forgets": Compression(server_no_context_takeover=True),
    "default, both forget": Compression(server_no_context_takeover=True, client_no_context_takeover=True),
    "9 bits, memory level 1": Compression(server_max_window_bits=9, client_max_window_bits=9, memory_level=1),
    "15 bits, memory level 8 (zlib's own)": Compression(
        server_max_window_bits=15, client_max_window_bits=15, memory_level=8
    ),
}


class Cost(NamedTuple):
    """What one way of compressing costs."""

    kilobytes: float
    deflate_us: float
    inflate_us: float
    saved: float


def chat(seed: int) -> bytes:
    """Return a message as a text frame."""
    generator = random.Random(seed)
    text = " ".join(generator.choices(WORDS, k=14))
    return encode_text(f'{{"type": "message", "from": "{generator.getrandbits(64):016x}", "text": "{text}"}}')


def resident_memory() -> int:
    """Bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def measure(compression: Compression, frames: list[bytes]) -> Cost:
    """Have many connections send and receive."""
    agreement = Agreement(
        compression.server_no_context_takeover,
        compression.client_no_context_takeover,
        compression.server_max_window_bits,
        compression.client_max_window_bits,
    )
    from_client = client_payloads(compression, frames)
    gc.collect()
    before = resident_memory()
    shared = Deflater(compression, agreement)
    pairs = [
        (
            shared if compression.server_no_context_takeover else Deflater(compression, agreement),
            Inflater(agreement),
        )
        for _ in range(CONNECTIONS)
    ]
    sent = deflating = inflating = 0.0
    for frame, payload in zip(frames, from_client, strict=True):
        began = time.process_time()
        for deflater, _ in pairs:
            # A copy, for the shared one compresses the same frame once.
            sent += len(deflater.encode(bytes(bytearray(frame))))
        middle = time.process_time()
        for _, inflater in pairs:
            inflater.inflate(payload, True, 1 << 20)
        deflating += middle - began
        inflating += time.process_time() - middle
    count = CONNECTIONS * len(frames)
    plain = sum(map(len, frames)) * CONNECTIONS
    return Cost(
        (resident_memory() - before) / CONNECTIONS / 1024,
        deflating / count * 1e6,
        inflating / count * 1e6,
        1 - sent / plain,
    )


def client_payloads(compression: Compression, frames: list[bytes]) -> list[bytes]:
    """Return what a client sends that compresses alike."""
    flush = zlib.Z_FULL_FLUSH if compression.client_no_context_takeover else zlib.Z_SYNC_FLUSH
    compressor = zlib.compressobj(wbits=-max(9, compression.client_max_window_bits))
    return [(compressor.compress(frame) + compressor.flush(flush))[:-4] for frame in frames]


def main() -> None:
    """Print a table."""
    frames = [chat(seed) for seed in range(MESSAGES)]
    print("| Compression | KB a connection | µs to compress | µs to decompress | bytes saved |")
    print("|---|---:|---:|---:|---:|")
    for name, compression in CASES.items():
        cost = measure(compression, frames)
        print(
            f"| {name} | {cost.kilobytes:.1f} | {cost.deflate_us:.1f} | {cost.inflate_us:.1f} | {cost.saved:.0%} |"
        )


if __name__ == "__main__":
    main()
