"""Every page, list and report, asked one at a time of a small ledger and of a large one."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from django.contrib import admin
from django.urls import URLPattern, URLResolver, get_resolver

from kiryana.bench import load
from kiryana.bench.figures import Failed
from kiryana.bench.trade import sku, store_code

# What is no page to look at: forms for one object of head office, files, and what only leads on.
NOT_ASKED = ("_add", "_delete", "_history", "_password_change", "jsi18n", "autocomplete", "view_on_site")
OUTSIDE = ("healthz", "readyz", "docs", "api:schema", "api_nowhere", "logout")
USUAL, LONG = (
    0.05,
    0.3,
)  # seconds that a page may take; the second is for reports over all stores or over a year
# Once all have been asked, those that look as if they grew, or took nearly what they may, are asked again: noise is no finding.
GROWN, NEAR = 1.1, 0.8
# What shows up to a page of a product's whole past has more to show on the large ledger; it is held against its time alone.
MORE_TO_SHOW = {"item"}
DEEP, DEPTHS = 5, 15  # pages that a list is turned before it is compared with its beginning, and how often


@dataclass(slots=True)
class Address:
    """One page: where it is, who asks, and how long it may take (seconds)."""

    name: str
    path: str
    who: str
    allowed: float = USUAL
    needed: bool = True
    failed: bool = False
    small: list[float] = field(default_factory=list)
    large: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """Quick time of the large ledger to quick time of the small one: what disturbs a machine only ever adds."""
        return 1.0 if self.name in MORE_TO_SHOW else quick(self.large) / quick(self.small)

    @property
    def doubtful(self) -> bool:
        """Whether more turns could tell more."""
        return not self.failed and (self.ratio > GROWN or p95(self.large) > NEAR * self.allowed)

    @property
    def is_file(self) -> bool:
        """Whether it is there to be saved: what counts is when it begins."""
        return (
            self.path.partition("?")[0].endswith("/file/")
            or "format=csv" in self.path
            or "format=xlsx" in self.path
        )


def quick(times: list[float]) -> float:
    """The mean of the fastest quarter: a single lucky moment of the machine would be a figure of its own."""
    fastest = sorted(times)[: -(-len(times) // 4)]
    return sum(fastest) / len(fastest)


def p95(times: list[float]) -> float:
    """The time that all but one in twenty stay below."""
    ordered = sorted(times)
    return ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)]


def routes(
    patterns=None, route: str = "", spaces: tuple[str, ...] = ()
) -> Iterator[tuple[str, str, URLPattern]]:
    """(name with its namespaces, where it is, pattern) of every address of the site."""
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        if isinstance(pattern, URLResolver):
            inner = (*spaces, pattern.namespace) if pattern.namespace else spaces
            yield from routes(pattern.url_patterns, route + str(pattern.pattern), inner)
        else:
            yield ":".join((*spaces, pattern.name or "")), route, pattern


def filled(route: str, pattern: URLPattern, values: dict[str, str]) -> str | None:
    """The address with a value for each of its parts; None where one has none."""
    from django.utils.regex_helper import normalize

    step = str(pattern.pattern)
    if hasattr(pattern.pattern, "converters") and step == getattr(pattern.pattern, "_route", None):
        text = step
        for name in pattern.pattern.converters:
            if name not in values:
                return None
            for form in (
                f"<{name}>",
                *(f"<{kind}:{name}>" for kind in ("int", "slug", "path", "str", "uuid")),
            ):
                text = text.replace(form, values[name])
    else:
        [(text, names), *_others] = normalize(step)
        if any(name not in values for name in names):
            return None
        text = text % {name: values[name] for name in names}
    for name in ("code",):
        route = route.replace(f"<slug:{name}>", values[name])
    return "/" + (route + text).replace("^", "").replace("$", "")


def first_rows(cursor) -> dict[str, str]:
    """The lowest id of each table of head office that has a row, by app_model."""
    found = {}
    for model in admin.site._registry:
        table, key = model._meta.db_table, model._meta.pk.column
        cursor.execute(f'SELECT min("{key}") FROM "{table}"')  # noqa: S608
        [lowest] = cursor.fetchone()
        if lowest is not None:
            found[f"{model._meta.app_label}_{model._meta.model_name}"] = str(lowest)
    return found


def addresses(cursor) -> list[Address]:
    """Every address that shows something, by the URL table; the first rows of the database of `cursor` stand for all."""
    ids = first_rows(cursor)
    values = {
        "code": store_code(1), "store": store_code(1), "sku": sku(1), "id": ids["inventory_document"], "app_label": "inventory",
    }  # fmt: skip
    found = []
    for name, route, pattern in routes():
        if name in OUTSIDE or name.endswith(NOT_ASKED):
            continue
        given = dict(values)
        if name.startswith("admin:"):
            label = name.removeprefix("admin:").rpartition("_")[0]
            if label in ids:
                given |= {"object_id": ids[label], "pk": ids[label]}
        elif route.startswith("s/"):
            given["pk"] = ids["inventory_document"]
        if name == "api:movement":
            given["id"] = ids["inventory_movement"]
        if name == "api:store":
            given["code"] = store_code(1)
        path = filled(route, pattern, given)
        if path is not None:
            who = "head" if path.startswith("/admin/") else "partner" if path.startswith("/api/") else "owner"
            # Without a store, a report of the API is one over all of them.
            found.append(
                Address(name, path, who, LONG if "/reports/" in path and who == "partner" else USUAL, False)
            )
    return found + variants()


def variants() -> list[Address]:
    """Lists searched and filtered, files, and reports over a month and a year, of one store and of all."""
    today = datetime.now(UTC).date()
    month, year = (f"from={today - timedelta(days):%Y-%m-%d}&to={today:%Y-%m-%d}" for days in (30, 364))
    yesterday = today - timedelta(1)
    # The trade of a month is the same in both ledgers: so many lines of a product are shown of either.
    lately = f"business_date_from={today - timedelta(30)}"
    shop, store, goods = f"/s/{store_code(1)}", f"store={store_code(1)}", f"product={sku(1)}"
    day, admin_store = f"from={yesterday:%Y-%m-%d}&to={today:%Y-%m-%d}", f"store={store_code(2)}"
    found = [
        ("owner", f"{shop}/products/", ["search=cheeni", "search=چینی", "search=sugar+tapal", "category=1"]),
        ("owner", f"{shop}/products/find/", ["q=chai", "q=چائے", "q=8960000000001", "q=nothing+like+it"]),
        ("owner", f"{shop}/inventory/", ["state=low", "state=ok", "search=doodh", "category=2"]),
        (
            "owner",
            f"{shop}/movements/",
            [f"{goods.lower()}&{lately}", "kind=sale", "kind=wastage", "user=owner"],
        ),
        (
            "owner",
            f"{shop}/movements/",
            [f"business_date_from={yesterday}&business_date_to={today}", "product=چینی"],
        ),
        ("owner", f"{shop}/sales/", [f"date={yesterday:%Y-%m-%d}"]),
        (
            "owner",
            f"{shop}/reports/daily-sales/",
            [month, month + "&category=1", month + "&format=csv", month + "&format=xlsx"],
        ),
        ("owner", f"{shop}/reports/daily-sales/", [year, year + "&category=1", year + "&format=csv"]),
        (
            "owner",
            f"{shop}/reports/top-products/",
            [month, month + "&by=units", month + "&category=1", month + "&format=xlsx"],
        ),
        ("owner", f"{shop}/reports/top-products/", [year, year + "&limit=100"]),
        ("owner", f"{shop}/reports/low-stock/", ["state=low", "category=1", "format=csv", "format=xlsx"]),
        ("owner", f"{shop}/reports/inventory-value/", ["format=csv", "format=xlsx"]),
        (
            "partner",
            "/api/v1/products/",
            ["search=cheeni", "search=چینی", "search=chawal+12", "category=1", "status=active"],
        ),
        ("partner", "/api/v1/products/lookup/", ["barcode=8960000000001"]),
        (
            "partner",
            "/api/v1/inventory/",
            [store, store + "&state=low", "state=low", f"sku={sku(1)}", "category=1", "state=negative"],
        ),
        (
            "partner",
            "/api/v1/movements/",
            [
                store,
                f"sku={sku(1)}",
                f"{store}&sku={sku(1)}&{lately}",
                "kind=wastage",
                store + "&kind=receipt",
            ],
        ),
        (
            "partner",
            "/api/v1/movements/",
            [f"business_date_from={yesterday}", f"{store}&business_date_to=2020-01-01"],
        ),
        (
            "partner",
            "/api/v1/movements/",
            ["reference=bench-1-2-1", f"occurred_from={yesterday}T00:00:00Z", "ordering=id"],
        ),
        (
            "partner",
            "/api/v1/documents/",
            [store, "kind=wastage", store + "&kind=opening", "reference=bench-1-2-1", "ordering=id"],
        ),
        (
            "partner",
            "/api/v1/documents/",
            [f"business_date_from={yesterday}", f"occurred_to={yesterday}T00:00:00Z"],
        ),
        *(
            (
                "partner",
                f"/api/v1/reports/{name}/",
                [f"{where}{days}" for where in ("", store + "&") for days in (month, year)],
            )
            for name in ("daily-sales", "top-products", "movement-summary", "shrinkage")
        ),
        (
            "partner",
            "/api/v1/reports/daily-sales/",
            [month + "&format=csv", month + "&category=1", year + "&category=1"],
        ),
        (
            "partner",
            "/api/v1/reports/top-products/",
            [month + "&category=1", year + "&by=units&limit=500", f"{year}&{store}&category=1"],
        ),
        ("partner", "/api/v1/reports/movement-summary/", [month + "&category=1"]),
        ("partner", "/api/v1/reports/shrinkage/", [year + "&by=product", month + "&category=1"]),
        *(
            ("partner", f"/api/v1/reports/{name}/", [store, "category=1", store + "&format=csv"])
            for name in ("inventory-summary", "low-stock", "stock-value", "dead-stock")
        ),
        ("head", "/admin/catalog/product/", ["q=cheeni", "q=چینی", "status=active", "category=Shelf+3"]),
        (
            "head",
            "/admin/inventory/movement/",
            [f"q={sku(1)}", "q=S-000001", admin_store, goods, day, "kind=wastage", f"{admin_store}&{day}"],
        ),
        (
            "head",
            "/admin/inventory/movement/",
            [f"{admin_store}&{goods}&{month}", f"{admin_store}&kind=sale", f"{goods}&kind=wastage"],
        ),
        (
            "head",
            "/admin/inventory/document/",
            ["q=bench-1-2-1", "q=S-000001", admin_store, day, "user=owner", "kind=wastage", "kind=sale"],
        ),
        (
            "head",
            "/admin/inventory/document/",
            [
                "source=import",
                "source=page",
                "voids=only",
                f"{admin_store}&user=owner",
                f"{admin_store}&kind=wastage",
            ],
        ),
        (
            "head",
            "/admin/inventory/stocklevel/",
            [admin_store, goods, "state=low", "state=negative", "state=ok", "practice=no", "practice=yes"],
        ),
        ("head", "/admin/inventory/lowstockalert/", [admin_store, goods, "practice=yes"]),
        (
            "head",
            "/admin/reports/dailystock/",
            [admin_store, goods, day, f"{admin_store}&{day}", f"{admin_store}&{goods}&{month}"],
        ),
        ("head", "/admin/stores/store/", ["q=BEN-0007", "status=closed", "sandbox__exact=1"]),
    ]
    return [
        Address(f"{path}?{query}", f"{path}?{quote(query, safe='=&+')}", who, allowed(path, query, who))
        for who, path, queries in found
        for query in queries
    ]


def allowed(path: str, query: str, who: str) -> float:
    """Seconds: more for a report over all stores, or over a year."""
    today = datetime.now(UTC).date()
    of_all = who == "partner" and "store=" not in query
    return (
        LONG
        if "/reports/" in path and (of_all or f"from={today - timedelta(364):%Y-%m-%d}" in query)
        else USUAL
    )


class Reader:
    """Somebody who reads pages one after the other on one connection; `headers` by who asks."""

    def __init__(self, address: tuple[str, int], headers: dict[str, dict[str, str]]):
        self.address, self.headers = address, headers
        self.client = self.connected()

    def connected(self) -> load.Client:
        client = load.Client(self.address)
        client.socket.settimeout(60)
        return client

    def get(self, path: str, who: str, *, begin: bool = False) -> tuple[int, bytes, float]:
        """(status, body, seconds) of one page; with `begin`, the seconds until the first byte of the body was there."""
        asked = load.request("GET", path, f"127.0.0.1:{self.address[1]}", **self.headers[who])
        for fresh in (False, True):
            try:
                self.client.send(asked)
                begun = None
                while (answer := self.client.receive()) is None:
                    if begun is None and self.client.buffer.partition(b"\r\n\r\n")[2]:
                        begun = time.perf_counter()
                seconds = (begun if begin and begun else time.perf_counter()) - self.client.begun
                return *answer, seconds
            except (load.Broken, ConnectionError):
                # The server ends a line on which nothing came for a while; on a new one it has to answer.
                if fresh:
                    raise Failed(f"{path}: the server closed the connection.") from None
                self.close()
                self.client = self.connected()
        raise AssertionError

    def close(self) -> None:
        self.client.socket.close()


def shown(reader: Reader, found: list[Address]) -> list[Address]:
    """Those that show something: what only leads on, only takes a form or has no object here is left out."""
    kept = []
    for address in found:
        status, body, _seconds = reader.get(address.path, address.who)
        # By the URL table alone nobody knows which address needs a parameter, or takes forms only.
        if status != 200 and (address.needed or status >= 500 or status in (401, 429)):
            raise Failed(f"{address.path} was answered {status}: {body[:300]!r}")
        if status == 200:
            kept.append(address)
    return kept


def bare() -> float:
    """Seconds of a computation that never changes: what differs from time to time is the machine."""
    began, number = time.perf_counter(), 0
    for step in range(200_000):
        number += step * step % 7
    return time.perf_counter() - began


def measure(
    small: Reader,
    large: Reader,
    found: list[Address],
    times: int,
    again: int,
    loops: list[float],
    goes_on: Callable[[], bool] = lambda: True,
) -> list[str]:
    """Asks both for every page in turn, so that a noisy moment of the machine meets both; what went wrong, in words.

    Of a file it is the first byte that counts. After `times` turns the doubtful ones are asked up to `again` times more, as
    long as they are and time `goes_on`. A page that goes wrong is not asked again, and has no times. Meanwhile `loops` gets the times of a `bare`
    loop now and then.
    """
    wrong = []

    def ask(address: Address, *, note: bool = True) -> None:
        for reader, noted in ((small, address.small), (large, address.large)):
            if address.failed:
                continue
            status, _body, seconds = reader.get(address.path, address.who, begin=address.is_file)
            if status != 200:
                address.failed = True
                wrong.append(f"{address.path} was answered {status} after {seconds:.1f} s")
            elif note:
                noted.append(seconds)

    for turn in range(times + 1):  # the first turn warms up
        for place, address in enumerate(found):
            ask(address, note=turn > 0)
            if place % 10 == 0:
                loops.append(bare())
    for _turn in range(again):
        if not goes_on():
            break
        loops.append(bare())
        for address in found:
            if address.doubtful:
                ask(address)
    return wrong


def depth(reader: Reader, path: str, times: int) -> tuple[float, float]:
    """Quick seconds of a list's DEEP-th page, and of its first."""
    import json

    places = [path]
    for _turn in range(DEEP):
        following = json.loads(reader.get(places[-1], "partner")[1]).get("next")
        if not following:
            raise Failed(f"{path} has no page behind page {len(places)}.")
        places.append("/" + following.split("://", 1)[-1].split("/", 1)[1])
    first, last = [], []
    for _turn in range(times + 1):
        first.append(reader.get(places[0], "partner")[2])
        last.append(reader.get(places[-1], "partner")[2])
    return quick(last[1:]), quick(first[1:])
