"""From what a caller says to the columns of a document: who may, when, how much, at what price.

Asks the database only for what is missing (prices, the lines of a sale that is returned); writes nothing.
"""

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from django.utils import timezone
from django.utils.translation import gettext as _

from catalog.models import Pack, Product
from inventory.models import COSTED, PRICED, SIGN, Document, Kind, Movement, Reason
from inventory.services.refusals import InvalidDocument, StoreNotOpen
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
# Looked up once: a member of an enumeration is found anew each time it is named, and every line names these.
ACTIVE, ADJUSTMENT = Product.Status.ACTIVE.value, Kind.ADJUSTMENT.value


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
    from the catalogue: the price at the instant, the cost from the product. `returns` picks one line of the sale that the
    document returns.
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


@dataclass(slots=True)
class Draft:
    """A checked document on its way to the database: columns of the document, and a row of columns for each line."""

    document: dict
    rows: list[dict] = field(default_factory=list)


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
    if kind not in SIGN:
        raise InvalidDocument(_("Unknown kind of movement."), code="invalid_choice", field="kind")
    if not lines:
        raise InvalidDocument(_("A document needs at least one line."), code="empty", field="lines")
    if len(lines) > MAX_LINES:
        raise InvalidDocument(
            _("A document has at most %(max)d lines.") % {"max": MAX_LINES},
            code="too_many_lines",
            field="lines",
        )
    check_store(store, kind, actor)
    happened = checked_time(occurred_at, actor, now)
    is_sale = returns is not None and returns.kind == Kind.SALE and not returns.reverses_id
    if returns is not None and not (kind == Kind.SALE_RETURN and is_sale and returns.store_id == store.pk):
        raise InvalidDocument(
            _("Only a sale of this store can be returned."), code="not_a_sale", field="returns"
        )

    if kind in PRICED:
        lines = with_prices(lines, store, happened)
    if returns is None and any(line.returns for line in lines):
        raise InvalidDocument(_("Name the sale that is returned."), code="required", field="returns")
    wrong, rows = [], []
    for index, line in enumerate(lines):
        try:
            rows.append(draft_line(line, kind, index + 1))
        except InvalidDocument as refusal:
            wrong.append((index, refusal.field, refusal.message, refusal.code))
    if wrong:
        raise InvalidDocument(
            wrong[0][2], code=wrong[0][3], field=f"lines/{wrong[0][0]}/{wrong[0][1]}", lines=wrong
        )
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
    return Draft(
        {
            "kind": kind,
            "reference": checked_reference(reference),
            "fingerprint": content_of(kind, lines, occurred_at, reason, notes, returns),
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
        raise InvalidDocument(
            _("The time needs an offset, such as +05:00."), code="naive_datetime", field="occurred_at"
        )
    if occurred_at > now + CLOCK_SLACK:
        raise InvalidDocument(_("The time lies in the future."), code="in_future", field="occurred_at")
    oldest = OLDEST_IMPORT if actor.backdate is None else now - actor.backdate
    if occurred_at < oldest:
        raise InvalidDocument(
            _("Too long ago: you may enter what happened since %(oldest)s.")
            % {"oldest": timezone.localtime(oldest).strftime("%Y-%m-%d %H:%M")},
            code="too_old",
            field="occurred_at",
        )
    return occurred_at


def checked_reference(reference: str | None) -> str:
    """The caller's own number for a document, or a new one."""
    if reference is None:
        return str(uuid.uuid4())
    if (
        not 1 <= len(reference) <= 100
        or not reference.isascii()
        or not reference.isprintable()
        or " " in reference
    ):
        raise InvalidDocument(
            _("A reference has 1 to 100 letters, digits or signs, without spaces."),
            code="invalid_reference",
            field="reference",
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
            raise InvalidDocument(
                _("An amount needs a price above zero."), code="must_be_positive", field="amount"
            )
        quantity = (total / price).quantize(GRAM, ROUND_HALF_UP)
    if kind == ADJUSTMENT:
        if quantity is not None and not quantity.is_nan() and quantity == 0:
            raise InvalidDocument(
                _("An adjustment of zero changes nothing."), code="must_not_be_zero", field="quantity"
            )
        size = checked_quantity(quantity and quantity.copy_abs(), "quantity")
        signed = size.copy_sign(quantity)
    else:
        signed = SIGN[kind] * checked_quantity(quantity, "quantity")
    if signed % product.quantity_step:
        raise InvalidDocument(
            _("%(product)s is sold in steps of %(step)s %(unit)s.")
            % {
                "product": product.label,
                "step": f"{product.quantity_step.normalize():f}",
                "unit": product.get_unit_display(),
            },
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
        "product": product.id,
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
    if product.status == ACTIVE:
        return
    if product.status in (Product.Status.DRAFT, Product.Status.ARCHIVED, Product.Status.MERGED):
        raise InvalidDocument(
            _("%(product)s is not in use.") % {"product": product.label},
            code="product_not_active",
            field="sku",
        )
    if product.status == Product.Status.DISCONTINUED and kind in COSTED:
        raise InvalidDocument(
            _("%(product)s is discontinued: it may be sold, but no more come in.")
            % {"product": product.label},
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
    exact = quantity.quantize(GRAM)
    if quantity != exact:
        raise InvalidDocument(_("A quantity has at most 3 decimals."), code="too_many_decimals", field=name)
    return exact


def check_money(value: Decimal, name: str, step: Decimal = PAISA) -> Decimal:
    """`value` in rupees if it is not negative, in range and a multiple of `step`; never rounds."""
    if not value.is_finite():
        raise InvalidDocument(_("An amount of money must be a number."), code="not_a_number", field=name)
    if value < 0 or value > MAX_PRICE:
        raise InvalidDocument(_("This amount of money is out of range."), code="out_of_range", field=name)
    exact = value.quantize(step)
    if value != exact:
        raise InvalidDocument(
            _("This amount of money has too many decimals."), code="too_many_decimals", field=name
        )
    return exact


def allot_returns(rows: list[dict], sale: Document) -> None:
    """Links return lines to the lines of the sale they come from, in order; prices are those that were paid.

    What is left of a sold line takes back what is left of its total, so that parts add up to the paisa. A return of
    more than a line holds is refused by the database, under the lock of its level; here only what the sale never had.
    """
    sold, back, refunded = {}, {}, {}
    for movement in Movement.objects.filter(store_id=sale.store_id, document=sale).order_by("line_no"):
        sold.setdefault(movement.product_id, []).append(movement)
        back[movement.pk], refunded[movement.pk] = Decimal(0), Decimal(0)
    lines = Movement.objects.filter(store_id=sale.store_id, returns__in=list(back))
    for origin, quantity, total in lines.values_list("returns", "quantity", "line_total"):
        back[origin] += quantity
        refunded[origin] += total if quantity > 0 else -total
    for index, row in enumerate(rows):
        candidates = [m for m in sold.get(row["product"], ()) if row["returns"] in (None, m.pk)]
        if not candidates:
            message = _("This sale does not have that product.")
            raise InvalidDocument(
                message,
                code="not_in_sale",
                field=f"lines/{index}/sku",
                lines=[(index, "sku", message, "not_in_sale")],
            )
        fits = (m for m in candidates if back[m.pk] + row["quantity"] <= -m.quantity)
        origin = next(fits, candidates[0])
        back[origin.pk] += row["quantity"]
        if back[origin.pk] == -origin.quantity:
            total = origin.line_total - refunded[origin.pk]
        else:
            total = (origin.line_total * row["quantity"] / -origin.quantity).quantize(PAISA, ROUND_HALF_UP)
        refunded[origin.pk] += total
        row |= {"returns": origin.pk, "unit_price": origin.unit_price, "line_total": total}


def said_line(line: Line) -> list:
    """What the caller said of a line, in a form where 1.5 and 1.500 are the same."""
    given = (line.quantity, line.pack_quantity, line.amount, line.unit_price, line.line_total, line.unit_cost)
    return [
        line.product.id,
        line.pack.id if line.pack else None,
        line.returns.id if line.returns else None,
        *[None if number is None else f"{number.normalize():f}" for number in given],
    ]


def content_of(
    kind: str,
    lines: Sequence[Line],
    occurred_at: datetime | None,
    reason: Reason | None,
    notes: str,
    returns: Document | None,
) -> bytes:
    """The fingerprint of a document as its caller said it: nothing in it depends on the day it is sent."""
    said = {
        "kind": kind,
        "occurred_at": occurred_at.astimezone(UTC).isoformat() if occurred_at else None,
        "reason": reason.pk if reason else None,
        "notes": notes,
        "returns": returns.pk if returns else None,
        "lines": [said_line(line) for line in lines],
    }
    return fingerprint(said)


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
