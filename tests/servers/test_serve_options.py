"""The options of `gws.serve` and `app.start`: one that there is not, or that cannot work, says so at the start."""

from __future__ import annotations

import functools
import re
import socket
import ssl
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import gevent.ssl
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from gws import App, serve
from gws.servers.tls import make_context

from ..conftest import StartServer
from ..support.program import DEADLINE

MISSPELT = {
    "certfle": "did you mean 'certfile'?",
    "prot": "did you mean 'port'?",
    "enviorn": "did you mean 'environ'?",
    "ssl_contxt": "did you mean 'ssl_context'?",
    "nonsense": "there are host, port, certfile, keyfile, ssl_context",
    # Of pywsgi and of the `ssl` module: each would have been taken for TLS.
    "server_side": "",
    "handler_class": "",
    "cert_reqs": "",
}

ELSEWHERE = {
    "debug": "--reload",
    "use_reloader": "--reload",
    "workers": "gunicorn -k gws.worker.Worker -w 4",
    "processes": "gunicorn -k gws.worker.Worker -w 4",
    "threaded": "leave it out",
    "url": 'host="127.0.0.1"',
    "_check_port": "leave it out",
    "client_timeout": "GWS_HANDSHAKE_TIMEOUT",
    "keep_alive_timeout": "GWS_HANDSHAKE_TIMEOUT",
}


@pytest.mark.parametrize(("option", "hint"), [*MISSPELT.items(), *ELSEWHERE.items()])
def test_an_option_that_there_is_not_is_a_type_error_that_says_what_there_is(option: str, hint: str) -> None:
    options: Any = {option: True}
    app = App(__name__)
    for call in (functools.partial(serve, app), app.start):
        with pytest.raises(TypeError) as caught:
            call(port=0, **options)
        assert f"no option {option!r}" in str(caught.value)
        assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("address", "error", "words"),
    [
        ({"port": "8150"}, TypeError, "port is a number, not '8150': write port=8150"),
        ({"port": "http"}, TypeError, "port is a number, not 'http': write port=8080"),
        ({"port": None}, TypeError, "port is a number, not None"),
        ({"port": 80.0}, TypeError, "port is a number, not 80.0"),
        ({"port": 80000}, ValueError, "from 1 to 65535, or 0 for one that is free, not 80000"),
        ({"port": -1}, ValueError, "not -1"),
        ({"host": None}, TypeError, "host is a name or an address"),
        ({"host": 8080}, TypeError, "host is a name or an address"),
    ],
)
def test_an_address_that_cannot_be_is_an_error_that_says_what_can(
    address: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as caught:
        serve(App(__name__), **address)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"spawn": "4"}, "spawn is a number of connections, not '4'"),
        ({"spawn": None}, "spawn is a number of connections, not None"),
        ({"spawn": 0}, "spawn is a number of connections, 1 or more, not 0"),
        ({"backlog": "5"}, "backlog is a number of connections, not '5'"),
        ({"backlog": -1}, "backlog is a number of connections, 1 or more, not -1"),
        ({"log": "access.log"}, 'for a file write log=open("access.log", "a", buffering=1)'),
        ({"error_log": 5}, "error_log is a logging.Logger"),
        ({"environ": 5}, "environ is a dict, or None, not 5"),
    ],
)
def test_a_value_that_serves_nobody_is_an_error_that_says_what_does(options: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        serve(App(__name__), **options)
    assert words in str(caught.value)


def test_options_are_checked_and_completed_by_type_checkers(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent(
            """
            from gws import App, serve

            app = App(__file__)
            serve(app, certfile="x.pem", backlog=5)
            app.start(port=0, keyfile=None, log=None)
            serve(app, debug=True)
            app.start(workers=2)
            serve(app, backlog="many")
            """
        )
    )
    # With the settings and what is remembered of `make types`.
    command = [sys.executable, "-m", "mypy", str(program)]
    done = subprocess.run(
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=8 * DEADLINE,
        cwd=Path(__file__).parents[2],
    )
    errors = [line.partition(": error: ")[::2] for line in done.stdout.splitlines() if ": error: " in line]
    assert [place.rpartition(":")[2] for place, _ in errors] == ["7", "8", "9"]
    assert ["debug" in errors[0][1], "workers" in errors[1][1], "backlog" in errors[2][1]] == [True] * 3


def run(folder: Path, call: str) -> tuple[int, str]:
    """Return the exit code, and what a program says that ends instead of listening."""
    program = folder / "app.py"
    head = "from gevent import monkey; monkey.patch_all()\nimport os, gws\nfrom gws import App\n"
    program.write_text(f"{head}app = App(__file__)\n{call}\n")
    done = subprocess.run(
        [sys.executable, str(program)],
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        stdin=subprocess.DEVNULL,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.strip()


# The address


@pytest.mark.parametrize("call", ["app.start(port={port})", "gws.serve(app, port={port})"])
def test_a_port_in_use_is_one_line_that_says_which_line_to_change(tmp_path: Path, call: str) -> None:
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port = occupied.getsockname()[1]
        code, said = run(tmp_path, call.format(port=port))
    assert (code, said) == (
        1,
        f"gws cannot listen on 127.0.0.1:{port}: Address already in use; end the program that has the port, "
        f"or change port in {tmp_path}/app.py, line 5",
    )


@pytest.mark.parametrize(
    ("host", "shown", "reason"),
    [
        ("nowhere.invalid", "nowhere.invalid", "Name or service not known"),
        ("http://localhost", "[http://localhost]", "host is a name or an address of this machine"),
        ("192.0.2.7", "192.0.2.7", "Cannot assign requested address"),
    ],
)
def test_a_bad_host_is_one_line_that_says_why(tmp_path: Path, host: str, shown: str, reason: str) -> None:
    code, said = run(tmp_path, f"gws.serve(app, host={host!r}, port=8080)")
    assert code == 1
    assert said.startswith(f"gws cannot listen on {shown}:8080: ")
    assert reason in said
    assert said.endswith(f"in {tmp_path}/app.py, line 5")
    assert "\n" not in said
    assert "Unknown error" not in said


def test_an_ipv6_address_is_shown_as_one_writes_it(tmp_path: Path) -> None:
    program = """
        import gevent
        from gws.servers.shutdown import shutdown

        def end():
            while not any(server.started for server in shutdown.servers):
                gevent.sleep(0.01)
            os.kill(os.getpid(), 15)

        gevent.spawn(end)
        app.start("::1", 0)
    """
    code, said = run(tmp_path, textwrap.dedent(program))
    assert code == 0
    assert re.fullmatch(r"gws listens on http://\[::1\]:\d+", said)


# TLS


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a certificate, its key, that key encrypted, and another key."""
    folder = tmp_path_factory.mktemp("pem")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "both.pem"))
    authority.issue_cert("127.0.0.2").private_key_pem.write_to_path(str(folder / "other.pem"))
    _encrypt(folder / "key.pem", folder / "encrypted.pem")
    (folder / "nonsense.pem").write_text("nonsense")
    (folder / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n")
    return folder


def _encrypt(source: Path, target: Path) -> None:
    key = serialization.load_pem_private_key(source.read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"a secret word")
    target.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )


BAD_TLS = [
    ("typo.pem", None, "certfile='typo.pem' cannot be read: No such file or directory"),
    ("cert.pem", "typo.pem", "keyfile='typo.pem' cannot be read: No such file or directory"),
    (".", "key.pem", "certfile='.' cannot be read: Is a directory"),
    ("cert.pem", "other.pem", "keyfile='other.pem' is not the key of certfile='cert.pem'"),
    ("cert.pem", None, "certfile='cert.pem' holds no private key: give the keyfile too"),
    (None, "key.pem", "keyfile='key.pem' is the key of a certificate: give its certfile too"),
    ("cert.pem", "encrypted.pem", "keyfile='encrypted.pem' is encrypted: give an ssl_context"),
    ("key.pem", "key.pem", "certfile='key.pem' holds no certificate in PEM format"),
    ("cert.pem", "nonsense.pem", "keyfile='nonsense.pem' holds no private key in PEM format"),
    ("broken.pem", "key.pem", "certfile='broken.pem' and its key cannot be used: "),
]


@pytest.mark.parametrize(("certfile", "keyfile", "words"), BAD_TLS)
def test_a_certificate_that_cannot_be_used_says_why(
    pem: Path, monkeypatch: pytest.MonkeyPatch, certfile: str | None, keyfile: str | None, words: str
) -> None:
    monkeypatch.chdir(pem)
    with pytest.raises(ValueError, match=re.escape(words)):
        make_context(certfile, keyfile, None)


def test_a_certificate_and_a_context_are_one_too_many(pem: Path) -> None:
    with pytest.raises(ValueError, match="and not both"):
        make_context(str(pem / "both.pem"), None, gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


@pytest.mark.parametrize("number", [0, 3, 6], ids=["typo", "other key", "encrypted"])
def test_a_certificate_that_cannot_be_used_is_one_line_and_exit_code_1(
    tmp_path: Path, pem: Path, number: int
) -> None:
    certfile, keyfile, words = BAD_TLS[number]
    code, said = run(tmp_path, f"os.chdir({str(pem)!r}); app.start(port=0, {certfile=}, {keyfile=})")
    assert code == 1
    assert said.startswith(f"gws: {words}")
    assert "\n" not in said


@pytest.mark.parametrize("value", ["adhoc", ("cert.pem", "key.pem")])
def test_flasks_values_of_ssl_context_are_told_what_to_use(value: object) -> None:
    with pytest.raises(TypeError, match="give certfile and keyfile in its place"):
        serve(App(__name__), port=0, ssl_context=value)  # type: ignore[arg-type]


def test_an_ssl_context_that_would_stop_every_connection_is_refused() -> None:
    with pytest.raises(TypeError, match="before `monkey"):
        serve(App(__name__), port=0, ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))


@pytest.mark.parametrize(
    "options",
    [
        "certfile='cert.pem', keyfile='key.pem'",
        "certfile='both.pem'",
        "certfile='both.pem', keyfile=None, ssl_context=None",
        "ssl_context=context",
    ],
)
def test_a_certificate_that_can_be_used_is(start_server: StartServer, pem: Path, options: str) -> None:
    server = start_server(
        text=f"""
        from gevent import monkey; monkey.patch_all()
        import os, ssl
        from gws import App
        os.chdir({str(pem)!r})
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain("cert.pem", "encrypted.pem" , "a secret word")
        app = App(__file__)
        app.get("/hello")(lambda: "hello")
        app.start(port=0, {options})
        """
    )
    assert "listens on https://" in server.log()
    server.tls = ssl.create_default_context()
    server.tls.check_hostname = False
    server.tls.verify_mode = ssl.CERT_NONE
    assert server.get("/hello") == "hello"
