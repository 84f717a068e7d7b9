"""What only the lines of the ledger can tell: kinds of movement, and the newest lines."""

from collections.abc import Iterable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

from django.db import connections
from django.db.models import Count, DecimalField, F, Q, QuerySet, Sum
from django.db.models.functions import Round

from catalog.models import Category, Product
from inventory.models import Kind, Movement
from inventory.services import know
from reports.queries.answers import GRAM, PAISA, Report, check_period, percent, totals_of, tree_of
from reports.queries.days import Figures, figures
from stores.models import Store
from stores.queries import loaded

COST = DecimalField(max_digits=28, decimal_places=4)
UNDONE = Q(reverses__isnull=False)
# Lines by which goods came in or went out; a void counts against what it undoes, not for the other side.
CAME = Q(quantity__gt=0, reverses=None) | Q(quantity__lt=0, reverses__isnull=False)
WENT = Q(quantity__lt=0, reverses=None) | Q(quantity__gt=0, reverses__isnull=False)
AT_COST = Round(F("quantity") * F("unit_cost"), 4, output_field=COST)


def lines_of(
    stores: QuerySet[Store], start: date, end: date, kinds: Iterable[str], category: Category | None
) -> QuerySet[Movement]:
    """The lines of a period that are of `kinds`, found by their documents, whose index knows kinds by the day.

    For kinds that are few beside the sales: what they cost grows with their own number in the period, nothing else.
    """
    lines = Movement.objects.filter(
        store=F("document__store"),
        document__store__in=stores.values("pk"),
        document__business_date__range=(start, end),
        document__kind__in=list(kinds),
    )
    return lines.filter(product__category__in=tree_of(category)) if category else lines


def movement_summary(
    stores: QuerySet[Store], start: date, end: date, category: Category | None = None
) -> Report:
    """What moved stock from `start` to `end`, by kind, net of voids; a void counts on the day on which it happened.

    Rows, one for each kind: kind, documents, lines, units_in, units_out (both positive), value_at_cost (rupees, what
    came in less what went out, each line at the cost that the ledger gave it). Sales, nine lines of ten, come from
    DailyStock, which has sales and their returns in one figure; the returns and all other kinds come from the ledger.
    Units in less units out are by how much stock changed. Two queries. Refuses what
    `check_period` refuses.
    """
    check_period(start, end)
    net = Count("document", distinct=True, filter=~UNDONE) - Count("document", distinct=True, filter=UNDONE)
    others = lines_of(stores, start, end, set(Kind.values) - {Kind.SALE}, category).values("kind").annotate(
        d=net, n=Count("id", filter=~UNDONE) - Count("id", filter=UNDONE),
        came=Sum("quantity", filter=CAME, default=Decimal(0)), went=Sum("quantity", filter=WENT, default=Decimal(0)),
        worth=Sum(AT_COST),
    )  # fmt: skip
    kinds = {kind: (0, 0, Decimal(0), Decimal(0), Decimal(0)) for kind in Kind.values}
    kinds |= {row["kind"]: (row["d"], row["n"], row["came"], -row["went"], row["worth"]) for row in others}
    documents, lines, sold, _revenue, cost = figures(stores, start, end, category).get(None, Figures())
    _documents, _lines, back, _none, worth = kinds[Kind.SALE_RETURN]
    kinds[Kind.SALE] = (documents, lines, Decimal(0), sold + back, -cost - worth)
    rows = [
        {
            "kind": kind,
            "documents": documents,
            "lines": lines,
            "units_in": came.quantize(GRAM),
            "units_out": went.quantize(GRAM),
            "value_at_cost": worth.quantize(PAISA, ROUND_HALF_UP),
        }
        for kind, (documents, lines, came, went, worth) in kinds.items()
    ]
    return Report(
        rows, totals_of(rows, documents=0, lines=0, units_in=GRAM, units_out=GRAM, value_at_cost=PAISA)
    )


def shrinkage(
    stores: QuerySet[Store],
    start: date,
    end: date,
    category: Category | None = None,
    by: str = "store",
    limit: int | None = None,
) -> Report:
    """What left the shelves from `start` to `end` without being sold, at cost and beside the sales, net of voids.

    Rows by "store" (all of them, by code) or by "product" (those that lost or gained anything, the greatest loss first, at
    most `limit`): store, or sku, name, name_ur and unit (None where they do not apply), wastage, own_use, adjusted_minus
    and adjusted_plus (rupees at cost), lost (the first three less the fourth), units (gone, net), revenue (rupees sold,
    net of returns and voids), percent_of_sales (lost of revenue, 2 decimals, None without revenue). Totals are over all
    that was asked about, also beyond `limit`. Three queries. Refuses what `check_period` refuses.
    """
    check_period(start, end)
    kinds = (Kind.WASTAGE, Kind.OWN_USE, Kind.ADJUSTMENT)
    lines = lines_of(stores, start, end, kinds, category).values(by).annotate(
        wastage=Sum(AT_COST, filter=Q(kind=Kind.WASTAGE)), own_use=Sum(AT_COST, filter=Q(kind=Kind.OWN_USE)),
        adjusted_minus=Sum(AT_COST, filter=Q(kind=Kind.ADJUSTMENT) & WENT),
        adjusted_plus=Sum(AT_COST, filter=Q(kind=Kind.ADJUSTMENT) & CAME), units=Sum("quantity"),
    )  # fmt: skip
    lost = {row.pop(by): row for row in lines}
    of_days = figures(stores, start, end, category, f"{by}_id")
    revenue = {pk: sums.revenue for pk, sums in of_days.items()}
    nothing = {"sku": None, "name": None, "name_ur": None, "unit": None}
    if by == "store":
        subjects = {
            pk: {"store": code, **nothing} for pk, code in stores.order_by("code").values_list("pk", "code")
        }
    else:
        goods = Product.objects.filter(pk__in=list(lost)).values("pk", *nothing)
        subjects = {row.pop("pk"): {"store": None, **row} for row in goods}
    rows = [
        subject | loss_of(lost.get(pk, {}), revenue.get(pk, Decimal(0))) for pk, subject in subjects.items()
    ]
    if by == "product":
        rows.sort(key=lambda row: (-row["lost"], row["sku"]))
    money = ("wastage", "own_use", "adjusted_minus", "adjusted_plus", "lost")
    totals = totals_of(rows, **dict.fromkeys(money, PAISA), units=GRAM)
    totals["revenue"] = sum(revenue.values(), Decimal(0)).quantize(PAISA)
    totals["percent_of_sales"] = percent(totals["lost"], totals["revenue"])
    return Report(rows[:limit], totals)


def loss_of(sums: dict, revenue: Decimal) -> dict:
    """The figures of one row of `shrinkage`, from what the ledger's signed lines add up to."""

    def rupees(name: str, sign: int) -> Decimal:
        return (sign * (sums.get(name) or Decimal(0))).quantize(PAISA, ROUND_HALF_UP) + 0

    wastage, own_use, minus = rupees("wastage", -1), rupees("own_use", -1), rupees("adjusted_minus", -1)
    plus = rupees("adjusted_plus", 1)
    lost = wastage + own_use + minus - plus
    return {
        "wastage": wastage,
        "own_use": own_use,
        "adjusted_minus": minus,
        "adjusted_plus": plus,
        "lost": lost,
        "units": (-(sums.get("units") or Decimal(0))).quantize(GRAM) + 0,
        "revenue": revenue.quantize(PAISA),
        "percent_of_sales": percent(lost, revenue),
    }


# The columns that are shown, in the order of their models.
LINE = (
    "id",
    "document_id",
    "kind",
    "reverses_id",
    "business_date",
    "occurred_at",
    "quantity",
    "balance_after",
)
GOODS = ("id", "sku", "name", "name_ur", "unit")
NEWEST = f"""
SELECT {", ".join(f"m.{name}" for name in LINE)}, {", ".join(f"p.{name}" for name in GOODS)}
FROM inventory_movement AS m JOIN catalog_product AS p ON p.id = m.product_id
WHERE m.store_id = %s ORDER BY m.id DESC LIMIT %s
"""  # noqa: S608 - names of columns only


def newest_movements(store: Store, limit: int = 10) -> list[Movement]:
    """The last lines that were written into this store's ledger, newest first, with their products: what a list shows of them.

    One query.
    """
    with connections[Movement.objects.db].cursor() as cursor:
        cursor.execute(NEWEST, [store.pk, limit])
        rows = cursor.fetchall()
    lines = []
    for row in rows:
        lines.append(loaded(Movement, zip(LINE, row, strict=False)))
        know(lines[-1], product=loaded(Product, zip(GOODS, row[len(LINE) :], strict=True)))
    return lines
