"""Levels: what each store has, when to warn, and a correction of one of them."""

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.admin import ProductFilter, products_named
from inventory.admin.acts import AdjustForm, log_posted
from inventory.admin.cells import PRODUCT, STORE, product_cell, store_cell
from inventory.models import Document, Movement, StockLevel
from inventory.services import Actor, Line, Posted, Refused, find, post_document
from stores.admin.lists import HouseAdmin, PracticeFilter, StoreFilter, linked, yes_no
from stores.templatetags.shop import at, bare, money, quantity, state


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request, model_admin):
        return StockLevel.State.choices

    def queryset(self, request, queryset):
        word = self.value()
        return queryset.in_state(word) if word in StockLevel.State.values else queryset


class ReorderForm(forms.ModelForm):
    class Meta:
        model = StockLevel
        fields = ["reorder_point", "target_level"]

    def clean(self):
        cleaned = super().clean()
        point, target = cleaned.get("reorder_point"), cleaned.get("target_level")
        if point is not None and point < 0:
            self.add_error("reorder_point", _("A reorder point is not below zero."))
        elif point is not None and target is not None and target < point:
            self.add_error("target_level", _("The level to refill to is not below the reorder point."))
        return cleaned


@admin.register(StockLevel)
class StockLevelAdmin(HouseAdmin):
    """What each store has. The stock moves by documents only; when to warn and how far to refill is set here."""

    keyset = "store_id"
    form = ReorderForm
    list_display = ["product_cell", "store_cell", "on_hand_cell", "state_cell", "value_cell", "reorder_cell"]
    list_filter = [StoreFilter, ProductFilter, StateFilter, PracticeFilter]
    list_select_related = ["store", "product"]
    list_columns = (*STORE, *PRODUCT, "on_hand", "average_cost", "reorder_point", "target_level")
    search_fields = ["product__sku"]
    search_help_text = gettext_lazy("Product: name, SKU or barcode")
    fieldsets = [
        (
            None,
            {
                "fields": [
                    "store_link",
                    "product_link",
                    "on_hand_cell",
                    "state_cell",
                    "below_zero_since",
                    "counted",
                ]
            },
        ),
        (gettext_lazy("Reorder"), {"fields": ["reorder_point", "target_level"]}),
        (gettext_lazy("Cost"), {"fields": ["cost_cell", "value_cell", "estimated"]}),
        (gettext_lazy("Ledger"), {"fields": ["seq", "changed", "part_of_range"]}),
    ]
    readonly_fields = [
        "store_link", "product_link", "on_hand_cell", "state_cell", "below_zero_since", "counted", "cost_cell", "value_cell",
        "estimated", "seq", "changed", "part_of_range",
    ]  # fmt: skip
    actions_asked_for = ("view", "change")

    def name_of(self, obj):
        return f"{obj.product.label} · {obj.store.code}"

    def has_add_permission(self, request):
        return False

    def get_search_results(self, request, queryset, search_term):
        text = search_term.strip()
        return (queryset.filter(product__in=products_named(text)) if text else queryset), False

    def save_model(self, request, obj, form, change):
        obj.set_reorder(reorder_point=obj.reorder_point, target_level=obj.target_level)

    def acts(self):
        return [("adjust", "adjust")]

    def may_post(self, request) -> bool:
        return request.user.has_perm("inventory.add_document")

    def tools(self, request, obj):
        links = [
            (
                f"{reverse('admin:inventory_movement_changelist')}?store={obj.store.code}&product={obj.product.sku}",
                _("Movements"),
                "",
            )
        ]
        if not request.user.has_perm("inventory.view_movement"):
            links = []
        if self.may_post(request):
            links.append((self.act_url("adjust", obj), _("Adjust"), "button-main"))
        return links

    def adjust(self, request, object_id):
        """Asks for a correction and posts it: one document, whatever is clicked twice."""
        if not self.may_post(request):
            raise PermissionDenied
        level = self.object_or_404(request, object_id)
        initial = {"seen": level.on_hand}
        form = AdjustForm(request.POST or None, initial=initial)
        if request.method == "POST" and form.is_valid():
            try:
                posted = self.post_adjustment(request, level, form.cleaned_data)
            except Refused as refusal:
                form.add_error(None, refusal)
                level.refresh_from_db(fields=["on_hand"])
                # What was seen before is stale now; whoever sends the form again has read the new figure.
                form.data = form.data.copy()
                form.data["seen"] = str(level.on_hand)
            else:
                return self.done(
                    request, level, _("Recorded as %(number)s.") % {"number": posted.document.number}
                )
        return self.act_page(
            request,
            level,
            title=_("Adjust stock"),
            form=form,
            button=_("Adjust stock"),
            facts=[
                (_("Product"), product_cell(level)),
                (_("Store"), store_cell(level)),
                (_("On hand now"), quantity(level.on_hand, level.product)),
            ],
            status=422 if form.errors else 200,
        )

    @transaction.atomic
    def post_adjustment(self, request, level: StockLevel, data: dict) -> Posted:
        """One document of the kind that its reason tells.

        A counted figure is compared with the level under its lock; it is refused when stock has moved since the page
        was shown, because the reader counted against another figure.
        """
        reference = str(data["reference"])
        change = data["change"]
        if change is None:
            level = (
                StockLevel.objects.select_for_update(of=["self"])
                .select_related("store", "product")
                .get(store_id=level.store_id, pk=level.pk)
            )
            if first := find(level.store, reference):
                return self.same_count(first, level, data)
            if level.on_hand != data["seen"]:
                raise Refused(
                    _(
                        "Stock moved while this page was open: %(before)s then, %(now)s now. Check and send again."
                    )
                    % {
                        "before": bare(data["seen"], level.product),
                        "now": bare(level.on_hand, level.product),
                    },
                    code="quantity_changed",
                )
            change = data["counted"] - level.on_hand
        reason = data["reason"]
        if reason.takes_away and change > 0:
            raise Refused(_("With this reason stock can only become less."), code="wrong_sign")
        posted = post_document(
            store=level.store,
            kind=reason.kind,
            lines=[Line(product=level.product, quantity=-change if reason.takes_away else change)],
            actor=Actor.in_admin(request.user),
            reference=reference,
            reason=reason,
            notes=data["notes"],
        )
        [movement] = posted.movements
        words = (
            f"{posted.document.number}: {movement.quantity} ({reason.code}), {movement.balance_after} after."
        )
        log_posted(request, level, posted, words)
        return posted

    def same_count(self, first: Document, level: StockLevel, data: dict) -> Posted:
        """The document that this very form made before; refuses another form under its reference."""
        movements = list(Movement.objects.filter(store_id=first.store_id, document=first))
        same = (
            len(movements) == 1
            and movements[0].product_id == level.product_id
            and movements[0].balance_after == data["counted"]
        )
        if not same or first.reason_id != data["reason"].pk or first.notes != data["notes"]:
            raise Refused(
                _("This form was sent before with other figures. Load the page again."),
                code="idempotency_key_reused",
            )
        return Posted(first, movements, replayed=True)

    @admin.display(description=gettext_lazy("product"))
    def product_cell(self, level):
        return product_cell(level)

    @admin.display(description=gettext_lazy("store"))
    def store_cell(self, level):
        return store_cell(level)

    @admin.display(description=gettext_lazy("product"))
    def product_link(self, level):
        return linked(self.admin_site, level.product)

    @admin.display(description=gettext_lazy("store"))
    def store_link(self, level):
        return linked(self.admin_site, level.store)

    @admin.display(description=gettext_lazy("below zero since"))
    def below_zero_since(self, level):
        return at(level.oversold_since, level.store)

    @admin.display(description=gettext_lazy("last counted"))
    def counted(self, level):
        return at(level.last_counted_at, level.store)

    @admin.display(description=gettext_lazy("changed"))
    def changed(self, level):
        return at(level.updated_at, level.store)

    @admin.display(description=gettext_lazy("cost is estimated"))
    def estimated(self, level):
        return yes_no(level.cost_estimated)

    @admin.display(description=gettext_lazy("part of this store's assortment"))
    def part_of_range(self, level):
        return yes_no(level.listed)

    @admin.display(description=gettext_lazy("on hand"))
    def on_hand_cell(self, level):
        return quantity(level.on_hand, level.product)

    @admin.display(description=gettext_lazy("state"))
    def state_cell(self, level):
        return state(level.state)

    @admin.display(description=gettext_lazy("value"))
    def value_cell(self, level):
        return money(level.value)

    @admin.display(description=gettext_lazy("average cost"))
    def cost_cell(self, level):
        return money(level.average_cost)

    @admin.display(description=gettext_lazy("warn at / refill to"))
    def reorder_cell(self, level):
        refill = quantity(level.target_level, level.product) if level.target_level is not None else "–"
        return format_html(
            "<bdi>{}</bdi> / <bdi>{}</bdi>", quantity(level.reorder_point, level.product), refill
        )
