"""Filters of levels, documents and the ledger."""

from datetime import timedelta

import django_filters
from django.db.models import ExpressionWrapper, F, Q, Value
from django.utils.translation import gettext_lazy as _

from catalog.filters import CategoryFilter
from catalog.models import Product
from inventory.models import Document, Kind, Movement, StockLevel
from stores.filters import DayFilter, InstantFilter
from stores.models import Store
from stores.queries import one_of

# The first system's word for a receipt stays valid.
OLD_KINDS = {"stock_in": Kind.RECEIPT}
KINDS = [*Kind.choices, ("stock_in", _("Stock in"))]


class KindFilter(django_filters.ChoiceFilter):
    """A kind of movement; stock_in is receipt."""

    def __init__(self, **kwargs):
        super().__init__(choices=KINDS, **kwargs)

    def filter(self, queryset, value):
        return super().filter(queryset, OLD_KINDS.get(value, value))


class StoreFilter(django_filters.CharFilter):
    """A store by its code. By its id, known before: a list of one store is read in the order of that store's keys."""

    def __init__(self):
        super().__init__(max_length=20, label=_("store code"))

    def filter(self, queryset, value):
        return queryset.filter(store__in=list(Store.objects.filter(code=value))) if value else queryset


class SkuFilter(django_filters.CharFilter):
    """A product by its SKU: by its id, as a store."""

    def __init__(self):
        super().__init__(max_length=40)

    def filter(self, queryset, value):
        return queryset.filter(product__in=list(Product.objects.filter(sku=value))) if value else queryset


def one_store(request) -> Store | None:
    """The only store that the list of this request is about: then its own keys lead to its rows."""
    return request.parser_context["view"].one_store


class LevelFilter(django_filters.FilterSet):
    store = StoreFilter()
    sku = SkuFilter()
    category = CategoryFilter(field_name="product__category", label=_("name or id"))
    state = django_filters.ChoiceFilter(choices=StockLevel.State.choices, method="in_state")
    updated_since = InstantFilter(field_name="updated_at", lookup_expr="gte", label=_("changed at or after"))

    class Meta:
        model = StockLevel
        fields = []

    def in_state(self, queryset, name, value: str):
        return queryset.in_state(value)


class HappenedFilter(InstantFilter):
    """When something happened. A store's day is at most one off that of UTC, and only days have an index."""

    def filter(self, queryset, value):
        if value:
            edge = value.date() + timedelta(days=-1 if self.lookup_expr == "gte" else 1)
            queryset = queryset.filter(**{f"business_date__{self.lookup_expr}": edge})
        return super().filter(queryset, value)


PAGES = 1000  # lines; fewer are named one by one


def since(queryset, fitting, name: str, value):
    """The lines of `queryset` whose `name` is `value` or later; `fitting` are all such lines. Of many stores they are the newest ones:
    where they fill pages, they are read back from the newest, which the planner would leave undone."""
    # In the order of the index of days: the ledger itself begins with its oldest lines.
    fitting = fitting.order_by("store", "business_date", "pk")
    found = list(fitting.values_list("pk", flat=True)[:PAGES])
    if len(found) < PAGES:
        return queryset.filter(one_of(found))
    # Not by the column itself: the planner takes a day and an instant for two conditions and expects next to nothing.
    own = type(queryset.model._meta.get_field(name))()
    moved = ExpressionWrapper(F(name) + Value(timedelta(0)), output_field=own)
    return queryset.alias(**{f"own_{name}": moved}).filter(**{f"own_{name}__gte": value})


class SinceFilter(HappenedFilter):
    """The lines of the ledger since an instant."""

    def filter(self, queryset, value):
        request = self.parent.request
        if not value or one_store(request):
            return super().filter(queryset, value)
        return since(
            queryset, super().filter(Movement.objects.for_key(request.auth), value), "occurred_at", value
        )


class SinceDayFilter(DayFilter):
    """The lines of the ledger since a business date."""

    def filter(self, queryset, value):
        request = self.parent.request
        if not value or one_store(request):
            return super().filter(queryset, value)
        return since(
            queryset, super().filter(Movement.objects.for_key(request.auth), value), "business_date", value
        )


class LedgerFilter(django_filters.FilterSet):
    """What documents and their lines are both found by."""

    store = StoreFilter()
    kind = KindFilter()
    occurred_from = HappenedFilter(field_name="occurred_at", lookup_expr="gte")
    occurred_to = HappenedFilter(
        field_name="occurred_at", lookup_expr="lte", label=_("this instant included")
    )
    business_date_from = DayFilter(field_name="business_date", lookup_expr="gte")
    business_date_to = DayFilter(field_name="business_date", lookup_expr="lte", label=_("this day included"))


class DocumentFilter(LedgerFilter):
    reference = django_filters.CharFilter(method="by_reference", max_length=100)

    class Meta:
        model = Document
        fields = []

    def by_reference(self, queryset, name, value: str):
        # The key of references leads with the store; naming all stores lets it be used.
        return queryset.filter(store__in=Store.objects.values("pk"), reference=value)


class MovementFilter(LedgerFilter):
    sku = SkuFilter()
    occurred_from = SinceFilter(field_name="occurred_at", lookup_expr="gte")
    business_date_from = SinceDayFilter(field_name="business_date", lookup_expr="gte")
    reference = django_filters.CharFilter(method="by_reference", max_length=100, label=_("of the document"))

    class Meta:
        model = Movement
        fields = []

    def by_reference(self, queryset, name, value: str):
        # The document is looked up first: the ledger's own keys lead with store and document.
        documents = Document.objects.filter(
            store__in=Store.objects.values("pk"), reference=value
        ).values_list("store_id", "pk")
        wanted = Q(pk__in=[])
        for store, document in documents:
            wanted |= Q(store=store, document=document)
        return queryset.filter(wanted)
