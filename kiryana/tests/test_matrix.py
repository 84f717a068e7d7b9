"""Every address of the site, asked by everybody: walks the table in `matrix` and sees that nothing else is open."""

import html
import json
import logging
import re
import time
import uuid
from collections import Counter
from datetime import timedelta
from urllib.parse import quote, unquote, urlencode, urlsplit

import pytest
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.db import connection, transaction
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.test.client import ClientHandler
from django.urls import URLResolver, get_resolver, include, path, resolve
from django.utils import timezone
from django.utils.http import parse_http_date
from django_otp.plugins.otp_totp.models import TOTPDevice

from catalog.models import Pack, Product, ProductPrice, StorePrice
from inventory.models import Kind, LowStockAlert, Movement, Reason, StockLevel
from inventory.services import Actor
from kiryana.tests.matrix import (
    AT_THE_DOOR,
    BESIDE,
    EVERYBODY,
    HIDDEN,
    KEYS,
    MEMBERS,
    PRINCIPALS,
    TABLE,
    UNKNOWN,
    Act,
    Row,
)
from reports.models import DailyStock
from stores.models import ApiKey, ApiRequest, Delivery, Membership, Store, User, Webhook
from stores.services import create_key

ENOUGH = 1800
WRONG_METHODS = ("PUT", "PATCH", "DELETE", "OPTIONS", "FOO")
PASSWORD = "chai-aur-biscuit"
CSRF = "c" * 32
# Refused answers to objects of one side must not differ: inside of the own store, and outside of it.
SIDES = {"own": "inside", "strange": "inside", "missing": "inside", "foreign": "outside", "absent": "outside"}


# -- Every URL is in the table ------------------------------------------------------------------------------------------
def urls_of(patterns, route="", spaces=()) -> list[tuple[str, str]]:
    """(name with its namespaces, whole route) of every address below, however deep; the name of an unnamed one is empty."""
    found = []
    for pattern in patterns:
        step = str(pattern.pattern)
        whole = route + (step.removeprefix("^") if route else step)  # as `resolve` tells it
        if isinstance(pattern, URLResolver):
            inner = (*spaces, pattern.namespace) if pattern.namespace else spaces
            found += urls_of(pattern.url_patterns, whole, inner)
        else:
            found.append((":".join((*spaces, pattern.name or "")), whole))
    return found


def in_table(table: list[Row]) -> set[tuple[str, str]]:
    """(name, whole route) of the addresses that the rows of a table lead to."""
    found = set()
    for row in table:
        if row.path.startswith("/static/") or not row.name:
            continue
        match = resolve(urlsplit(re.sub(r"\{\w+\}", "1", row.path.replace("{store}", "X"))).path)
        found.add((":".join((*match.namespaces, match.url_name or "")), match.route))
        assert row.name == (match.view_name if match.url_name else f"{match.namespace}:"), row.path
    return found


def test_every_address_of_the_site_is_in_the_table():
    known = in_table(TABLE)
    missing = [f"{name or '(without a name)'}  {route}" for name, route in urls_of(get_resolver().url_patterns)
               if (name, route) not in known]  # fmt: skip
    assert not missing, "no line in kiryana/tests/matrix.py for:\n" + "\n".join(missing)


def test_the_walk_sees_nested_namespaced_and_unnamed_addresses():
    def view(request):
        return HttpResponse()

    inner = [path("deep/", view, name="deep"), path("plain/", view)]
    patterns = [
        path("", view, name="top"),
        path("a/<int:pk>/", include([path("b/", include((inner, "app"), namespace="space"))])),
        path("c/", include(inner)),
    ]
    assert urls_of(patterns) == [
        ("top", ""),
        ("space:deep", "a/<int:pk>/b/deep/"),
        ("space:", "a/<int:pk>/b/plain/"),
        ("deep", "c/deep/"),
        ("", "c/plain/"),
    ]


def test_a_line_taken_out_of_the_table_is_missed():
    addresses = set(urls_of(get_resolver().url_patterns))
    for name in ("sale", "api:level", "admin:stores_store_delete", "admin:stores_apikey_rotate"):
        left = in_table([row for row in TABLE if row.name != name])
        assert {found for found, _route in addresses - left} >= {name}
    without = [row for row in TABLE if row.path != "/admin/stores/user/{user}/"]
    assert ("admin:", "admin/stores/user/<path:object_id>/") in addresses - in_table(without)


# -- What is asked --------------------------------------------------------------------------------------------------------
def requests_of(row: Row, principal: str, turn: int):
    """(method, object, answer, act) of everything that a principal asks of one row.

    HEAD and the methods that do not exist take turns: each row gets each of them from somebody. So do the objects in
    forms of who does not get past the door.
    """
    place = PRINCIPALS.index(principal)
    for method, act in row.acts.items():
        kinds = row.objects
        if method != "GET" and {answer_to(row, act, principal, kind) for kind in kinds} <= AT_THE_DOOR:
            kinds = [kinds[(turn + place) % len(kinds)]]
        for kind in kinds:
            answer = answer_to(row, act, principal, kind)
            yield method, kind, answer, act
            if method == "GET" and kind == row.objects[0] and (turn + place) % 3 == 0:
                yield "HEAD", kind, answer, act
    wrong = [method for method in WRONG_METHODS if method not in row.acts]
    method = wrong[(turn + place) % len(wrong)]
    answer = row.wrong[principal]
    if answer != HIDDEN:  # an address that does not exist has no methods either
        answer = UNKNOWN.get(method, answer)
    yield method, row.objects[place % len(row.objects)], answer, None


def answer_to(row: Row, act: Act, principal: str, kind: str):
    """What the table says of one object: for the foreign key the other store is its own."""
    if (row.shared and kind == "own") or (kind == "foreign" and principal in row.sees.split()):
        return act.own[principal]
    home = "foreign" if principal == "foreign" and row.part == "api" else "own"
    return act.own[principal] if kind == home else act.others[principal]


def test_the_table_asks_enough(capsys):
    count = Counter(
        principal
        for principal in PRINCIPALS
        for turn, row in enumerate(TABLE)
        for _request in requests_of(row, principal, turn)
    )
    with capsys.disabled():
        print(f"\n{len(TABLE)} rows, {count.total()} requests: {dict(count)}")
    assert count.total() >= ENOUGH
    assert set(count) == set(PRINCIPALS) == set(EVERYBODY.split())


# -- The cast -------------------------------------------------------------------------------------------------------------
@pytest.fixture
def world(
    monkeypatch, db, settings, store, other_store, staff, stocked, post, atta, ghee, category, api_client
):
    """People, keys, and for each kind of object the values that addresses and bodies of the table name."""
    settings.API_RATE = settings.API_GUESS_RATE = settings.LOGIN_RATE = "100000/m"
    cache.clear()
    monkeypatch.setattr("stores.services.addresses.resolve", lambda host, port: [("93.184.215.14", port)])
    logging.disable(logging.WARNING)  # an access log of thousands of lines
    try:
        yield World(store, other_store, staff, post, atta, ghee, category)
    finally:
        logging.disable(logging.NOTSET)


class World:
    """The cast of the table, and a way to ask as one of them."""

    def __init__(self, store, other_store, staff, post, atta, ghee, category):
        self.own_store = {"own": store, "foreign": other_store}
        self.factory, self.handler = RequestFactory(), ClientHandler(enforce_csrf_checks=False)
        self.strict = ClientHandler(enforce_csrf_checks=True)
        self.people = {role: staff(role) for role in MEMBERS.split()}
        self.people["superuser"] = User.objects.create_superuser("head", password=PASSWORD)
        for name, group in (("editor", "Catalogue editor"), ("support", "Support")):
            self.people[name] = User.objects.create_user(name, password=PASSWORD, is_staff=True)
            self.people[name].groups.set([Group.objects.get(name=group)])
        scopes = ApiKey.Scope.values
        self.keys = {
            "partner": create_key(name="Partner of Madina", scopes=scopes, stores=[store]),
            "foreign": create_key(name="Partner of Saddar", scopes=scopes, stores=[other_store]),
        }
        self.cookies = {"anonymous": {}, "partner": {}, "foreign": {}}
        for name, user in self.people.items():
            client = Client()
            client.force_login(user)
            self.cookies[name] = {"sessionid": client.cookies["sessionid"].value}
        self.make_objects(store, other_store, staff, post, atta, ghee, category)
        self.before, self.reference = rows_by_table(), uuid.uuid4()

    def make_objects(self, store, other_store, staff, post, atta, ghee, category):
        there = staff("manager", other_store)
        elsewhere = {"where": other_store, "actor": Actor.on_page(there, "manager")}
        only_there = Product.objects.create(
            sku="RIC-0009", name="Super Kernel Basmati", category=category, selling_price=350
        )
        post(Kind.RECEIPT, (ghee, 24, 505), (only_there, 9, 300), **elsewhere)
        seller = Actor.on_page(self.people["manager"], "manager")
        level = StockLevel.objects.get(store=store, product=ghee)
        level.set_reorder(reorder_point=23, target_level=None)
        sales = {
            "own": post(Kind.SALE, (ghee, 2), actor=seller).document,
            "foreign": post(Kind.SALE, (ghee, 2), **elsewhere).document,
        }
        # Used a moment ago, and again not before the walk is over: noting when a key was used last is the one thing
        # that a GET writes (test_the_first_request_of_a_key_notes_that_it_was_used).
        ApiKey.objects.update(last_used_at=timezone.now() + timedelta(hours=1))
        hooks = {}
        for side, name in (("own", "partner"), ("foreign", "foreign")):
            # The address tells whose it is: no answer to anybody else may hold it (`complaint`).
            url = f"https://partner.example/{self.own_store[side].code}"
            hook = Webhook(key=self.keys[name][0], url=url, events=["stock.low"], since=0)
            hook.set_secret()
            hook.save()
            delivery = Delivery.objects.create(
                webhook=hook, event_id=f"evt_{side}", type="stock.low", status="failed"
            )
            hooks[side] = {"webhook": hook.pk, "delivery": delivery.pk}
        over = Webhook.objects.create(
            key=self.keys["partner"][0],
            url="https://partner.example/over",
            events=["stock.low"],
            since=0,
            ended="by_hand",
        )
        clerk, idle = staff("cashier"), staff("cashier", other_store)
        colleague = User.objects.create_user("colleague", password=PASSWORD, is_staff=True)
        for user in (clerk, colleague):
            TOTPDevice.objects.create(user=user, name="Authenticator")
        Product.objects.filter(pk=ghee.pk).update(selling_price=565)
        spare, _secret = create_key(name="Spare", scopes=["stores:read"], stores=[store])
        logs = LogEntry.objects.log_actions(
            clerk.pk, [category], CHANGE, change_message="Seen.", single_object=True
        )
        own = {
            "store": store.code, "store_pk": store.pk, "sku": ghee.sku, "document": sales["own"].pk,
            "movement": Movement.objects.get(document=sales["own"]).pk, "category": category.pk, "product": ghee.pk,
            "barcode": ghee.barcodes.get(pack=None).pk, "pack": Pack.objects.get(product=ghee).pk,
            "storeprice": StorePrice.objects.create(store=store, product=atta, price=131).pk,
            "productprice": ProductPrice.objects.latest("pgh_id").pk, "stocklevel": level.pk,
            "lowstockalert": LowStockAlert.objects.get(store=store, product=ghee).pk,
            "reason": Reason.objects.get(code="MISSING").pk,
            "dailystock": DailyStock.objects.filter(store=store).latest("pk").pk,
            "membership": Membership.objects.get(user=clerk).pk, "user": clerk.pk, "apikey": spare.pk,
            "group": Group.objects.create(name="Weavers").pk, "logentry": logs.pk, "key": spare.public_id, "ended": over.pk, **hooks["own"],
            "apirequest": ApiRequest.objects.create(key=spare, request_id="matrix-walk", method="GET", path="/api/v1/me/", status=200, milliseconds=9).pk,
        }  # fmt: skip
        self.everywhere = {
            "idle": idle.pk,
            "missing_goods": Reason.objects.get(code="MISSING").pk,
            "mistake": Reason.objects.get(code="MISTAKE").pk,
            "store_type": ContentType.objects.get_for_model(store).pk,
        }
        foreign = {
            **own, "store": other_store.code, "store_pk": other_store.pk, "document": sales["foreign"].pk,
            "movement": Movement.objects.get(document=sales["foreign"]).pk, "user": colleague.pk, "key": self.keys["foreign"][0].public_id,
            **hooks["foreign"],
        }  # fmt: skip
        absent = dict.fromkeys(own, 987654321) | {"store": "ABS-0001", "sku": "ABS-0001", "key": "Abs0000000"}
        self.objects = {
            "own": own,
            "foreign": foreign,
            "absent": absent,
            "strange": own
            | {"document": foreign["document"], "delivery": foreign["delivery"], "sku": only_there.sku},
            "missing": own
            | {"document": absent["document"], "delivery": absent["delivery"], "sku": absent["sku"]},
        }

    def home_of(self, principal: str):
        return self.own_store["foreign" if principal == "foreign" else "own"]

    def hook_of(self, principal: str) -> int:
        return self.objects["foreign" if principal == "foreign" else "own"]["webhook"]

    def values(self, kind: str) -> dict:
        """What {names} stand for. In an absent body only what it names of stores and objects is absent."""
        return self.everywhere | self.objects[kind] | {"uuid": str(self.reference)}

    def address(self, row: Row, kind: str, query: str = "") -> str:
        return (row.path + query).format_map(self.values(kind))

    def ask(
        self,
        principal: str,
        method: str,
        address: str,
        row: Row,
        act: Act | None,
        kind: str,
        strict=False,
        headers=(),
    ):
        """One request, as the principal sends it."""
        extra = {
            "HTTP_X_REQUEST_ID": "matrix-walk",
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers},
        }
        data, content_type = b"", "application/octet-stream"
        if act and act.body is not None and method in ("POST", "PATCH"):
            # The body of a foreign document is the one that its own store's people would send.
            body = filled(act.body, self.values(kind) if row.json else self.values("own"))
            if row.json:
                data, content_type = json.dumps(body).encode(), "application/json"
            else:
                data, content_type = urlencode(body, doseq=True).encode(), "application/x-www-form-urlencoded"
            for name, value in act.headers.items():
                extra[f"HTTP_{name.upper().replace('-', '_')}"] = value
        cookies = {"csrftoken": CSRF, **self.cookies[principal]}
        extra["HTTP_COOKIE"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        if principal in self.keys:
            extra["HTTP_X_API_KEY"] = self.keys[principal][1]
        made = self.factory.generic(method, address, data, content_type, **extra)
        response = (self.strict if strict else self.handler)(made.environ)
        if response.streaming:  # a static file
            whole = HttpResponse(b"".join(response), status=response.status_code, headers=response.headers)
            whole.wsgi_request, response = response.wsgi_request, whole
        return response


def filled(body, values):
    """`body` with what its {names} stand for."""
    if isinstance(body, dict):
        return {name: filled(value, values) for name, value in body.items()}
    if isinstance(body, list):
        return [filled(value, values) for value in body]
    if isinstance(body, str):
        alone = re.fullmatch(r"\{(\w+)\}", body)
        return values[alone[1]] if alone else body.format_map(values)
    return body


# -- What was written -------------------------------------------------------------------------------------------------------
def written() -> Counter:
    """How many rows this transaction has inserted, changed or deleted in each table, also where it took that back.

    PostgreSQL's own count of it (what stands behind pg_stat_xact_all_tables). The counters of rate limits are left out:
    they are no data, and an attempt counts although its request is refused. Nor is the request
    log, which a thread writes for who really was answered (`kiryana.request_log`).
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname, rows FROM (SELECT relname, pg_stat_get_xact_tuples_inserted(oid)"
            " + pg_stat_get_xact_tuples_updated(oid) + pg_stat_get_xact_tuples_deleted(oid) AS rows"
            " FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r') AS counted"
            " WHERE rows > 0 AND relname <> 'kiryana_cache'"
        )
        return Counter(dict(cursor.fetchall()))


def rows_by_table() -> dict[str, set[str]]:
    """All rows of all tables, as text."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {table: rows_of(table) for (table,) in cursor.fetchall() if table != "kiryana_cache"}


def rows_of(table: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT to_jsonb(t)::text FROM "{table}" t')
        return {row for (row,) in cursor.fetchall()}


def check_written(world: World, act: Act, principal: str, touched: set[str]) -> str:
    """What was let in wrote what the table says, in its own store and nowhere else; the complaint, "" if there is none."""
    wanted = set(act.writes.split())
    if missing := wanted - touched:
        return f"did not write {sorted(missing)}"
    if more := touched - wanted - set(BESIDE) - set(SESSION):
        return f"wrote {sorted(more)} too"
    home = world.home_of(principal)
    for table in touched:
        for text in rows_of(table) ^ world.before[table]:
            found = json.loads(text)
            place = found["id"] if table == "stores_store" else found.get("store_id")
            if place is not None and place != home.pk and not made_now(table, found):
                return f"wrote to another store: {table} {text}"
            if principal in KEYS.split() and (
                found.get("key_id", world.keys[principal][0].pk) != world.keys[principal][0].pk
                or found.get("webhook_id", world.hook_of(principal)) != world.hook_of(principal)
            ):
                return f"wrote to another key: {table} {text}"
    return ""


# Messages and the language go into the session of whoever asks.
SESSION = {"django_session": "a sign-out, a message, the store that was chosen"}


def made_now(table: str, row: dict) -> bool:
    """Whether this is a store that head office has just added."""
    return table == "stores_store" and row["code"] == "MUX-0001"


# -- What was answered ------------------------------------------------------------------------------------------------------
TOKEN = re.compile(rb'(name="csrfmiddlewaretoken" value=")[A-Za-z0-9]{64}(")')
UNCOMPARED = {
    "Content-Length": "checked against the body below: the address that a page repeats may be longer",
    "RateLimit": "tells what is left, which is one less each time",
}


def told(response, address: str) -> tuple:
    """An answer without what the asker sent himself (the address, in the four ways it is written) and without CSRF tokens."""
    body = TOKEN.sub(rb"\1\2", response.content)
    plain = urlsplit(address)
    whole = plain.path + (f"?{plain.query}" if plain.query else "")
    spellings = {
        quote(whole, safe="/"),
        quote(whole),
        quote(whole, safe=""),
        html.escape(whole),
        whole,
        plain.path,
    }
    spellings = sorted(spellings, key=len, reverse=True)
    headers = {name: value for name, value in response.headers.items() if name not in UNCOMPARED}
    if "Expires" in headers:  # never cached: the second in which it was answered
        assert abs(parse_http_date(headers.pop("Expires")) - time.time()) < 60
    for spelling in spellings:
        body = body.replace(spelling.encode(), b"<address>")
        headers = {name: value.replace(spelling, "<address>") for name, value in headers.items()}
    cookies = {name: morsel.value for name, morsel in response.cookies.items() if name != "messages"}
    return response.status_code, headers, cookies, body


def words_of(response, values: dict) -> list[str]:
    """The messages that wait for the next page, without the id that was asked for."""
    queued = getattr(getattr(response.wsgi_request, "_messages", None), "_queued_messages", [])
    return [re.sub(r"“\d+”", "“”", str(message)) for message in queued]


def differences(one, other) -> str:
    """Where two answers differ."""
    (one, words), (other, others) = one, other
    apart = [f"{a} / {b}" for a, b in zip((*one[:3], words), (*other[:3], others), strict=True) if a != b]
    lines = [f"{a} / {b}" for a, b in zip(one[3].splitlines(), other[3].splitlines(), strict=False) if a != b]
    return "; ".join(apart + lines)[:600]


def complaint(world, row, principal, method, kind, answer, response, address) -> str:
    """What is wrong with one answer; "" if nothing."""
    at = f"{principal} {method} {address} ({kind})"
    if response.status_code not in answer.statuses:
        return f"{at}: {response.status_code} {response.get('Location', '')}, but {answer.word} was expected {reasons(response)}"
    if answer.to:
        place = answer.to.format_map(world.values(kind) | {"path": quote(address)})
        if unquote(place) != unquote(response["Location"]):
            return f"{at}: leads to {response['Location']}, not to {place}"
    if (
        "Content-Length" in response
        and method != "HEAD"
        and int(response["Content-Length"]) != len(response.content)
    ):
        return f"{at}: Content-Length is wrong"
    if (
        row.part == "api"
        and response.status_code >= 400
        and response["Content-Type"] != "application/problem+json"
    ):
        return f"{at}: {response['Content-Type']}"
    if principal not in ("editor", "support", "superuser") and (
        row.part == "api" or principal in MEMBERS.split()
    ):
        other = world.own_store["own" if principal == "foreign" else "foreign"]
        text = (
            response.content.decode(errors="replace")
            .replace(address, "")
            .replace(quote(address, safe=""), "")
        )
        if other.code in text or other.name in text:
            return f"{at}: tells of {other}"
    return ""


def reasons(response) -> str:
    """What a form or a problem says about itself."""
    return " ".join(
        re.findall(r'class="[^"]*error[^"]*"[^>]*>(.{1,200})', response.content.decode(errors="replace"))
    )[:600]


def walk(world: World, principal: str) -> tuple[int, list[str]]:
    """Asks everything as one principal; how many requests it made, and what was wrong."""
    count, wrong, before = 0, [], written()
    for turn, row in enumerate(TABLE):
        said, world.reference = {}, uuid.uuid4()
        for method, kind, answer, act in requests_of(row, principal, turn):
            count += 1
            address = world.address(row, kind, act.query if act and method in ("GET", "HEAD") else "")
            with transaction.atomic():
                response = world.ask(principal, method, address, row, act, kind)
                if found := complaint(world, row, principal, method, kind, answer, response, address):
                    wrong.append(found)
                # What was taken back is counted too, so that this is also how it stands before the next request.
                now = written()
                changed, before = now - before, now
                if answer.writes:
                    if found := check_written(world, act, principal, set(changed)):
                        wrong.append(f"{principal} {method} {address}: {found}")
                elif changed:
                    wrong.append(f"{principal} {method} {address} ({kind}): wrote {dict(changed)}")
                transaction.set_rollback(True)
            side = "all" if row.part == "admin" else SIDES[kind]
            if act and method != "HEAD" and not answer.writes and response.status_code not in (200,):
                same = told(response, address), words_of(response, world.values(kind))
                first = said.setdefault((method, side, response.status_code), (address, same))
                if first[1] != same:
                    wrong.append(
                        f"{principal} {method} {address} is told apart from {first[0]}: {differences(first[1], same)}"
                    )
    return count, wrong


@pytest.mark.parametrize("principal", PRINCIPALS)
def test_everybody_may_do_what_the_table_says_and_nothing_else(world, principal):
    count, wrong = walk(world, principal)
    assert not wrong, f"{len(wrong)} of {count}:\n" + "\n".join(wrong[:200])


# -- What a column more for each principal would say again and again ----------------------------------------------------
def sent(row: Row):
    """(method, act) of everything that exists at one address."""
    return [
        (method, act)
        for method, act in row.acts.items()
        if any(a.statuses[0] < 400 for a in act.own.values())
    ]


def asked_and_taken_back(world, principal, row, method, act, kind="own", strict=False):
    """The answer to one request, and the tables that it wrote to; whatever it did is taken back."""
    address = world.address(row, kind, act.query if method == "GET" else "")
    before = written()
    with transaction.atomic():
        response = world.ask(principal, method, address, row, act, kind, strict)
        changed = dict(written() - before)
        transaction.set_rollback(True)
    return response, changed, address


def add_key(world, name: str, **options) -> None:
    """One more key that can ask, under `name`."""
    world.keys[name] = create_key(name=name, **options)
    world.cookies[name] = {}
    ApiKey.objects.update(last_used_at=timezone.now() + timedelta(hours=1))


def test_each_address_of_the_api_asks_for_its_scope_and_for_no_other(world):
    store, wrong, asked = world.own_store["own"], [], set()
    for scope in ApiKey.Scope.values:
        add_key(world, f"only {scope}", scopes=[scope], stores=[store])
        add_key(world, f"all but {scope}", scopes=set(ApiKey.Scope.values) - {scope}, stores=[store])
    for row in TABLE:
        for method, act in row.acts.items():
            if not act.scope:
                continue
            asked.add(act.scope)
            response, changed, address = asked_and_taken_back(world, f"all but {act.scope}", row, method, act)
            if (
                response.status_code != 403
                or json.loads(response.content)["code"] != "insufficient_scope"
                or changed
            ):
                wrong.append(
                    f"{method} {address} without {act.scope}: {response.status_code}, wrote {changed}"
                )
            if row.name == "api:webhooks" and method == "POST":
                continue  # who is told of changes must be allowed to read them as well
            response, _changed, address = asked_and_taken_back(world, f"only {act.scope}", row, method, act)
            if response.status_code in (401, 403, 405):
                wrong.append(f"{method} {address} with {act.scope} alone: {response.status_code}")
    assert not wrong, "\n".join(wrong)
    assert asked == set(ApiKey.Scope.values)


def test_test_keys_find_no_live_store_and_live_keys_no_sandbox(world, post, ghee, staff):
    sandbox = Store.objects.create(code="SBX-0001", name="Practice", sandbox=True)
    actor = Actor.on_page(staff("manager", sandbox), "manager")
    post(Kind.RECEIPT, (ghee, 24, 505), where=sandbox, actor=actor)
    sale = post(Kind.SALE, (ghee, 1), where=sandbox, actor=actor).document
    scopes = set(ApiKey.Scope.values)
    add_key(world, "tester", scopes=scopes - ApiKey.LIVE_ONLY, all_stores=True, is_test=True)
    add_key(world, "everywhere", scopes=scopes, all_stores=True)
    hook = Webhook(
        key=world.keys["tester"][0], url="https://partner.example/test", events=["stock.low"], since=0
    )
    hook.set_secret()
    hook.save()
    world.objects["sandbox"] = world.objects["own"] | {
        "store": sandbox.code, "store_pk": sandbox.pk, "document": sale.pk,
        "movement": Movement.objects.get(document=sale).pk, "webhook": hook.pk,
        "delivery": Delivery.objects.create(webhook=hook, event_id="evt_test", type="stock.low").pk,
    }  # fmt: skip
    wrong, count = [], 0
    for row in TABLE:
        if row.part != "api" or row.shared:
            continue
        for method, act in sent(row):
            for principal, hidden in (
                ("tester", ("own", "foreign")),
                ("partner", ("sandbox",)),
                ("everywhere", ("sandbox",)),
            ):
                expected = act.others["partner"]
                response, changed, address = asked_and_taken_back(
                    world, principal, row, method, act, "absent"
                )
                absent = told(response, address)
                for kind in hidden:
                    response, changed, address = asked_and_taken_back(
                        world, principal, row, method, act, kind
                    )
                    count += 1
                    if (
                        response.status_code not in expected.statuses
                        or told(response, address) != absent
                        or changed
                    ):
                        wrong.append(
                            f"{principal} {method} {address}: {response.status_code}, wrote {changed}"
                        )
            # The other side of the wall is open, or the lines above would prove nothing.
            response, _changed, address = asked_and_taken_back(world, "tester", row, method, act, "sandbox")
            if response.status_code not in act.own["partner"].statuses:
                wrong.append(f"tester {method} {address}: {response.status_code}")
    for row in TABLE:
        if row.part == "api" and row.shared and "GET" in row.acts:
            for principal, others in (("tester", ("LHE-0001", "KHI-0001")), ("everywhere", ("SBX-0001",))):
                response, _changed, address = asked_and_taken_back(
                    world, principal, row, "GET", row.acts["GET"]
                )
                wrong += [
                    f"{principal} GET {address} tells of {code}" for code in others if code in response.text
                ]
    assert not wrong, "\n".join(wrong)
    assert count > 100


def test_no_page_takes_a_form_without_its_token(world):
    wrong, count = [], 0
    for row in TABLE:
        act = row.acts.get("POST")
        writers = [who for who, answer in act.own.items() if answer.writes] if act else []
        if row.part == "api" or not writers:
            continue
        principal = writers[0]
        response, changed, address = asked_and_taken_back(world, principal, row, "POST", act, strict=True)
        count += 1
        if response.status_code != 403 or "csrfmiddlewaretoken" in response.wsgi_request.POST or changed:
            wrong.append(f"{principal} POST {address}: {response.status_code}, wrote {changed}")
    assert not wrong, "\n".join(wrong)
    assert count > 40


ENTRANCE = {"admin:login", "admin:logout", "admin:verify", "admin:enrol"}


def test_no_page_of_head_office_opens_before_the_second_factor(world, settings):
    settings.ADMIN_REQUIRES_OTP = True
    wrong, count = [], 0
    for row in TABLE:
        if row.part != "admin" or row.name in ENTRANCE:
            continue
        for method, act in row.acts.items():
            response, changed, address = asked_and_taken_back(world, "superuser", row, method, act)
            count += 1
            if (
                response.status_code != 302
                or not response["Location"].startswith("/admin/login/?next=")
                or changed
            ):
                wrong.append(f"{method} {address}: {response.status_code}, wrote {changed}")
    assert not wrong, "\n".join(wrong)
    assert count > 200


def test_the_first_request_of_a_key_notes_that_it_was_used(world):
    """The one thing that a GET writes. The walk looks away from it by keys that were used a moment ago."""
    ApiKey.objects.update(last_used_at=None)
    [row] = [row for row in TABLE if row.name == "api:me"]
    _response, changed, _address = asked_and_taken_back(world, "partner", row, "GET", row.acts["GET"])
    assert changed == {"stores_apikey": 1}
    before = rows_of("stores_apikey")
    world.ask("partner", "GET", row.path, row, None, "own")
    old, new = (
        json.loads(text)
        for text in sorted(
            before ^ rows_of("stores_apikey"), key=lambda text: '"last_used_at": null' not in text
        )
    )
    assert {name for name in old if old[name] != new[name]} == {"last_used_at"}


def test_a_right_password_writes_the_session_and_when_it_was_given(world):
    user = world.people["owner"]
    user.set_password(PASSWORD)
    user.save()
    for address, to in (("/login/", "/"), ("/admin/login/", None)):
        [row] = [row for row in TABLE if row.path == address]
        who = "owner" if to else "superuser"
        act = Act({}, {}, {"username": world.people[who].username, "password": PASSWORD})
        response, changed, _address = asked_and_taken_back(world, "anonymous", row, "POST", act)
        assert response.status_code == 302
        assert set(changed) == {"django_session", "stores_user"}


def test_a_webhook_sends_no_message_of_another_webhook(world):
    [row] = [row for row in TABLE if row.name == "api:webhook_retry"]
    told_of = [
        asked_and_taken_back(world, "partner", row, "POST", row.acts["POST"], kind)
        for kind in ("strange", "missing")
    ]
    for response, changed, _address in told_of:
        assert (response.status_code, changed) == (400, {})
    assert told(told_of[0][0], told_of[0][2]) == told(told_of[1][0], told_of[1][2])
