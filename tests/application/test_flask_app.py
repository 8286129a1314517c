"""`gws.application.flask_app`: an application made as Robyn's is, and Robyn's `jsonify`."""

from __future__ import annotations

import inspect
import json
import os
import re
from pathlib import Path
from typing import Any

import flask
import pytest
from flask.json.provider import DefaultJSONProvider

from gws import App, WebSocket, jsonify


def test_an_app_is_a_flask_application() -> None:
    app = App(__name__)
    app.add_url_rule("/", view_func=lambda: "hello")
    assert isinstance(app, flask.Flask)
    assert app.test_client().get("/").text == "hello"


def test_an_app_of_a_file_is_named_after_it_and_lives_beside_it() -> None:
    app = App(__file__)
    folder = os.path.dirname(os.path.abspath(__file__))
    assert (app.name, app.import_name) == ("test_flask_app", "test_flask_app")
    assert app.root_path == folder
    assert app.instance_path == os.path.join(folder, "instance")


def test_an_app_of_an_import_name_is_flasks() -> None:
    ours, theirs = App(__name__), flask.Flask(__name__)
    for name in ("name", "import_name", "root_path", "instance_path", "static_folder"):
        assert getattr(ours, name) == getattr(theirs, name)


def test_templates_and_static_files_are_found_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "page.html").write_text("Hello {{ name }}")
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "style.css").write_text("body {}")
    app = App(str(tmp_path / "chat.py"))
    app.add_url_rule("/", view_func=lambda: flask.render_template("page.html", name="Gordon"))
    assert app.test_client().get("/").text == "Hello Gordon"
    with app.test_client().get("/static/style.css") as response:
        assert response.get_data(as_text=True) == "body {}"


@pytest.mark.parametrize(
    "name", ["chat.py", "./chat.py", os.path.join("sub", "chat.py"), os.path.join(".", "chat.pyc")]
)
def test_a_relative_file_is_relative_to_where_the_program_was_started(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = App(name)
    assert app.name == "chat"
    assert app.root_path == str((tmp_path / name).parent)


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    assert App(str(tmp_path / "my app.v2.py")).root_path == str(tmp_path)
    assert App(str(tmp_path / "__main__.py")).root_path == str(tmp_path)


def test_flasks_options_are_taken_and_win(tmp_path: Path) -> None:
    app = App(
        __file__,
        root_path=str(tmp_path),
        instance_path=str(tmp_path / "own"),
        static_folder="files",
        static_url_path="/s",
    )
    assert app.root_path == str(tmp_path)
    assert app.instance_path == str(tmp_path / "own")
    assert app.static_folder == str(tmp_path / "files")
    assert app.static_url_path == "/s"


def test_start_has_robyns_defaults() -> None:
    parameters = inspect.signature(App.start).parameters
    assert [*parameters] == ["self", "host", "port", "options"]
    assert (parameters["host"].default, parameters["port"].default) == ("127.0.0.1", 8080)


@pytest.mark.parametrize("value", [{}, [], {"a": [1, 2.5, None, True]}, "text", 5, None, ["ü", "\ud800"]])
def test_jsonify_gives_json_as_str(value: Any) -> None:
    with App(__name__).app_context():
        text = jsonify(value)
    assert type(text) is str
    assert json.loads(text) == value


def test_jsonify_works_outside_of_an_application() -> None:
    assert json.loads(jsonify({"a": 1})) == {"a": 1}


def test_jsonify_uses_the_applications_provider() -> None:
    class Shouting(DefaultJSONProvider):
        def dumps(self, obj: Any, **kw: Any) -> str:
            return super().dumps(obj, **kw).upper()

    app = App(__name__)
    app.json = Shouting(app)
    with app.app_context():
        assert jsonify({"a": "b"}) == '{"A": "B"}'


def test_jsonify_refuses_what_json_cannot_say() -> None:
    with App(__name__).app_context(), pytest.raises(TypeError):
        jsonify(object())


@pytest.mark.parametrize(
    ("rule", "right"),
    [
        ("/r/:name", "/r/<name>"),
        ("/r/{name}", "/r/<name>"),
        ("r/{name:int}/x", "r/<name>/x"),
        (":name", "<name>"),
        ("/<one>/:two", "/<one>/<two>"),
    ],
)
def test_a_variable_of_another_framework_is_refused_with_flasks(rule: str, right: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"in {rule!r} is no variable in Flask; write {right!r}")):
        WebSocket(App("app"), rule)


@pytest.mark.parametrize(
    "rule", ["/a:b", "/12:30", "/r/<name>", "/r/<int:page>", "/r/<any('a:b', c):x>", "/r/:8080"]
)
def test_any_other_rule_is_taken_as_it_stands(rule: str) -> None:
    assert WebSocket(App("app"), rule).endpoint == rule
