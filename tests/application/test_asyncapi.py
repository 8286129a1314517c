"""The AsyncAPI document of an application: valid by the official schema, and a page that needs no internet."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from flask import Flask, Response

from gws import WebSocket
from gws.application.asyncapi import describe, example_of

from ..conftest import StartServer
from ..support.harness import Server
from ..support.program import DEADLINE

PACKAGE = Path(__file__).parent / "asyncapi"
BUILD = Path(__file__).parents[2] / "build" / "asyncapi"


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft7Validator:
    """Return the official schema of AsyncAPI 3.0, which npm installs where git does not look."""
    shutil.copytree(PACKAGE, BUILD, dirs_exist_ok=True)
    done = subprocess.run(
        ["npm", "ci", "--prefer-offline", "--no-audit", "--no-fund"],
        check=False,
        cwd=BUILD,
        capture_output=True,
        text=True,
        timeout=4 * DEADLINE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    schema = BUILD / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0-without-$id.json"
    return jsonschema.Draft7Validator(json.loads(schema.read_text()))


@pytest.fixture(scope="module")
def server(start_module_server: StartServer) -> Server:
    return start_module_server("documented")


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    return dict(json.loads(server.get("/docs/asyncapi.json")))


def test_it_is_valid(document: dict[str, Any], validator: jsonschema.Draft7Validator) -> None:
    validator.validate(document)
    # The schema itself refuses what is none.
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(document | {"channels": {"x": {"address": 5}}})


def test_that_of_every_typed_endpoint_is_valid(
    start_server: StartServer, validator: jsonschema.Draft7Validator
) -> None:
    program = """
    from gws.application.asyncapi import describe
    from tests.apps.typed_messages import app

    @app.get("/document")
    def document():
        return describe(app)

    app.start(port=0)
    """
    server = start_server(text=program)
    document = json.loads(server.get("/document"))
    validator.validate(document)
    assert len(document["channels"]) > 10
    contents = document["channels"]["packed"]["messages"]
    assert contents["Say"]["contentType"] == "application/msgpack"
    for channel in document["channels"].values():
        for message in channel["messages"].values():
            for example in message.get("examples", ()):
                schema = {**message["payload"], "components": document["components"]}
                jsonschema.validate(example["payload"], schema)


def test_what_it_says(server: Server, document: dict[str, Any]) -> None:
    assert document["info"] == {"title": "Gardens", "version": "2.1", "description": "What *grows* & how"}
    assert document["servers"]["this"] == {"host": server.address, "pathname": "/", "protocol": "ws"}
    garden = document["channels"]["gardens_int_number_name"]
    assert garden["address"] == "/gardens/{number}/{name}"
    assert set(garden["parameters"]) == {"number", "name"}
    assert garden["bindings"]["ws"]["query"] == {
        "type": "object",
        "properties": {
            "page": {"type": "integer", "default": 1},
            "tags": {"type": "array", "items": {"type": "string"}, "default": []},
            "token": {"type": "string"},
        },
    }
    assert garden["description"].startswith("Come into the garden.")
    operations = document["operations"]
    received = operations["gardens_int_number_name.receive"]
    assert (received["summary"], names(received)) == ("Grow.", ["Tree", "Leaf"])
    assert names(operations["gardens_int_number_name.send"]) == ["text", "Leaf", "InvalidMessage"]
    assert garden["messages"]["Tree"]["examples"] == [
        {"payload": {"type": "Tree", "name": "text", "children": []}}
    ]
    assert document["components"]["schemas"]["Leaf"]["properties"]["colour"]["enum"] == ["green", "red"]


def names(operation: dict[str, Any]) -> list[str]:
    return [message["$ref"].rpartition("/")[2] for message in operation["messages"]]


def test_what_it_says_of_others(document: dict[str, Any]) -> None:
    operations = document["operations"]
    assert names(operations["plain.receive"]) == ["text"]
    assert names(operations["plain.send"]) == ["json"]
    assert document["channels"]["plain"]["bindings"]["ws"]["query"]["required"] == ["size"]
    assert names(operations["loop.receive"]) == ["text", "binary"]
    assert names(operations["loop.send"]) == ["binary"]
    assert operations["loop.receive"]["summary"] == "Receive what comes."
    # The plain routes are none of it.
    assert not [key for key in document["channels"] if "vitals" in key]


def test_a_shell_gets_the_same(document: dict[str, Any]) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "gws",
            "asyncapi",
            "tests.apps.documented",
            "--title",
            "Gardens",
            "--version",
            "2.1",
        ],
        cwd=Path(__file__).parents[2],
        env=os.environ | {"GWS_TEST_APP": "{}"},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=True,
    )
    assert json.loads(done.stdout)["channels"] == document["channels"]


def test_the_page(server: Server) -> None:
    page = server.get("/docs/asyncapi")
    for text in (
        "Gardens",
        "/gardens/{number}/{name}",
        "What *grows* &amp; how",
        "Something that holds more",
        "large",
    ):
        assert text in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
    # It needs nothing from elsewhere.
    assert "http" not in page.replace(f"ws://{server.address}", "")


def test_an_application_without_any() -> None:
    assert describe(Flask("empty"))["channels"] == {}
    app = Flask("app")
    WebSocket(app, "/")
    assert describe(app, version="3")["channels"] == {"root": {"address": "/", "messages": {}}}


def test_no_endpoint_and_no_type_hides_another() -> None:
    app = Flask("app")
    rules = ["/a-b", "/a_b", "/a/b", "/", "/root", "/日本", "/%C3%A9"]
    for rule in rules:
        one = msgspec.defstruct("Same", [(f"field_{len(rule)}", int)], module=rule)
        websocket = WebSocket(app, rule)
        websocket.on("message", type=one)(lambda msg: None)
    document = describe(app)
    assert sorted(channel["address"] for channel in document["channels"].values()) == sorted(rules)
    for channel in document["channels"].values():
        message = channel["messages"]["Same"]
        jsonschema.validate(
            message["examples"][0]["payload"], {**message["payload"], "components": document["components"]}
        )
        # A class without a docstring has not that of its base.
        assert "summary" not in message


def test_what_is_no_message_is_left_out() -> None:
    app = Flask("app")

    def respond(ws: object) -> Response:
        return Response()

    def unknown(ws: object) -> "Nowhere":  # type: ignore[name-defined]  # noqa: F821, UP037
        pass

    websocket = WebSocket(app, "/x")
    websocket.on("connect")(respond)
    websocket.on("close")(unknown)
    assert describe(app)["channels"]["x"]["messages"] == {}


def test_an_example_of_what_must_refer_to_itself_ends() -> None:
    reference = {"$ref": "#/components/schemas/Node"}
    schemas = {"Node": {"type": "object", "properties": {"next": reference}, "required": ["next"]}}
    assert str(example_of(reference, schemas)).count("next") < 20
