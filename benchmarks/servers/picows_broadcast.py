"""Broadcast with picows: `python picows_broadcast.py HOST PORT`.

It has no broadcast of its own: a loop over the transports that are connected, on uvloop, as in its README's server.
"""

import sys

import uvloop
from picows import WSFrame, WSListener, WSMsgType, WSTransport, WSUpgradeRequest, ws_create_server

transports: set[WSTransport] = set()


class Member(WSListener):
    def on_ws_connected(self, transport: WSTransport) -> None:
        transports.add(transport)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        transports.discard(transport)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type == WSMsgType.CLOSE:
            transport.send_close(frame.get_close_code(), frame.get_close_message())
            transport.disconnect()
            return
        payload = frame.get_payload_as_bytes()
        for member in transports:
            member.send(frame.msg_type, payload)


def listen(request: WSUpgradeRequest) -> Member:
    return Member()


async def main(host: str, port: int) -> None:
    server = await ws_create_server(listen, host, port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))
