"""Which addresses a partner may name for what we send, and where their names lead.

Asked when an address is written down, and again before every single POST (`sending`).
"""

import ipaddress
import re
import socket
import threading
from concurrent.futures import Future
from contextlib import suppress

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from yarl import URL

LONGEST_URL = 500
PORTS = frozenset({"443", "8443"})
MOST_LOOKUPS = (
    500  # names asked for at once; a name server that never answers keeps one of them for half a minute
)
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label begins with a letter: nothing that a system could take for a number (127.1, 0x7f000001) is a name.
NAME = re.compile(rf"(?=.{{4,253}}\Z)(?:{LABEL}\.)+[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])")
# Names that mean something in a network of ours only, or nothing anywhere.
OWN_NAMES = (
    ".localhost",
    ".localdomain",
    ".local",
    ".internal",
    ".home.arpa",
    ".lan",
    ".intranet",
    ".invalid",
    ".test",
    ".onion",
)
PARTS = re.compile(
    r"(?P<scheme>[^:/?#]+)://(?P<authority>[^/?#]*)(?P<path>[^?#]*)(?P<query>\?[^#]*)?(?P<fragment>#.*)?"
)
# What RFC 3986 has in a path and a query.
PATH = re.compile(r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*")

NAT64 = ipaddress.ip_network("64:ff9b::/96")
ORDINARY = ipaddress.ip_network("2000::/3")  # the only IPv6 addresses that belong to somebody
# Not for others, whichever version of Python says what of them: 6to4 and Teredo carry an IPv4 address inside.
NEVER = [
    ipaddress.ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
]  # fmt: skip


class UrlRefused(ValidationError):
    """An address to which nothing is ever sent."""


class NotSent(Exception):
    """A POST that did not come about. `code` says why: see `Answer.error`."""

    def __init__(self, code: str):
        super().__init__(code)
        self.code = code


class AddressRefused(NotSent, OSError):
    """The name leads, also or only, to an address that is not public."""

    def __init__(self, code: str = "address_not_public"):
        NotSent.__init__(self, code)


def is_public(address: str) -> bool:
    """Whether this IP address is one that anybody in the world may reach. False for what is no IP address."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if found.version == 6:
        if getattr(found, "scope_id", None):
            return False
        if found in NAT64:
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
        if found not in ORDINARY:
            return False
    return found.is_global and not found.is_multicast and not any(found in network for network in NEVER)


def read_url(text: str) -> str:
    """`text` as it is kept: scheme and name in small letters, no needless port, at least "/" for a path.

    Refuses what is not https to a DNS name in ASCII on port 443 or 8443. Asks nobody.
    """
    if len(text) > LONGEST_URL:
        raise UrlRefused(_("At most %(most)d letters.") % {"most": LONGEST_URL}, code="too_long")
    if not text.isascii():
        raise UrlRefused(_("Write the address in ASCII; a name in other letters as xn--…."), code="not_ascii")
    found = PARTS.fullmatch(text)
    if not found or not text.isprintable() or " " in text:
        raise UrlRefused(_("This is not an address such as https://example.com/kiryana."), code="invalid_url")
    if found["scheme"].lower() != "https":
        raise UrlRefused(_("Only https:// is called."), code="https_required")
    authority = found["authority"].lower()
    if "@" in authority:
        raise UrlRefused(_("Put no user name or password into the address."), code="user_in_url")
    if found["fragment"] is not None:
        raise UrlRefused(_("Leave out what follows the #: it is never sent."), code="fragment_in_url")
    host, colon, port = authority.partition(":")
    if authority.startswith("[") or not NAME.fullmatch(host) or host.endswith(OWN_NAMES):
        raise UrlRefused(_("Name a host by its public DNS name; no IP address."), code="host_not_public")
    if colon and port not in PORTS:
        raise UrlRefused(_("Only the ports 443 and 8443 are called."), code="port_not_allowed")
    path, query = found["path"] or "/", found["query"] or ""
    if not PATH.fullmatch(path) or not PATH.fullmatch(query):
        raise UrlRefused(_("This is not an address such as https://example.com/kiryana."), code="invalid_url")
    return f"https://{host}{':8443' if port == '8443' else ''}{path}{query}"


lookups = threading.BoundedSemaphore(MOST_LOOKUPS)


def resolve(host: str, port: int) -> list[tuple[str, int]]:
    """All (IP address, port) of `host`, as the system's resolver has them; OSError when it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((address[0], address[1]) for *_kind, address in found))


def look_up(host: str, port: int, then) -> None:
    """Calls `then` with the addresses of `host`, or with an OSError, from a thread that nobody waits for at the end."""
    if not lookups.acquire(blocking=False):
        raise OSError("Too many names are being asked for.")

    def work() -> None:
        try:
            try:
                found = resolve(host, port)
            except (OSError, UnicodeError) as error:
                found = OSError(str(error))
            then(found)
        finally:
            lookups.release()

    threading.Thread(target=work, daemon=True, name="look-up").start()


def check_name(url: str, patience: float = 2.0) -> None:
    """Refuses an address whose name leads, also or only, to places that are not public.

    A name that cannot be looked up now, or not within `patience` seconds, is let through: the same guard stands before
    every single POST, and a name may be made after its webhook.
    """
    parts, answer = URL(url, encoded=True), Future()
    with suppress(OSError, TimeoutError):
        look_up(parts.host, parts.port, answer.set_result)
        found = answer.result(timeout=patience)
        if isinstance(found, list) and not all(is_public(address) for address, _port in found):
            raise UrlRefused(_("Name a host by its public DNS name; no IP address."), code="host_not_public")
