"""Questions about levels, documents and the ledger that several pages ask."""

from decimal import Decimal

from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Sum, When

from catalog.models import Product
from inventory.models import COSTED, Document, Kind, Movement, StockLevel
from stores.models import Store


def state_counts(levels: QuerySet) -> dict[str, int]:
    """How many of `levels` are in each state, and `all` of them; one query."""
    return levels.aggregate(
        all=Count("id"),
        out=Count("id", filter=Q(on_hand=0)),
        low=Count("id", filter=Q(on_hand__gt=0, on_hand__lte=F("reorder_point"))),
        ok=Count("id", filter=Q(on_hand__gt=F("reorder_point"))),
        negative=Count("id", filter=Q(on_hand__lt=0)),
    )


def prices(store: Store, products) -> dict[int, Decimal]:
    """The price in `store` now of each of `products` (ids); one query."""
    return dict(Product.objects.filter(pk__in=products).priced(store).values_list("pk", "price"))


def levels_of(store: Store, products) -> dict[int, StockLevel]:
    """The level in `store` of each of `products` (ids) that has one; one query."""
    return {
        level.product_id: level for level in StockLevel.objects.for_store(store).filter(product__in=products)
    }


def lines_of(document: Document) -> list[Movement]:
    """The lines of a document with `amount` (without sign) and `undone` (what a void moves); two queries.

    Lines of a sale also have `returned` and `returnable`: how much of each came back and still may.
    """
    lines = list(
        Movement.objects.filter(store_id=document.store_id, document=document)
        .select_related("product", "entered_pack")
        .order_by("line_no")
    )
    back = {}
    rows = Movement.objects.filter(store_id=document.store_id, returns__in=[line.pk for line in lines])
    for line, quantity in rows.values_list("returns", "quantity"):
        back[line] = back.get(line, Decimal(0)) + quantity
    for line in lines:
        line.amount, line.undone, line.is_costed = abs(line.quantity), -line.quantity, line.kind in COSTED
        line.returned = back.get(line.pk, Decimal(0))
        line.returnable = -line.quantity - line.returned
    return lines


def sales_of_day(store: Store, date) -> QuerySet:
    """Sales, returns and their voids of one business day, each with `voided`; people and keys selected."""
    later = Document.objects.filter(store=store, reverses=OuterRef("pk"))
    rows = Document.objects.for_store(store).filter(
        business_date=date, kind__in=[Kind.SALE, Kind.SALE_RETURN]
    )
    return rows.select_related("user", "api_key").annotate(voided=Exists(later))


def sales_total(store: Store, date) -> dict:
    """`documents` (sales less voids) and `revenue` (net of returns and voids) of one business day; one query."""
    sale = Q(kind=Kind.SALE)
    rows = Document.objects.for_store(store).filter(
        business_date=date, kind__in=[Kind.SALE, Kind.SALE_RETURN]
    )
    found = rows.aggregate(
        sales=Count("id", filter=sale & Q(reverses=None)),
        voids=Count("id", filter=sale & Q(reverses__isnull=False)),
        revenue=Sum(
            Case(
                When(
                    Q(kind=Kind.SALE, reverses=None) | Q(kind=Kind.SALE_RETURN, reverses__isnull=False),
                    then=F("total"),
                ),
                default=-F("total"),
            )
        ),
    )
    return {"documents": found["sales"] - found["voids"], "revenue": found["revenue"] or Decimal(0)}
