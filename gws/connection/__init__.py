"""One WebSocket on the hub: its socket, what waits to be written and to be read, its keepalive and its end."""
