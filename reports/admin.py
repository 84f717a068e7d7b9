"""Head office: the daily figures behind all reports, to look at."""

from django.contrib import admin
from django.utils.translation import gettext_lazy

from catalog.admin import ProductFilter
from inventory.admin.cells import PRODUCT, STORE, product_cell, store_cell
from reports.models import DailyStock
from stores.admin.lists import DayFilter, ReadOnlyAdmin, StoreFilter
from stores.templatetags.shop import bare, day, html, money


def number(quantity, product) -> str:
    return html('<bdi dir="ltr" class="no-break">{}</bdi>', bare(quantity, product))


@admin.register(DailyStock)
class DailyStockAdmin(ReadOnlyAdmin):
    """Days of products in stores: with a store chosen newest first, else store by store and oldest first, as the indexes
    are kept."""

    list_display = [
        "product_cell",
        "store_cell",
        "date_cell",
        "opening_cell",
        "received_cell",
        "sold_cell",
        "other_cell",
        "closing_cell",
        "revenue_cell",
    ]
    list_display_links = None
    list_filter = [StoreFilter, ProductFilter, DayFilter]
    list_select_related = ["store", "product"]
    list_columns = (
        *STORE, *PRODUCT, "business_date", "opening", "received", "sold", "other", "closing", "revenue",
    )  # fmt: skip

    def get_keyset(self, request, changelist):
        return "-business_date" if "store" in changelist.narrowed_to else "store_id business_date"

    def has_view_permission(self, request, obj=None):
        return obj is None and super().has_view_permission(request, obj)

    @admin.display(description=gettext_lazy("product"))
    def product_cell(self, row):
        return product_cell(row)

    @admin.display(description=gettext_lazy("store"))
    def store_cell(self, row):
        return store_cell(row)

    @admin.display(description=gettext_lazy("day"))
    def date_cell(self, row):
        return html('<span class="no-break">{}</span>', day(row.business_date))

    @admin.display(description=gettext_lazy("opening"))
    def opening_cell(self, row):
        return number(row.opening, row.product)

    @admin.display(description=gettext_lazy("received"))
    def received_cell(self, row):
        return number(row.received, row.product)

    @admin.display(description=gettext_lazy("sold"))
    def sold_cell(self, row):
        return number(row.sold, row.product)

    @admin.display(description=gettext_lazy("other"))
    def other_cell(self, row):
        return number(row.other, row.product)

    @admin.display(description=gettext_lazy("closing"))
    def closing_cell(self, row):
        return number(row.closing, row.product)

    @admin.display(description=gettext_lazy("revenue"))
    def revenue_cell(self, row):
        return money(row.revenue)
