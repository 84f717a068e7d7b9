"""Questions about levels, documents and the ledger that several pages ask, and the one that every document of a key asks."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection
from django.db.models import Case, Count, Exists, F, OuterRef, Q, QuerySet, Sum, When

from catalog.models import Pack, Product
from inventory.models import COSTED, Document, Kind, Movement, Reason, StockLevel
from stores.models import ApiKey, Store
from stores.queries import loaded


class Named(NamedTuple):
    """What one line names: a store's code, the instant its price holds at, an SKU or else a barcode, a reason's code."""

    store: str
    at: datetime
    sku: str | None
    barcode: str | None
    reason: str | None = None


class Meant(NamedTuple):
    """What is behind a `Named`; the product has its `price` in the store at the instant. None for what there is not."""

    store: Store
    product: Product | None
    pack: Pack | None
    reason: Reason | None


# Of each model the columns that a posting and its answer need, in the model's order.
SHOWN = {
    Store: ("id", "code", "timezone", "oversell_policy", "status", "sandbox"),
    Product: ("id", "sku", "name", "name_ur", "unit", "quantity_step", "selling_price", "status"),
    Pack: ("id", "product_id", "name", "units_per_pack"),
    Reason: ("id", "code", "use", "active"),
}
PLACES = [slice(0, 6), slice(6, 14), slice(14, 18), slice(18, 22)]
# The stores are those of Store.objects.for_key, the price is that of Product.objects.priced: here in the same statement,
# because each round trip more is a tenth of what a sale costs. LIMIT keeps the planner from reading a whole table where
# there are few products: each is looked up by its key, however many there are.
FIND = f"""
SELECT w.place, coalesce((
         SELECT price FROM catalog_storeprice WHERE store_id = s.id AND product_id = p.id AND effective_from <= w.at
         ORDER BY effective_from DESC, id DESC LIMIT 1), p.selling_price),
       {", ".join(f"{alias}.{column}" for columns, alias in zip(SHOWN.values(), "spkr", strict=True) for column in columns)}
FROM unnest(%(place)s::int[], %(store)s::text[], %(at)s::timestamptz[], %(sku)s::text[], %(barcode)s::text[],
            %(reason)s::text[]) AS w (place, store, at, sku, barcode, reason)
JOIN LATERAL (SELECT * FROM stores_store WHERE code = w.store AND sandbox = %(sandbox)s::boolean LIMIT 1) AS s
  ON %(all_stores)s::boolean OR EXISTS (
       SELECT FROM stores_apikey_stores WHERE apikey_id = %(key)s::bigint AND store_id = s.id)
LEFT JOIN LATERAL (SELECT * FROM catalog_barcode WHERE code = w.barcode LIMIT 1) AS b ON true
LEFT JOIN LATERAL (SELECT * FROM catalog_pack WHERE id = b.pack_id LIMIT 1) AS k ON true
LEFT JOIN LATERAL (SELECT * FROM catalog_product WHERE id = coalesce(b.product_id, (
       SELECT id FROM catalog_product WHERE sku = w.sku)) LIMIT 1) AS p ON true
LEFT JOIN LATERAL (SELECT * FROM inventory_reason WHERE code = w.reason AND active LIMIT 1) AS r ON true
"""  # noqa: S608  (names of columns only)


def meant_by(key: ApiKey, named: Iterable[Named]) -> dict[Named, Meant]:
    """What is behind each of `named`, in one query; those whose store is not one of the key's are left out."""
    named = list(named)
    given = {column: [row[place] for row in named] for place, column in enumerate(Named._fields)}
    given |= {
        "place": [str(place) for place in range(len(named))],
        "at": [row.at.isoformat() for row in named],
        "key": str(key.pk),
        "sandbox": key.is_test,
        "all_stores": key.all_stores,
    }
    with connection.prepared() as cursor:
        cursor.execute(FIND, given)
        rows = cursor.fetchall()
    stores, found = {}, {}
    for place, price, *values in rows:
        store, product, pack, reason = (values[columns] for columns in PLACES)
        if store[0] not in stores:
            stores[store[0]] = made(Store, store)
        product = made(Product, product)
        if product:
            product.price = price
        found[named[place]] = Meant(stores[store[0]], product, made(Pack, pack), made(Reason, reason))
    return found


class Called(NamedTuple):
    """What an item is called by: a barcode, or else an SKU."""

    barcode: str | None = None
    sku: str | None = None


class Item(NamedTuple):
    """What is called so, as a store sees it: the product with its `price` there, the pack that a barcode means.

    `quantity` is for who reads a weight label.
    """

    product: Product
    pack: Pack | None
    on_hand: Decimal
    packs: list[Pack]
    quantity: Decimal | None = None


# As above: one statement for all of it.
ITEMS = f"""
SELECT w.place, coalesce((
         SELECT price FROM catalog_storeprice
         WHERE store_id = %(store)s AND product_id = p.id AND effective_from <= coalesce(%(at)s::timestamptz, now())
         ORDER BY effective_from DESC, id DESC LIMIT 1), p.selling_price),
       coalesce((SELECT on_hand FROM inventory_stocklevel WHERE store_id = %(store)s AND product_id = p.id), 0), ks.rows,
       {", ".join(f"{alias}.{column}" for alias, model in (("p", Product), ("k", Pack)) for column in SHOWN[model])}
FROM unnest(%(place)s::int[], %(barcode)s::text[], %(sku)s::text[]) AS w (place, barcode, sku)
LEFT JOIN LATERAL (SELECT * FROM catalog_barcode WHERE code = w.barcode LIMIT 1) AS b ON true
LEFT JOIN LATERAL (SELECT * FROM catalog_pack WHERE id = b.pack_id LIMIT 1) AS k ON true
JOIN LATERAL (SELECT * FROM catalog_product WHERE id = coalesce(b.product_id, (
       SELECT id FROM catalog_product WHERE sku = w.sku)) LIMIT 1) AS p ON true
LEFT JOIN LATERAL (
       SELECT json_agg(json_build_array(id, product_id, name, units_per_pack::text) ORDER BY units_per_pack, id) AS rows
       FROM catalog_pack WHERE product_id = p.id) AS ks ON true
"""  # noqa: S608  (names of columns only)


def items_called(called: Iterable[Called], store: Store, at: datetime | None = None) -> dict[Called, Item]:
    """What each of `called` means in `store`, at the prices of the instant `at` (default now), in one query; what means
    nothing is left out."""
    called = list(called)
    given = {column: [row[place] for row in called] for place, column in enumerate(Called._fields)}
    given |= {"place": [str(place) for place in range(len(called))], "store": store.pk, "at": at}
    with connection.prepared() as cursor:
        cursor.execute(ITEMS, given)
        rows = cursor.fetchall()
    found, kinds = {}, len(SHOWN[Product])
    for place, price, on_hand, packs, *values in rows:
        product = made(Product, values[:kinds])
        product.price = price
        packs = [made(Pack, [*row[:3], Decimal(row[3])]) for row in packs or ()]
        found[called[place]] = Item(product, made(Pack, values[kinds:]), on_hand, packs)
    return found


def made(model, row: list):
    """The row of `model` with the columns that are `SHOWN`; None where there is none."""
    return None if row[0] is None else loaded(model, zip(SHOWN[model], row, strict=True))


def state_counts(levels: QuerySet) -> dict[str, int]:
    """How many of `levels` are in each state, and `all` of them; one query."""
    return levels.aggregate(
        all=Count("id"),
        out=Count("id", filter=Q(on_hand=0)),
        low=Count("id", filter=Q(on_hand__gt=0, on_hand__lte=F("reorder_point"))),
        ok=Count("id", filter=Q(on_hand__gt=F("reorder_point"))),
        negative=Count("id", filter=Q(on_hand__lt=0)),
    )


# As Product.objects.priced; a page of a store asks this each time, and to write the statement took longer than to answer it.
PRICES = """SELECT p.id, coalesce((
         SELECT price FROM catalog_storeprice
         WHERE store_id = %(store)s AND product_id = p.id AND effective_from <= statement_timestamp()
         ORDER BY effective_from DESC, id DESC LIMIT 1), p.selling_price)
FROM catalog_product AS p WHERE p.id = ANY(%(products)s::bigint[])
"""


def prices(store: Store, products) -> dict[int, Decimal]:
    """The price in `store` now of each of `products` (ids); one query."""
    with connection.prepared() as cursor:
        cursor.execute(PRICES, {"store": store.pk, "products": list(products)})
        return dict(cursor.fetchall())


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
