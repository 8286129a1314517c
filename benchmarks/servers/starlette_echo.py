"""Echo with Starlette on uvicorn: `python starlette_echo.py HOST PORT`.

The idiom is its documentation's: a `WebSocketRoute` whose function accepts, receives and sends. uvicorn is as
`uvicorn[standard]` installs it: on uvloop with httptools and `websockets`, a ping every 20 seconds.
"""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    async for message in websocket.iter_text():
        await websocket.send_text(message)


app = Starlette(routes=[WebSocketRoute("/web_socket", echo)])

if __name__ == "__main__":
    uvicorn.run(app, host=sys.argv[1], port=int(sys.argv[2]), log_level="warning")
