"""The ledger, to look at: documents, which can be reversed as a whole, and movements."""

from datetime import timedelta

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from catalog.admin import ProductFilter, products_named
from catalog.models import Product
from inventory.admin.acts import ReverseForm, log_posted
from inventory.admin.cells import PRODUCT, STORE, product_cell, store_cell
from inventory.models import Document, Movement
from inventory.services import Actor, AlreadyReversed, Refused, reverse_document
from stores.admin.lists import DayFilter, ReadOnlyAdmin, StoreFilter, code, linked, two_lines
from stores.admin.places import UserFilter
from stores.models import Store
from stores.templatetags.shop import at, clock, day, html, money, quantity, signed

# What is written down this long after it happened is marked.
LATE = timedelta(hours=1)


def happened(row) -> str:
    """When it happened, by the store's clock; and that it was written down late, if it was."""
    late = _("recorded late") if row.recorded_at - row.occurred_at > LATE else ""
    return two_lines(
        day(row.business_date),
        html("{}{}", clock(row.occurred_at, row.store), f" · {late}" if late else ""),
    )


def void_tag(document) -> str:
    """A mark on a document that undoes another."""
    return format_html(' <span class="tag tag-void">{}</span>', _("Void")) if document.reverses_id else ""


def document_numbered(text: str) -> int | None:
    """The id inside a document's number such as S-000123, or a bare id."""
    letter, dash, digits = text.rpartition("-")
    known = not dash or (len(letter) == 1 and letter.upper() in {"V", *Document.PREFIX.values()})
    return int(digits) if known and digits.isascii() and digits.isdigit() and len(digits) < 19 else None


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
    list_columns = (
        *STORE, "user__username", "user__first_name", "user__last_name", "api_key__name", "reason__id",
        "kind", "reverses", "source", "total", "line_count", "business_date", "occurred_at", "recorded_at",
    )  # fmt: skip
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
        return queryset.filter(store__in=Store.objects.values("pk"), reference=text), False

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
        if not request.user.has_perm("inventory.add_document"):
            raise PermissionDenied
        document = self.object_or_404(request, object_id)
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
        return html("{}{}", code(document.number), void_tag(document))

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
    list_columns = (
        *STORE, *PRODUCT, "kind", "reverses", "quantity", "balance_after", "seq", "business_date", "occurred_at", "recorded_at",
        "document__kind", "document__reverses",
    )  # fmt: skip
    search_fields = ["product__sku"]
    search_help_text = gettext_lazy("Number of the document, SKU or barcode")

    def get_queryset(self, request):
        return super().get_queryset(request).defer("document__fingerprint")

    def get_keyset(self, request, changelist):
        """Lines of one product in one store are numbered, and found by that number."""
        return "-seq" if {"store", "product"} <= changelist.narrowed_to else self.keyset

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
        return html("{}{}", row.get_kind_display(), void_tag(row))

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
