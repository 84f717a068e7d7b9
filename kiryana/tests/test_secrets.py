"""A secret is shown once. Afterwards it is in no log, on no page, in no answer of the API and in no dump of the database.

Partners, owners and head office do right and wrong things with keys, webhooks and passwords against a real gunicorn that
logs all it can. Then everything that came out of it is searched, in every form in which a secret might have been written.
"""

import base64
import io
import json
import logging
import os
import re
import socket
import subprocess
import urllib.parse
import uuid
from dataclasses import dataclass, field

import pytest
from django.contrib import admin
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.sessions.models import Session
from django.core import mail
from django.db import connection
from django.test import Client
from django.urls import reverse

from inventory.models import Document
from kiryana.cluster import find_binaries
from kiryana.logs import HIDDEN
from kiryana.request_log import request_log
from kiryana.tests.live import Web, address_of_tests, read_answer
from stores.models import ApiKey, Membership, Store, User, Webhook

PASSWORD = "chai-aur-biscuit"
KEY = re.compile(r"kir_(?:live|test)_[0-9A-Za-z]{10}_[0-9A-Za-z]{38}")
HOOK = re.compile(r"whsec_[0-9A-Za-z+/=]{40,}")


# -- what is searched for ---------------------------------------------------------------------------------------
def forms_of(secret: str) -> dict[str, str]:
    """{how it is written: the text}: whole and its secret part, plain, encoded for addresses, in base64 and in hex."""
    part = secret[20:52] if secret.startswith("kir_") else secret.removeprefix("whsec_")
    forms = {}
    for name, text in (("whole", secret), ("part", part)):
        forms |= {
            name: text,
            f"{name}, quoted": urllib.parse.quote(text, safe=""),
            f"{name}, in hex": text.encode().hex(),
        }
        # In base64 it looks different in each of three places; its middle is the same in all that begin alike.
        for before in range(3):
            encoded = base64.b64encode(b"\0" * before + text.encode()).decode()
            forms[f"{name}, in base64 ({before})"] = encoded[4 * bool(before) : len(encoded) // 4 * 4 - 4]
    if secret.startswith("whsec_"):
        raw = base64.b64decode(part)
        forms |= {"bytes in hex": raw.hex(), "bytes, quoted": urllib.parse.quote(part)}
    return forms


def found(secrets: dict[str, str], text: str) -> list[str]:
    """Which of `secrets` (name: secret) stand in `text`, how written, and where."""
    hits = []
    lower = text.lower()
    for name, secret in secrets.items():
        for how, form in forms_of(secret).items():
            where = lower.find(form.lower()) if "hex" in how else text.find(form)
            if where >= 0:
                hits.append(f"{name} ({how}): …{text[max(0, where - 120) : where]}▮")
    return hits


@pytest.mark.parametrize("how", ["whole", "part", "part, quoted", "part, in hex", "whole, in base64 (0)"])
def test_the_search_finds_what_it_looks_for(how):
    _public, secret = ApiKey.new_secret()
    text = "before " + forms_of(secret)[how] + " after"
    assert found({"a key": secret}, text)
    assert not found({"a key": ApiKey.new_secret()[1]}, text)


# -- who asks ----------------------------------------------------------------------------------------------------
@dataclass
class Visitor:
    """A browser, or a program with a key: keeps cookies, sends the form tokens, and keeps every answer it got."""

    web: Web
    cookies: dict = field(default_factory=dict)
    answers: list = field(default_factory=list)

    def ask(
        self,
        method: str,
        path: str,
        body=None,
        *,
        secret_page: bool = False,
        raw: bytes | None = None,
        **headers,
    ):
        if self.cookies:
            headers.setdefault("Cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        if raw is not None:
            headers = {"Content_Length": str(len(raw)), **headers}
            status, got, content = send(self.web, method, path, raw, headers)
        else:
            status, got, content = self.web.ask(method, path, body, **headers)
        text = content.decode(errors="replace")
        for name, value in re.findall(r"(sessionid|csrftoken)=([^;]*)", got.get("set-cookie", "")):
            self.cookies[name] = value
        if not secret_page:
            told = " ".join(f"{name}: {value}" for name, value in got.items() if name != "set-cookie")
            self.answers.append((f"{method} {path[:60]} {status}", f"{told} {text}"))
        return status, got, text

    def see(self, path: str) -> str:
        status, _headers, text = self.ask("GET", path)
        assert status == 200, (path, status)
        return text

    def fill(self, path: str, secret_page: bool = False, at: str = "", **fields):
        """Sends the form of the page `path` (to `at`), with its token and hidden reference."""
        text = self.see(at or path)
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', text)[1]
        reference = re.search(r'name="reference" value="([\w-]+)"', text)
        given = {"csrfmiddlewaretoken": token, **({"reference": reference[1]} if reference else {}), **fields}
        raw = urllib.parse.urlencode(given, doseq=True).encode()
        return self.ask(
            "POST", path, raw=raw, secret_page=secret_page, Content_Type="application/x-www-form-urlencoded"
        )

    def sign_in(self, user: User, password: str = PASSWORD):
        return self.fill("/login/", username=user.username, password=password)


def send(web: Web, method: str, path: str, raw: bytes, headers: dict):
    """Like Web.ask, with a body that is sent as it is."""
    with socket.create_connection(("127.0.0.1", web.port), 60) as line:
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        line.sendall("\r\n".join([*lines, "", ""]).encode() + raw)
        return read_answer(line)


def misuse(visitor: Visitor, secret: str, store: Store) -> None:
    """Everything that is done wrongly with a key sooner or later."""
    quoted, twice = urllib.parse.quote(secret, safe=""), urllib.parse.quote("%6B" + secret[1:], safe="")
    bent = "%6B" + secret[1:].replace("_", "%5F")
    places = [
        "/api/v1/me/",
        "/api/v1/products/",
        "/docs",
        "/login/",
        "/nowhere/",
        "/static/css/shop.css",
        "/healthz",
    ]
    for place in places:
        for query in (
            f"key={secret}", f"X-API-Key={quoted}", f"search={secret}", f"{secret}=1", secret, f"next=/{secret}",
            f"cursor={secret}", f"x={bent}", f"x={twice}", f"x=before{secret}after", f"x[]={secret}&x[]={secret}",
        ):  # fmt: skip
            visitor.ask("GET", f"{place}?{query}")
            visitor.ask("GET", f"{place}?{query}", key=secret)
    for path in ("/api/v1/{}/", "/api/v1/products/{}/", "/api/v1/inventory/{}/{}/", "/{}", "/s/{}/", "/developers/keys/{}/", "/static/{}",
                 "/admin/stores/apikey/{}/change/", "/api/v1/webhooks/{}/", "/x/" + "y" * 270 + "/{}"):  # fmt: skip
        for text in (secret, bent):
            visitor.ask("GET", path.format(text, text), key=secret)
            visitor.ask("POST", path.format(text, text), {}, key=secret)
    plain = base64.b64encode(f"{secret}:".encode()).decode()
    for name, value in (
        ("X_Api_Token", secret), ("Authorization", f"Basic {plain}"), ("Authorization", f"Token {secret}"),
        ("Authorization", f"Bearer {secret} {secret}"), ("X_API_Key", f"{secret}x"), ("X_API_Key", f"Bearer {secret}"),
        ("X_Request_Id", secret), ("User_Agent", secret), ("Referer", f"http://x.example/?key={secret}"),
        ("X_Forwarded_For", secret), ("X_Forwarded_Host", secret), ("Accept_Language", secret), ("Cookie", f"sessionid={secret}"),
        ("Cookie", f"csrftoken={secret}"), ("If_Match", f'"{secret}"'), ("Accept", secret), (secret.replace("_", "-"), "1"),
        ("Idempotency_Key", secret), ("Content_Type", secret),
    ):  # fmt: skip
        for path in ("/api/v1/me/", "/nowhere/", "/developers/"):
            visitor.ask("GET", path, **{name: value})
            if name not in ("X_API_Key", "Authorization"):
                visitor.ask("GET", path, key=secret, **{name: value})
    line = {"sku": "FLR-0001", "quantity": "1"}
    sale = {"store": store.code, "kind": "sale", "reference": str(uuid.uuid4()), "lines": [line]}
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in secret)
    for body in (
        {"api_key": secret}, {secret: 1}, {**sale, "api_key": secret}, {**sale, "store": secret}, {**sale, "kind": secret},
        {**sale, "reference": secret}, {**sale, "notes": secret}, {**sale, "notes": f"key is {secret}."}, {**sale, "lines": [{**line, "sku": secret}]},
        {**sale, "lines": [{**line, secret: secret}]}, {**sale, "lines": [{**line, "quantity": secret}]}, {**sale, "occurred_at": secret},
        [secret], secret,
    ):  # fmt: skip
        visitor.ask("POST", "/api/v1/documents/", body, key=secret)
        visitor.ask("POST", "/api/v1/documents/batch/", {"documents": [body]}, key=secret)
    for body in (
        f"{{{secret}", f'{{"a": {secret}}}', secret, f'{{"{secret}": 1, "{secret}": 2}}', f'{{"{escaped}": 1}}',
        json.dumps(sale)[:-1] + f', "notes": "{escaped}"}}',
    ):  # fmt: skip
        visitor.ask(
            "POST",
            "/api/v1/documents/",
            key=secret,
            raw=body.encode(),
            Content_Type="application/json",
            X_API_Key=secret,
        )
    for path in ("documents", "movements"):
        body = {**sale, **line} if path == "movements" else {**sale}
        body = {
            name: value
            for name, value in body.items()
            if name != "reference" and (path == "documents" or name != "lines")
        }
        visitor.ask("POST", f"/api/v1/{path}/", body, key=secret, Idempotency_Key=secret)
    for fields in (
        {"url": f"https://till.example/?key={secret}"},
        {"url": secret},
        {"name": secret},
        {"events": [secret]},
    ):
        hook = {"url": "https://till.example/hook", "events": ["stock.out"], **fields}
        visitor.ask("POST", "/api/v1/webhooks/", hook, key=secret)
    for broken in (
        f"GET /{secret} HTTP/9.9",
        f"{secret} / HTTP/1.1",
        f"GET / HTTP/1.1\r\n{secret}: x\r\nbad header",
    ):
        raw_line(visitor, broken)
    visitor.ask("GET", "/api/v1/me/", Host=secret)
    visitor.ask("GET", "/login/", Host=f"{secret}.example")
    visitor.ask(
        "POST",
        "/login/",
        raw=f"username={secret}&password={secret}".encode(),
        Content_Type="application/x-www-form-urlencoded",
    )


def raw_line(visitor: Visitor, head: str) -> None:
    with socket.create_connection(("127.0.0.1", visitor.web.port), 30) as line:
        line.sendall(f"{head}\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        got = b"".join(iter(lambda: line.recv(65536), b""))
        visitor.answers.append((f"raw {head[:20]}", got.decode(errors="replace")))


def dump() -> str:
    """The whole database, as the operator's own tool writes it."""
    settings = connection.settings_dict
    command = [str(find_binaries()[0] / "pg_dump"), "--inserts", "--dbname", settings["NAME"]]
    for option, name in (("--host", "HOST"), ("--port", "PORT"), ("--username", "USER")):
        command += [option, str(settings[name])] if settings[name] else []
    environment = os.environ | ({"PGPASSWORD": settings["PASSWORD"]} if settings["PASSWORD"] else {})
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return done.stdout


def sessions() -> str:
    """What sessions hold: in the dump it is packed."""
    return json.dumps([session.get_decoded() for session in Session.objects.all()], default=str)


@pytest.mark.django_db(transaction=True)
def test_no_secret_is_in_a_log_on_a_page_or_in_a_dump(stocked, store, atta, owner, head_office):
    practice = Store.objects.create(code="TEST-0001", name="Practice shop", sandbox=True)
    Membership.objects.create(user=owner, store=practice, role="owner")
    for user in (owner, head_office):  # the quick hash of tests is not the server's
        User.objects.filter(pk=user.pk).update(password=PBKDF2PasswordHasher().encode(PASSWORD, "salt", 1000))
    web = Web(
        address_of_tests(), LOG_LEVEL="DEBUG", LOGIN_RATE="1000/m", API_GUESS_RATE="10000/m", WEB_WORKERS="1"
    )
    secrets, visitors = {}, []
    try:
        shop, office, partner = (Visitor(web) for _number in range(3))
        visitors = [shop, office, partner]
        # Keys: an owner's, a test key, head office's; each rotated once.
        shop.sign_in(owner, "chai-aur-bisk00t")
        assert shop.sign_in(owner)[0] == 302
        assert office.sign_in(head_office)[0] == 302
        scopes = [scope for scope in ApiKey.Scope.values if scope != "catalog:write"]
        for name, (status, _headers, text) in {
            "the owner's key": shop.fill(
                "/developers/keys/new/",
                True,
                name="Till",
                stores=store.code,
                scopes=scopes,
                life="90",
                act="do",
            ),
            "the test key": shop.fill("/developers/keys/test/", True, at="/developers/", act="do"),
            "head office's key": office.fill(
                "/admin/stores/apikey/add/", True, kind="live", name="Partner", scopes=scopes, all_stores="on"
            ),
        }.items():
            assert status == 200, name
            [secrets[name]] = set(KEY.findall(text))
        for name in list(secrets):
            key = ApiKey.objects.get(digest=ApiKey.hash(secrets[name]))
            if name == "head office's key":
                page, visitor = reverse("admin:stores_apikey_rotate", args=[key.pk]), office
            else:
                page, visitor = reverse("developers_rotate", args=[key.public_id]), shop
            _status, _headers, text = visitor.fill(page, True, grace="86400", act="do")
            [secrets[f"{name}, rotated"]] = set(KEY.findall(text))
        keys = dict(secrets)
        # Webhooks: made, rotated, tested.
        for name in ("the owner's key, rotated", "head office's key, rotated"):
            body = {"url": "https://till.example/hook", "events": ["stock.out", "movement.created"]}
            status, _headers, text = partner.ask(
                "POST", "/api/v1/webhooks/", body, key=keys[name], secret_page=True
            )
            assert status == 201, text
            [secrets[f"the webhook of {name}"]] = set(HOOK.findall(text))
            place = f"/api/v1/webhooks/{json.loads(text)['id']}/"
            status, _headers, text = partner.ask(
                "POST", place + "rotate/", {}, key=keys[name], secret_page=True
            )
            assert status == 200, text
            [secrets[f"the webhook of {name}, rotated"]] = set(HOOK.findall(text))
            partner.ask("POST", place + "test/", {}, key=keys[name])
            for path in ("/api/v1/webhooks/", place, place + "deliveries/"):
                assert partner.ask("GET", path, key=keys[name])[0] == 200
        # Right and wrong use.
        for secret in keys.values():
            for header in ({"X_API_Key": secret}, {"Authorization": f"Bearer {secret}"}):
                assert partner.ask("GET", "/api/v1/me/", **header)[0] == 200
            misuse(partner, secret, store)
        for visitor in (shop, office):
            for secret in secrets.values():
                for path in (
                    "/stores/?search={}",
                    "/developers/?cursor={}",
                    f"/s/{store.code}/movements/?product={{}}",
                    "/profile/?{}",
                ):
                    visitor.ask("GET", path.format(urllib.parse.quote(secret, safe="")))
        visitor = shop
        for secret in keys.values():
            mine = {"stores": store.code, "scopes": "stores:read", "life": "", "act": "do"}
            assert (
                "kir_"
                not in shop.fill("/developers/keys/new/", name=f"Till {secret}", **mine)[2].split("<main")[1]
            )
            office.fill(
                "/admin/stores/apikey/add/", name=secret, scopes="stores:read", all_stores="on", kind="live"
            )
            for model in admin.site._registry:
                listing = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
                office.ask("GET", f"{listing}?q={secret}")
        # Revoked, and used once more.
        key = ApiKey.objects.get(digest=ApiKey.hash(keys["the owner's key, rotated"]))
        shop.fill(reverse("developers_revoke", args=[key.public_id]), act="do")
        assert partner.ask("GET", "/api/v1/me/", key=keys["the owner's key, rotated"])[0] == 401
        # Every page there is.
        for key in ApiKey.objects.filter(created_by=owner):
            for name in ("developers_key", "developers_requests"):
                shop.see(reverse(name, args=[key.public_id]))
        for hook in Webhook.objects.filter(key__in=ApiKey.objects.for_owner(owner)):
            shop.see(reverse("developers_webhook", args=[hook.pk]))
        for path in (
            "/developers/",
            "/profile/",
            "/stores/",
            "/docs",
            "/api/v1/schema/",
            f"/s/{store.code}/",
        ):
            shop.see(path)
        for model in admin.site._registry:
            name = f"{model._meta.app_label}_{model._meta.model_name}"
            office.see(reverse(f"admin:{name}_changelist"))
            for row in model._default_manager.order_by("-pk")[:5]:
                for page in ("change", "history"):
                    office.ask("GET", reverse(f"admin:{name}_{page}", args=[row.pk]))
        office.see("/admin/")
        web.process.terminate()
        web.process.wait(30)  # the rows of the request log are written by now
        web.output.seek(0)
        logged = web.output.read()
    finally:
        web.end()
    assert len(secrets) == 10
    for name, secret in keys.items():
        assert ApiKey.objects.filter(digest=ApiKey.hash(secret)).exists(), name
    answered = {}
    for visitor in visitors:
        for what, text in visitor.answers:
            if hits := found(secrets, text):
                answered.setdefault(what, hits)
    people = {
        f"session {number}": visitor.cookies["sessionid"]
        for number, visitor in enumerate(visitors)
        if visitor.cookies
    }
    people |= {"password": PASSWORD, "wrong password": "chai-aur-bisk00t"}
    written = dump()
    assert "COMMENT" in written or "INSERT INTO" in written
    assert ApiKey.objects.first().digest in written
    assert logged.count("\n") > 1000
    assert HIDDEN in logged
    lines = [
        line
        for line in logged.splitlines()
        if found(secrets, line) or any(text in line for text in people.values())
    ]
    report = {
        "logs": [line[:600] for line in lines][:5],
        "answers": dict(list(answered.items())[:8]),
        "dump": found(secrets, written),
        "sessions": found(secrets, sessions()),
    }
    assert not lines, report["logs"]
    assert report == {"logs": [], "answers": {}, "dump": [], "sessions": []}


@pytest.mark.django_db
def test_what_breaks_tells_its_log_and_its_reader_no_secret(api_client, owner, store, monkeypatch, settings):
    settings.ADMINS = ["head@example.pk"]
    key = api_client(scopes=["stores:read"])
    secrets = {"the key": key.secret, "the webhook's secret": Webhook.written(Webhook.derive("salt", "x"))}

    def breaks(*given, **options):
        told = f"{list(secrets.values())} X-API-Key: {key.secret} postgresql://kiryana:{PASSWORD}@db/kiryana"
        raise RuntimeError(told)

    out, streams = io.StringIO(), []
    for logger in (
        logging.getLogger(),
        *map(logging.getLogger, ("django", "django.request", "gunicorn.error", "kiryana")),
    ):
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and not type(handler).__module__.startswith(
                "_pytest"
            ):
                streams.append((handler, handler.setStream(out)))
    assert streams
    answers = []
    try:
        page = Client(raise_request_exception=False)
        page.force_login(owner)
        with monkeypatch.context() as patch:
            patch.setattr("stores.api.views.MeView.retrieve", breaks)
            patch.setattr("stores.views.keys.create_own_key", breaks)
            api = Client(raise_request_exception=False, headers={"x-api-key": key.secret})
            answers.append(api.get("/api/v1/me/"))
            sent = {"name": "Till", "stores": store.code, "scopes": "stores:read", "life": "", "act": "do"}
            answers.append(page.post(reverse("developers_key_new"), {**sent, "reference": str(uuid.uuid4())}))
    finally:
        for handler, stream in streams:
            handler.setStream(stream)
    request_log.flush()
    assert [answer.status_code for answer in answers] == [500, 500]
    logged = out.getvalue()
    assert logged.count("RuntimeError") >= 2
    for text in (
        logged,
        *(answer.content.decode() for answer in answers),
        *(str(each.message()) for each in mail.outbox),
    ):
        assert found(secrets, text) == []
        assert PASSWORD not in text


# -- what is typed in the wrong place ---------------------------------------------------------------------------------
def test_a_text_that_holds_a_key_is_refused_wherever_it_would_be_kept(
    api_client, stocked, store, owner, head_office, client
):
    api = api_client()
    secret, documents = api.secret, Document.objects.count()
    sale = {"store": store.code, "kind": "sale", "lines": [{"sku": "FLR-0001", "quantity": "1"}]}
    for body, headers in (
        ({**sale, "reference": "a", "notes": f"key {secret}!"}, {}),
        ({**sale, "reference": secret}, {}),
        (sale, {"idempotency-key": secret}),
        ({**sale, "reference": "a", "lines": [{"sku": "FLR-0001", "quantity": "1", secret: ""}]}, {}),
    ):
        answer = api.post("/api/v1/documents/", body, format="json", headers=headers)
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["code"] == "secret_in_text"
        assert secret[20:52] not in answer.content.decode()
    client.force_login(owner)
    form = {
        "stores": store.code,
        "scopes": "stores:read",
        "life": "",
        "act": "do",
        "reference": str(uuid.uuid4()),
    }
    answer = client.post(reverse("developers_key_new"), {**form, "name": f"Till {secret}"})
    assert "A secret key stands in this text" in answer.text
    assert f'value="Till {api.key.public_id}"' in answer.text
    client.force_login(head_office)
    page = reverse("admin:catalog_category_add")
    answer = client.post(page, {"name": f"Flour {secret}", "name_ur": ""})
    assert "A secret key stands in this text" in answer.text
    assert secret[20:52] not in answer.text
    assert (Document.objects.count(), ApiKey.objects.count()) == (documents, 1)


@pytest.mark.parametrize(("address", "target"), [
    ("/stores/?search={}&page=1", "/stores/?search={id}&page=1"),
    ("/admin/catalog/product/?q=%20{}", "/admin/catalog/product/?q=%20{id}"),
    ("/login/?next=/x/%3Fkey%3D{bent}", "/login/"),
    ("/nowhere/{}/", "/nowhere/{id}/"),
    ("/nowhere/{bent}/", "/"),
    ("/stores/?{}=1", "/stores/?{id}=1"),
])  # fmt: skip
def test_a_key_in_the_address_of_a_page_is_taken_out_of_it(client, address, target):
    public, secret = ApiKey.new_secret()
    bent = "%256B" + secret[1:]
    for ask in (client.get, client.post):
        answer = ask(address.format(secret, bent=bent))
        assert (answer.status_code, answer["Location"]) == (302, target.format(id=public))
        assert secret[20:52] not in str(answer.headers)
    assert client.get(target.format(id=public)).get("Location") != target.format(id=public)
