"""One POST to an address that a partner chose, made so that he reaches nothing of ours with it and holds us up by nothing.

The name is resolved once, every address it has must be a public one, and the connection goes to exactly the address that
was checked: a name that changes between the check and the call, a redirect or a second name leads nowhere. Five seconds
are all there is, from the first question to the last byte of the answer, of which 64 KB are read at most.

Only the process that sends needs this module, and the HTTP client in it is a fifth of what a process reads to begin.
"""

import asyncio
import re
import socket
import ssl
import threading
import time
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from stores.services import addresses
from stores.services.addresses import AddressRefused, NotSent, UrlRefused, read_url
from stores.services.deliveries import Answer

TIMEOUT = 5.0  # seconds for all of one POST
LONGEST_ANSWER = 64 * 1024  # bytes


class OnlyPublic(AbstractResolver):
    """Gives aiohttp the addresses of a name, asked for once, if every one of them is public."""

    async def resolve(self, host, port=0, family=socket.AF_UNSPEC) -> list[ResolveResult]:
        loop = asyncio.get_running_loop()
        answer = loop.create_future()

        def settle(found):
            if not answer.done():
                answer.set_result(found)

        def then(found):
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(settle, found)

        addresses.look_up(host, port, then)
        found = await answer
        if isinstance(found, OSError):
            raise found
        if not found:
            raise OSError("The name has no address.")
        if not all(addresses.is_public(address) for address, _port in found):
            raise AddressRefused
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=at,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=socket.IPPROTO_TCP,
                flags=socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
            )
            for address, at in found
        ]

    async def close(self) -> None:
        pass


def public_socket(info) -> socket.socket:
    """A socket for this address; the last gate, past which every connection goes, however its address came about."""
    family, kind, proto, _name, address = info
    if not addresses.is_public(address[0]):
        raise AddressRefused
    return socket.socket(family, kind, proto)


class Sender:
    """Makes POSTs, many at a time, from a thread of its own. Use it as a context."""

    def __init__(self, tls: ssl.SSLContext | None = None):
        self.tls = tls or ssl.create_default_context()
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.run, daemon=True, name="sender")

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def __enter__(self):
        self.thread.start()
        self.session = asyncio.run_coroutine_threadsafe(self.open(), self.loop).result()
        return self

    def __exit__(self, *_error):
        with suppress(TimeoutError):
            asyncio.run_coroutine_threadsafe(self.session.close(), self.loop).result(timeout=2)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(timeout=2)
        if not self.thread.is_alive():
            self.loop.close()

    async def open(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=self.tls,
            resolver=OnlyPublic(),
            use_dns_cache=False,
            force_close=True,  # the next POST asks for the name again
            limit=0,
            socket_factory=public_socket,
        )
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),  # `post` keeps the time
            skip_auto_headers={"Accept", "Accept-Encoding", "User-Agent", "Content-Type"},
        )

    def post(self, url: str, body: bytes, headers: dict[str, str]) -> Future:
        """Begins a POST; the future gives its Answer and never raises."""
        return asyncio.run_coroutine_threadsafe(self.attempt(url, body, headers), self.loop)

    async def attempt(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        begun, status, wait = time.monotonic(), None, None
        try:
            async with asyncio.timeout(TIMEOUT):
                async with self.session.post(
                    URL(read_url(url), encoded=True), data=body, headers=headers, allow_redirects=False
                ) as response:
                    status, wait = response.status, seconds_of(response.headers.get("Retry-After", ""))
                    if (response.content_length or 0) > LONGEST_ANSWER:
                        raise NotSent("answer_too_long")
                    read = 0
                    async for piece in response.content.iter_any():
                        read += len(piece)
                        if read > LONGEST_ANSWER:
                            raise NotSent("answer_too_long")
            error = ""
        except Exception as failure:
            error = reason(failure)
        return Answer(status, round((time.monotonic() - begun) * 1000), error, wait)


def reason(failure: BaseException) -> str:
    """Why a POST did not come about, as one of the words of `Answer.error`."""
    seen: BaseException | None = failure
    while seen is not None:
        match seen:
            case UrlRefused():
                return "url_refused"
            case NotSent():
                return seen.code
            case TimeoutError():
                return "timeout"
            case ssl.SSLError():
                return "tls_failed"
            case aiohttp.ClientPayloadError() | aiohttp.ClientResponseError():
                return "answer_broken"
        seen = seen.__cause__
    return "name_not_found" if isinstance(failure, aiohttp.ClientConnectorDNSError) else "connection_failed"


def seconds_of(header: str) -> int | None:
    """Seconds that a Retry-After header asks for (a number or a date); None when it says nothing."""
    header = header.strip()
    if re.fullmatch(r"[0-9]{1,9}", header):
        return int(header)
    with suppress(ValueError, TypeError, OverflowError):
        until = parsedate_to_datetime(header)
        if until.tzinfo is not None:
            return max(round((until - datetime.now(UTC)).total_seconds()), 0)
    return None
