"""`python -m gws`."""
