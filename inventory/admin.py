"""Head office: levels, the ledger and alerts, to look at. What changes stock goes through the services, like everywhere."""

from datetime import timedelta

from django import forms
from django.contrib import admin
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.core.exceptions import PermissionDenied, ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from catalog.admin import ProductFilter, products_named
from catalog.models import Product
from inventory.models import Document, Kind, LowStockAlert, Movement, Reason, StockLevel
from inventory.services import (
    Actor,
    AlreadyReversed,
    Line,
    Posted,
    Refused,
    find,
    post_document,
    reverse_document,
)
from stores.admin.lists import (
    ActForm,
    Amount,
    DayFilter,
    HouseAdmin,
    ReadOnlyAdmin,
    StoreFilter,
    code,
    linked,
    two_lines,
    yes_no,
)
from stores.admin.places import UserFilter
from stores.models import Store
from stores.templatetags.shop import at, bare, clock, day, money, quantity, shop_name, signed, state

# What is written down this long after it happened is marked.
LATE = timedelta(hours=1)


def store_cell(row) -> str:
    return two_lines(code(row.store.code), shop_name(row.store))


def product_cell(row) -> str:
    return two_lines(row.product.label, code(row.product.sku))


def happened(row) -> str:
    """When it happened, by the store's clock; and that it was written down late, if it was."""
    late = _("recorded late") if row.recorded_at - row.occurred_at > LATE else ""
    return two_lines(
        day(row.business_date),
        format_html("{}{}", clock(row.occurred_at, row.store), f" · {late}" if late else ""),
    )


def void_tag(document) -> str:
    """A mark on a document that undoes another."""
    return format_html(' <span class="tag tag-void">{}</span>', _("Void")) if document.reverses_id else ""


def document_numbered(text: str) -> int | None:
    """The id inside a document's number such as S-000123, or a bare id."""
    letter, dash, digits = text.rpartition("-")
    known = not dash or (len(letter) == 1 and letter.upper() in {"V", *Document.PREFIX.values()})
    return int(digits) if known and digits.isascii() and digits.isdigit() and len(digits) < 19 else None


def log(request, obj, flag: int, words: str) -> None:
    """Notes in the admin's log what was done through a service."""
    LogEntry.objects.log_actions(request.user.pk, [obj], flag, change_message=words, single_object=True)


def log_posted(request, subject, posted: Posted, words: str) -> None:
    """Notes a posting on what it was done to and on the new document; a repetition is noted once."""
    if not posted.replayed:
        log(request, subject, CHANGE, words)
        log(request, posted.document, ADDITION, words)


class AdjustForm(ActForm):
    """A correction of one level: by how much, or to how much; with a coded reason."""

    change = forms.DecimalField(
        label=gettext_lazy("Change by"),
        required=False,
        max_digits=14,
        decimal_places=3,
        widget=Amount({"placeholder": "-3"}),
        help_text=gettext_lazy("More: 5. Less: -5."),
    )
    counted = forms.DecimalField(
        label=gettext_lazy("Or: counted now"),
        required=False,
        min_value=0,
        max_digits=14,
        decimal_places=3,
        widget=Amount,
        help_text=gettext_lazy("What is on the shelf; the difference is worked out."),
    )
    seen = forms.DecimalField(widget=forms.HiddenInput, max_digits=14, decimal_places=3)
    reason = forms.ModelChoiceField(
        label=gettext_lazy("Reason"), queryset=Reason.objects.none(), empty_label=gettext_lazy("Choose …")
    )
    notes = forms.CharField(
        label=gettext_lazy("Notes"), required=False, max_length=500, widget=forms.Textarea({"rows": 2})
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        uses = [Reason.Use.ADJUSTMENT, Reason.Use.WASTAGE]
        self.fields["reason"].queryset = Reason.objects.filter(active=True, use__in=uses).order_by(
            "use", "name"
        )

    def clean(self):
        cleaned = super().clean()
        if not self.errors and (cleaned.get("change") is None) == (cleaned.get("counted") is None):
            raise ValidationError(
                _("Give one of the two: by how much it changes, or how much was counted."), code="one_of_two"
            )
        return cleaned


class ReverseForm(ActForm):
    reason = forms.ModelChoiceField(
        label=gettext_lazy("Reason"), queryset=Reason.objects.none(), empty_label=gettext_lazy("Choose …")
    )
    notes = forms.CharField(
        label=gettext_lazy("Notes"), required=False, max_length=500, widget=forms.Textarea({"rows": 2})
    )

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields["reason"].queryset = Reason.objects.filter(active=True, use=Reason.Use.REVERSAL).order_by(
            "name"
        )


@admin.register(Reason)
class ReasonAdmin(HouseAdmin):
    """Coded answers to "why". One that was used stays: switch it off instead."""

    keyset = "code"
    list_display = ["code", "name", "name_ur", "use", "active"]
    list_filter = ["use", "active"]
    search_fields = ["code", "name", "name_ur"]

    def get_readonly_fields(self, request, obj=None):
        return ["code", "use"] if obj else []


class StateFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request, model_admin):
        return StockLevel.State.choices

    def queryset(self, request, queryset):
        word = self.value()
        if word == StockLevel.State.NEGATIVE:
            # The same rows as on_hand < 0 (level_below_zero_only_flagged).
            return queryset.filter(oversold_since__isnull=False)
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
    list_filter = [StoreFilter, ProductFilter, StateFilter]
    list_select_related = ["store", "product"]
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
        level = self.object_or_404(request, object_id)
        if not self.may_post(request):
            raise PermissionDenied
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
        """One document of kind adjustment, or wastage where the reason says so.

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
        kind, amount = Kind.ADJUSTMENT, change
        if reason.use == Reason.Use.WASTAGE:
            if change > 0:
                raise Refused(_("With this reason stock can only become less."), code="wrong_sign")
            kind, amount = Kind.WASTAGE, -change
        posted = post_document(
            store=level.store,
            kind=kind,
            lines=[Line(product=level.product, quantity=amount)],
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


class VoidFilter(admin.SimpleListFilter):
    title = gettext_lazy("voids")
    parameter_name = "voids"

    def lookups(self, request, model_admin):
        return [("only", _("Only voids"))]

    def queryset(self, request, queryset):
        return queryset.filter(reverses__isnull=False) if self.value() == "only" else queryset


@admin.register(Document)
class DocumentAdmin(ReadOnlyAdmin):
    """The acts that moved stock. Written once; what was wrong is reversed as a whole."""

    list_display = ["number_cell", "kind_cell", "store_cell", "when", "total_cell", "who"]
    list_filter = [StoreFilter, DayFilter, UserFilter, "kind", "source", VoidFilter]
    list_select_related = ["store", "user", "api_key", "reason"]
    search_fields = ["reference"]
    search_help_text = gettext_lazy("Number such as S-000123, or the whole reference")
    change_form_template = "admin/document_form.html"
    readonly_fields = [
        "kind_cell", "store_link", "day_cell", "occurred", "recorded", "who", "total_cell", "reverses_link", "reversed_link", "returns_link",
        "reference_cell",
    ]  # fmt: skip
    actions_asked_for = ("view", "add")
    words_for_actions = {"add": gettext_lazy("adjust and reverse stock")}

    def get_fieldsets(self, request, obj=None):
        """What it says; of what may be missing, only what is there."""
        said = [
            ("total_cell", True),
            ("reason", obj.reason_id),
            ("notes", obj.notes),
            ("reference_cell", True),
            ("reverses_link", obj.reverses_id),
            ("reversed_link", self.void_of(obj)),
            ("returns_link", obj.returns_id),
        ]
        facts = ["kind_cell", "store_link", "day_cell", "occurred", "recorded", "who"]
        return [(None, {"fields": [*facts, *(name for name, there in said if there)]})]

    def get_queryset(self, request):
        return super().get_queryset(request).defer("fingerprint")

    def get_search_results(self, request, queryset, search_term):
        """By number, else by the caller's reference: looked up store by store, as its index is kept."""
        text = search_term.strip()
        if not text:
            return queryset, False
        if (pk := document_numbered(text)) and (found := queryset.filter(pk=pk)).exists():
            return found, False
        return queryset.filter(
            store__in=list(Store.objects.values_list("pk", flat=True)), reference=text
        ), False

    def acts(self):
        return [("reverse", "reverse")]

    def may_reverse(self, request, document) -> bool:
        return (
            request.user.has_perm("inventory.add_document")
            and not document.reverses_id
            and self.void_of(document) is None
        )

    def void_of(self, document) -> Document | None:
        """The document that undid this one."""
        if not hasattr(document, "void"):
            voids = Document.objects.filter(store_id=document.store_id, reverses=document)
            document.void = voids.select_related("store").first()
        return document.void

    def tools(self, request, obj):
        return (
            [(self.act_url("reverse", obj), _("Reverse"), "button-danger")]
            if self.may_reverse(request, obj)
            else []
        )

    def facts(self, request, obj):
        return {"lines": self.lines(obj)}

    def lines(self, document) -> list[Movement]:
        rows = Movement.objects.filter(store_id=document.store_id, document=document)
        return list(rows.select_related("product", "entered_pack").order_by("line_no"))

    def reverse(self, request, object_id):
        """Asks once more and voids the whole document: one void, whatever is clicked twice."""
        document = self.object_or_404(request, object_id)
        if not request.user.has_perm("inventory.add_document"):
            raise PermissionDenied
        form = ReverseForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            data = form.cleaned_data
            try:
                with transaction.atomic():
                    posted = reverse_document(
                        document=document,
                        actor=Actor.in_admin(request.user),
                        reference=str(data["reference"]),
                        reason=data["reason"],
                        notes=data["notes"],
                    )
                    words = f"{document.number} reversed by {posted.document.number} ({data['reason'].code})."
                    log_posted(request, document, posted, words)
            except Refused as refusal:
                form.add_error(None, refusal)
            else:
                return self.done(
                    request,
                    posted.document,
                    _("%(old)s was reversed by %(new)s.")
                    % {"old": document.number, "new": posted.document.number},
                )
        elif request.method == "GET" and not self.may_reverse(request, document):
            form = None
        lines = self.lines(document)
        closed = None
        if form is None:
            closed = AlreadyReversed(
                _("This document was voided before, or is a void itself."), code="already_reversed"
            ).message
        return self.act_page(
            request,
            document,
            title=_("Reverse %(number)s") % {"number": document.number},
            form=form,
            button=_("Reverse this document"),
            danger=True,
            text=closed
            or _(
                "Every line is mirrored at the same price and cost. The document itself stays in the ledger."
            ),
            facts=[
                (_("Kind"), document.get_kind_display()),
                (_("Store"), store_cell(document)),
                (_("Happened"), at(document.occurred_at, document.store)),
                (_("Total"), money(document.total)),
            ],
            extra={
                "changes": [(line.product, signed(-line.quantity, line.product)) for line in lines],
                "closed": bool(closed),
            },
            status=422 if form is not None and form.errors else 200,
        )

    @admin.display(description=gettext_lazy("number"))
    def number_cell(self, document):
        return format_html("{}{}", code(document.number), void_tag(document))

    @admin.display(description=gettext_lazy("kind"))
    def kind_cell(self, document):
        return document.get_kind_display()

    @admin.display(description=gettext_lazy("store"))
    def store_cell(self, document):
        return store_cell(document)

    @admin.display(description=gettext_lazy("store"))
    def store_link(self, document):
        return linked(self.admin_site, document.store)

    @admin.display(description=gettext_lazy("happened"))
    def when(self, document):
        return happened(document)

    @admin.display(description=gettext_lazy("happened"))
    def occurred(self, document):
        return at(document.occurred_at, document.store)

    @admin.display(description=gettext_lazy("business date"))
    def day_cell(self, document):
        return day(document.business_date)

    @admin.display(description=gettext_lazy("reference"))
    def reference_cell(self, document):
        return code(document.reference)

    @admin.display(description=gettext_lazy("recorded"))
    def recorded(self, document):
        return at(document.recorded_at, document.store)

    @admin.display(description=gettext_lazy("total"))
    def total_cell(self, document):
        return two_lines(
            money(document.total),
            ngettext("%(n)d line", "%(n)d lines", document.line_count) % {"n": document.line_count},
        )

    @admin.display(description=gettext_lazy("by"))
    def who(self, document):
        return two_lines(document.actor, document.get_source_display())

    @admin.display(description=gettext_lazy("reverses"))
    def reverses_link(self, document):
        return linked(self.admin_site, document.reverses)

    @admin.display(description=gettext_lazy("reversed by"))
    def reversed_link(self, document):
        return linked(self.admin_site, self.void_of(document))

    @admin.display(description=gettext_lazy("sale returned"))
    def returns_link(self, document):
        return linked(self.admin_site, document.returns)


@admin.register(Movement)
class MovementAdmin(ReadOnlyAdmin):
    """The ledger, line by line, newest first."""

    list_display = [
        "product_cell",
        "store_cell",
        "kind_cell",
        "signed_cell",
        "balance_cell",
        "when",
        "document_cell",
    ]
    list_display_links = None
    list_filter = [StoreFilter, ProductFilter, DayFilter, "kind"]
    list_select_related = ["store", "product", "document"]
    search_fields = ["product__sku"]
    search_help_text = gettext_lazy("Number of the document, SKU or barcode")

    def get_queryset(self, request):
        return super().get_queryset(request).defer("document__fingerprint")

    def get_search_results(self, request, queryset, search_term):
        text = search_term.strip()
        if not text:
            return queryset, False
        if (pk := document_numbered(text)) and (
            document := Document.objects.filter(pk=pk).only("pk", "store_id").first()
        ):
            return queryset.filter(store_id=document.store_id, document=document), False
        products = Product.objects.filter(pk__in=products_named(text, most=20)).values_list("pk", flat=True)
        return queryset.filter(product__in=list(products)), False

    @admin.display(description=gettext_lazy("product"))
    def product_cell(self, row):
        return product_cell(row)

    @admin.display(description=gettext_lazy("store"))
    def store_cell(self, row):
        return store_cell(row)

    @admin.display(description=gettext_lazy("kind"))
    def kind_cell(self, row):
        return format_html("{}{}", row.get_kind_display(), void_tag(row))

    @admin.display(description=gettext_lazy("quantity"))
    def signed_cell(self, row):
        return signed(row.quantity, row.product)

    @admin.display(description=gettext_lazy("after"))
    def balance_cell(self, row):
        return quantity(row.balance_after, row.product)

    @admin.display(description=gettext_lazy("happened"))
    def when(self, row):
        return happened(row)

    @admin.display(description=gettext_lazy("document"))
    def document_cell(self, row):
        return linked(self.admin_site, row.document, code(row.document.number))


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
    list_filter = [OpenFilter, StoreFilter, ProductFilter]
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
