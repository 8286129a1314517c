"""`gws.protocol.deflate`: RFC 7692 in bytes, with the examples of its §7.2.3, and `websockets` as the peer."""

from __future__ import annotations

import itertools
import os
import random
import time
import tracemalloc
import zlib
from typing import Any

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import Frame
from websockets.frames import Opcode as TheirOpcode
from websockets.headers import build_extension, parse_extension

from gws.errors import HandshakeRefusedError, InvalidPayloadError, MessageTooBigError, ProtocolError
from gws.protocol.deflate import MAX_SIZE, Agreement, Allowance, Compression, Deflater, Inflater
from gws.protocol.frames import encode_binary, encode_text
from gws.protocol.handshake import accept
from gws.protocol.messages import Message, MessageReader

from ..support.client_frames import BINARY, CONTINUATION, PING, TEXT, close, frame, text

RSV1 = 4
DEFAULT = Agreement(False, False, 15, 15)
FORGETFUL = Agreement(True, True, 15, 15)
LIMIT = 1 << 20
CHAT = [f'{{"type": "message", "from": "batman", "text": "number {number}"}}' for number in range(50)]


def inflate(payload: bytes, agreement: Agreement = DEFAULT) -> bytes:
    return Inflater(agreement).inflate(payload, True, LIMIT)


def compress(data: bytes, bits: int = 15) -> bytes:
    """Return a message's payload, made without gws."""
    compressor = zlib.compressobj(wbits=-bits)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def reader_of(agreement: Agreement, limit: int = LIMIT) -> tuple[MessageReader, list[Message], list[bytes]]:
    messages: list[Message] = []
    sent: list[bytes] = []
    reader = MessageReader(messages, sent.append, max_message_size=limit, inflater=Inflater(agreement))
    return reader, messages, sent


def read(*frames: bytes, agreement: Agreement = DEFAULT, limit: int = LIMIT) -> list[Message]:
    reader, messages, _ = reader_of(agreement, limit)
    for data in frames:
        reader.receive_data(data)
    return messages


# Negotiation


def answer(offer: str | None, **settings: Any) -> tuple[str | None, Agreement | None]:
    """Return the header that an offer is answered with, and what is agreed on."""
    headers = [
        ("Host", "a.example"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
    ]
    if offer is not None:
        headers.append(("Sec-WebSocket-Extensions", offer))
    accepted = accept("GET", "HTTP/1.1", headers, compression=Compression(**settings))
    return dict(accepted.headers).get("Sec-WebSocket-Extensions"), accepted.agreement


@pytest.mark.parametrize(
    ("offer", "settings", "header", "agreement"),
    [
        (None, {}, None, None),
        ("x-webkit-deflate-frame", {}, None, None),
        ("permessage-deflate", {}, "server_max_window_bits=12", (False, False, 12, 15)),
        (
            "permessage-deflate; client_max_window_bits",
            {},
            "server_max_window_bits=12; client_max_window_bits=12",
            (False, False, 12, 12),
        ),
        (
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            {},
            "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
            (True, True, 12, 15),
        ),
        (
            "permessage-deflate; server_max_window_bits=9; client_max_window_bits=8",
            {},
            "server_max_window_bits=9; client_max_window_bits=8",
            (False, False, 9, 8),
        ),
        (
            "permessage-deflate",
            {"server_no_context_takeover": True, "client_no_context_takeover": True},
            "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12",
            (True, True, 12, 15),
        ),
        ("permessage-deflate; server_max_window_bits=8", {}, None, None),
        (
            "permessage-deflate; server_max_window_bits=8, permessage-deflate",
            {},
            "server_max_window_bits=12",
            (False, False, 12, 15),
        ),
        (
            "permessage-deflate; x=1, permessage-deflate; server_max_window_bits=10",
            {},
            "server_max_window_bits=10",
            (False, False, 10, 15),
        ),
        *(
            (f"permessage-deflate; {bad}", {}, None, None)
            for bad in (
                "server_max_window_bits",
                "server_max_window_bits=16",
                "server_max_window_bits=010",
                "client_max_window_bits=7",
                "server_no_context_takeover=1",
                "server_no_context_takeover; server_no_context_takeover",
                "unknown",
            )
        ),
    ],
)
def test_an_offer_is_answered_as_the_rfc_says(
    offer: str | None,
    settings: dict[str, Any],
    header: str | None,
    agreement: tuple[bool, bool, int, int] | None,
) -> None:
    found, agreed = answer(offer, **settings)
    assert found == (header and f"permessage-deflate; {header}")
    assert agreed == agreement


def test_a_header_of_extensions_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(HandshakeRefusedError, match="Sec-WebSocket-Extensions") as caught:
        answer("permessage-deflate; =")
    assert caught.value.status == 400


def test_a_client_accepts_the_answer_to_every_offer_that_it_may_make_and_they_understand_each_other() -> None:
    """Every combination of what a client may offer (RFC 7692 §7.1) with several settings."""
    settings: list[dict[str, Any]] = [
        {},
        {"server_no_context_takeover": True},
        {"client_no_context_takeover": True, "server_max_window_bits": 15, "client_max_window_bits": 8},
        {"server_max_window_bits": 9, "client_max_window_bits": 15, "memory_level": 1, "level": 1},
    ]
    bits = [None, *range(9, 16)]
    pairs = 0
    for ours, server_forgets, client_forgets, server_bits, client_bits in itertools.product(
        settings, (False, True), (False, True), bits, [*bits, True]
    ):
        theirs = ClientPerMessageDeflateFactory(server_forgets, client_forgets, server_bits, client_bits)
        offer = build_extension([(theirs.name, theirs.get_request_params())])
        header, agreement = answer(offer, **ours)
        assert header is not None
        assert agreement is not None
        ((_, parameters),) = parse_extension(header)
        if ("client_max_window_bits", "8") in parameters:
            # Its zlib has not so few.
            continue
        peer = theirs.process_response_params(parameters, [])
        pairs += 1
        talk(peer, Compression(**ours), agreement)
    assert pairs > 500


def talk(peer: PerMessageDeflate, compression: Compression, agreement: Agreement) -> None:
    """Say something both ways, twice."""
    deflater, inflater = Deflater(compression, agreement), Inflater(agreement)
    for message in (CHAT[0].encode() * 3, CHAT[1].encode() * 3):
        encoded = deflater.encode(encode_binary(message))
        assert encoded[0] == 0xC2
        received = peer.decode(Frame(TheirOpcode.BINARY, encoded[2:], rsv1=True))
        assert bytes(received.data) == message
        said = peer.encode(Frame(TheirOpcode.BINARY, message))
        assert inflater.inflate(bytes(said.data), True, LIMIT) == message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("server_max_window_bits", 8),
        ("server_max_window_bits", 16),
        ("client_max_window_bits", 7),
        ("client_max_window_bits", "12"),
        ("level", 0),
        ("level", 10),
        ("memory_level", 0),
        ("memory_level", 10),
        ("minimum_size", 0),
        ("minimum_size", "1"),
        ("minimum_size", None),
        ("minimum_size", 64.0),
        ("level", 6.0),
        ("level", True),
        ("server_max_window_bits", 12.0),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        Compression(**{name: value})  # type: ignore[arg-type]


# Messages in


@pytest.mark.parametrize(
    "payload",
    [
        bytes.fromhex("f248cdc9c90700"),
        bytes.fromhex("000500faff48656c6c6f00"),
        bytes.fromhex("f348cdc9c9070000"),
        bytes.fromhex("f24805000000ffffcac9c90700"),
        bytes.fromhex("f348cdc9c90700"),
    ],
    ids=["one block", "not compressed", "a final block", "two blocks", "a final block without its octet 0"],
)
def test_the_examples_of_the_rfc(payload: bytes) -> None:
    assert inflate(payload) == b"Hello"
    for cut in range(len(payload) + 1):
        inflater = Inflater(DEFAULT)
        assert (
            inflater.inflate(payload[:cut], False, 5) + inflater.inflate(payload[cut:], True, 5) == b"Hello"
        )


def test_the_window_is_shared_between_messages() -> None:
    inflater = Inflater(DEFAULT)
    assert inflater.inflate(bytes.fromhex("f248cdc9c90700"), True, LIMIT) == b"Hello"
    assert inflater.inflate(bytes.fromhex("f200110000"), True, LIMIT) == b"Hello"


def test_without_context_takeover_nothing_is_shared() -> None:
    inflater = Inflater(FORGETFUL)
    assert inflater.inflate(bytes.fromhex("f248cdc9c90700"), True, LIMIT) == b"Hello"
    with pytest.raises(ProtocolError, match="corrupt"):
        inflater.inflate(bytes.fromhex("f200110000"), True, LIMIT)


def test_an_empty_message_is_one_octet_or_none() -> None:
    inflater = Inflater(DEFAULT)
    assert [inflater.inflate(payload, True, LIMIT) for payload in (b"\0", b"", b"\2\0")] == [b"", b"", b""]
    assert inflater.inflate(compress(b"more"), True, LIMIT) == b"more"


def test_messages_go_on_behind_one_with_a_final_block() -> None:
    for agreement in (DEFAULT, FORGETFUL):
        inflater = Inflater(agreement)
        for payload in (bytes.fromhex("f348cdc9c9070000"), compress(b"Hello")) * 3:
            assert inflater.inflate(payload, True, LIMIT) == b"Hello"


@pytest.mark.parametrize("rest", [b"\0\0", b"\1", compress(b"more")])
@pytest.mark.parametrize("apart", [False, True])
def test_what_goes_on_behind_a_final_block_is_refused(rest: bytes, apart: bool) -> None:
    final = bytes.fromhex("f348cdc9c90700")
    inflater = Inflater(DEFAULT)
    if apart:
        assert inflater.inflate(final, False, LIMIT) == b"Hello"
        final = b""
    with pytest.raises(ProtocolError, match="behind its final block"):
        inflater.inflate(final + rest, True, LIMIT)


@pytest.mark.parametrize("payload", [b"\x07", b"\xff" * 8, b"\0\1\2\3\4", b"\x01\2\3\xff\xff\xff\xff\x07"])
def test_what_is_not_deflate_is_refused(payload: bytes) -> None:
    with pytest.raises(ProtocolError) as caught:
        inflate(payload * 3)
    assert caught.value.code == 1002


def test_a_compressed_message_of_any_fragments_is_read() -> None:
    whole = "".join(CHAT) + "ü€😀"
    payload = compress(whole.encode())
    generator = random.Random(7692)
    for _ in range(200):
        cuts = sorted(generator.sample(range(len(payload) + 1), generator.randrange(8)))
        pieces = [payload[a:b] for a, b in itertools.pairwise([0, *cuts, len(payload)])]
        frames = [
            frame(
                CONTINUATION if index else TEXT,
                piece,
                fin=index == len(pieces) - 1,
                rsv=0 if index else RSV1,
            )
            for index, piece in enumerate(pieces)
        ]
        # A control frame between any two; and the bytes cut anywhere.
        stream = frame(PING, b"?").join(frames)
        cut = generator.randrange(len(stream))
        assert read(stream[:cut], stream[cut:]) == [whole]


def test_compressed_and_plain_messages_mix() -> None:
    compressor = PerMessageDeflate(False, False, 15, 15)

    def compressed(message: str) -> bytes:
        encoded = compressor.encode(Frame(TheirOpcode.TEXT, message.encode()))
        return frame(TEXT, bytes(encoded.data), rsv=RSV1)

    assert read(
        compressed("one") + text("two"), compressed("one again"), frame(BINARY, b"\xff"), compressed("one")
    ) == ["one", "two", "one again", b"\xff", "one"]


def test_text_is_checked_once_it_is_decompressed() -> None:
    with pytest.raises(InvalidPayloadError):
        read(frame(TEXT, compress(b"\xff"), rsv=RSV1))
    # At once, in the first fragment.
    compressor = zlib.compressobj(wbits=-15)
    first = compressor.compress(b"\xed\xa0") + compressor.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(InvalidPayloadError):
        read(frame(TEXT, first, fin=False, rsv=RSV1))


@pytest.mark.parametrize(
    "stream",
    [
        frame(TEXT, b"x", fin=False) + frame(CONTINUATION, b"x", rsv=RSV1),
        frame(TEXT, compress(b"x"), fin=False, rsv=RSV1) + frame(CONTINUATION, b"", rsv=RSV1),
        frame(PING, b"", rsv=RSV1),
        frame(TEXT, compress(b"x"), rsv=RSV1 | 1),
        frame(TEXT, b"x", rsv=2),
    ],
)
def test_the_bit_is_for_the_first_frame_of_a_message_only(stream: bytes) -> None:
    with pytest.raises(ProtocolError, match="reserved bits are set"):
        read(stream)


# Limits


def test_a_bomb_ends_at_the_limit_and_takes_little_memory() -> None:
    bomb = compress(bytes(200 * 1024 * 1024))
    assert len(bomb) < 250_000
    stream = frame(BINARY, bomb, rsv=RSV1)
    tracemalloc.start()
    with pytest.raises(MessageTooBigError, match=f"message is over {LIMIT} bytes"):
        read(stream)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * LIMIT


@pytest.mark.parametrize("keeps", [False, True])
def test_the_limit_is_of_what_a_message_becomes(keeps: bool) -> None:
    agreement = DEFAULT if keeps else FORGETFUL
    for size in (999, 1000):
        assert read(frame(BINARY, compress(bytes(size)), rsv=RSV1), agreement=agreement, limit=1000)
    for size in (1001, 1002, 100_000):
        with pytest.raises(MessageTooBigError):
            read(frame(BINARY, compress(bytes(size)), rsv=RSV1), agreement=agreement, limit=1000)
    # In fragments, each of which is within it.
    payload = compress(os.urandom(600) * 2)
    with pytest.raises(MessageTooBigError):
        read(
            frame(BINARY, payload[:610], fin=False, rsv=RSV1) + frame(CONTINUATION, payload[610:]),
            agreement=agreement,
            limit=1000,
        )


def test_what_does_not_compress_may_be_longer_on_the_wire_than_the_limit() -> None:
    data = os.urandom(1000)
    payload = compress(data)
    assert len(payload) > 1000
    assert read(frame(BINARY, payload, rsv=RSV1), limit=1000) == [data]


def test_the_limit_begins_anew_with_each_message() -> None:
    compressor = PerMessageDeflate(False, False, 15, 15)
    reader, messages, _ = reader_of(DEFAULT, 1000)
    for _ in range(5):
        encoded = compressor.encode(Frame(TheirOpcode.BINARY, bytes(900)))
        reader.receive_data(frame(BINARY, bytes(encoded.data), rsv=RSV1))
    assert messages == [bytes(900)] * 5


@pytest.mark.parametrize("fragment", [b"", b"\0"])
def test_a_quarter_million_fragments_of_compressed_messages_take_what_those_of_others_take(
    fragment: bytes,
) -> None:
    # The octets 0 are one long block of data that is not compressed; its header announces 65 535 of them at a time.
    block = b"\0\xff\xff\0\0"
    times = []
    for rsv, first in ((0, b""), (RSV1, block)):
        count = 65_535 if fragment else 262_140
        rounds = 262_140 // count
        middle = frame(CONTINUATION, fragment, fin=False) * count
        reader, messages, _ = reader_of(DEFAULT)
        began = time.process_time()
        for _ in range(rounds):
            reader.receive_data(frame(BINARY, first, fin=False, rsv=rsv) + middle)
            if not fragment and rsv:
                reader.receive_data(frame(CONTINUATION, bytes(65_535), fin=False))
            reader.receive_data(frame(CONTINUATION, b"\0" if rsv else b""))
        times.append(time.process_time() - began)
        assert len(messages) == rounds
    assert times[1] < 5 * times[0]


# Messages out


def decode(frames: list[bytes], agreement: Agreement) -> list[bytes]:
    """Return what a client makes of these frames."""
    peer = PerMessageDeflate(
        agreement.server_no_context_takeover,
        agreement.client_no_context_takeover,
        agreement.server_max_window_bits,
        agreement.client_max_window_bits,
    )
    messages = []
    for data in frames:
        header = {126: 4, 127: 10}.get(data[1], 2)
        received = peer.decode(Frame(TheirOpcode(data[0] & 15), data[header:], rsv1=bool(data[0] & 0x40)))
        messages.append(bytes(received.data))
    return messages


@pytest.mark.parametrize("agreement", [DEFAULT, FORGETFUL, Agreement(False, False, 9, 15)])
def test_what_is_sent_is_understood(agreement: Agreement) -> None:
    deflater = Deflater(Compression(minimum_size=1), agreement)
    messages = [
        b"",
        b"x",
        *(chat.encode() for chat in CHAT),
        os.urandom(100),
        b"a" * 70_000,
        b"a" * 3_000_000,
    ]
    frames = [deflater.encode(encode_binary(message)) for message in messages]
    assert decode(frames, agreement) == messages


def test_the_opcode_stays() -> None:
    deflater = Deflater(Compression(), DEFAULT)
    assert deflater.encode(encode_text("x" * 100))[0] == 0xC1
    assert deflater.encode(encode_binary(b"x" * 100))[0] == 0xC2


def test_short_messages_and_control_frames_stay_as_they_are() -> None:
    deflater = Deflater(Compression(minimum_size=64), DEFAULT)
    for data in (
        encode_text("x" * 63),
        encode_text(""),
        frame(PING, b"x" * 100, mask=None),
        close(1000, b"x" * 99),
    ):
        assert deflater.encode(data) is data
    assert deflater.encode(encode_text("x" * 64)) != encode_text("x" * 64)


def test_with_context_takeover_similar_messages_become_ever_shorter() -> None:
    remembering, forgetting = (
        Deflater(Compression(minimum_size=1), agreement) for agreement in (DEFAULT, FORGETFUL)
    )
    frames = [encode_text(chat) for chat in CHAT]
    sizes = [sum(len(deflater.encode(data)) for data in frames) for deflater in (remembering, forgetting)]
    assert sizes[0] < sizes[1] / 2
    assert sizes[1] < sum(map(len, frames))


def test_without_context_takeover_what_does_not_compress_is_sent_as_it_is() -> None:
    data = encode_binary(os.urandom(1000))
    assert Deflater(Compression(), FORGETFUL).encode(data) is data
    assert decode([Deflater(Compression(), DEFAULT).encode(data)], DEFAULT) == [data[4:]]


def test_without_context_takeover_a_frame_that_comes_again_is_compressed_once() -> None:
    deflater = Deflater(Compression(), FORGETFUL)
    broadcast = encode_text("x" * 1000)
    assert deflater.encode(broadcast) is deflater.encode(broadcast)
    other = deflater.encode(encode_text("y" * 1000))
    assert decode([deflater.encode(broadcast), other], FORGETFUL) == [b"x" * 1000, b"y" * 1000]


def test_with_context_takeover_a_frame_that_comes_again_is_compressed_again() -> None:
    deflater = Deflater(Compression(), DEFAULT)
    broadcast = encode_text("".join(CHAT))
    assert decode([deflater.encode(broadcast) for _ in range(3)], DEFAULT) == [broadcast[4:]] * 3


def test_a_message_over_half_a_mebibyte_is_sent_as_it_is() -> None:
    deflater = Deflater(Compression(), DEFAULT)
    for size, is_compressed in ((MAX_SIZE, True), (MAX_SIZE + 1, False)):
        data = encode_text("x" * size)
        assert (deflater.encode(data) is not data) is is_compressed


def test_what_comes_when_the_time_is_used_up_is_sent_as_it_is_and_disturbs_nothing() -> None:
    uses: list[None] = []
    allowance = Allowance(1e-9, time.monotonic, lambda: uses.append(None))
    first, second = Deflater(Compression(), DEFAULT, allowance), Deflater(Compression(), DEFAULT, allowance)
    data = encode_text("once more " * 20)
    frames = [first.encode(data)]
    assert second.encode(data) is data
    frames.append(first.encode(data))
    allowance.renew()
    frames.append(first.encode(data))
    assert [len(frame) < len(data) for frame in frames] == [True, False, True]
    # It refers to the first.
    assert len(frames[2]) < len(frames[0])
    assert decode(frames, DEFAULT) == [data[4:]] * 3
    assert len(uses) == 2
