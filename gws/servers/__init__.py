"""Who serves HTTP, hands a WebSocket its socket, and stops."""
