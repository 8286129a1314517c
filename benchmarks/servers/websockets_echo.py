"""Echo with websockets' asyncio server: `python websockets_echo.py HOST PORT [uvloop]`.

The idiom is the echo server at the head of its documentation: `async for`, `send`, `serve_forever`.
Compression is off and a ping goes out every 20 seconds, as with gws. With `uvloop` it takes the advice of
its documentation's page on performance; without, it runs on asyncio's own loop, as in its examples.
"""

import asyncio
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, serve


async def echo(connection: ServerConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def main(host: str, port: int) -> None:
    async with serve(echo, host, port, compression=None) as server:
        await server.serve_forever()


if __name__ == "__main__":
    run = uvloop.run if "uvloop" in sys.argv[3:] else asyncio.run
    run(main(sys.argv[1], int(sys.argv[2])))
