"""Paging by key, for pages, admin and API: the thousandth page costs what the first one does. And what a key was used for, and rows
of models that came by a statement of one's own."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.postgres.expressions import ArraySubquery
from django.core import signing
from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.db import DEFAULT_DB_ALIAS, OperationalError, connection, transaction
from django.db.models import BooleanField, Count, F, Field, Func, Model, Q, QuerySet, Value
from django.db.models.base import ModelState
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan
from django.db.models.functions import TruncDate
from django.utils import timezone
from psycopg.errors import QueryCanceled

from stores.models import ApiKey, Change, Store

PATIENCE = 2000  # milliseconds that a page waits for figures it can do without


def loaded(model: type[Model], values: Mapping[str, Any] | Iterable[tuple[str, Any]]) -> Model:
    """The row of `model` with these values by column, as if it had been read; as unpickling makes one, past __init__.

    Columns that are missing are read when somebody asks for them. A batch makes thousands of rows, and __init__ would take as
    long as all else that Python does with one.
    """
    row = model.__new__(model)
    row._state = ModelState()
    row._state.adding, row._state.db = False, DEFAULT_DB_ALIAS
    row.__dict__.update(values)
    return row


class InvalidCursor(Exception):
    """A cursor that this list did not give out: torn, forged, or of other filters or another reader."""


@dataclass(frozen=True, slots=True)
class KeysetPage:
    """Some rows of a list in its order, and the cursors of the pages before and after (None at an end)."""

    rows: list
    previous: str | None
    next: str | None


def keyset_page(
    queryset: QuerySet,
    *,
    order: str,
    limit: int,
    cursor: str = "",
    scope: str = "",
    shown: QuerySet | None = None,
) -> KeysetPage:
    """One page of `queryset`, ordered by the fields in `order` and then by id; all falling when it begins with `-`.

    `scope` names what the cursor belongs to (list, filters, reader); a cursor of another scope is refused. With `shown` the rows are
    those of it with the ids that `queryset` gives: what it takes to show a row is then asked for no more rows than are shown,
    also where the database has to put many in order. One query.
    """
    falling = order.startswith("-")
    fields = [name for name in order.removeprefix("-").split() if name not in ("id", "pk")]
    backward, after = False, None
    if cursor:
        backward, after = read_cursor(queryset, fields, cursor, scope + order)
    down = falling != backward
    found = in_order(queryset, fields, down, after)[: limit + 1]
    if shown is not None:
        found = in_order(shown.filter(one_of(found)), fields, down)
    rows = list(found)
    more, rows = len(rows) > limit, rows[:limit]
    if backward:
        rows.reverse()

    def mark(row, back: bool) -> str:
        values = [str(value_of(row, name)) for name in fields or ["pk"]]
        return signing.dumps([int(back), *values, row.pk], salt="cursor:" + scope + order)

    has_next, has_previous = (True, more) if backward else (more, bool(cursor))
    return KeysetPage(
        rows,
        mark(rows[0], True) if rows and has_previous else None,
        mark(rows[-1], False) if rows and has_next else None,
    )


def one_of(rows: QuerySet | list[int], column: str = "pk") -> Func:
    """That `column` leads to one of `rows` (or has one of these ids), which are looked up beforehand; an index leads to them.

    As `pk__in` rows would be one condition among others, and the planner would weigh other ways, knowing little of how many they
    are; and ids one value each, which take longer to write down than to find.
    """
    if isinstance(rows, list):
        found = Value(rows, Field())
    else:
        found = ArraySubquery(rows.values("pk"))
    return Func(
        F(column), found, template="%(expressions)s)", arg_joiner=" = ANY(", output_field=BooleanField()
    )


def in_order(
    queryset: QuerySet, fields: Sequence[str], falling: bool, after: tuple | None = None
) -> QuerySet:
    """`queryset` by `fields` and then by id, all rising or all falling; only what comes behind `after`, (*values, id)."""
    side, keys = "lt" if falling else "gt", [*fields, "pk"]
    if after and not fields:
        queryset = queryset.filter(**{f"pk__{side}": after[-1]})
    elif after:
        beyond = TupleLessThan if falling else TupleGreaterThan
        # The second says no more than the first; an index of the first field alone understands it, too.
        queryset = queryset.filter(beyond(Tuple(*map(F, keys)), after))
        queryset = queryset.filter(**{f"{fields[0]}__{side}e": after[0]})
    return queryset.order_by(*("-" * falling + key for key in keys))


def value_of(row, path: str) -> Any:
    """The value that a lookup path such as product__name leads to from `row`."""
    for name in path.split("__"):
        row = getattr(row, name)
    return row


def read_cursor(queryset: QuerySet, fields: list[str], cursor: str, scope: str) -> tuple[bool, tuple]:
    """(backward, (values, id)) of a cursor that `keyset_page` gave out for this scope; refuses any other."""
    try:
        backward, *values, pk = signing.loads(cursor, salt="cursor:" + scope)
        read = zip(fields or ["id"], values, strict=True)
        return bool(backward), (*(python_value(queryset.model, name, value) for name, value in read), int(pk))
    except (signing.BadSignature, ValueError, TypeError, ValidationError) as error:
        raise InvalidCursor from error


def python_value(model, path: str, value: str) -> Any:
    """`value` as the type of the field that `path` leads to; annotations are compared as they are."""
    try:
        for name in path.split("__"):
            field = model._meta.get_field(name)
            model = field.related_model
    except FieldDoesNotExist:
        return value
    return field.to_python(value)


class TooLong(Exception):
    """A question that would keep its page waiting."""


@contextmanager
def briefly(milliseconds: int = PATIENCE) -> Iterator[None]:
    """Queries inside are given up after `milliseconds` each: TooLong, and the page goes on without them."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('statement_timeout', %s, true)", [f"{milliseconds}ms"])
            yield
    except OperationalError as error:
        if not isinstance(error.__cause__, QueryCanceled):
            raise
        raise TooLong from error


def usage(key: ApiKey, zone: ZoneInfo, days: int = 7) -> list[dict] | None:
    """What `key` asked on each of the last `days` days by the clock of `zone`, today last.

    `requests` are all of them, `refused` those answered 4xx, `failed` 5xx. None when there are too many to count.
    """
    today = timezone.now().astimezone(zone).date()
    first = today - timedelta(days=days - 1)
    rows = (
        key.requests.filter(at__gte=datetime.combine(first, time(0), zone))
        .annotate(day=TruncDate("at", tzinfo=zone))
        .values("day")
        .annotate(
            requests=Count("pk"),
            refused=Count("pk", filter=Q(status__range=(400, 499))),
            failed=Count("pk", filter=Q(status__gte=500)),
        )
        .order_by("day")
    )
    try:
        with briefly():
            found = {row["day"]: row for row in rows}
    except TooLong:
        return None
    nothing = {"requests": 0, "refused": 0, "failed": 0}
    spans = [first + timedelta(days=number) for number in range(days)]
    return [found.get(day, {"day": day, **nothing}) for day in spans]


FEW = 20  # stores whose changes are read one by one and put together
SCANNED = 5000  # changes that one page looks at, whether it shows them or not
LATEST = "latest"

# Where the feed ends now and what is in it come from one statement and so from one snapshot: nothing fits in between.
FEED = """
WITH here AS MATERIALIZED (
    SELECT stores_horizon() AS settled, feed.moment AS lost, feed.change AS lost_change,
           coalesce('' NOT IN (feed.home, stores_home()) AND feed.home <> stores_home(), false)
               OR coalesce(newest.moment >= stores_reach(), false) AS moved,
           CASE WHEN %(latest)s THEN stores_horizon() ELSE coalesce(%(moment)s::bigint, feed.moment, 0) END AS moment,
           CASE WHEN %(latest)s THEN 0 ELSE coalesce(%(change)s::bigint, feed.change, 0) END AS change
    FROM (VALUES (1)) AS one
    LEFT JOIN (SELECT moment, change, home FROM stores_feed WHERE id = 1) AS feed ON true
    LEFT JOIN (SELECT moment FROM stores_change ORDER BY moment DESC, id DESC LIMIT 1) AS newest ON true
)
SELECT here.settled, here.moved, here.lost, here.lost_change, found.*
FROM here LEFT JOIN LATERAL (
    SELECT * FROM (
        SELECT *, row_number() OVER (ORDER BY moment, id) AS nr, {wanted} AS wanted
        FROM (SELECT * FROM ({changes}) AS streams ORDER BY moment, id LIMIT %(most)s) AS seen
    ) AS numbered
    WHERE wanted OR nr = %(most)s ORDER BY moment, id LIMIT %(limit)s + 1
) AS found ON true
"""
# All of one store, all of none, and all there are: each is found in the order in which it is asked for.
ONE_STORE = """SELECT * FROM (SELECT {columns} FROM stores_change
    WHERE (store_id, moment, id) > ({store:d}, here.moment, here.change) AND (store_id, moment) < ({store:d}, here.settled)
    ORDER BY store_id, moment, id LIMIT %(most)s) AS stream"""
NO_STORE = """SELECT * FROM (SELECT {columns} FROM stores_change
    WHERE store_id IS NULL AND (moment, id) > (here.moment, here.change) AND moment < here.settled
    ORDER BY store_id, moment, id LIMIT %(most)s) AS stream"""
EVERY = """SELECT * FROM (SELECT {columns} FROM stores_change
    WHERE (moment, id) > (here.moment, here.change) AND moment < here.settled
    ORDER BY moment, id LIMIT %(most)s) AS stream"""
COLUMNS = "id, moment, type, store_id, subject, data, created_at"
# However few changes the planner expects behind a place: reading them all to sort them is never right. Older servers
# forbid a road by a price so high that they would compile every statement that cannot do without it.
IN_ORDER = "SELECT " + ", ".join(
    f"set_config('{name}', 'off', true)"
    for name in ("enable_bitmapscan", "enable_seqscan", "enable_sort", "jit")
)
STORE_TYPES = {Change.Type.MOVEMENT_CREATED, Change.Type.STOCK_LOW, Change.Type.STOCK_OUT}


class FeedMoved(Exception):
    """The data came to another server and nobody called `stores.services.settle_in` yet: the order of things is unknown."""


class PlaceLost(Exception):
    """What came next after this place may be gone."""


@dataclass(frozen=True, slots=True)
class FeedPage:
    """Some changes in the order of the feed, the place to go on from, and whether more are there already."""

    changes: list[Change]
    place: tuple[int, int]
    more: bool


def read_feed(
    key: ApiKey,
    *,
    types: Sequence[str],
    after: tuple[int, int] | str | None,
    limit: int,
    store: Store | None = None,
) -> FeedPage:
    """At most `limit` settled changes of `types` behind the place `after`, in the stores of `key` or in `store` alone.

    `after`: LATEST for no change but the place to go on from, None for the oldest that are kept. A page may hold fewer
    than `limit` and still have more behind it: it looks at SCANNED changes or so, however few of them are asked for.
    PlaceLost for a place behind which changes were deleted, or which this server never reached. Three queries.
    """
    given = {"latest": after == LATEST, "moment": None, "change": None, "types": list(types), "limit": limit}
    if isinstance(after, tuple):
        given["moment"], given["change"] = after
    wanted, given["most"] = "type = ANY(%(types)s)", SCANNED
    if store:
        mine = [store.pk]
    elif key.all_stores and not key.is_test:
        mine, given["hidden"] = None, list(Store.objects.filter(sandbox=True).values_list("pk", flat=True))
        wanted += " AND (store_id IS NULL OR NOT store_id = ANY(%(hidden)s))"
    else:
        mine = given["mine"] = list(Store.objects.for_key(key).values_list("pk", flat=True))
    if mine is None or len(mine) > FEW:
        streams = [EVERY]
        if mine is not None:
            wanted += " AND (store_id IS NULL OR store_id = ANY(%(mine)s))"
    else:
        # Each for itself: what happens in other stores is not even looked at.
        streams = [ONE_STORE.format(store=pk, columns="{columns}") for pk in mine]
        if Change.Type.PRODUCT_UPDATED in types and not store:
            streams.append(NO_STORE)
        if set(types) >= STORE_TYPES or not mine:
            given["most"] = limit + 1  # all that is looked at is shown
        else:
            given["most"] = max(SCANNED // len(streams), limit + 1)
    changes = " UNION ALL ".join(streams or [f"{EVERY} WHERE false"]).format(columns=COLUMNS)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(IN_ORDER)
        cursor.execute(FEED.format(changes=changes, wanted=wanted), given)
        rows = cursor.fetchall()
    settled, moved, *lost = rows[0][:4]
    if moved:
        raise FeedMoved
    if isinstance(after, tuple) and (after[0] > settled or (lost[0] is not None and after < tuple(lost))):
        raise PlaceLost
    found, place, more = [], (settled, 0), False
    for pk, moment, kind, store_id, subject, data, created_at, nr, shown in sorted(
        (row[4:] for row in rows if row[4] is not None), key=lambda row: (row[1], row[0])
    ):
        if len(found) == limit:
            place, more = (found[-1].moment, found[-1].pk), True
            break
        if shown:
            data = json.loads(data) if isinstance(data, str) else data
            found.append(
                Change(
                    pk=pk,
                    moment=moment,
                    type=kind,
                    store_id=store_id,
                    subject=subject,
                    data=data,
                    created_at=created_at,
                )
            )
        if nr == given["most"]:
            place, more = (moment, pk), True
    return FeedPage(found, place, more)
