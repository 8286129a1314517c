"""A real nginx, with the configuration that docs/deploy.md gives."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from ..servers.test_tls import Tls
from .program import Program

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy.md"

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
"""Debian has it where only root looks."""

_MAIN = """
daemon off;
user root;
worker_processes 1;
pid nginx.pid;
error_log stderr notice;
events { worker_connections 1000; }
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    include site.conf;
}
"""
"""What is Debian's nginx.conf elsewhere; the paths are below nginx's own folder."""


def documented(language: str) -> list[str]:
    """Return the blocks of docs/deploy.md in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", DEPLOY.read_text(), re.MULTILINE | re.DOTALL)


def replace(text: str, changes: Mapping[str, str]) -> str:
    """Change what stands exactly once in a text."""
    for old, new in changes.items():
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in:\n{text}"
        text = text.replace(old, new)
    return text


class Nginx(Program):
    """nginx in front of a server, in plain HTTP or in TLS.

    Args:
        folder: where all that it writes goes.
        upstream: the server's port.
        tls: the certificate to speak TLS with.
        changes: other pieces of the documented configuration, and what stands there instead.
    """

    def __init__(
        self, folder: Path, upstream: int, tls: Tls | None = None, changes: Mapping[str, str] | None = None
    ) -> None:
        assert NGINX is not None, "nginx is not installed: apt-get install nginx"
        self._free_port, self.redirecting_port = _free_ports(2)
        """The second is where a plain request is sent to the TLS of the first."""
        plain, secure, redirect = documented("nginx")
        site = replace(plain, {"127.0.0.1:8000": f"127.0.0.1:{upstream}"} | dict(changes or {}))
        if tls is None:
            site = replace(site, {"listen 80;": f"listen 127.0.0.1:{self._free_port};"})
        else:
            own = {
                "listen 443 ssl;": f"listen 127.0.0.1:{self._free_port} ssl;",
                "/etc/ssl/chat.example/fullchain.pem": tls.certificate,
                "/etc/ssl/chat.example/privkey.pem": tls.key,
            }
            site = replace(site, {"    listen 80;\n": replace(secure, own)})
            site += replace(redirect, {"listen 80;": f"listen 127.0.0.1:{self.redirecting_port};"})
        (folder / "nginx.conf").write_text(_MAIN)
        (folder / "site.conf").write_text(site)
        super().__init__([NGINX, "-p", str(folder), "-c", "nginx.conf"], folder)
        self.tls = None if tls is None else tls.context

    def _find_address(self) -> str | None:
        if self.process.poll() is not None:
            raise AssertionError(f"nginx ended with {self.process.returncode}: {self.log()}")
        return f"127.0.0.1:{self._free_port}" if self.workers_started() else None

    def workers_started(self) -> int:
        """How many worker processes it has started so far."""
        return self.log().count("start worker process ")

    def url(self, path: str = "/web_socket") -> str:
        """Return the address of a WebSocket."""
        return f"{'wss' if self.tls else 'ws'}://{self.address}{path}"

    def origin(self) -> str:
        """Return that of its pages."""
        return f"{'https' if self.tls else 'http'}://{self.address}"


def _free_ports(count: int) -> list[int]:
    """Ports that are free now: nginx cannot be told to take any, and say which."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
