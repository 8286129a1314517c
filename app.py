"""Gotham Line: a chat between Batman, Gordon and whoever else is on the line; an example of what gws does.

A client of `/web_socket?name=gordon` sends JSON: `{"type": "say", "text": "..."}` speaks to everyone, with `"to": id`
to one person, and `{"type": "disconnect"}` hangs up. A text that does not begin with "{" comes from a terminal: it is
said to everyone as it stands, and a plain `disconnect` hangs up. The server sends JSON with a "type" too: welcome
(who you are), people (who is here), joined, left, message, announcement, notice and error.

A client with a cookie `caller`, a secret, that says `page=...` in the query as well has its name and its id back when
it calls again after a lost connection, or after a restart of the server.
"""

from gevent import monkey

monkey.patch_all()

import functools
import json
import os
import secrets
import unicodedata
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, make_response, render_template, request
from werkzeug.exceptions import BadRequest

from gws import App, WebSocket, WebSocketConnector, jsonify
from people import GRACE, People

MAX_NAME = 24
MAX_TEXT = 2000

# Codes of Close frames; those from 4000 on are an application's own (RFC 6455 §7.4.2).
HUNG_UP = 1000
PAGE_LEFT = 4000
TAKEN_OVER = 4001

GRACES = {HUNG_UP: 0.0, PAGE_LEFT: 3.0}
"""Seconds that a name waits for its owner, by the code of the Close: a page that leaves may only be reloading."""

CSP = "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

app = App(__file__)
app.config["MAX_CONTENT_LENGTH"] = 64 * 1024
pages = Blueprint("pages", __name__)
websocket = WebSocket(app, "/web_socket")


@functools.cache
def people_at(port: str) -> People:
    """Return those on the line of a server, in all its workers; two servers in one folder are two lines."""
    return People(Path(os.environ.get("STATE_DIRECTORY", app.instance_path), f"people-{port}.sqlite"))


def people() -> People:
    """Return those on the line of the server that this request came to."""
    return people_at(request.environ["SERVER_PORT"])


@pages.get("/")
def chat() -> Response:
    """Show the page to chat from, which may load this application's own files and nothing else."""
    response = make_response(render_template("chat.html", max_name=MAX_NAME, max_text=MAX_TEXT))
    response.headers["Content-Security-Policy"] = CSP
    if "caller" not in request.cookies:
        response.set_cookie(
            "caller", secrets.token_hex(), httponly=True, samesite="Lax", secure=request.is_secure
        )
    return response


@pages.get("/hello_world")
def hello_world() -> str:
    """Say hello over plain HTTP."""
    return "Hello, world!"


@pages.get("/healthz")
def healthz() -> dict[str, object]:
    """Say that the process works, and how many people are here."""
    return {"status": "ok", "people": len(people().here())}


@pages.get("/readyz")
def readyz() -> tuple[dict[str, object], int]:
    """Say whether the people of all workers hear each other, to whoever sends requests here."""
    return {"ready": websocket.is_ready}, 200 if websocket.is_ready else 503


@pages.post("/announce")
def announce() -> dict[str, object]:
    """Tell everyone the field `text` of a form or a JSON object. Anybody may: there is no login here."""
    fields = parse_object(request.get_data(as_text=True)) if request.is_json else request.form
    text = check_text(fields.get("text"))
    websocket.broadcast(jsonify({"type": "announcement", "text": text}))
    return {"announced": text, "people": len(people().here())}


@pages.errorhandler(BadRequest)
def explain(error: BadRequest) -> tuple[dict[str, str | None], int]:
    """Answer 400 and say what was wrong."""
    return {"error": error.description}, 400


@websocket.on("connect")
def connect(ws: WebSocketConnector) -> dict[str, object]:
    """Welcome somebody, tell everyone, and say who is here."""
    name = choose_name(ws.query_params.get("name", ""))
    me, before = people().join(name, find_token(ws) or secrets.token_hex(), ws.id)
    if before:
        websocket.close_connection(before, TAKEN_OVER, "You have called from elsewhere")
    ws.state["me"] = me
    ws.sync_send_to(ws.id, jsonify({"type": "welcome", **me._asdict()}))
    ws.sync_broadcast(jsonify({"type": "joined", **me._asdict()}))
    if ws.query_params.get("name") == "gordon" and ws.query_params.get("desg") == "commissioner":
        ws.sync_broadcast(jsonify({"type": "announcement", "text": "Gordon authorized to login!"}))
    # Last, and so up to date: broadcasting may let others run, and nobody reaches this connection until it returns.
    return {"type": "people", "people": [person._asdict() for person in people().here()]}


@websocket.on("message")
def message(ws: WebSocketConnector, msg: str | bytes) -> dict[str, object] | None:
    """Do what a client asks; one that asks for nonsense is told so, and stays."""
    try:
        if isinstance(msg, bytes):
            raise BadRequest("messages are text, not binary")
        plain = {"type": "disconnect"} if msg.strip() == "disconnect" else {"type": "say", "text": msg}
        fields = parse_object(msg) if msg.startswith("{") else plain
        if fields.get("type") == "say":
            return say(ws, check_text(fields.get("text")), fields.get("to"))
        if fields.get("type") == "disconnect":
            ws.close()
            return {"type": "notice", "text": "Closing connection"}
        raise BadRequest('"type" must be "say" or "disconnect"')
    except BadRequest as error:
        return {"type": "error", "text": error.description}


@websocket.on("close")
def close(ws: WebSocketConnector) -> dict[str, object]:
    """Tell the others who has left, however that came about."""
    me = ws.state["me"]
    # Without a token nobody can come back.
    grace = GRACES.get(ws.close_code or 0, GRACE) if find_token(ws) else 0.0
    if people().leave(ws.id, grace):
        ws.sync_broadcast(jsonify({"type": "left", **me._asdict()}))
    return {"type": "notice", "text": "Goodbye"}


def say(ws: WebSocketConnector, text: str, to: Any) -> dict[str, object] | None:
    """Pass a text on to everyone; or to one person, and back to the sender."""
    me = ws.state["me"]
    said = {"type": "message", "from": me.id, "name": me.name, "text": text, "to": to}
    if to is None:
        ws.sync_broadcast(jsonify(said))
        return None
    connection = people().find(to)
    if connection and (connection == ws.id or ws.sync_send_to(connection, jsonify(said))):
        return said
    raise BadRequest('nobody here has the id in "to"')


def parse_object(text: str) -> dict[str, Any]:
    """Read the fields of a JSON object."""
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise BadRequest("this is not a JSON object")
    return fields


def check_text(text: object) -> str:
    """Read a text that somebody may say."""
    if not isinstance(text, str) or not 0 < len(text.strip()) <= MAX_TEXT:
        raise BadRequest(f'"text" must be given and have 1 to {MAX_TEXT} characters')
    return text.strip()


def choose_name(wish: str) -> str:
    """Make a name that is short and visible."""
    visible = "".join(char if char.isprintable() else " " for char in unicodedata.normalize("NFKC", wish))
    return " ".join(visible.split())[:MAX_NAME].strip() or "citizen"


def find_token(ws: WebSocketConnector) -> str | None:
    """Find what nobody else knows of a page: its browser's secret, and which of the browser's pages it is."""
    caller, page = ws.cookies.get("caller"), ws.query_params.get("page")
    return f"{caller} {page}" if caller and page else None


app.register_blueprint(pages)

if __name__ == "__main__":
    app.start(os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "8080")))
