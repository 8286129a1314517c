"""`python -m gws`."""

from .cli.main import main

main(prog_name="python -m gws")
