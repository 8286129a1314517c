"""This process among others: which backplane its endpoints use, when that begins and when it ends."""

from __future__ import annotations

import logging
import os
import weakref
from typing import Final, Protocol

from ..backplane import urls
from ..backplane.engines import make_backplane
from ..compiled import log_why_not
from ..hub.io import HubIO, get_hub_io
from . import names
from .node import Cluster, Endpoint

logger = logging.getLogger("gws.cluster")

FAREWELL_TIMEOUT: Final = 1.0
"""Seconds to send what waits, when the process stops."""


class HasBackplane(Endpoint, Protocol):
    """An endpoint, as far as its backplane is concerned."""

    @property
    def backplane_url(self) -> str | None:
        """The URL that it is configured with; None for whatever suits the server."""

    def check_settings(self) -> None:
        """Raise a `ConfigurationError` if it cannot work as it is configured now."""

    def forget_cluster(self) -> None:
        """Drop the cached cluster, after a fork or a stop."""


_endpoints: weakref.WeakSet[HasBackplane] = weakref.WeakSet()
_clusters: dict[str, Cluster] = {}
"""By URL."""
_is_multiprocess: bool | None = None
"""Whether other processes serve the same application; None before the server has said so."""
_io: HubIO | None = None
"""Of the hub that the clusters run in, once they have begun."""
_is_over = False
"""Whether the clusters have ended; what is still said then goes to this process's own connections."""


def declare(endpoint: HasBackplane) -> None:
    """Have an endpoint's cluster begin when the server does."""
    _endpoints.add(endpoint)


def cluster_of(endpoint: HasBackplane) -> Cluster:
    """Return the cluster of an endpoint: one for each URL.

    Raises:
        BackplaneError: the URL is none, or other nodes could not tell the endpoint from another one of its name.
    """
    url = _url_of(endpoint)
    _check_names(url)
    return _join(endpoint, url)


def _join(endpoint: HasBackplane, url: str) -> Cluster:
    cluster = _clusters.get(url)
    if cluster is None:
        cluster = _clusters[url] = Cluster(make_backplane(url))
        if _io is not None and not _is_over:
            _io.call(cluster.start)
    cluster.add(endpoint)
    return cluster


def _check_names(url: str) -> None:
    # Where there are no other processes, the applications of two tests may well have the same endpoints.
    if url != urls.MEMORY:
        names.check_living(lambda: (party for party in names.everywhere() if _url_of(party.endpoint) == url))


def has_begun() -> bool:
    """Return whether the clusters of this process have been started."""
    return _io is not None


def begin(is_multiprocess: bool, announce: bool = True, application: object = None) -> None:
    """Start the clusters of this process's endpoints; does not wait. Where the connections will be served.

    Args:
        is_multiprocess: whether other processes serve the same application.
        announce: whether to say so if they cannot be reached.
        application: the WSGI application that is served, as far as that is known.

    Raises:
        ConfigurationError: an endpoint has a setting that could not work.
        BackplaneError: a URL is none, or needs what there is not; or two endpoints have one name.
    """
    global _is_multiprocess, _io, _is_over
    # Also in the only process, which shows in development what several could not tell apart.
    names.check(names.behind(application))
    if _io is not None and not _is_over:
        return
    _io, _is_over = None, False
    _is_multiprocess = is_multiprocess
    endpoints = [(endpoint, _url_of(endpoint)) for endpoint in tuple(_endpoints)]
    for url in {url for _, url in endpoints}:
        _check_names(url)
    for endpoint, url in endpoints:
        endpoint.check_settings()
        _join(endpoint, url)
    for cluster in _clusters.values():
        cluster.start()
    _io = get_hub_io()
    log_why_not()
    if announce and is_multiprocess and urls.MEMORY in _clusters:
        logger.error(
            "several workers and no backplane: broadcast, send_to and rooms reach the clients of ONE worker only. "
            "pip install 'gevent-gws[embedded]', or set GWS_BACKPLANE_URL=redis://..."
        )


def check() -> None:
    """Wait for a first answer of each backplane, some seconds at most.

    Raises:
        BackplaneError: there will never be one.
    """
    # A stop may come meanwhile, and forget them.
    for url, cluster in tuple(_clusters.items()):
        cluster.check()
        if url != urls.MEMORY and cluster.is_ready:
            logger.info("backplane %s connected; nodes: %s", urls.redact(url), cluster.listening or "unknown")


def end() -> None:
    """Say farewell to the other nodes, in `FAREWELL_TIMEOUT` for each backplane. Idempotent."""
    global _is_over
    _is_over = has_begun()
    for cluster in tuple(_clusters.values()):
        cluster.close(FAREWELL_TIMEOUT)
    _clusters.clear()
    for endpoint in tuple(_endpoints):
        endpoint.forget_cluster()


def _url_of(endpoint: HasBackplane) -> str:
    return urls.check(endpoint.backplane_url or _default_url())


def _default_url() -> str:
    is_multiprocess = _is_multiprocess
    if is_multiprocess is None:
        # Something is said while the application is loaded; how many workers gunicorn has is known when one starts.
        is_multiprocess = os.environ.get("SERVER_SOFTWARE", "").startswith("gunicorn")
    return urls.EMBEDDED if is_multiprocess and urls.has_embedded() else urls.MEMORY


def _forget() -> None:
    global _io, _is_over, _is_multiprocess
    for cluster in _clusters.values():
        cluster.abandon()
    _clusters.clear()
    _io, _is_over, _is_multiprocess = None, False, None
    for endpoint in tuple(_endpoints):
        endpoint.forget_cluster()


os.register_at_fork(after_in_child=_forget)
