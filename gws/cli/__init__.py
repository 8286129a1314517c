"""The command line: `gws`, `python -m gws` and `flask ws`. A command is one file and its line in `main`."""
