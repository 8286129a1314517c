"""`python -m gws`."""

from .cli import main

main(prog_name="python -m gws")
