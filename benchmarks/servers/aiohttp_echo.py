"""Echo with aiohttp: `python aiohttp_echo.py HOST PORT`.

The idiom is the one of its documentation's page on the server: `async for` over a `WebSocketResponse`, `run_app`,
on asyncio's own loop. The access log is off, as in production; compression is negotiated, and nobody asks for it.
"""

import sys

from aiohttp import WSMsgType, web


async def echo(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    async for message in ws:
        if message.type == WSMsgType.TEXT:
            await ws.send_str(message.data)
    return ws


if __name__ == "__main__":
    app = web.Application()
    app.add_routes([web.get("/web_socket", echo)])
    web.run_app(app, host=sys.argv[1], port=int(sys.argv[2]), access_log=None, print=None)
