"""What a server needs to speak TLS, read and tried before it listens."""

from __future__ import annotations

import ssl

import gevent.ssl


def make_context(
    certfile: str | None, keyfile: str | None, given: ssl.SSLContext | None
) -> ssl.SSLContext | None:
    """Return the context of a server that shows this certificate; None for one that speaks plain HTTP.

    Args:
        certfile: the file of the certificate, and of those between it and a trusted one.
        keyfile: the file of its private key, if that is another.
        given: the application's own context, in place of both.

    Raises:
        ValueError: no client could connect; the message says what is wrong with which file.
        TypeError: what is given is no context that waits as gevent does.
    """
    if given is not None:
        if certfile is not None or keyfile is not None:
            raise ValueError(
                "give certfile and keyfile, or an ssl_context that has loaded them, and not both"
            )
        return _check_context(given)
    if certfile is None:
        if keyfile is not None:
            raise ValueError(f"keyfile={keyfile!r} is the key of a certificate: give its certfile too")
        return None
    certificate = _read("certfile", certfile)
    key = certificate if keyfile is None else _read("keyfile", keyfile)
    if b"-----BEGIN CERTIFICATE-----" not in certificate:
        raise ValueError(f"certfile={certfile!r} holds no certificate in PEM format")
    if b"PRIVATE KEY-----" not in key:
        raise ValueError(
            f"certfile={certfile!r} holds no private key: give the keyfile too"
            if keyfile is None
            else f"keyfile={keyfile!r} holds no private key in PEM format"
        )
    return _load(certfile, keyfile)


def _check_context(given: object) -> ssl.SSLContext:
    if isinstance(given, gevent.ssl.SSLContext):
        return given
    if isinstance(given, ssl.SSLContext):
        raise TypeError(
            "the ssl_context is of the standard library as it was before `monkey.patch_all()`, and would stop every "
            "connection: begin the program with that, or make a gevent.ssl.SSLContext"
        )
    raise TypeError(
        f"ssl_context is an ssl.SSLContext, not {given!r}: give certfile and keyfile in its place, "
        "which `openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem` makes for a trial"
    )


def _read(option: str, path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise ValueError(f"{option}={path!r} cannot be read: {error.strerror}") from error


def _load(certfile: str, keyfile: str | None) -> ssl.SSLContext:
    is_encrypted = False

    def refuse_to_ask() -> str:
        nonlocal is_encrypted
        is_encrypted = True
        return ""

    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without the callback OpenSSL would ask on the terminal, which a service has not.
        context.load_cert_chain(certfile, keyfile, refuse_to_ask)
    except ssl.SSLError as error:
        option, path = ("certfile", certfile) if keyfile is None else ("keyfile", keyfile)
        if is_encrypted:
            raise ValueError(
                f"{option}={path!r} is encrypted: give an ssl_context that has loaded it with its password"
            ) from error
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError(f"{option}={path!r} is not the key of certfile={certfile!r}") from error
        raise ValueError(f"certfile={certfile!r} and its key cannot be used: {error}") from error
    return context
