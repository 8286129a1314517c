"""What Flask sees: the `WebSocket` around an application, and `App`."""
