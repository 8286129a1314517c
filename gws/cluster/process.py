"""This process among others: which backplane its endpoints use, when that begins and when it ends."""

from __future__ import annotations

import enum
import logging
import weakref
from typing import Final

from ..backplane import urls
from ..backplane.engines import make_backplane
from ..compiled import log_why_not
from ..forks import Step, after_fork
from ..hub.io import HubIO, get_hub_io
from . import names
from .cluster import Cluster
from .endpoint import Endpoint

logger = logging.getLogger("gws.cluster")

FAREWELL_TIMEOUT: Final = 1.0
"""Seconds to send what waits, when the process stops."""


class Phase(enum.Enum):
    """How far a process is."""

    IDLE = enum.auto()
    """It serves nobody yet. How many others there are is not known."""
    RUNNING = enum.auto()
    OVER = enum.auto()
    """It has left the other nodes. A request that it still answers joins them again, to send."""


class Process:
    """The endpoints of this process, and the clusters that carry their messages. There is one: `process`."""

    def __init__(self) -> None:
        self.phase = Phase.IDLE
        self._endpoints: weakref.WeakSet[Endpoint] = weakref.WeakSet()
        self._clusters: dict[str, Cluster] = {}
        """By URL."""
        self._is_multiprocess: bool | None = None
        """Whether other processes serve the same application; None before the server has said so."""
        self._io: HubIO | None = None
        """Of the hub that the clusters run in, while they do."""

    def declare(self, endpoint: Endpoint) -> None:
        """Have an endpoint's cluster begin when the server does."""
        self._endpoints.add(endpoint)

    def cluster_of(self, endpoint: Endpoint) -> Cluster:
        """Return the cluster of an endpoint: one for each URL.

        Raises:
            BackplaneError: the URL is none, or other nodes could not tell the endpoint from another one of its name.
        """
        found: Cluster | None = endpoint.cluster
        if found is None or self.phase is Phase.IDLE:
            url = self._url_of(endpoint)
            self._check_names(url)
            found = self._join(endpoint, url)
        return found

    def start(self, is_multiprocess: bool, announce: bool = True, application: object = None) -> None:
        """Start the clusters of the endpoints; does not wait. Where the connections will be served.

        Args:
            is_multiprocess: whether other processes serve the same application.
            announce: whether to log an error if they cannot be reached.
            application: the WSGI application that is served, as far as that is known.

        Raises:
            ConfigurationError: an endpoint has a setting that could not work.
            BackplaneError: a URL is none, or needs what there is not; or two endpoints have one name.
        """
        # Also in the only process, which shows in development what several could not tell apart.
        names.check(names.behind(application))
        if self.phase is Phase.RUNNING:
            return
        self.phase = Phase.IDLE
        self._is_multiprocess = is_multiprocess
        endpoints = [(endpoint, self._url_of(endpoint)) for endpoint in tuple(self._endpoints)]
        for url in {url for _, url in endpoints}:
            self._check_names(url)
        for endpoint, url in endpoints:
            endpoint.check_settings()
            self._join(endpoint, url)
        for cluster in self._clusters.values():
            cluster.start()
        self._io = get_hub_io()
        self.phase = Phase.RUNNING
        log_why_not()
        if announce and is_multiprocess and urls.MEMORY in self._clusters:
            logger.error(
                "several workers and no backplane: broadcast, send_to and rooms reach the clients of ONE worker only. "
                "pip install 'gevent-gws[embedded]', or set GWS_BACKPLANE_URL=redis://..."
            )

    def wait_for_answer(self) -> None:
        """Wait for a first answer of each backplane, some seconds at most.

        Raises:
            BackplaneError: there will never be one.
        """
        # A stop may come meanwhile, and forget them.
        for url, cluster in tuple(self._clusters.items()):
            cluster.wait_for_answer()
            if url != urls.MEMORY and cluster.is_ready:
                nodes = cluster.node_count or "unknown"
                logger.info("backplane %s connected; nodes: %s", urls.redact(url), nodes)

    def stop(self) -> None:
        """Say farewell to the other nodes, in `FAREWELL_TIMEOUT` for each backplane. Idempotent."""
        if self.phase is Phase.RUNNING:
            self.phase = Phase.OVER
        self._io = None
        for cluster in tuple(self._clusters.values()):
            cluster.close(FAREWELL_TIMEOUT)
        self._forget_clusters()

    def forget_after_fork(self) -> None:
        """Leave the backplanes to the process that this one was forked from, and begin anew."""
        for cluster in self._clusters.values():
            cluster.forget_after_fork()
        self.phase, self._io, self._is_multiprocess = Phase.IDLE, None, None
        self._forget_clusters()

    def _join(self, endpoint: Endpoint, url: str) -> Cluster:
        cluster = self._clusters.get(url)
        if cluster is None:
            cluster = self._clusters[url] = Cluster(make_backplane(url))
            if self._io is not None:
                self._io.call(cluster.start)
        cluster.add(endpoint)
        endpoint.cluster = cluster
        return cluster

    def _check_names(self, url: str) -> None:
        # Where there are no other processes, the applications of two tests may well have the same endpoints.
        if url != urls.MEMORY:
            names.check_living(
                lambda: (party for party in names.everywhere() if self._url_of(party.endpoint) == url)
            )

    def _url_of(self, endpoint: Endpoint) -> str:
        return urls.check(endpoint.backplane_url or self._default_url())

    def _default_url(self) -> str:
        is_multiprocess = self._is_multiprocess
        if is_multiprocess is None:
            # Something is sent while the application is loaded; how many workers gunicorn has is known when one starts.
            is_multiprocess = urls.in_gunicorn()
        return urls.EMBEDDED if is_multiprocess and urls.has_embedded() else urls.MEMORY

    def _forget_clusters(self) -> None:
        self._clusters.clear()
        for endpoint in tuple(self._endpoints):
            endpoint.cluster = None


process = Process()
after_fork(Step.CLUSTERS)(process.forget_after_fork)
