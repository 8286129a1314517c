"""`gws.backplane.channels`: whom a channel is for can be read from its name."""

from __future__ import annotations

import pytest

from gws.backplane import channels


@pytest.mark.parametrize("endpoint", ["/", "/chat", "/a b/<name>", "/ü", "room /chat"])
@pytest.mark.parametrize("room", [None, "", "ops", "a b", "a\0b", "endpoint /chat", "ü"])
def test_the_audience_of_a_channel_is_that_which_it_was_made_of(endpoint: str, room: str | None) -> None:
    channel = channels.of_endpoint(endpoint, room)
    assert channels.audience_of(channel) == (endpoint, room)
    assert channels.place_of(channel) == ("endpoint" if room is None else "room")
