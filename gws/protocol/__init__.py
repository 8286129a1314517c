"""What is on the wire: bytes in and out, without I/O."""
