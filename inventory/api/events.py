"""What happened, as partners are told: the same words in the feed of changes and in webhooks."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC
from decimal import Decimal
from functools import reduce
from operator import or_

from django.db.models import Q
from rest_framework import serializers

from catalog.api.shapes import ProductSerializer
from catalog.models import Product
from inventory.api.shapes import DocumentSerializer
from inventory.models import Document, Movement, StockLevel
from stores.api.fields import kept
from stores.models import ApiKey, Change, Store
from stores.queries import FeedPage
from stores.services.webhooks import SCOPES

Type, Scope = Change.Type, ApiKey.Scope
LEVELS = (Type.STOCK_LOW, Type.STOCK_OUT)
MOST_LINES = 1000  # of all documents of one page together
TIME = serializers.DateTimeField(default_timezone=UTC)


class DocumentEventSerializer(DocumentSerializer):
    """A document as it was written. Whether it was voided later is left out: an event says the same at any time."""

    voided_by = None

    class Meta(DocumentSerializer.Meta):
        fields = [name for name in DocumentSerializer.Meta.fields if name != "voided_by"]


class LevelEventSerializer(serializers.Serializer):
    """How much there was of a product when it ran low or out."""

    store = serializers.CharField(source="store.code", default=None)
    sku = serializers.CharField(source="product.sku")
    name = serializers.CharField(source="product.name")
    on_hand = serializers.DecimalField(14, 3)
    reorder_point = serializers.DecimalField(14, 3)
    state = serializers.ChoiceField(StockLevel.State.choices)


def types_for(key: ApiKey) -> tuple[str, ...]:
    """The types of change that `key` may hear of, by its scopes."""
    return tuple(str(type) for type, scope in SCOPES.items() if key.allows(scope))


def tell(changes: Sequence[Change], key: ApiKey) -> list[dict]:
    """Each of `changes` in their order as `key` sees it; costs only with reports:read. At most seven queries.

    Which changes the key may hear of is for the caller to choose. An event says the same whenever it is told, but for
    the present names of things, and for product.updated, which tells what the product is like now. `data` is null where
    the thing itself is gone.
    """
    context = {"sees_cost": key.allows(Scope.REPORTS_READ)}
    stores = Store.objects.in_bulk({change.store_id for change in changes} - {None})
    documents = documents_of([change for change in changes if change.type == Type.MOVEMENT_CREATED], stores)
    products = products_of(changes)

    # One of each for all rows: making a serializer costs more than using it.
    as_document, as_level = DocumentEventSerializer(context=context), LevelEventSerializer()
    as_product = kept(ProductSerializer, **context)

    def data(change: Change) -> dict | None:
        if change.type == Type.MOVEMENT_CREATED:
            document = documents.get(change.subject)
            return document and as_document.to_representation(document)
        product = products.get(change.subject)
        if product is None:
            return None
        if change.type in LEVELS:
            then = level_then(change, stores.get(change.store_id), product)
            return as_level.to_representation(then)
        return as_product.to_representation(product)

    return [
        {
            "id": change.event_id,
            "type": change.type,
            "timestamp": TIME.to_representation(change.created_at),
            "store": stores[change.store_id].code if change.store_id in stores else None,
            "data": data(change),
        }
        for change in changes
    ]


def as_fits(page: FeedPage) -> FeedPage:
    """`page`, cut short where its documents together have more than MOST_LINES lines; one document is always left. One query."""
    subjects = [change.subject for change in page.changes if change.type == Type.MOVEMENT_CREATED]
    if not subjects:
        return page
    lines, seen = dict(Document.objects.filter(pk__in=subjects).values_list("pk", "line_count")), 0
    for index, change in enumerate(page.changes):
        if change.type == Type.MOVEMENT_CREATED:
            seen += lines.get(change.subject, 0)
            if seen > MOST_LINES and index:
                last = page.changes[index - 1]
                return FeedPage(page.changes[:index], (last.moment, last.pk), True)
    return page


def documents_of(changes: Sequence[Change], stores: dict[int, Store]) -> dict[int, Document]:
    """The documents that `changes` are about, by id, with `lines` and `oversold`; two queries, none for none."""
    if not changes:
        return {}
    found = Document.objects.filter(pk__in=[change.subject for change in changes]).select_related("reason")
    documents = {document.pk: document for document in found}
    # The ledger is found by store and document; asked store by store, each line is found by the exact key.
    places = defaultdict(list)
    for document in documents.values():
        document.store, document.lines = stores.get(document.store_id), []
        places[document.store_id].append(document.pk)
    if places:
        wanted = reduce(or_, (Q(store=store, document__in=found) for store, found in places.items()))
        lines = Movement.objects.filter(wanted).select_related("product", "entered_pack")
        for line in lines.defer("product__search_text").order_by("document_id", "line_no"):
            documents[line.document_id].lines.append(line)
    for document in documents.values():
        document.oversold = any(line.oversold for line in document.lines)
    return documents


def products_of(changes: Sequence[Change]) -> dict[int, Product]:
    """The products that `changes` are about, by id, with all that is shown of them; at most four queries."""
    wanted = {change.subject for change in changes if change.type != Type.MOVEMENT_CREATED}
    if not wanted:
        return {}
    rows = Product.objects.filter(pk__in=wanted).defer("search_text").select_related("category")
    if any(change.type == Type.PRODUCT_UPDATED for change in changes):
        rows = rows.with_codes()
    return {product.pk: product for product in rows}


def level_then(change: Change, store: Store | None, product: Product) -> StockLevel:
    """The level as it was when `change` was noted; it is never saved."""
    then = change.data or {}
    return StockLevel(
        store=store,
        product=product,
        on_hand=Decimal(then.get("on_hand", 0)),
        reorder_point=Decimal(then.get("reorder_point", 0)),
    )
