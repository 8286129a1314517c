"""`gws doctor`: imports an application, and says what will not work, and what to do about it."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterator

import click

from ..printable import printable
from .app_checks import check_app
from .findings import Finding, Level, warning
from .loading import load_or_exit, routes_of
from .server_checks import check_server


class _Collector(logging.Handler):
    """Makes findings of what gws warns of meanwhile, such as an unknown setting."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[Finding] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append(warning("settings", printable(record.getMessage(), 600), "change what it names"))


@click.command()
@click.argument("app", required=False, envvar="FLASK_APP")
@click.option(
    "--gunicorn", metavar="ARGUMENTS", help="gunicorn's arguments, such as '-w 4 -k gws.worker.Worker'."
)
@click.option("--strict", is_flag=True, help="Let warnings fail too.")
def doctor(app: str | None, gunicorn: str | None, strict: bool) -> None:
    """Check APP, which is named as for `gws run`, and how it is served.

    It is imported as `python` would import it, without a patch of gevent's, and nothing is served. Exit codes: 0 if
    it works, 1 for an error (with --strict also for a warning), 3 if it cannot be imported.
    """
    collector = _Collector()
    logging.getLogger("gws").addHandler(collector)
    levels = Counter(_show(finding) for finding in _look(app, gunicorn, collector))
    errors, warnings = levels[Level.ERROR], levels[Level.WARNING]
    click.echo(f"{errors} error{'s' * (errors != 1)}, {warnings} warning{'s' * (warnings != 1)}")
    sys.exit(1 if errors or (strict and warnings) else 0)


def _look(name: str | None, gunicorn: str | None, collector: _Collector) -> Iterator[Finding]:
    app = load_or_exit(name)
    yield from check_app(app)
    yield from check_server(routes_of(app), gunicorn)
    yield from collector.found


def _show(finding: Finding) -> Level:
    label = click.style(f"{finding.level.name.lower():8}", fg=finding.level.value)
    click.echo(f"{label} {finding.topic:12} {finding.text}")
    if finding.advice:
        click.echo(f"{'':21} -> {finding.advice}")
    return finding.level
