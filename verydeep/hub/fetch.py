"""Reading from a web server that may stall, lie, or send us elsewhere: what arrives is bounded, and nothing is trusted.

The hub's own client follows where a server sends it, waits as long as bytes trickle, and checks a file's length alone.
"""

import ipaddress
import socket
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from email.message import Message
from http.client import HTTPConnection, HTTPSConnection
from importlib.metadata import version
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import Any, Literal
from urllib.error import HTTPError, URLError
from urllib.parse import urljoin, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
    getproxies,
    proxy_bypass,
)

from verydeep.errors import WeightsError

PATIENCE = 20.0  # seconds in which a server must answer, and later send SLOWEST bytes for each of them
SLOWEST = 1000  # bytes a second
PIECE = 1 << 16  # bytes read at once
MOST_REDIRECTS = 5
PORTS = {"http": 80, "https": 443}
AGAIN = "Try again later; what has arrived is kept, and the same command goes on from there."

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Origin = tuple[str, str, int | None]


def pieces(
    address: str, *, token: str | None = None, start: int = 0, patience: float = PATIENCE
) -> Generator[bytes, None, None]:
    """The bytes at `address` from `start` on; where the server cannot begin there, first an empty one and then all.

    Args:
        address: Of the hub; it may send us to servers on the public internet that speak https.
        token: Sent to the hub alone.
        start: Bytes that are here already.
        patience: Seconds without any progress after which the server counts as stalled.

    Raises:
        WeightsError: the server cannot be reached, refuses, stalls, breaks off, or sends us where we do not go.
    """
    asker = _Asker(address, token=token, start=start, patience=patience)
    since, received = time.monotonic(), 0
    with closing(asker):
        for piece in asker.answers():
            yield piece
            received += len(piece)
            waited = time.monotonic() - since
            if waited >= patience:
                if received < SLOWEST * waited:
                    raise _stalled(address, patience)
                since, received = time.monotonic(), 0


def small(address: str, *, most: int, token: str | None = None, patience: float = PATIENCE) -> bytes:
    """All that is at `address`, at most `most` bytes; WeightsError as in `pieces`."""
    content = bytearray()
    with closing(pieces(address, token=token, patience=patience)) as found:
        for piece in found:
            content += piece
            if len(content) > most:
                raise WeightsError(
                    f"{_host(address)} answers with more than {most:,} bytes", code="HUB-ANSWER", hint="Is it a hub?"
                )
    return bytes(content)


class _Asker:
    """A thread that asks, so that no part of it can keep us: names, handshakes and headers stall like contents."""

    def __init__(self, address: str, *, token: str | None, start: int, patience: float) -> None:
        self.address, self.token, self.start, self.patience = address, token, start, patience
        self.queue: Queue[bytes | BaseException | None] = Queue(maxsize=16)
        self.left = Event()
        Thread(target=self._run, daemon=True).start()

    def answers(self) -> Iterator[bytes]:
        """What it reads, as it comes."""
        while True:
            try:
                item = self.queue.get(timeout=self.patience)
            except Empty:
                raise _stalled(self.address, self.patience) from None
            if isinstance(item, BaseException):
                raise item
            if item is None:
                return
            yield item

    def close(self) -> None:
        """Nobody listens any more."""
        self.left.set()

    def _run(self) -> None:
        try:
            with closing(_open(self.address, token=self.token, start=self.start, patience=self.patience)) as response:
                if self.start and response.status == 206:
                    _check_range(self.address, response.headers, start=self.start)
                elif self.start:
                    self._tell(b"")
                rest = response.length  # bytes that its header promises; None: until it closes
                while not self.left.is_set() and (piece := response.read1(PIECE if rest is None else min(PIECE, rest))):
                    self._tell(piece)
                    rest = None if rest is None else rest - len(piece)
                if rest:
                    raise ConnectionError(f"it broke off {rest:,} bytes before the end")
            self._tell(None)
        except WeightsError as error:
            self._tell(error)
        except TimeoutError:
            self._tell(_stalled(self.address, self.patience))
        except Exception as error:  # whatever it is, the server's answer made it, and nobody else would tell
            self._tell(_broken(self.address, error))

    def _tell(self, item: bytes | BaseException | None) -> None:
        while not self.left.is_set():
            try:
                self.queue.put(item, timeout=1)
            except Full:
                continue
            return


def _open(address: str, *, token: str | None, start: int, patience: float) -> Any:
    """The response to a GET; each redirect is looked at before it is followed."""
    home = _origin(address)
    for _ in range(MOST_REDIRECTS + 1):
        headers = {"User-Agent": f"verydeep/{version('verydeep')}", "Accept-Encoding": "identity"}
        if token is not None and _origin(address) == home:
            headers["Authorization"] = f"Bearer {token}"
        if start:
            headers["Range"] = f"bytes={start}-"
        opener = _opener(reach="any" if _origin(address) == home or _proxied(address) else "public")
        try:
            response = opener.open(Request(address, headers=headers), timeout=patience)
        except HTTPError as error:
            with closing(error):
                if error.code not in (301, 302, 303, 307, 308):
                    raise _refused(address, error.code, home=home) from None
                address = _next(address, error.headers, home=home)
            continue
        except URLError as error:
            raise error.reason if isinstance(error.reason, OSError) else error from None
        return response
    raise _elsewhere(address, "it sends us on and on")


class _Peer(HTTPConnection):
    """A connection that ends before anything is said, unless it leads to a place on the internet."""

    def connect(self) -> None:
        """Connect and look where to: the name may stand for another address than when it was looked up."""
        super().connect()
        place = ipaddress.ip_address(self.sock.getpeername()[0])
        if not _is_public(place):
            raise _elsewhere(f"//{self.host}", f"it is {place}, no place on the internet")


class _PublicConnection(HTTPSConnection, _Peer):
    """The same; the look is between connecting and the first word of TLS."""


class _PublicHandler(HTTPSHandler):
    """https to places on the internet."""

    def https_open(self, req: Request) -> Any:
        """As urllib's, by other connections."""
        return self.do_open(_PublicConnection, req)


def _opener(*, reach: Literal["any", "public"]) -> OpenerDirector:
    """One that knows http and https and nothing else: no files, no redirects."""
    opener = OpenerDirector()
    secure = _PublicHandler if reach == "public" else HTTPSHandler
    for handler in (ProxyHandler, HTTPHandler, secure, HTTPErrorProcessor, HTTPDefaultErrorHandler):
        opener.add_handler(handler())
    return opener


def _next(address: str, headers: Message, *, home: Origin) -> str:
    """Where a redirect leads: to the hub itself, or to a public server by https."""
    target = urljoin(address, headers.get("Location", ""))
    if _origin(target) == home:
        return target
    if urlsplit(target).scheme != "https":
        raise _elsewhere(address, f"it sends us to {target!r:.100}, which is not https")
    host = urlsplit(target).hostname or ""
    places = _addresses(host)
    if not places and not _proxied(target):
        raise _elsewhere(address, f"it sends us to {host!r:.100}, a name that is unknown here")
    for place in places:
        if not _is_public(place):
            raise _elsewhere(address, f"it sends us to {host!r:.100}, which is {place}, no place on the internet")
    return target


def _addresses(host: str) -> list[IPAddress]:
    """What the host's name stands for; nothing where it is unknown here, and then only a proxy can reach it."""
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return []
    return [ipaddress.ip_address(text) for text in sorted(found)]


def _proxied(address: str) -> bool:
    return urlsplit(address).scheme in getproxies() and not proxy_bypass(_host(address))


def _is_public(place: IPAddress) -> bool:
    return place.is_global and not place.is_multicast


def _check_range(address: str, headers: Message, *, start: int) -> None:
    told = headers.get("Content-Range", "")
    if not told.startswith(f"bytes {start}-"):
        raise WeightsError(
            f"{_host(address)} sends {told!r:.60}, not what is from byte {start} on", code="HUB-ANSWER", hint=AGAIN
        )


def _origin(address: str) -> Origin:
    parts = urlsplit(address)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or PORTS.get(parts.scheme)


def _host(address: str) -> str:
    """The server's name: an address beyond it may hold a signature."""
    return urlsplit(address).netloc.rpartition("@")[2]


def _refused(address: str, status: int, *, home: Origin) -> WeightsError:
    if status in (401, 403, 404) and _origin(address) == home:
        return WeightsError(
            f"{_host(address)} has no such repository or revision, or does not show it to us (HTTP {status})",
            code="HUB-REPOSITORY",
            hint="Check the name; for a private one set HF_TOKEN, or give --token-file.",
        )
    return WeightsError(f"{_host(address)} answers with HTTP {status}", code="HUB-ANSWER", hint=AGAIN)


def _elsewhere(address: str, why: str) -> WeightsError:
    return WeightsError(
        f"{_host(address)} is not followed: {why}",
        code="HUB-REDIRECT",
        hint="Nothing was taken from there; is the hub what it should be?",
    )


def _stalled(address: str, patience: float) -> WeightsError:
    return WeightsError(
        f"{_host(address)} has stalled: next to nothing came for {patience:g} s", code="HUB-STALLED", hint=AGAIN
    )


def _broken(address: str, error: Exception) -> WeightsError:
    return WeightsError(
        f"{_host(address)}: {' '.join(str(error).split()) or type(error).__name__:.200}",
        code="HUB-UNREACHABLE",
        hint=AGAIN,
    )
