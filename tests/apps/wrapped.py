"""The conversation's application in middleware that wraps `start_response`, and in what one behind a proxy has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from werkzeug.middleware.proxy_fix import ProxyFix

from tests.apps.base import start
from tests.apps.conversation import app

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def middleware(inner: WSGIApplication) -> WSGIApplication:
    """Wrap an application, so that its responses have one header more."""

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
        def start_with_header(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            return start_response(status, [*headers, ("X-Middleware", "yes")], exc_info)

        result: Any = inner(environ, start_with_header)
        try:
            yield from result
        finally:
            result.close()

    return application


app.wsgi_app = middleware(ProxyFix(app.wsgi_app, x_for=1, x_proto=1, x_host=1))  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    start(app)
