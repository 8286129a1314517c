"""`gws.cluster.envelope`: what is encoded comes back, and whatever else comes is a `BadEnvelopeError`."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gws.cluster.envelope import (
    MAX_IDS,
    VERSION,
    Envelope,
    Kind,
    check_excluded,
    decode,
    encode,
)
from gws.cluster.ids import new_id
from gws.errors import BadEnvelopeError

HEADER_SIZE = 22
LONGEST_NAME = 0xFFFF

NUMBERS = st.integers(0, 2**64 - 1)
ENVELOPES = st.builds(
    Envelope,
    kind=st.sampled_from(Kind),
    origin=NUMBERS,
    sequence=NUMBERS,
    payload=st.binary(),
    is_text=st.booleans(),
    ids=st.lists(st.uuids().map(str), max_size=20).map(tuple),
    endpoint=st.text(st.characters(codec="utf-8")),
)
ONE = Envelope(Kind.SEND, 0x0123456789AB, 7, "späm".encode(), True, (str(uuid.UUID(int=5)),), "/röom")

ID = "0a1b2c3d-4e5f-8a6b-8c7d-8e9f0a1b2c3d"


def changed(position: int, value: int) -> bytes:
    """`ONE`, with another byte at a position."""
    data = bytearray(encode(ONE))
    data[position] = value
    return bytes(data)


@given(ENVELOPES)
def test_what_is_encoded_comes_back(envelope: Envelope) -> None:
    assert decode(encode(envelope)) == envelope


@given(ENVELOPES)
def test_the_payload_goes_as_it_is_behind_a_small_header(envelope: Envelope) -> None:
    data = encode(envelope)
    assert data.endswith(envelope.payload)
    name = envelope.endpoint.encode()
    assert len(data) == HEADER_SIZE + 16 * len(envelope.ids) + len(name) + len(envelope.payload)


def test_the_bytes_are_those_that_other_versions_of_gws_read() -> None:
    header = "01 02 01 01 0000 0123 4567 89ab 0000 0000 0000 0007 0006"
    rest = "00000000 0000 0000 0000 000000000005 2f 72 c3b6 6f 6d 73 70 c3a4 6d"
    assert encode(ONE) == bytes.fromhex(header + rest)


def test_as_many_ids_as_there_may_be_and_the_longest_name_come_back() -> None:
    envelope = ONE._replace(
        ids=tuple(new_id() for _ in range(MAX_IDS)), endpoint="é" * (LONGEST_NAME // 2) + "x"
    )
    assert len(envelope.endpoint.encode()) == LONGEST_NAME
    assert decode(encode(envelope)) == envelope


def test_too_many_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 255 connections can be left out, not 256"):
        encode(ONE._replace(ids=[new_id()] * (MAX_IDS + 1)))


@pytest.mark.parametrize("one", [ID, b"", None, 1])
def test_what_is_left_out_is_a_list_of_ids(one: object) -> None:
    with pytest.raises(TypeError, match="exclude is a list of ids, not"):
        check_excluded(one)


@pytest.mark.parametrize("spelling", ["", "nobody", ID[:-1], ID + "0"])
def test_an_id_that_is_no_uuid_is_refused(spelling: str) -> None:
    with pytest.raises(ValueError, match="badly formed hexadecimal UUID string"):
        encode(ONE._replace(ids=[spelling]))


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="name is too long"):
        encode(ONE._replace(endpoint="é" * (LONGEST_NAME // 2 + 1)))


@given(
    st.binary(max_size=100)
    | st.binary(max_size=100).map(lambda rest: bytes((VERSION, Kind.BROADCAST)) + rest)
)
@example(encode(ONE))
def test_any_bytes_are_an_envelope_or_a_bad_one(data: bytes) -> None:
    try:
        envelope = decode(data)
    except BadEnvelopeError:
        return
    # True is any byte but 0.
    assert encode(envelope)[:2] + encode(envelope)[3:] == data[:2] + data[3:]
    assert envelope.is_text == bool(data[2])


@given(st.integers(0, len(encode(ONE)) - 1), st.integers(0, 255))
def test_any_changed_byte_is_an_envelope_or_a_bad_one(position: int, value: int) -> None:
    try:
        envelope = decode(changed(position, value))
    except BadEnvelopeError:
        return
    assert envelope.kind in Kind


@pytest.mark.parametrize("size", range(len(encode(ONE._replace(payload=b"")))))
def test_one_that_is_truncated_is_bad(size: int) -> None:
    with pytest.raises(BadEnvelopeError, match="truncated"):
        decode(encode(ONE)[:size])


@pytest.mark.parametrize("version", [0, VERSION + 1, 255])
def test_one_of_another_version_is_bad(version: int) -> None:
    with pytest.raises(BadEnvelopeError, match=f"of version {version}, and {VERSION} is spoken here"):
        decode(changed(0, version))


@pytest.mark.parametrize("kind", [0, max(Kind) + 1, 255])
def test_one_of_a_kind_that_there_is_not_is_bad(kind: int) -> None:
    with pytest.raises(BadEnvelopeError, match=f"{kind} is not a valid Kind"):
        decode(changed(1, kind))


def test_one_whose_name_is_no_utf_8_is_bad() -> None:
    with pytest.raises(BadEnvelopeError, match="can't decode byte 0xff"):
        decode(changed(HEADER_SIZE + 16, 0xFF))


def test_a_long_payload_is_not_looked_at() -> None:
    envelope = Envelope(Kind.BROADCAST, 1, 2, b"\xff" * (1 << 20), is_text=True)
    assert decode(encode(envelope)) == envelope
