"""What an index gets is tested here, by `make package`."""
