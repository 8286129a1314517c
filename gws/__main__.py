"""`python -m gws`."""

from .cli.remote import main

main(prog_name="python -m gws")
