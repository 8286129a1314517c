"""WebSockets over TLS, whose records hold more than is asked for and whose handshake may never come."""

from __future__ import annotations

import contextlib
import dataclasses
import ssl
from collections.abc import Iterator

import pytest
import trustme

from ..conftest import StartServer
from ..support.client_frames import MIB, close, text
from ..support.client_frames import request as upgrade_request
from ..support.conversation import have_conversations
from ..support.harness import Server, unharmed
from ..support.program import wait_for
from ..support.raw_client import DROPS, RawClient

WAYS_WITH_TLS = ("python", "worker")


@dataclasses.dataclass
class Tls:
    """A certificate for 127.0.0.1, and a context that trusts it."""

    certificate: str
    key: str
    context: ssl.SSLContext

    def start(self, start_server: StartServer, way: str) -> Server:
        """Start a server that speaks TLS, and does not wait for it for long."""
        config = {"GWS_HANDSHAKE_TIMEOUT": 2.5}
        server: Server
        if way == "python":
            server = start_server(
                "conversation", way, config=config, certfile=self.certificate, keyfile=self.key
            )
        else:
            server = start_server(
                "conversation", way, ["--certfile", self.certificate, "--keyfile", self.key], config=config
            )
        server.tls = self.context
        return server


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """Return a certificate of the test's own."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(str(folder / "key.pem"))
    for number, pem in enumerate(issued.cert_chain_pems):
        pem.write_to_path(str(folder / "certificate.pem"), append=number > 0)
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return Tls(str(folder / "certificate.pem"), str(folder / "key.pem"), context)


@pytest.fixture(scope="module", params=WAYS_WITH_TLS)
def surviving_server(start_module_server: StartServer, request: pytest.FixtureRequest, tls: Tls) -> Server:
    """One for all tests that do not stop it."""
    return tls.start(start_module_server, request.param)


@pytest.fixture
def server(surviving_server: Server) -> Iterator[Server]:
    """Return the server; afterwards nobody is harmed, and the log has no traceback."""
    with unharmed(surviving_server):
        yield surviving_server
    assert "Traceback" not in surviving_server.log()


def test_both_client_libraries_have_a_whole_conversation_over_tls(surviving_server: Server) -> None:
    assert surviving_server.get("/hello") == "hello"
    have_conversations(surviving_server)


def test_what_tls_has_decrypted_already_is_not_left_lying(server: Server, tls: Tls) -> None:
    # A record holds 16 KiB: more than the HTTP parser reads at once.
    messages = [f"{number} " + "x" * 500 for number in range(28)]
    with RawClient(server, behind=b"".join(map(text, messages)), tls=tls.context) as client:
        assert [client.read_text() for _ in messages] == messages
    # More than the receive buffer holds, in one write.
    messages = [f"{number} " + "x" * 50_000 for number in range(20)]
    with RawClient(server, tls=tls.context) as client:
        client.say(*messages)
        assert [client.read_text() for _ in messages] == messages
        client.say("x" * MIB, "the end")
        assert [client.read_text(), client.read_text()] == ["x" * MIB, "the end"]


def test_a_client_that_begins_no_tls_handshake_is_cut_off_at_the_deadline(server: Server, tls: Tls) -> None:
    with contextlib.ExitStack() as clients:
        silent = clients.enter_context(RawClient(server, None))
        hesitant = clients.enter_context(RawClient(server, None))
        hesitant.send(bytes.fromhex("16030100c801"))
        plain = clients.enter_context(RawClient(server, None))
        plain.send(upgrade_request())
        mute = clients.enter_context(RawClient(server, None, tls=tls.context))
        for each in (silent, hesitant, plain, mute):
            each.wait_for_end()


def test_clients_that_drop_their_tls_connections_leave_nothing(server: Server, tls: Tls) -> None:
    begin = len(server.log())
    for drop in [*DROPS.values()] * 10:
        with RawClient(server, tls=tls.context) as client:
            client.send(text("x") + text("cut short")[:4])
            assert client.read_text() == "x"
            drop(client)
    wait_for(lambda: server.log()[begin:].count("closed 1006") == 30, "30 close handlers")


@pytest.mark.parametrize("way", WAYS_WITH_TLS)
def test_a_stop_closes_tls_connections_with_1001(start_server: StartServer, way: str, tls: Tls) -> None:
    server = tls.start(start_server, way)
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(RawClient(server, tls=tls.context)) for _ in range(20)]
        with server.stopping():
            for client in clients:
                assert client.read_close() == (1001, "going away")
                client.send(close(1001))
                assert client.has_ended()
    assert server.log().count("closed 1001") == 20


def test_a_stop_does_not_wait_for_a_handshake(start_server: StartServer, tls: Tls) -> None:
    server = start_server("conversation", "worker", ["--certfile", tls.certificate, "--keyfile", tls.key])
    server.tls = tls.context
    assert server.get("/hello") == "hello"
    with RawClient(server, None), server.stopping():
        pass
