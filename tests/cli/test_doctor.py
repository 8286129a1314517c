"""`gws doctor` and `gws routes`: what they find in an application, what to do about it, and the exit code for CI."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..support.command_line import APP, run_gws
from ..support.valkey import Valkey, free_port

PATCHED = "from gevent import monkey; monkey.patch_all()\n" + APP


def write(folder: Path, source: str) -> None:
    (folder / "app.py").write_text(source)


def lines_of(output: str, topic: str) -> str:
    """Return what was found about something, advice included."""
    lines = output.splitlines()
    found = [number for number, line in enumerate(lines) if line.split()[1:2] == [topic]]
    return "\n".join("\n".join(lines[number : number + 2]) for number in found)


def doctor(folder: Path, source: str, *arguments: str) -> tuple[int, str]:
    """Return the exit code and the output."""
    write(folder, source)
    done = run_gws("doctor", "app:app", *arguments, folder=folder)
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_an_application_that_is_well_passes(tmp_path: Path) -> None:
    source = (
        PATCHED
        + """
from werkzeug.middleware.proxy_fix import ProxyFix
app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1)
app.config["TRUSTED_HOSTS"] = ["chat.example"]
"""
    )
    code, output = doctor(tmp_path, source, "--gunicorn", "-k gws.worker.Worker -w 2", "--strict")
    assert (code, output.splitlines()[-1]) == (0, "0 errors, 0 warnings")
    for topic in (
        "patching",
        "libraries",
        "routes",
        "origins",
        "proxy",
        "worker",
        "backplane",
        "descriptors",
    ):
        assert lines_of(output, topic).startswith("ok "), output
    assert "2 of gws.worker.Worker" in output


@pytest.mark.parametrize(
    ("source", "topic", "level", "what", "advice"),
    [
        (APP, "patching", "note", "does not patch itself", "monkey.patch_all()"),
        (
            "from time import sleep\n" + PATCHED,
            "patching",
            "error",
            "time.sleep as sleep in app",
            "the first line of the program",
        ),
        (
            PATCHED.replace("patch_all()", "patch_all(thread=False)"),
            "patching",
            "warning",
            "threading",
            "without arguments",
        ),
        (
            "import sys; sys.modules['MySQLdb'] = sys\n" + PATCHED,
            "libraries",
            "warning",
            "MySQLdb",
            "PyMySQL",
        ),
        ("from flask import Flask; app = Flask('app')", "routes", "error", "no WebSocket", "gws.WebSocket"),
        (PATCHED + "\napp.debug = True", "debug", "warning", "tracebacks", "FLASK_DEBUG"),
        (
            PATCHED + "\napp.config['GWS_ALLOWED_ORIGINS'] = ['*']",
            "origins",
            "warning",
            "pages of every origin",
            "allowed_origins=",
        ),
        (PATCHED, "proxy", "note", "no ProxyFix", "ProxyFix(app.wsgi_app"),
        (PATCHED, "hosts", "note", "any Host is believed", "TRUSTED_HOSTS"),
        (
            PATCHED + "\napp.config['GWS_PING_INTERVAL'] = None",
            "limits",
            "warning",
            "pings never",
            "leave ping_interval",
        ),
        (
            PATCHED + "\napp.config['GWS_MAX_MESSAGE_SIZE'] = 1 << 30",
            "limits",
            "warning",
            "1024 MiB",
            "by HTTP",
        ),
        (PATCHED + "\napp.config['GWS_PING_TIMEOUT'] = 0", "limits", "error", "above zero", "change"),
        (
            PATCHED + "\napp.config['GWS_PING_INTERVALL'] = 3",
            "settings",
            "warning",
            "did you mean 'GWS_PING_INTERVAL'",
            "change",
        ),
        (PATCHED, "gunicorn", "note", "not configured here", "--gunicorn="),
    ],
)
def test_each_finding_says_what_to_do(
    tmp_path: Path, source: str, topic: str, level: str, what: str, advice: str
) -> None:
    code, output = doctor(tmp_path, source)
    found = lines_of(output, topic)
    assert found.startswith(level), output
    assert what in found
    assert advice in found
    assert code == (1 if level == "error" else 0)


def test_warnings_fail_only_where_they_are_to(tmp_path: Path) -> None:
    source = PATCHED + "\napp.config['GWS_ALLOWED_ORIGINS'] = ['*']"
    assert doctor(tmp_path, source)[0] == 0
    assert doctor(tmp_path, source, "--strict")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "topic", "level", "what"),
    [
        ("-w 2", "worker", "error", "sync, which answers WebSockets with 501"),
        ("-k gevent", "worker", "error", "gevent, which answers WebSockets with 501"),
        ("-k gws.worker.Worker -w 100", "worker", "note", "100 workers on"),
        ("-k gws.worker.Worker --preload", "worker", "warning", "--preload"),
        (
            "-k geventwebsocket.gunicorn.workers.GeventWebSocketWorker",
            "worker",
            "warning",
            "bounds no request's head",
        ),
        ("-k gws.worker.Worker --worker-connections 10000000", "descriptors", "warning", "10000000"),
        ("--no-such-option", "gunicorn", "error", "cannot be read"),
    ],
)
def test_gunicorns_configuration_is_read(
    tmp_path: Path, arguments: str, topic: str, level: str, what: str
) -> None:
    code, output = doctor(tmp_path, PATCHED, f"--gunicorn={arguments}")
    assert any(line.startswith(level) and what in line for line in lines_of(output, topic).splitlines()), (
        output
    )
    assert code == (1 if level == "error" else 0)


def test_a_configuration_file_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "gunicorn.conf.py").write_text("worker_class = 'gws.worker.Worker'\nworkers = 1 + 2\n")
    assert "3 of gws.worker.Worker" in doctor(tmp_path, PATCHED)[1]


def test_several_workers_in_memory_are_an_error(tmp_path: Path) -> None:
    source = PATCHED + "\napp.config['GWS_BACKPLANE_URL'] = 'memory://'"
    code, output = doctor(tmp_path, source, "--gunicorn=-w 2 -k gws.worker.Worker")
    assert code == 1
    assert "2 workers and no backplane" in lines_of(output, "backplane")


def test_a_backplane_is_tried_and_its_password_is_not_shown(tmp_path: Path) -> None:
    def source(port: int) -> str:
        return PATCHED + f"\napp.config['GWS_BACKPLANE_URL'] = 'redis://:s3cret@127.0.0.1:{port}'"

    code, output = doctor(tmp_path, source(free_port()))
    assert code == 1
    assert "error    backplane    redis://***@127.0.0.1:" in output
    assert "s3cret" not in output
    with Valkey(tmp_path) as valkey:
        _, output = doctor(tmp_path, source(valkey.port).replace(":s3cret@", ""))
    assert f"redis://127.0.0.1:{valkey.port} answers" in lines_of(output, "backplane")


@pytest.mark.parametrize("command", ["doctor", "routes"])
def test_an_application_that_cannot_be_imported_is_exit_code_3(tmp_path: Path, command: str) -> None:
    write(tmp_path, "import nothing_of_this_name")
    done = run_gws(command, "app:app", folder=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert "nothing_of_this_name" in done.stderr


def test_routes_lists_rules_names_handlers_and_settings(tmp_path: Path) -> None:
    write(
        tmp_path,
        APP
        + """
from flask import Blueprint
blueprint = Blueprint("rooms", __name__, url_prefix="/rooms")
gws.WebSocket(blueprint, "/<name>", name="rooms", max_rooms=3)
app.register_blueprint(blueprint)
""",
    )
    done = run_gws("routes", "app:app", folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "rule           name    handlers         settings that are not the defaults",
        "/rooms/<name>  /rooms  none             max_rooms=3",
        "/web_socket    =       connect message  none",
    ]


def test_an_application_without_websockets_is_told_how_to_make_one(tmp_path: Path) -> None:
    write(tmp_path, "from flask import Flask; app = Flask('app')")
    done = run_gws("routes", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "gws.WebSocket(app, rule)" in done.stderr
