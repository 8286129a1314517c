"""Broadcast with websockets: `python websockets_broadcast.py HOST PORT [uvloop]`.

The idiom is its documentation's: a set of connections and `broadcast`. Otherwise as websockets_echo.py.
"""

import asyncio
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve

connections: set[ServerConnection] = set()


async def member(connection: ServerConnection) -> None:
    connections.add(connection)
    try:
        async for message in connection:
            broadcast(connections, message)
    finally:
        connections.remove(connection)


async def main(host: str, port: int) -> None:
    async with serve(member, host, port, compression=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    run = uvloop.run if "uvloop" in sys.argv[3:] else asyncio.run
    run(main(sys.argv[1], int(sys.argv[2])))
