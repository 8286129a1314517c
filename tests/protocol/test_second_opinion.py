"""gws reads any bytes as `websockets` does: messages, pongs, close codes, and what is refused.

Both get the same random and mutated streams, cut at random places. Where they differ on purpose, `DELIBERATE` says why.
"""

from __future__ import annotations

import dataclasses
import itertools
import zlib
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame
from websockets.frames import Opcode as TheirOpcode
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from gws.errors import ProtocolError
from gws.protocol import frames
from gws.protocol.deflate import Agreement, Compression, Deflater, Inflater
from gws.protocol.messages import Message, MessageReader

from ..support.client_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame

LIMIT = 1000
AGREEMENT = Agreement(False, False, 15, 15)

DELIBERATE = {
    "text is not UTF-8": "gws fails at the first wrong byte, websockets at the message's end",
    "length is not encoded in the fewest bytes": "RFC 6455 §5.2 demands it, websockets takes any",
    "length has its most significant bit set": "gws calls it 1002, as §5.2 has it, websockets too big",
    "control frame is too long": "gws sees it in the header, websockets first asks whether it is too big",
    "control frame is fragmented": "the same",
    "continuation frame without a message to continue": "the same",
    "new message inside a fragmented one": "the same",
    "reserved bits are set": "gws sees it in the header, websockets behind the payload",
    "close code that may not be sent": "of two faults gws names the code, websockets a reason that is not UTF-8",
    "compressed data goes on behind its final block": "websockets drops it",
    "compressed data is corrupt": "gws decompresses before the frame is whole, websockets behind it",
}
"""By gws's reason. The messages before it are the same all the same."""

few = settings(max_examples=400, deadline=None, derandomize=True, database=None)


@dataclasses.dataclass
class Reading:
    """What a stream came to."""

    messages: list[Message] = dataclasses.field(default_factory=list)
    pongs: list[bytes] = dataclasses.field(default_factory=list)
    close: tuple[int, str] | None = None
    error: int | None = None
    reason: str = ""


def read(pieces: Sequence[bytes], compressed: bool) -> Reading:
    """Return what gws makes of it."""
    reading = Reading()
    sent: list[bytes] = []
    inflater = Inflater(AGREEMENT) if compressed else None
    reader = MessageReader(reading.messages, sent.append, max_message_size=LIMIT, inflater=inflater)
    try:
        for piece in pieces:
            reader.receive_data(piece)
    except ProtocolError as error:
        reading.error, reading.reason = error.code, str(error)
    reading.close = reader.close
    reading.pongs = [pong[2:] for pong in sent]
    return reading


class Theirs(PerMessageDeflate):
    """Theirs, which goes on behind a final block, as RFC 7692 §7.2.3.4 has it and `websockets` has not."""

    def decode(self, frame: Frame, *, max_size: int | None = None) -> Frame:
        decoded = super().decode(frame, max_size=max_size)
        if frame.fin and self.decoder.eof:
            self.decoder = zlib.decompressobj(wbits=-15)
        return decoded


def read_theirs(stream: bytes, compressed: bool) -> Reading:
    """Return what `websockets` makes of it; its sans-I/O layer leaves it to others to put messages together."""
    protocol = ServerProtocol(state=State.OPEN, max_size=LIMIT)
    if compressed:
        protocol.extensions = [Theirs(False, False, 15, 15)]
    protocol.receive_data(stream)
    reading = Reading()
    parts: list[Frame] = []
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        if event.opcode is TheirOpcode.PING:
            reading.pongs.append(bytes(event.data))
        if event.opcode not in (TheirOpcode.TEXT, TheirOpcode.BINARY, TheirOpcode.CONT):
            continue
        parts.append(event)
        if event.fin:
            payload = b"".join(bytes(part.data) for part in parts)
            if parts[0].opcode is TheirOpcode.BINARY:
                reading.messages.append(payload)
            else:
                try:
                    reading.messages.append(payload.decode())
                except UnicodeDecodeError:
                    reading.error = 1007
                    return reading
            parts = []
    if protocol.close_rcvd is not None and protocol.parser_exc is None:
        reading.close = (protocol.close_rcvd.code, protocol.close_rcvd.reason)
    elif protocol.close_sent is not None:
        reading.error = protocol.close_sent.code
    return reading


def agree(stream: bytes, cuts: list[int], compressed: bool = False) -> None:
    # Zeros end any frame that is not whole, and then are frames without a mask: every stream comes to an end.
    stream += bytes(LIMIT + 20)
    places = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    ours = read([stream[a:b] for a, b in itertools.pairwise(places)], compressed)
    assert ours == read([stream], compressed), "it matters where the stream is cut"
    theirs = read_theirs(stream, compressed)
    if ours.reason in DELIBERATE:
        assert theirs.messages[: len(ours.messages)] == ours.messages
        assert theirs.pongs[: len(ours.pongs)] == ours.pongs
    elif compressed and (ours.error == 1009) != (theirs.error == 1009):
        # websockets holds what is on the wire to what is left of the limit as well, and takes 0 left for no limit.
        shorter = min(len(ours.messages), len(theirs.messages))
        assert ours.messages[:shorter] == theirs.messages[:shorter]
        assert all(len(message) <= LIMIT for message in ours.messages)
    elif ours.close is not None and theirs.close is None:
        # RFC 6455 §5.4: a control frame, and so a Close, may come amid a fragmented message; websockets says no.
        assert theirs.error == 1002
        assert (theirs.messages, theirs.pongs) == (ours.messages, ours.pongs)
    else:
        ours.reason = ""
        assert ours == theirs


# Streams

payloads = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20).map(str.encode),
    st.sampled_from([b"x" * size for size in (124, 125, 126, 127, 128, 999, 1000, 1001)]),
)
masks = st.one_of(st.binary(min_size=4, max_size=4), st.just(bytes(4)))
closes = st.builds(
    lambda code, reason: code.to_bytes(2, "big") + reason,
    st.one_of(
        st.sampled_from([1000, 1001, 1004, 1005, 1006, 1011, 1015, 2999, 3000, 4999]), st.integers(0, 65535)
    ),
    st.one_of(st.just(b""), st.text(max_size=20).map(str.encode), st.binary(max_size=5)),
)
well_formed = st.one_of(
    st.builds(frame, st.sampled_from([TEXT, BINARY]), payloads, mask=masks),
    st.builds(lambda text, mask: frame(TEXT, text.encode(), mask=mask), st.text(max_size=60), masks),
    st.builds(frame, st.sampled_from([PING, PONG]), st.binary(max_size=125), mask=masks),
    st.builds(
        lambda opcode, payload, cut: (
            frame(opcode, payload[:cut], fin=False) + frame(PING, b"?") + frame(CONTINUATION, payload[cut:])
        ),
        st.sampled_from([TEXT, BINARY]),
        payloads,
        st.integers(0, 50),
    ),
)
any_frame = st.one_of(
    well_formed,
    st.builds(
        frame,
        st.integers(0, 15),
        payloads,
        fin=st.booleans(),
        rsv=st.sampled_from([0, 0, 0, 1, 2, 4]),
        mask=st.one_of(masks, st.none()),
    ),
    st.builds(frame, st.just(CLOSE), st.one_of(closes, st.binary(max_size=3))),
)
places = st.lists(st.integers(0, 3000), max_size=8)
streams = st.one_of(
    st.lists(well_formed, max_size=8).map(b"".join),
    st.lists(any_frame, max_size=8).map(b"".join),
    st.binary(max_size=300),
)


@few
@given(streams, places)
def test_they_agree_on_frames(stream: bytes, cuts: list[int]) -> None:
    agree(stream, cuts)


@few
@given(st.lists(well_formed, min_size=1, max_size=5).map(b"".join), st.data(), places)
def test_they_agree_on_mutated_frames(stream: bytes, data: st.DataObject, cuts: list[int]) -> None:
    mutated = bytearray(stream)
    for place in data.draw(st.lists(st.integers(0, len(stream) - 1), max_size=4)):
        mutated[place] = data.draw(st.integers(0, 255))
    agree(bytes(mutated[: data.draw(st.integers(0, len(mutated)))]), cuts)


@few
@given(
    st.lists(st.tuples(payloads, st.booleans(), st.integers(0, 60)), max_size=6),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3),
    places,
)
def test_they_agree_on_compressed_messages(
    messages: list[tuple[bytes, bool, int]], mutations: list[tuple[int, int]], cuts: list[int]
) -> None:
    compressor = PerMessageDeflate(False, False, 15, 15)
    stream = bytearray()
    for payload, plain, cut in messages:
        if plain:
            stream += frame(BINARY, payload)
            continue
        data = bytes(compressor.encode(Frame(TheirOpcode.BINARY, payload)).data)
        stream += frame(BINARY, data[:cut], fin=False, rsv=4) + frame(CONTINUATION, data[cut:])
    for place, value in mutations:
        if place < len(stream):
            stream[place] = value
    agree(bytes(stream), cuts, compressed=True)


# Round trips


@few
@given(st.lists(st.one_of(st.text(max_size=200), st.binary(max_size=200)), max_size=6), places)
def test_what_their_client_sends_comes_out_the_same_however_it_is_cut(
    messages: list[Message], cuts: list[int]
) -> None:
    client = ClientProtocol(parse_uri("ws://a.example/"), state=State.OPEN)
    for message in messages:
        data = message.encode() if isinstance(message, str) else message
        send = client.send_text if isinstance(message, str) else client.send_binary
        send(data[:7], fin=False)
        client.send_ping(b"amid")
        client.send_continuation(data[7:], fin=True)
        send(data)
    stream = b"".join(client.data_to_send())
    bounds = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    reading = read([stream[a:b] for a, b in itertools.pairwise(bounds)], compressed=False)
    assert reading == Reading(
        [copy for message in messages for copy in (message, message)], [b"amid"] * len(messages)
    )


@pytest.mark.parametrize("compressed", [False, True])
@few
@given(messages=st.lists(st.one_of(st.text(max_size=200), st.binary(max_size=200)), max_size=6), cuts=places)
def test_what_gws_sends_comes_out_the_same_in_their_client(
    compressed: bool, messages: list[Message], cuts: list[int]
) -> None:
    deflater = Deflater(Compression(minimum_size=1), AGREEMENT)
    stream = b""
    for message in messages:
        data = frames.encode_text(message) if isinstance(message, str) else frames.encode_binary(message)
        stream += deflater.encode(data) if compressed else data
    client = ClientProtocol(parse_uri("ws://a.example/"), state=State.OPEN)
    if compressed:
        client.extensions = [PerMessageDeflate(False, False, 15, 15)]
    bounds = sorted({min(cut, len(stream)) for cut in cuts} | {0, len(stream)})
    for begin, end in itertools.pairwise(bounds):
        client.receive_data(stream[begin:end])
    received: list[Message] = []
    for event in client.events_received():
        assert isinstance(event, Frame)
        payload = bytes(event.data)
        received.append(payload.decode() if event.opcode is TheirOpcode.TEXT else payload)
    assert received == messages
