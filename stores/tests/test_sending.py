"""A POST to an address that a partner chose: it arrives whole at a public place, or no connection is made at all."""

import socket
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import trustme

from stores.services import addresses, sending
from stores.services.addresses import is_public, read_url
from stores.services.deliveries import Answer
from stores.services.sending import Sender, seconds_of
from stores.tests.sink import NAME, Sink, reply

URL = f"https://{NAME}/hook?shop=1"
BODY = b'{"id":"evt_1"}'


@pytest.fixture
def sink():
    made = Sink()
    yield made
    made.close()


@pytest.fixture
def sender(sink):
    with Sender(sink.client_tls()) as made:
        yield made


@pytest.fixture
def names(monkeypatch, sink):
    """names[host] is what the resolver says; a list of lists says another thing each time. Unknown names do not exist."""
    known, asked = {}, []

    def resolve(host, port):
        asked.append(host)
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        found = known[host]
        if found and isinstance(found[0], list):
            found = found.pop(0) if len(found) > 1 else found[0]
        return [(address, sink.port) for address in found]

    monkeypatch.setattr(addresses, "resolve", resolve)
    known["asked"] = asked
    return known


@pytest.fixture
def open_guard(monkeypatch, names):
    """Loopback passes for a public address: only so can a test be reached."""
    monkeypatch.setattr(addresses, "is_public", lambda address: True)
    names[NAME] = ["127.0.0.1"]


def post(sender, url=URL, body=BODY, **headers) -> Answer:
    return sender.post(url, body, {"Content-Type": "application/json", **headers}).result(timeout=20)


# -- What arrives -----------------------------------------------------------------------------------------------------
def test_a_post_arrives_whole_and_carries_nothing_else(sender, sink, open_guard, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    answer = post(sender, **{"webhook-id": "evt_1"})
    assert (answer.status, answer.error, answer.taken) == (200, "", True)
    [request] = sink.requests
    assert request.line == "POST /hook?shop=1 HTTP/1.1"
    assert request.body == BODY
    assert request.headers == {
        "host": NAME,
        "content-type": "application/json",
        "content-length": str(len(BODY)),
        "webhook-id": "evt_1",
        "connection": "close",
    }


def test_cookies_are_not_kept(sender, sink, open_guard):
    sink.answer = lambda *_: reply(200, headers="Set-Cookie: a=b; Path=/\r\n")
    post(sender), post(sender)
    assert [request.headers.get("cookie") for request in sink.requests] == [None, None]
    assert sink.connections == 2


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_taken(sender, sink, open_guard, status):
    sink.answer = lambda *_: f"HTTP/1.1 {status} So\r\nContent-Length: 0\r\n\r\n".encode()
    assert post(sender).taken


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 400, 404, 410, 429, 500, 503])
def test_anything_else_is_not_and_no_redirect_is_followed(sender, sink, open_guard, status):
    sink.answer = lambda *_: reply(status, headers=f"Location: https://{NAME}/elsewhere\r\n")
    answer = post(sender)
    assert (answer.status, answer.taken) == (status, False)
    assert sink.connections == 1


def test_a_redirect_to_a_private_place_reaches_nobody(sender, sink, open_guard):
    other = Sink(authority=sink.authority, name="other.example.com")
    try:
        sink.answer = lambda *_: reply(307, headers=f"Location: https://127.0.0.1:{other.port}/\r\n")
        assert post(sender).status == 307
        assert other.connections == 0
    finally:
        other.close()


def test_a_certificate_of_another_name_gets_nothing(sender, sink, open_guard, names):
    names["other.example.com"] = ["127.0.0.1"]
    answer = post(sender, "https://other.example.com/")
    assert (answer.status, answer.error) == (None, "tls_failed")
    assert sink.requests == []


def test_a_certificate_that_nobody_vouches_for_gets_nothing(sink, open_guard):
    with Sender(Sink(trustme.CA()).client_tls()) as stranger:
        assert post(stranger).error == "tls_failed"
    with Sender() as usual:
        assert post(usual).error == "tls_failed"
    assert sink.requests == []


# -- The guard ----------------------------------------------------------------------------------------------------------
PRIVATE = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
    "169.254.169.254", "169.254.0.1", "100.64.0.1", "100.127.255.255", "192.0.0.1", "192.0.0.9", "192.0.2.1", "198.18.0.1",
    "198.51.100.1", "203.0.113.1", "192.88.99.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "::8.8.8.8", "fe80::1", "fe80::1%lo", "fc00::1",
    "fd12:3456::1", "fec0::1", "ff02::1", "2001:db8::1", "2001::1", "2001:0:7f00:1::", "2002:7f00:1::1", "2002:808:808::1",
    "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1", "100::1", "3fff::1", "5f00::1",
    "4000::1", "localhost", "", "127.1", "2130706433", "0x7f000001", "017700000001",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_what_is_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "192.0.1.1", "100.63.255.255", "100.128.0.0", "172.32.0.1", "2606:4700::1111",
                "2a00:1450::1", "64:ff9b::8.8.8.8"]
)  # fmt: skip
def test_what_is_public(address):
    assert is_public(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", "fe80::1"])
def test_a_name_that_leads_to_a_private_place_is_never_connected_to(sender, sink, names, address):
    names[NAME] = [address]
    answer = post(sender)
    assert (answer.status, answer.error) == (None, "address_not_public")
    assert sink.connections == 0


@pytest.mark.parametrize(
    "found", [["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["2606:4700::1111", "::1"]]
)
def test_one_private_address_among_public_ones_is_enough_to_stop(sender, sink, names, found, monkeypatch):
    sockets = []
    monkeypatch.setattr(sending.socket, "socket", lambda *args: sockets.append(args))
    names[NAME] = found
    assert post(sender).error == "address_not_public"
    assert (sink.connections, sockets) == (0, [])


def test_a_name_that_says_something_else_the_second_time_is_asked_once(sender, sink, names, monkeypatch):
    """Rebinding: what was checked is what is connected to; the second answer is never asked for."""
    tried = []

    def public_socket(info):
        tried.append(info[4][0])
        raise ConnectionRefusedError  # nobody is called from a test

    monkeypatch.setattr(sending, "public_socket", public_socket)
    names[NAME] = [["8.8.8.8"], ["127.0.0.1"]]
    with Sender(sink.client_tls()) as own:
        assert post(own).error == "connection_failed"
        assert (tried, names["asked"]) == (["8.8.8.8"], [NAME])
        # The next POST asks again, and is stopped.
        assert post(own).error == "address_not_public"
    assert (tried, sink.connections) == (["8.8.8.8"], 0)


def test_the_last_gate_stops_what_the_resolver_let_through(sink, names, monkeypatch):
    """Were the resolver's check gone, the socket is still not made."""

    class Careless(sending.OnlyPublic):
        async def resolve(self, host, port=0, family=0):
            return [
                {
                    "hostname": host,
                    "host": "127.0.0.1",
                    "port": sink.port,
                    "family": 2,
                    "proto": 6,
                    "flags": 0,
                }
            ]

    monkeypatch.setattr(sending, "OnlyPublic", Careless)
    with Sender(sink.client_tls()) as own:
        assert post(own).error == "address_not_public"
    assert sink.connections == 0


@pytest.mark.parametrize("url", ["https://127.0.0.1/", "https://[::1]/", "http://partner.example.com/", "https://127.1/",
                                 "https://partner.example.com:22/", "https://user@partner.example.com/", "file:///etc/passwd"])  # fmt: skip
def test_an_address_that_was_never_let_in_is_not_called_either(sender, sink, open_guard, url):
    assert post(sender, url).error == "url_refused"
    assert sink.connections == 0


def test_a_name_that_does_not_exist(sender, sink, names):
    assert post(sender).error == "name_not_found"


def test_nobody_listens(sender, open_guard, sink):
    sink.close()
    with socket.create_server(("127.0.0.1", 0)) as free:
        sink.port = free.getsockname()[1]
    assert post(sender).error == "connection_failed"


# -- Time and size ----------------------------------------------------------------------------------------------------------
def dripping(sink, head: bytes, drop: bytes):
    """Sends `head` and then `drop` for ever, ten times a second."""

    def answer(_request, stream):
        stream.sendall(head)
        while not sink.closing.wait(0.1):
            stream.sendall(drop)

    return answer


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(sending, "TIMEOUT", 0.6)


@pytest.mark.parametrize(("head", "drop"), [
    (b"HTTP/1.1 200 OK\r\n", b"x"),  # inside one header
    (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),  # header after header
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b"x"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
    (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    (b"", b""),
])  # fmt: skip
def test_a_byte_now_and_then_does_not_win_time(sender, sink, open_guard, short, head, drop):
    sink.answer = dripping(sink, head, drop)
    begun = time.monotonic()
    answer = post(sender)
    assert (answer.error, answer.taken) == ("timeout", False)
    assert time.monotonic() - begun < 3
    assert 500 <= answer.milliseconds < 3000


def test_five_seconds_is_what_there_is():
    assert sending.TIMEOUT == 5


def test_a_handshake_that_never_comes_ends_in_time(sender, open_guard, short, sink):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink.port = silent.getsockname()[1]
        assert post(sender).error == "timeout"


def test_a_resolver_that_never_answers_ends_in_time(sender, sink, open_guard, short, monkeypatch):
    monkeypatch.setattr(addresses, "resolve", lambda host, port: sink.closing.wait(20) and [])
    assert post(sender).error == "timeout"


def test_a_slow_one_holds_up_no_other(sender, sink, open_guard, names):
    sink.answer = lambda request, stream: (
        sink.closing.wait(30) and None if b"slow" in request.body else reply()
    )
    slow = [sender.post(URL, b"slow", {}) for _number in range(20)]
    sink.wait_for(20)
    begun = time.monotonic()
    assert post(sender).taken
    assert time.monotonic() - begun < 3
    assert [future.done() for future in slow] == [False] * 20


@pytest.mark.parametrize("head", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n",
    b"HTTP/1.1 200 OK\r\nX: ",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 10000000000\r\n\r\n",
])  # fmt: skip
def test_ten_gigabytes_are_not_read(sender, sink, open_guard, head):
    sent = []
    piece = b"10000\r\n" + b"y" * 65536 + b"\r\n" if b"chunked" in head else b"X: " + b"y" * 4000 + b"\r\n"

    def answer(_request, stream):
        stream.sendall(head)
        while True:
            stream.sendall(piece)
            sent.append(len(piece))

    sink.answer = answer
    tracemalloc.start()
    try:
        answer = post(sender)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert answer.error in ("answer_too_long", "answer_broken")
    assert not answer.taken
    assert peak < 8 * 1024 * 1024
    assert sum(sent) < 64 * 1024 * 1024


def test_64_kilobytes_are_read_and_one_byte_more_is_too_much(sender, sink, open_guard):
    sink.answer = lambda *_: reply(200, b"y" * 65536)
    assert post(sender).taken
    sink.answer = lambda *_: reply(200, b"y" * 65537)
    assert post(sender).error == "answer_too_long"


def test_compressed_answers_are_left_as_they_are(sender, sink, open_guard):
    sink.answer = lambda *_: reply(200, b"not gzip at all", "Content-Encoding: gzip\r\n")
    assert post(sender).taken


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 OK\r\n\r\n", b"\0" * 100, b"HTTP/1.1 200 OK\r\n"
                                    b"Content-Length: 20\r\n\r\nshort", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"])  # fmt: skip
def test_what_is_no_http_is_a_broken_answer(sender, sink, open_guard, answer):
    sink.answer = lambda *_: answer
    assert post(sender).error in ("answer_broken", "connection_failed")


# -- Retry-After ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("header", "seconds"), [
    ("120", 120), ("0", 0), (" 7 ", 7), ("", None), ("-1", None), ("1.5", None), ("soon", None), ("9" * 400, None),
    ("۱۲", None), ("Wed, 99 Foo 2026", None), ("Wed, 21 Oct 2015 07:28:00 GMT", 0), ("Wed, 21 Oct 2015 07:28:00", None),
])  # fmt: skip
def test_retry_after(header, seconds):
    assert seconds_of(header) == seconds


def test_retry_after_as_a_date():
    later = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    assert 597 <= seconds_of(later) <= 600


# -- Addresses at save ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("url", "kept"), [
    ("https://example.com", "https://example.com/"),
    ("HTTPS://Example.COM/Path", "https://example.com/Path"),
    ("https://example.com:443/a", "https://example.com/a"),
    ("https://example.com:8443/a?b=c&d=%20", "https://example.com:8443/a?b=c&d=%20"),
    ("https://xn--e1afmkfd.xn--p1ai/", "https://xn--e1afmkfd.xn--p1ai/"),
    ("https://a-b.c3.example.co.uk/~x/(y)", "https://a-b.c3.example.co.uk/~x/(y)"),
    ("https://123.example.com/", "https://123.example.com/"),
    ("https://example.com?x=https://user@evil/", "https://example.com/?x=https://user@evil/"),
    ("https://example.com/" + "a" * 480, "https://example.com/" + "a" * 480),
])  # fmt: skip
def test_addresses_that_are_kept(url, kept):
    assert read_url(url) == kept
    assert read_url(kept) == kept


REFUSED = [
    ("http://example.com/", "https_required"), ("ftp://example.com/", "https_required"),
    ("file:///etc/passwd", "https_required"), ("gopher://example.com/", "https_required"),
    ("javascript://example.com/%0aalert(1)", "https_required"), ("//example.com/", "invalid_url"),
    ("example.com", "invalid_url"), ("https:example.com", "invalid_url"), ("https:/example.com", "invalid_url"),
    ("https://", "host_not_public"), ("https:///path", "host_not_public"), ("https://?x", "host_not_public"), ("x", "invalid_url"),
    ("https://example.com:22/", "port_not_allowed"), ("https://example.com:80/", "port_not_allowed"),
    ("https://example.com:0443/", "port_not_allowed"), ("https://example.com:/", "port_not_allowed"),
    ("https://example.com:443:443/", "port_not_allowed"), ("https://example.com:65979/", "port_not_allowed"),
    ("https://example.com:x/", "port_not_allowed"), ("https://example.com:-443/", "port_not_allowed"),
    ("https://127.0.0.1/", "host_not_public"), ("https://127.1/", "host_not_public"), ("https://127.1:443/", "host_not_public"),
    ("https://0x7f000001/", "host_not_public"), ("https://0x7f.1/", "host_not_public"), ("https://017700000001/", "host_not_public"),
    ("https://2130706433/", "host_not_public"), ("https://0177.0.0.1/", "host_not_public"), ("https://0/", "host_not_public"),
    ("https://1.1.1.1/", "host_not_public"), ("https://example.0x7f/", "host_not_public"), ("https://example.127/", "host_not_public"),
    ("https://[::1]/", "host_not_public"), ("https://[::ffff:127.0.0.1]/", "host_not_public"),
    ("https://[fe80::1%25eth0]/", "host_not_public"), ("https://[::ffff:7f00:1]:443/", "host_not_public"),
    ("https://[2606:4700::1111]/", "host_not_public"), ("https://[v1.x]/", "host_not_public"),
    ("https://169.254.169.254/latest/meta-data/", "host_not_public"), ("https://100.64.0.1/", "host_not_public"),
    ("https://localhost/", "host_not_public"), ("https://LOCALHOST:443/", "host_not_public"),
    ("https://a.localhost/", "host_not_public"), ("https://db/", "host_not_public"), ("https://printer.local/", "host_not_public"),
    ("https://metadata.google.internal/", "host_not_public"), ("https://router.home.arpa/", "host_not_public"),
    ("https://example.com./", "host_not_public"), ("https://127.0.0.1./", "host_not_public"), ("https://.example.com/", "host_not_public"),
    ("https://exa..mple.com/", "host_not_public"), ("https://-a.example.com/", "host_not_public"), ("https://a_b.example.com/", "host_not_public"),
    ("https://a-.example.com/", "host_not_public"), (f"https://{'a' * 64}.com/", "host_not_public"),
    ("https://" + "a." * 125 + "example.com/", "host_not_public"), ("https://exa%6dple.com/", "host_not_public"),
    ("https://example.com%00.evil.net/", "host_not_public"), ("https://example.com\\@127.0.0.1/", "user_in_url"),
    ("https://example.com\\.evil.net/", "host_not_public"), ("https://exam,ple.com/", "host_not_public"),
    ("https://user@example.com/", "user_in_url"), ("https://user:secret@example.com/", "user_in_url"),
    ("https://@example.com/", "user_in_url"), ("https://example.com@127.0.0.1/", "user_in_url"),
    ("https://example.com:443@127.0.0.1/", "user_in_url"), ("https://1.1.1.1 @127.0.0.1/", "invalid_url"),
    ("https://example.com/#x", "fragment_in_url"), ("https://example.com#", "fragment_in_url"), ("https://example.com#@127.0.0.1/", "fragment_in_url"),
    ("https://exаmple.com/", "not_ascii"), ("https://１２７.０.０.１/", "not_ascii"), ("https://ⓔxample.com/", "not_ascii"),
    ("https://example。com/", "not_ascii"), ("https://مثال.com/", "not_ascii"), ("https://example.com/چائے", "not_ascii"),
    ("https://example.com/a b", "invalid_url"), (" https://example.com/", "invalid_url"), ("https://example.com/ ", "invalid_url"),
    ("https://example.com/\r\nX: y", "invalid_url"), ("https://example.com/\t", "invalid_url"), ("https://exa\nmple.com/", "invalid_url"),
    ("https://example.com/\x7f", "invalid_url"), ("https://example.com/%zz", "invalid_url"), ("https://example.com/%2", "invalid_url"),
    ("https://example.com/<script>", "invalid_url"), ('https://example.com/"', "invalid_url"), ("https://example.com/{{7*7}}", "invalid_url"),
    ("https://example.com/\\\\evil.net", "invalid_url"), ("https://example.com/^", "invalid_url"), ("https://example.com/a|b", "invalid_url"),
    ("https://example.com/" + "a" * 481, "too_long"), ("https://" + "a" * 1_000_000, "too_long"),
]  # fmt: skip


@pytest.mark.parametrize(("url", "code"), REFUSED, ids=[row[0][:60] for row in REFUSED])
def test_addresses_that_are_refused(url, code):
    with pytest.raises(addresses.UrlRefused) as refusal:
        read_url(url)
    assert refusal.value.code == code


def test_what_is_kept_means_the_same_to_the_library_that_calls_it():
    """Two readers of one address must not disagree about its host: that is how guards are walked around."""
    for url in ("https://example.com:8443/a@b:c/?x=//evil.net@y", "https://example.com/..;/%2e%2e/"):
        parts = sending.URL(read_url(url), encoded=True)
        assert (parts.scheme, parts.host) == ("https", "example.com")
        assert str(parts) == read_url(url)


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"]]
)
def test_a_name_with_a_private_address_is_refused_at_save(names, found):
    names[NAME] = found
    with pytest.raises(addresses.UrlRefused) as refusal:
        addresses.check_name(URL)
    assert refusal.value.code == "host_not_public"


def test_a_name_that_cannot_be_looked_up_now_is_no_refusal(names, monkeypatch, sink):
    addresses.check_name(URL)
    names[NAME] = ["8.8.8.8"]
    addresses.check_name(URL)
    monkeypatch.setattr(addresses, "resolve", lambda host, port: sink.closing.wait(20) and [])
    begun = time.monotonic()
    addresses.check_name(URL, patience=0.1)
    assert time.monotonic() - begun < 2
