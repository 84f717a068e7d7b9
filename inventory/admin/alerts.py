"""When levels fell to their reorder points."""

from django.contrib import admin
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.admin import ProductFilter
from inventory.admin.cells import product_cell, store_cell
from inventory.models import LowStockAlert
from stores.admin.lists import PracticeFilter, ReadOnlyAdmin, StoreFilter, two_lines
from stores.templatetags.shop import at, quantity


class OpenFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request, model_admin):
        return [("open", _("Open")), ("closed", _("Closed"))]

    def queryset(self, request, queryset):
        if self.value() == "open":
            return queryset.open()
        return queryset.filter(closed_at__isnull=False) if self.value() == "closed" else queryset


@admin.register(LowStockAlert)
class LowStockAlertAdmin(ReadOnlyAdmin):
    """When levels fell to their reorder points, newest first."""

    list_display = ["product_cell", "store_cell", "fell_to", "opened", "closed"]
    list_display_links = None
    list_filter = [OpenFilter, StoreFilter, ProductFilter, PracticeFilter]
    list_select_related = ["store", "product"]

    def has_view_permission(self, request, obj=None):
        return obj is None and super().has_view_permission(request, obj)

    @admin.display(description=gettext_lazy("product"))
    def product_cell(self, alert):
        return product_cell(alert)

    @admin.display(description=gettext_lazy("store"))
    def store_cell(self, alert):
        return store_cell(alert)

    @admin.display(description=gettext_lazy("fell to"))
    def fell_to(self, alert):
        return two_lines(
            quantity(alert.on_hand, alert.product),
            format_html(_("warn at {point}"), point=quantity(alert.reorder_point, alert.product)),
        )

    @admin.display(description=gettext_lazy("opened"))
    def opened(self, alert):
        return at(alert.opened_at, alert.store)

    @admin.display(description=gettext_lazy("closed"))
    def closed(self, alert):
        if alert.closed_at is None:
            return format_html('<span class="state state-low">{}</span>', _("Open"))
        return at(alert.closed_at, alert.store)
