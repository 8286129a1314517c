"""Applications that are made when they are first asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import flask

from tests.apps.base import app, start
from tests.apps.twins import make, mount

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

tenants: dict[str, flask.Flask] = {}


def find(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Hand on by what is behind "/tenants" in the path, as `PATH_INFO` has it here."""
    name = environ["PATH_INFO"].split("/")[1]
    environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(f"/{name}")
    if name not in tenants:
        tenants[name] = make(name)
    return tenants[name](environ, start_response)


mount(tenants=find)


if __name__ == "__main__":
    start(app)
