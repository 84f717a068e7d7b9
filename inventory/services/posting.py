"""Posting: one statement inserts documents with all their movements; the database moves the levels (sql/posting.sql)."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache

from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    OperationalError,
    connection,
    transaction,
)
from django.utils import timezone
from django.utils.translation import gettext as _

from catalog.models import Product
from inventory.models import Document, Movement, Reason, StockLevel
from inventory.services.drafts import (
    Actor,
    Draft,
    Line,
    checked_reference,
    content_of,
    draft_document,
    entered_by,
    fingerprint,
)
from inventory.services.refusals import (
    AlreadyReversed,
    InsufficientStock,
    InvalidDocument,
    ReferenceReused,
    Refused,
    StoreNotOpen,
)
from stores.models import Store
from stores.queries import loaded


@dataclass(frozen=True, slots=True)
class Posted:
    """A document with its movements in line order; `replayed` when the reference had been posted before."""

    document: Document
    movements: list[Movement]
    replayed: bool = False

    @property
    def flagged(self) -> bool:
        """Whether a line left its level below zero."""
        return any(movement.oversold for movement in self.movements)


def post_document(
    *,
    store: Store,
    kind: str,
    lines: Sequence[Line],
    actor: Actor,
    reference: str | None = None,
    occurred_at: datetime | None = None,
    reason: Reason | None = None,
    notes: str = "",
    returns: Document | None = None,
    confirm_oversell: bool = False,
) -> Posted:
    """Records one act in one store: afterwards its movements are in the ledger and the levels have moved.

    The same `reference` with the same content gives the first answer again. Refuses (nothing is recorded): wrong lines,
    a store that is not open for this, a time outside the actor's window, stock that would fall below zero where R4
    forbids it, a return of more than was sold, a reference that belongs to other content.
    """
    now = timezone.now()
    try:
        draft = draft_document(
            store=store, kind=kind, lines=lines, actor=actor, reference=reference, occurred_at=occurred_at, reason=reason,
            notes=notes, returns=returns, confirm_oversell=confirm_oversell, now=now,
        )  # fmt: skip
    except Refused:
        # What was recorded stays recorded: sent again when it would no longer be taken (too old by now, the product
        # discontinued, the store closed), it still gets its first answer.
        first = find(store, reference) if reference else None
        if first and bytes(first.fingerprint) == content_of(kind, lines, occurred_at, reason, notes, returns):
            return posted_before(first)
        raise
    try:
        with by_itself():
            written = insert_documents(store, [draft])
    except (IntegrityError, DataError) as error:
        raise explain(error, store, [draft], lines) from error
    if written:
        return as_posted(store, draft, written[draft.document["reference"]])
    return replay(store, draft)


MOST_AT_ONCE = 2000  # lines in one statement


def post_documents(*, store: Store, acts: Sequence[Mapping]) -> list[Posted | Refused | DatabaseError]:
    """Records many acts of one store, each wholly or not at all, as if one after the other; an answer for each.

    An act is what `post_document` takes besides the store. Those that can be are written in one statement, some 2,000 lines
    at a time; where the database refuses it, each by itself, so that one bad one never blocks the others. What the database
    could not do for one of them is its answer too. Raises when the database is gone.
    """
    now, answers, drafts, count = timezone.now(), {}, {}, 0
    for place, act in enumerate(acts):
        try:
            draft = draft_document(store=store, now=now, **act)
        except Refused:
            answers[place] = alone(store, act)  # it may have been taken when it was sent first
            continue
        reference = draft.document["reference"]
        if reference in drafts or count + len(draft.rows) > MOST_AT_ONCE:
            answers |= together(store, acts, drafts)
            drafts, count = {}, 0
        drafts[reference] = place, draft
        count += len(draft.rows)
    answers |= together(store, acts, drafts)
    return [answers[place] for place in range(len(acts))]


def together(store: Store, acts: Sequence[Mapping], drafts: Mapping[str, tuple[int, Draft]]) -> dict:
    """Writes `drafts` (place and draft by reference) in one statement, or else each by itself; the answers by place."""
    if not drafts:
        return {}
    try:
        with by_itself():
            written = insert_documents(store, [draft for _place, draft in drafts.values()])
    except (IntegrityError, DataError, OperationalError):
        return {place: alone(store, acts[place]) for place, _draft in drafts.values()}
    answers = {}
    for reference, (place, draft) in drafts.items():
        if reference in written:
            answers[place] = as_posted(store, draft, written[reference])
        else:
            try:
                answers[place] = replay(store, draft)
            except Refused as refusal:
                answers[place] = refusal
    return answers


def alone(store: Store, act: Mapping) -> Posted | Refused | DatabaseError:
    """What becomes of one act; raises when the database is gone."""
    try:
        return post_document(store=store, **act)
    except Refused as refusal:
        return refusal
    except DatabaseError as error:
        if not connection.is_usable():
            raise
        return error


def reverse_document(
    *,
    document: Document,
    actor: Actor,
    reference: str | None = None,
    reason: Reason | None = None,
    notes: str = "",
    now: datetime | None = None,
) -> Posted:
    """Voids a whole document: each of its movements is mirrored once, at the same price and cost (R8).

    `now` is for trade that is played in the past; whoever voids really, voids now.

    Refuses a document that was voided before, that is itself a void, a sale that was returned in part, and goods that
    are no longer there to be taken back.
    """
    store = document.store
    said = fingerprint({"reverses": document.pk, "reason": reason.pk if reason else None, "notes": notes})
    if store.status in (Store.Status.SUSPENDED, Store.Status.CLOSED):
        # What was recorded stays recorded: the void sent again still gets its first answer.
        first = find(store, reference) if reference else None
        if first and bytes(first.fingerprint) == said:
            return posted_before(first)
        raise StoreNotOpen(_("This store is read only."), code="store_not_open")
    if document.reverses_id:
        raise AlreadyReversed(
            _("%(number)s is a void itself: it cannot be voided.") % {"number": document.number},
            code="already_reversed",
        )
    now = now or timezone.now()
    draft = Draft(
        {
            "kind": document.kind,
            "reference": checked_reference(reference),
            "fingerprint": said,
            "occurred_at": now,
            "business_date": store.business_date(now),
            "total": document.total,
            "reason": reason,
            "notes": notes,
            "reverses": document.pk,
            "returns": document.returns_id,
            **entered_by(actor),
        }
    )
    originals = list(Movement.objects.filter(store=store, document=document).order_by("line_no"))
    draft.rows = [
        {
            "line_no": original.line_no,
            "product": original.product_id,
            "quantity": -original.quantity,
            "entered_quantity": original.entered_quantity,
            "entered_pack": original.entered_pack_id,
            "unit_price": original.unit_price,
            "line_total": original.line_total,
            "unit_cost": None,  # the database takes it from the movement that is reversed
            "oversell": "",
            "reverses": original.pk,
            "returns": original.returns_id,
        }
        for original in originals
    ]
    try:
        with by_itself():
            written = insert_documents(store, [draft])
    except (IntegrityError, DataError) as error:
        # The same void sent twice meets the first one here; anything else is a second void.
        if constraint_of(error) == "document_reversed_once" and (
            first := find(store, draft.document["reference"])
        ):
            return same_or_refused(first, draft)
        raise explain(error, store, [draft], originals) from error
    if written:
        return as_posted(store, draft, written[draft.document["reference"]])
    return replay(store, draft)


# One statement for any number of documents of one store and any number of lines. Lines are inserted in the order of
# (product, document, line), which is the order in which the levels are locked: two baskets can never wait for each other
# (R2). A reference that exists already inserts nothing at all. What only several documents or lines need is left out where
# there is one: it is made ready in vain for each sale, and a sale of one line is mostly making ready.
DOCUMENTS = """
WITH g AS ({documents}), d AS (
    INSERT INTO inventory_document
        (store_id, kind, reference, fingerprint, occurred_at, business_date, total, line_count, reason_id, notes,
         reverses_id, returns_id, source, user_id, api_key_id)
    SELECT %(store)s::bigint, kind, reference, fingerprint, occurred_at, business_date, total, line_count, reason, notes,
           reverses, returns, source, "user", api_key
    FROM g {by_reference}
    ON CONFLICT (store_id, reference) DO NOTHING
    RETURNING id, store_id, kind, reference, reason_id, occurred_at, recorded_at, business_date
), l AS (
    SELECT d.id AS document_id, d.store_id, d.kind, d.reason_id, d.occurred_at, d.recorded_at, d.business_date, given.*
    FROM d {join} ({lines}) AS given {own}
), """
SEVERAL = {
    "by_reference": "ORDER BY reference", "join": "JOIN g USING (reference) JOIN", "own": "ON given.document_no = g.document_no",
}  # fmt: skip
ONE = {"by_reference": "", "join": "CROSS JOIN", "own": ""}
# What is given, with its types; `values_of` gives the statement their values.
OF_DOCUMENTS = {
    "document_no": "int", "kind": "text", "reference": "text", "fingerprint": "bytea", "occurred_at": "timestamptz",
    "business_date": "date", "total": "numeric", "line_count": "int", "reason": "bigint", "notes": "text", "reverses": "bigint",
    "returns": "bigint", "source": "text", "user": "bigint", "api_key": "bigint",
}  # fmt: skip
OF_LINES = {
    "document_no": "int", "line_no": "int", "product": "bigint", "quantity": "numeric", "entered_quantity": "numeric",
    "entered_pack": "bigint", "unit_price": "numeric", "line_total": "numeric", "unit_cost": "numeric", "oversell": "text",
    "reverses": "bigint", "returns": "bigint",
}  # fmt: skip


def query_of(name: str, columns: dict[str, str], one: bool) -> str:
    """The query that reads what is given as `name`: a single row from values of its own, more from one JSON text."""
    if one:
        values = ", ".join(f'%({name}_{column})s::{kind} AS "{column}"' for column, kind in columns.items())
        return f"SELECT {values}"
    typed = ", ".join(f'"{column}" {kind}' for column, kind in columns.items())
    return f"SELECT * FROM json_to_recordset(%({name})s::json) AS rows ({typed})"  # noqa: S608 - names of columns


def values_of(name: str, columns: dict[str, str], rows: Sequence[dict]) -> dict[str, str | None]:
    """The values for `query_of`, all as text or null: so it is one prepared statement, whatever is null in it."""
    if len(rows) > 1:
        return {name: as_json(rows)}
    [row] = rows
    return {f"{name}_{column}": None if row[column] is None else as_text(row[column]) for column in columns}


# The database posts each line by itself: any kind, and few lines.
LINE_BY_LINE = """m AS (
    INSERT INTO inventory_movement
        (document_id, store_id, kind, reason_id, occurred_at, recorded_at, business_date, line_no, product_id, quantity,
         entered_quantity, entered_pack_id, unit_price, line_total, unit_cost, oversell, reverses_id, returns_id)
    SELECT document_id, store_id, kind, reason_id, occurred_at, recorded_at, business_date, line_no, product, quantity,
           entered_quantity, entered_pack, unit_price, line_total, unit_cost, coalesce(oversell, ''), reverses, returns
    FROM l {in_order}
    RETURNING document_id, CASE WHEN line_no = 1 THEN recorded_at END, line_no, id, unit_cost, cost_estimated, balance_after,
              average_cost_after, seq, late
) """
# Many lines: the places and balances of goods that leave at the average are worked out here for all of them, under the lock of
# their levels, and checked by the database (inventory_post_out). A product of which something else moves too, or that has no
# level yet or an empty one, goes line by line.
TOGETHER = """held AS MATERIALIZED (
    SELECT level.*, leaves, set_config('kiryana.goods_out', 'on', true) AS road
    FROM (
        SELECT product, bool_and(kind IN ('sale', 'wastage', 'own_use', 'supplier_return') AND reverses IS NULL) AS leaves
        FROM l GROUP BY product ORDER BY product
    ) AS wanted CROSS JOIN LATERAL (
        SELECT product_id, on_hand, average_cost, cost_estimated, seq, last_business_date FROM inventory_stocklevel
        WHERE store_id = %(store)s::bigint AND product_id = wanted.product FOR UPDATE
    ) AS level
), placed AS (
    SELECT l.*, held.*, on_hand + sum(quantity) OVER chained AS balance, seq + row_number() OVER chained AS place,
           greatest(last_business_date, max(business_date) OVER chained) > business_date AS late,
           coalesce(leaves AND seq > 0 AND road = 'on', false) AS together
    FROM l LEFT JOIN held ON product_id = product
    WINDOW chained AS (PARTITION BY product {in_order})
), m AS (
    INSERT INTO inventory_movement
        (document_id, store_id, kind, reason_id, occurred_at, recorded_at, business_date, line_no, product_id, quantity,
         entered_quantity, entered_pack_id, unit_price, line_total, oversell, reverses_id, returns_id, unit_cost, cost_estimated,
         balance_after, average_cost_after, seq, late)
    SELECT document_id, store_id, kind, reason_id, occurred_at, recorded_at, business_date, line_no, product, quantity,
           entered_quantity, entered_pack, unit_price, line_total, coalesce(oversell, ''), reverses, returns,
           CASE WHEN together THEN average_cost ELSE unit_cost END, together AND cost_estimated, balance, average_cost,
           CASE WHEN together THEN place END, together AND coalesce(late, false)
    FROM placed {by_product}
    RETURNING document_id, CASE WHEN line_no = 1 THEN recorded_at END, line_no, id, unit_cost, cost_estimated, balance_after,
              average_cost_after, seq, late
) """
MANY = 10  # lines from which on it pays
ANSWER = "SELECT * FROM m"
ANSWER_OF_SEVERAL = "SELECT m.*, d.reference FROM m JOIN d ON d.id = m.document_id"
NO_ANSWER = "SELECT FROM d WHERE false"


@cache
def posting(*, several: bool, line: bool, together: bool, answer: bool) -> str:
    """The statement that posts one document or `several`, a single `line` or more, line by line or `together`."""
    in_order = "document_no, line_no" if several else "line_no"
    if together:
        moved = TOGETHER.format(in_order=f"ORDER BY {in_order}", by_product=f"ORDER BY product, {in_order}")
    else:
        moved = LINE_BY_LINE.format(in_order="" if line else f"ORDER BY product, {in_order}")
    shown = (ANSWER_OF_SEVERAL if several else ANSWER) if answer else NO_ANSWER
    written = DOCUMENTS.format(
        documents=query_of("documents", OF_DOCUMENTS, not several),
        lines=query_of("lines", OF_LINES, line),
        **(SEVERAL if several else ONE),
    )
    return written + moved + shown


def insert_documents(store: Store, drafts: Sequence[Draft], *, answer: bool = True) -> dict[str, list]:
    """Inserts the documents with all their lines in one statement; returns what was written of each by reference.

    That is of each line: document, when it was recorded (with line 1), line_no, id, unit_cost, cost_estimated, balance_after,
    average_cost_after, seq, late. Documents whose reference exists already are left out. References must differ. The statement is a transaction of its
    own, or a part of the caller's. An import that has no use for the thousands of lines it wrote goes without an `answer`.
    """
    documents, lines, several = [], [], len(drafts) > 1
    for number, draft in enumerate(drafts):
        reason = draft.document["reason"]
        documents.append(
            draft.document
            | {"document_no": number, "reason": reason and reason.pk, "line_count": len(draft.rows)}
        )
        lines += [row | {"document_no": number} for row in draft.rows]
    values = {
        "store": str(store.pk),
        **values_of("documents", OF_DOCUMENTS, documents),
        **values_of("lines", OF_LINES, lines),
    }
    statement = posting(several=several, line=len(lines) == 1, together=len(lines) >= MANY, answer=answer)
    with connection.prepared() as cursor:
        cursor.execute(statement, values)
        if not answer:
            return {}
        rows = cursor.fetchall()
    if not several:
        return {drafts[0].document["reference"]: rows} if rows else {}
    answers = {}
    for *values, reference in rows:
        answers.setdefault(reference, []).append(values)
    return answers


def by_itself():
    """Around one statement that may fail without harm: within a transaction of the caller's a savepoint, else nothing.

    Outside of one a statement is a transaction already; BEGIN and COMMIT around it would be two more round trips.
    """
    return transaction.atomic() if connection.in_atomic_block else nullcontext()


def as_json(rows: Iterable[dict]) -> str:
    """Rows for json_to_recordset, without what is null: a missing name is read as null in half the time."""
    given = [{name: value for name, value in row.items() if value is not None} for row in rows]
    return json.dumps(given, default=as_text, separators=(",", ":"))


def as_text(value) -> str:
    """What JSON has no form for, as PostgreSQL reads it."""
    return "\\x" + value.hex() if isinstance(value, bytes) else str(value)


def as_posted(store: Store, draft: Draft, answer: list) -> Posted:
    """The document and movements that the database has just written, without asking it again."""
    given, reason = draft.document, draft.document["reason"]
    document_id = answer[0][0]
    recorded_at = next(recorded for _document, recorded, *_rest in answer if recorded)
    added = {line_no: values for _document, _recorded, line_no, *values in answer}
    common = {
        "store_id": store.id,
        "kind": given["kind"],
        "reason_id": reason.id if reason else None,
        "occurred_at": given["occurred_at"],
        "recorded_at": recorded_at,
        "business_date": given["business_date"],
    }
    document = loaded(Document, common | {
        "id": document_id, "line_count": len(answer), "reference": given["reference"], "fingerprint": given["fingerprint"],
        "total": given["total"], "notes": given["notes"], "source": given["source"], "reverses_id": given["reverses"],
        "returns_id": given["returns"], "user_id": given["user"], "api_key_id": given["api_key"],
    })  # fmt: skip
    know(document, store=store, reason=reason)
    movements = []
    for row in draft.rows:
        pk, unit_cost, cost_estimated, balance_after, average_cost_after, seq, late = added[row["line_no"]]
        movement = loaded(Movement, common | {
            "id": pk, "document_id": document_id, "line_no": row["line_no"], "product_id": row["product"],
            "quantity": row["quantity"], "entered_quantity": row["entered_quantity"], "entered_pack_id": row["entered_pack"],
            "unit_price": row["unit_price"], "line_total": row["line_total"], "oversell": row["oversell"],
            "reverses_id": row["reverses"], "returns_id": row["returns"], "unit_cost": unit_cost,
            "cost_estimated": cost_estimated, "balance_after": balance_after, "average_cost_after": average_cost_after,
            "seq": seq, "late": late,
        })  # fmt: skip
        know(movement, document=document, store=store, reason=reason)
        movements.append(movement)
    return Posted(document, movements)


def know(row: Document | Movement, **related) -> None:
    """Puts what `row` points to beside it, so that nobody asks for it."""
    row._state.fields_cache |= related


def open_levels(store: Store, products: Iterable[Product]) -> None:
    """Sees to it that `store` has a level, empty so far, of each of `products`; existing ones are left alone.

    Posting makes missing levels by itself, one by one; an import that is about to fill thousands makes them at once.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO inventory_stocklevel (store_id, product_id) SELECT %s, unnest(%s::bigint[]) ON CONFLICT DO NOTHING",
            [store.pk, sorted({product.pk for product in products})],
        )


def find(store: Store, reference: str) -> Document | None:
    """The document of this store with this reference."""
    return Document.objects.filter(store=store, reference=reference).first()


def replay(store: Store, draft: Draft) -> Posted:
    """The first answer again for a reference that was posted before; refuses other content (R3)."""
    return same_or_refused(find(store, draft.document["reference"]), draft)


def same_or_refused(document: Document, draft: Draft) -> Posted:
    if bytes(document.fingerprint) != draft.document["fingerprint"]:
        raise ReferenceReused(
            _("The reference %(reference)s was used before with other content.")
            % {"reference": document.reference},
            code="idempotency_key_reused",
        )
    return posted_before(document)


def posted_before(document: Document) -> Posted:
    """The answer that `document` had when it was new."""
    movements = list(
        Movement.objects.filter(store_id=document.store_id, document=document).order_by("line_no")
    )
    return Posted(document, movements, replayed=True)


def constraint_of(error: DatabaseError) -> str | None:
    """The name of the rule that the database refused by."""
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)


def explain(error: DatabaseError, store: Store, drafts: Sequence[Draft], lines: Iterable) -> Exception:
    """The refusal, in words, behind an error of the database; the error itself where it is none of ours."""
    name = constraint_of(error)
    if getattr(error.__cause__, "sqlstate", None) == "22003":  # numeric value out of range
        return InvalidDocument(
            _("The stock would grow beyond what can be written."), code="out_of_range", field="lines"
        )
    if name == "movement_within_stock":
        return short_of_stock(store, drafts[0], lines)
    if name in ("document_reversed_once", "movement_reversed_once"):
        return AlreadyReversed(_("This document was voided before."), code="already_reversed")
    if name == "movement_returned_already":
        return AlreadyReversed(
            _("Part of this sale was returned: void the return first."), code="already_reversed"
        )
    if name == "movement_returned_at_most_sold":
        return InvalidDocument(
            _("More would come back than was sold and not yet returned."),
            code="returned_more_than_sold",
            field="lines",
        )
    return error


def short_of_stock(store: Store, draft: Draft, lines: Iterable) -> InsufficientStock:
    """Names every line that lacks stock, by what is on hand now: read after the refusal, so for the message only."""
    wanted = [row["quantity"] for row in draft.rows]
    products = [line.product for line in lines]
    levels = StockLevel.objects.filter(store=store, product__in=products)
    left = dict(levels.values_list("product", "on_hand"))
    short = []
    for index, (product, quantity) in enumerate(zip(products, wanted, strict=True)):
        before = left.get(product.pk, Decimal(0))
        left[product.pk] = before + quantity
        if quantity < 0 and left[product.pk] < 0:
            short.append((index, product, before, -quantity))
    words = [
        _("%(product)s: %(on_hand)s on hand, %(wanted)s asked for")
        % {"product": product.label, "on_hand": plain_quantity(on_hand), "wanted": plain_quantity(wanted)}
        for _index, product, on_hand, wanted in short
    ]
    return InsufficientStock(_("Not enough stock.") + (" " + "; ".join(words) + "." if words else ""), short)


def plain_quantity(quantity: Decimal) -> str:
    """A quantity without trailing zeros."""
    return f"{quantity.normalize():f}"
