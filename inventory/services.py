"""The one door to the ledger, for pages, admin, partners, imports and jobs alike (R1).

A caller describes what happened (`Line`s, a kind, who, when); a function here checks it, and one statement inserts the
document with all its movements, in which the database moves the levels (sql/posting.sql). All or nothing.
"""

import hashlib
import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from catalog.models import Pack, Product
from inventory.models import COSTED, PRICED, SIGN, Document, Kind, Movement, Reason, StockLevel
from stores.access import Role
from stores.models import ApiKey, Store, User

MAX_LINES = 500
MAX_QUANTITY = Decimal("999999999.999")
MAX_PRICE = Decimal("9999999999.99")
PAISA = Decimal("0.01")
GRAM = Decimal("0.001")
COST_STEP = Decimal("0.0001")
# Clocks differ a little: a time this far ahead is still now, and one this close behind was not late.
CLOCK_SLACK = timedelta(minutes=5)
JUST_NOW = timedelta(seconds=60)
# The oldest day a late entry may belong to, by who enters it (R9).
BACKDATE = {Role.CASHIER: timedelta(days=3), Role.MANAGER: timedelta(days=30), Role.OWNER: timedelta(days=30)}
BACKDATE_KEY = timedelta(days=7)
BACKDATE_HEAD_OFFICE = timedelta(days=30)
OLDEST_IMPORT = datetime(2000, 1, 1, tzinfo=UTC)


class Refused(ValidationError):
    """Something a caller asked for that was not done; nothing was recorded. `code` is stable, the message a sentence."""


class InvalidDocument(Refused):
    """What was sent is wrong in itself. `lines` holds (line index, field, message, code) for each wrong line."""

    def __init__(self, message, code="validation_error", field=None, lines=()):
        super().__init__(message, code=code)
        self.field, self.lines = field, list(lines)


class InsufficientStock(Refused):
    """Not enough on hand. `short` holds (line index, product, on hand, wanted) for every line that lacks stock."""

    def __init__(self, message, short):
        super().__init__(message, code="insufficient_stock")
        self.short = short


class ReferenceReused(Refused):
    """The reference already belongs to a document of this store with other content."""


class AlreadyReversed(Refused):
    """The document was voided before, is itself a void, or was returned in part."""


class StoreNotOpen(Refused):
    """The store's status does not let this act through (R14)."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who posts: a user on a page or in the admin, a partner's key, or the system itself (import, demo)."""

    source: str
    user: User | None = None
    api_key: ApiKey | None = None
    backdate: timedelta | None = None

    @classmethod
    def on_page(cls, user: User, role: str) -> "Actor":
        """Store staff: how late they may enter follows from their role in this store."""
        return cls(Document.Source.PAGE, user=user, backdate=BACKDATE[role])

    @classmethod
    def in_admin(cls, user: User) -> "Actor":
        return cls(Document.Source.ADMIN, user=user, backdate=BACKDATE_HEAD_OFFICE)

    @classmethod
    def by_key(cls, api_key: ApiKey) -> "Actor":
        return cls(Document.Source.API, api_key=api_key, backdate=BACKDATE_KEY)

    @classmethod
    def importing(cls, user: User | None = None) -> "Actor":
        """History that is brought in once: any time since 2000."""
        return cls(Document.Source.IMPORT, user=user)

    @classmethod
    def playing(cls) -> "Actor":
        """The demo chain's staff."""
        return cls(Document.Source.DEMO)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line as the caller says it. Quantities are positive, except that an adjustment carries its own sign.

    Exactly one of `quantity` (base units), `pack_quantity` with `pack`, or `amount` (rupees of loose goods, sales only).
    `unit_price` and `line_total` are for sales and returns; `unit_cost` for goods that come in. What is not given comes
    from the catalogue: the price at the instant, the cost from the product.
    """

    product: Product
    quantity: Decimal | None = None
    pack: Pack | None = None
    pack_quantity: Decimal | None = None
    amount: Decimal | None = None
    unit_price: Decimal | None = None
    line_total: Decimal | None = None
    unit_cost: Decimal | None = None
    returns: Movement | None = None


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


@dataclass(slots=True)
class Draft:
    """A checked document on its way to the database: columns of the document, and a row of columns for each line."""

    document: dict
    rows: list[dict] = field(default_factory=list)


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
    draft = draft_document(
        store=store, kind=kind, lines=lines, actor=actor, reference=reference, occurred_at=occurred_at, reason=reason,
        notes=notes, returns=returns, confirm_oversell=confirm_oversell, now=now,
    )  # fmt: skip
    try:
        with transaction.atomic():
            written = insert_documents(store, [draft])
    except IntegrityError as error:
        raise explain(error, store, [draft], lines) from error
    if written:
        return as_posted(store, draft, written[draft.document["reference"]])
    return replay(store, draft)


def reverse_document(
    *, document: Document, actor: Actor, reference: str | None = None, reason: Reason | None = None, notes: str = "",
    now: datetime | None = None,
) -> Posted:
    """Voids a whole document: each of its movements is mirrored once, at the same price and cost (R8).

    `now` is for trade that is played in the past; whoever voids really, voids now.

    Refuses a document that was voided before, that is itself a void, a sale that was returned in part, and goods that
    are no longer there to be taken back.
    """
    store = document.store
    if store.status in (Store.Status.SUSPENDED, Store.Status.CLOSED):
        raise StoreNotOpen(_("This store is read only."), code="store_not_open")
    if document.reverses_id:
        raise AlreadyReversed(_("%(number)s is a void itself: it cannot be voided.") % {"number": document.number}, code="already_reversed")
    now = now or timezone.now()
    said = {"reverses": document.pk, "reason": reason.pk if reason else None, "notes": notes}
    draft = Draft(
        {
            "kind": document.kind,
            "reference": checked_reference(reference),
            "fingerprint": fingerprint(said),
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
            "returns": None,
        }
        for original in originals
    ]
    try:
        with transaction.atomic():
            written = insert_documents(store, [draft])
    except IntegrityError as error:
        # The same void sent twice meets the first one here; anything else is a second void.
        if constraint_of(error) == "document_reversed_once" and (first := find(store, draft.document["reference"])):
            return same_or_refused(first, draft)
        raise explain(error, store, [draft], originals) from error
    if written:
        return as_posted(store, draft, written[draft.document["reference"]])
    return replay(store, draft)


def draft_document(
    *,
    store: Store,
    kind: str,
    lines: Sequence[Line],
    actor: Actor,
    now: datetime,
    reference: str | None = None,
    occurred_at: datetime | None = None,
    reason: Reason | None = None,
    notes: str = "",
    returns: Document | None = None,
    confirm_oversell: bool = False,
) -> Draft:
    """Checks one document and works out its columns; asks the database only for prices that lines lack.

    Every wrong line is named in the refusal, not only the first.
    """
    if kind not in Kind.values:
        raise InvalidDocument(_("Unknown kind of movement."), code="invalid_choice", field="kind")
    if not lines:
        raise InvalidDocument(_("A document needs at least one line."), code="empty", field="lines")
    if len(lines) > MAX_LINES:
        raise InvalidDocument(
            _("A document has at most %(max)d lines.") % {"max": MAX_LINES}, code="too_many_lines", field="lines"
        )
    check_store(store, kind, actor)
    happened = checked_time(occurred_at, actor, now)
    if returns is not None and (kind != Kind.SALE_RETURN or returns.kind != Kind.SALE or returns.store_id != store.pk or returns.reverses_id):
        raise InvalidDocument(_("Only a sale of this store can be returned."), code="not_a_sale", field="returns")

    if kind in PRICED:
        lines = with_prices(lines, store, happened)
    wrong, rows = [], []
    for index, line in enumerate(lines):
        try:
            rows.append(draft_line(line, kind, index + 1))
        except InvalidDocument as refusal:
            wrong.append((index, refusal.field, refusal.message, refusal.code))
    if wrong:
        raise InvalidDocument(wrong[0][2], code=wrong[0][3], field=f"lines/{wrong[0][0]}/{wrong[0][1]}", lines=wrong)
    if returns is not None:
        allot_returns(rows, returns)

    oversell = ""
    if kind == Kind.SALE:
        if actor.source == Document.Source.IMPORT or happened < now - JUST_NOW:
            oversell = Movement.Oversell.LATE
        elif confirm_oversell:
            oversell = Movement.Oversell.CONFIRMED
    for row in rows:
        row["oversell"] = oversell
    said = {
        "kind": kind,
        "occurred_at": occurred_at.astimezone(UTC).isoformat() if occurred_at else None,
        "reason": reason.pk if reason else None,
        "notes": notes,
        "returns": returns.pk if returns else None,
        "lines": [said_line(line) for line in lines],
    }
    return Draft(
        {
            "kind": kind,
            "reference": checked_reference(reference),
            "fingerprint": fingerprint(said),
            "occurred_at": happened,
            "business_date": store.business_date(happened),
            "total": sum(row["line_total"] for row in rows) if kind in PRICED else None,
            "reason": reason,
            "notes": notes,
            "reverses": None,
            "returns": returns.pk if returns else None,
            **entered_by(actor),
        },
        rows,
    )


def check_store(store: Store, kind: str, actor: Actor) -> None:
    """Refuses what the store's status forbids (R14); history may be brought into any store that is not closed."""
    if store.status in (Store.Status.SUSPENDED, Store.Status.CLOSED):
        raise StoreNotOpen(_("This store is read only."), code="store_not_open")
    if store.status == Store.Status.CLOSING and kind in COSTED:
        raise StoreNotOpen(_("This store is closing: no goods may come in."), code="store_not_open")


def checked_time(occurred_at: datetime | None, actor: Actor, now: datetime) -> datetime:
    """When it happened (default now); refuses a naive time, the future and what is too old for this actor (R9)."""
    if occurred_at is None:
        return now
    if timezone.is_naive(occurred_at):
        raise InvalidDocument(_("The time needs an offset, such as +05:00."), code="naive_datetime", field="occurred_at")
    if occurred_at > now + CLOCK_SLACK:
        raise InvalidDocument(_("The time lies in the future."), code="in_future", field="occurred_at")
    oldest = OLDEST_IMPORT if actor.backdate is None else now - actor.backdate
    if occurred_at < oldest:
        raise InvalidDocument(
            _("Too long ago: you may enter what happened since %(oldest)s.") % {"oldest": timezone.localtime(oldest).strftime("%Y-%m-%d %H:%M")},
            code="too_old",
            field="occurred_at",
        )
    return occurred_at


def checked_reference(reference: str | None) -> str:
    """The caller's own number for a document, or a new one."""
    if reference is None:
        return str(uuid.uuid4())
    if not 1 <= len(reference) <= 100 or not reference.isascii() or not reference.isprintable() or " " in reference:
        raise InvalidDocument(
            _("A reference has 1 to 100 letters, digits or signs, without spaces."), code="invalid_reference", field="reference"
        )
    return reference


def with_prices(lines: Sequence[Line], store: Store, at: datetime) -> Sequence[Line]:
    """Sees to it that each product has its `price` in this store at the instant; one query, or none if all have."""
    lacking = {line.product.pk for line in lines if not hasattr(line.product, "price")}
    if lacking:
        prices = dict(Product.objects.filter(pk__in=lacking).priced(store, at).values_list("pk", "price"))
        for line in lines:
            if line.product.pk in prices:
                line.product.price = prices[line.product.pk]
    return lines


def draft_line(line: Line, kind: str, line_no: int) -> dict:
    """The columns of one movement; refuses what does not fit its product or kind. See `Line` for what is given."""
    product, quantity, entered, pack = line.product, line.quantity, None, None
    total = line.line_total
    check_product(product, kind)
    price = None
    if kind in PRICED:
        price = product.price if line.unit_price is None else line.unit_price
        check_money(price, "unit_price")
        if total is not None:
            check_money(total, "line_total")
    if line.pack is not None:
        if line.pack.product_id != product.pk:
            raise InvalidDocument(_("This pack belongs to another product."), code="wrong_pack", field="pack")
        entered, pack = checked_quantity(line.pack_quantity, "quantity"), line.pack.pk
        quantity = entered * line.pack.units_per_pack
    elif line.amount is not None:
        if kind not in PRICED:
            raise InvalidDocument(_("Only sales are entered by amount."), code="not_allowed", field="amount")
        total = check_money(line.amount, "amount")
        if price == 0 or total == 0:
            raise InvalidDocument(_("An amount needs a price above zero."), code="must_be_positive", field="amount")
        quantity = (total / price).quantize(GRAM, ROUND_HALF_UP)
    if kind == Kind.ADJUSTMENT:
        if quantity is not None and not quantity.is_nan() and quantity == 0:
            raise InvalidDocument(_("An adjustment of zero changes nothing."), code="must_not_be_zero", field="quantity")
        size = checked_quantity(quantity and quantity.copy_abs(), "quantity")
        signed = size.copy_sign(quantity)
    else:
        signed = SIGN[kind] * checked_quantity(quantity, "quantity")
    if signed % product.quantity_step:
        raise InvalidDocument(
            _("%(product)s is sold in steps of %(step)s %(unit)s.")
            % {"product": product.label, "step": f"{product.quantity_step.normalize():f}", "unit": product.get_unit_display()},
            code="quantity_step",
            field="quantity",
        )
    cost = None
    if kind in COSTED and line.unit_cost is not None:
        cost = check_money(line.unit_cost, "unit_cost", COST_STEP)
    if kind in PRICED and total is None:
        total = (abs(signed) * price).quantize(PAISA, ROUND_HALF_UP)
    return {
        "line_no": line_no,
        "product": product.pk,
        "quantity": signed,
        "entered_quantity": entered,
        "entered_pack": pack,
        "unit_price": price,
        "line_total": total,
        "unit_cost": cost,
        "oversell": "",
        "reverses": None,
        "returns": line.returns.pk if line.returns else None,
    }


def check_product(product: Product, kind: str) -> None:
    """Refuses products that are not for sale yet, or no more (R13)."""
    if product.status in (Product.Status.DRAFT, Product.Status.ARCHIVED, Product.Status.MERGED):
        raise InvalidDocument(
            _("%(product)s is not in use.") % {"product": product.label}, code="product_not_active", field="sku"
        )
    if product.status == Product.Status.DISCONTINUED and kind in COSTED:
        raise InvalidDocument(
            _("%(product)s is discontinued: it may be sold, but no more come in.") % {"product": product.label},
            code="product_discontinued",
            field="sku",
        )


def checked_quantity(quantity: Decimal | None, name: str) -> Decimal:
    """`quantity` if it is above zero, in range and has at most 3 decimals; never rounds."""
    if quantity is None:
        raise InvalidDocument(_("Give a quantity."), code="required", field=name)
    if not quantity.is_finite():
        raise InvalidDocument(_("A quantity must be a number."), code="not_a_number", field=name)
    if quantity <= 0:
        raise InvalidDocument(_("A quantity must be above zero."), code="must_be_positive", field=name)
    if quantity > MAX_QUANTITY:
        raise InvalidDocument(_("The quantity is too large."), code="out_of_range", field=name)
    if quantity != quantity.quantize(GRAM):
        raise InvalidDocument(_("A quantity has at most 3 decimals."), code="too_many_decimals", field=name)
    return quantity.quantize(GRAM)


def check_money(value: Decimal, name: str, step: Decimal = PAISA) -> Decimal:
    """`value` in rupees if it is not negative, in range and a multiple of `step`; never rounds."""
    if not value.is_finite():
        raise InvalidDocument(_("An amount of money must be a number."), code="not_a_number", field=name)
    if value < 0 or value > MAX_PRICE:
        raise InvalidDocument(_("This amount of money is out of range."), code="out_of_range", field=name)
    if value != value.quantize(step):
        raise InvalidDocument(_("This amount of money has too many decimals."), code="too_many_decimals", field=name)
    return value.quantize(step)


def allot_returns(rows: list[dict], sale: Document) -> None:
    """Links return lines to the lines of the sale they come from, in order; prices are those that were paid.

    A return of more than one sold line holds is refused by the database, under the lock of its level; here only a
    product that the sale does not have.
    """
    sold = {}
    for movement in Movement.objects.filter(store_id=sale.store_id, document=sale).order_by("line_no"):
        sold.setdefault(movement.product_id, []).append(movement)
    back = {}
    lines = Movement.objects.filter(store_id=sale.store_id, returns__in=[m.pk for ms in sold.values() for m in ms])
    for returned, quantity in lines.values_list("returns", "quantity"):
        back[returned] = back.get(returned, 0) + quantity
    for index, row in enumerate(rows):
        candidates = sold.get(row["product"])
        if not candidates:
            raise InvalidDocument(
                _("This sale does not have that product."), code="not_in_sale", field=f"lines/{index}/sku",
                lines=[(index, "sku", _("This sale does not have that product."), "not_in_sale")],
            )  # fmt: skip
        fits = (m for m in candidates if back.get(m.pk, 0) + row["quantity"] <= -m.quantity)
        origin = next(fits, candidates[0])
        back[origin.pk] = back.get(origin.pk, 0) + row["quantity"]
        row["returns"] = origin.pk
        row["unit_price"] = origin.unit_price
        share = origin.line_total * row["quantity"] / -origin.quantity
        row["line_total"] = share.quantize(PAISA, ROUND_HALF_UP)


def said_line(line: Line) -> list:
    """What the caller said of a line, in a form where 1.5 and 1.500 are the same."""

    def plain(number):
        return None if number is None else f"{number.normalize():f}"

    given = (line.quantity, line.pack_quantity, line.amount, line.unit_price, line.line_total, line.unit_cost)
    return [line.product.pk, line.pack.pk if line.pack else None, *map(plain, given)]


def fingerprint(said: dict) -> bytes:
    """SHA-256 of what the caller said, to tell a repetition from another document under the same reference."""
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).digest()


def entered_by(actor: Actor) -> dict:
    """The columns that say who entered a document."""
    return {
        "source": actor.source,
        "user": actor.user.pk if actor.user else None,
        "api_key": actor.api_key.pk if actor.api_key else None,
    }


# One statement for any number of documents of one store and any number of lines. Lines are inserted in the order of
# (product, document, line), which is the order in which the levels are locked: two baskets can never wait for each other
# (R2). A reference that exists already inserts nothing at all.
POST = """
WITH d AS (
    INSERT INTO inventory_document
        (store_id, kind, reference, fingerprint, occurred_at, business_date, total, line_count, reason_id, notes,
         reverses_id, returns_id, source, user_id, api_key_id)
    SELECT %(store)s, kind, reference, fingerprint, occurred_at, business_date, total, line_count, reason_id, notes,
           reverses_id, returns_id, source, user_id, api_key_id
    FROM unnest(%(kind)s::text[], %(reference)s::text[], %(fingerprint)s::bytea[], %(occurred_at)s::timestamptz[],
                %(business_date)s::date[], %(total)s::numeric[], %(line_count)s::int[], %(reason)s::bigint[],
                %(notes)s::text[], %(reverses)s::bigint[], %(returns)s::bigint[], %(source)s::text[], %(user)s::bigint[],
                %(api_key)s::bigint[])
      AS given (kind, reference, fingerprint, occurred_at, business_date, total, line_count, reason_id, notes,
                reverses_id, returns_id, source, user_id, api_key_id)
    ORDER BY reference
    ON CONFLICT (store_id, reference) DO NOTHING
    RETURNING id, store_id, kind, reference, reason_id, occurred_at, recorded_at, business_date
), m AS (
INSERT INTO inventory_movement
    (document_id, store_id, kind, reason_id, occurred_at, recorded_at, business_date, line_no, product_id, quantity,
     entered_quantity, entered_pack_id, unit_price, line_total, unit_cost, oversell, reverses_id, returns_id)
SELECT d.id, d.store_id, d.kind, d.reason_id, d.occurred_at, d.recorded_at, d.business_date, l.line_no, l.product_id,
       l.quantity, l.entered_quantity, l.entered_pack_id, l.unit_price, l.line_total, l.unit_cost, l.oversell,
       l.reverses_id, l.returns_id
FROM d JOIN unnest(%(line_document)s::text[], %(document_no)s::int[], %(line_no)s::int[], %(line_product)s::bigint[],
                   %(line_quantity)s::numeric[], %(line_entered_quantity)s::numeric[], %(line_entered_pack)s::bigint[],
                   %(line_unit_price)s::numeric[], %(line_line_total)s::numeric[], %(line_unit_cost)s::numeric[],
                   %(line_oversell)s::text[], %(line_reverses)s::bigint[], %(line_returns)s::bigint[])
  AS l (reference, document_no, line_no, product_id, quantity, entered_quantity, entered_pack_id, unit_price,
        line_total, unit_cost, oversell, reverses_id, returns_id)
  ON l.reference = d.reference
ORDER BY l.product_id, l.document_no, l.line_no
RETURNING *
)
SELECT d.reference, d.id, m.recorded_at, m.id, m.line_no, m.product_id, m.quantity, m.entered_quantity, m.entered_pack_id,
       m.unit_price, m.line_total, m.unit_cost, m.cost_estimated, m.oversell, m.balance_after, m.average_cost_after, m.seq,
       m.reverses_id, m.returns_id, m.late
FROM m JOIN d ON d.id = m.document_id
ORDER BY d.id, m.line_no
"""
RETURNED = (
    "id", "line_no", "product_id", "quantity", "entered_quantity", "entered_pack_id", "unit_price", "line_total", "unit_cost",
    "cost_estimated", "oversell", "balance_after", "average_cost_after", "seq", "reverses_id", "returns_id", "late",
)  # fmt: skip
ROW = ("product", "quantity", "entered_quantity", "entered_pack", "unit_price", "line_total", "unit_cost", "oversell", "reverses", "returns")
COLUMNS = ("kind", "reference", "fingerprint", "occurred_at", "business_date", "total", "notes", "reverses", "returns", "source", "user", "api_key")


def insert_documents(store: Store, drafts: Sequence[Draft]) -> dict[str, list]:
    """Inserts the documents with all their lines in one statement; returns what was written (see POST) by reference.

    Those whose reference exists already are left out. References must differ. Call it inside a transaction.
    """
    documents = [draft.document for draft in drafts]
    rows = [(draft.document["reference"], number, row) for number, draft in enumerate(drafts) for row in draft.rows]
    given = {column: [document[column] for document in documents] for column in COLUMNS}
    given |= {f"line_{column}": [row[column] for _reference, _number, row in rows] for column in ROW}
    given |= {
        "store": store.pk,
        "reason": [document["reason"].pk if document["reason"] else None for document in documents],
        "line_count": [len(draft.rows) for draft in drafts],
        "line_document": [reference for reference, _number, _row in rows],
        "document_no": [number for _reference, number, _row in rows],
        "line_no": [row["line_no"] for _reference, _number, row in rows],
    }
    with connection.cursor() as cursor:
        cursor.execute(POST, given)
        answers = {}
        for reference, *values in cursor.fetchall():
            answers.setdefault(reference, []).append(values)
    return answers


def as_posted(store: Store, draft: Draft, answer: list) -> Posted:
    """The document and movements that the database has just written, without asking it again."""
    given = draft.document
    [document_id, recorded_at], common = answer[0][:2], {"store": store, "kind": given["kind"], "reason": given["reason"]}
    common |= {"occurred_at": given["occurred_at"], "recorded_at": recorded_at, "business_date": given["business_date"]}
    document = Document(
        pk=document_id, line_count=len(answer), reference=given["reference"], fingerprint=given["fingerprint"],
        total=given["total"], notes=given["notes"], source=given["source"], reverses_id=given["reverses"],
        returns_id=given["returns"], user_id=given["user"], api_key_id=given["api_key"], **common,
    )  # fmt: skip
    movements = [Movement(document=document, **common, **dict(zip(RETURNED, line[2:], strict=True))) for line in answer]
    for row in (document, *movements):
        row._state.adding = False
    return Posted(document, movements)


def find(store: Store, reference: str) -> Document | None:
    """The document of this store with this reference."""
    return Document.objects.filter(store=store, reference=reference).first()


def replay(store: Store, draft: Draft) -> Posted:
    """The first answer again for a reference that was posted before; refuses other content (R3)."""
    return same_or_refused(find(store, draft.document["reference"]), draft)


def same_or_refused(document: Document, draft: Draft) -> Posted:
    if bytes(document.fingerprint) != draft.document["fingerprint"]:
        raise ReferenceReused(
            _("The reference %(reference)s was used before with other content.") % {"reference": document.reference},
            code="idempotency_key_reused",
        )
    movements = list(Movement.objects.filter(store_id=document.store_id, document=document).order_by("line_no"))
    return Posted(document, movements, replayed=True)


def constraint_of(error: IntegrityError) -> str | None:
    """The name of the rule that the database refused by."""
    return getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)


def explain(error: IntegrityError, store: Store, drafts: Sequence[Draft], lines: Iterable) -> Exception:
    """The refusal, in words, behind an error of the database; the error itself where it is none of ours."""
    name = constraint_of(error)
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
            _("More would come back than was sold and not yet returned."), code="returned_more_than_sold", field="lines"
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
