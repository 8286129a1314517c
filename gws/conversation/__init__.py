"""One client, from the handshake to the close: its handlers and what they know of it."""
