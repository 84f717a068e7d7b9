"""Head office: what is sold, with its codes, packs and prices."""

from functools import cached_property

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Prefetch
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from catalog.models import Barcode, Category, Pack, Product, ProductPrice, StorePrice
from catalog.queries import clean_code, scan
from stores.admin.fields import Rows, RowsInline
from stores.admin.lists import (
    CodeFilter,
    HouseAdmin,
    ReadOnlyAdmin,
    StoreFilter,
    code,
    linked,
    moment,
    two_lines,
)
from stores.models import User
from stores.templatetags.shop import at, bare, money, shop_name

NEWEST = 10


def product_named(text: str) -> Product | None:
    """The product that a text names: its SKU or a code of it, else the only one that the words find."""
    if product := Product.objects.filter(sku__iexact=text.split()[0]).first():
        return product
    if found := scan(text):
        return found.product
    named = list(Product.objects.matching(text)[:2])
    return named[0] if len(named) == 1 else None


def products_named(text: str, most: int = 100) -> list[int]:
    """The ids of the products that a search means: the one with this SKU, else those the words find."""
    if exact := Product.objects.filter(sku__iexact=text).values_list("pk", flat=True).first():
        return [exact]
    return list(Product.objects.matching(text).values_list("pk", flat=True)[:most])


class ProductFilter(CodeFilter):
    title = gettext_lazy("product")
    field = parameter_name = "product"
    hint = gettext_lazy("SKU or barcode")

    def find(self, text):
        return product_named(text)


class CategoryFilter(CodeFilter):
    title = gettext_lazy("category")
    field = parameter_name = "category"

    def find(self, text):
        return (
            Category.objects.filter(name__iexact=text).first()
            or Category.objects.filter(name_ur=text).first()
        )


@admin.register(Category)
class CategoryAdmin(HouseAdmin):
    """Groups of products. One with products in it stays."""

    keyset = "name"
    list_display = ["name", "name_ur", "parent"]
    list_select_related = ["parent"]
    search_fields = ["name", "name_ur"]
    autocomplete_fields = ["parent"]
    ordering = ["name"]

    def tools(self, request, obj):
        return [(f"{reverse('admin:catalog_product_changelist')}?category={obj.name}", _("Products"), "")]


class BarcodeForm(forms.ModelForm):
    """A code as scanners read it; one that another product has is refused with a link to that product."""

    class Meta:
        model = Barcode
        fields = ["code", "product", "pack"]

    def clean_code(self):
        text = clean_code(self.cleaned_data["code"])
        taken = (
            Barcode.objects.filter(code=text).exclude(pk=self.instance.pk).select_related("product").first()
        )
        if taken:
            raise ValidationError(
                format_html(
                    _("This code belongs to {product}."),
                    product=format_html(
                        '<a href="{}">{}</a>',
                        reverse("admin:catalog_product_change", args=(taken.product_id,)),
                        taken.product,
                    ),
                ),
                code="duplicate_barcode",
            )
        return text

    def clean(self):
        cleaned = super().clean()
        pack, product = cleaned.get("pack"), cleaned.get("product")
        if pack and product and pack.product_id != product.pk:
            self.add_error("pack", _("This pack belongs to another product."))
        return cleaned

    def _get_validation_exclusions(self):
        """`clean_code` has told more about a code that is taken than the field could."""
        return super()._get_validation_exclusions() | ({"code"} if "code" in self.errors else set())


class BarcodeRows(Rows):
    """The codes of a product; each may be that of one of its packs, which are looked up once."""

    @cached_property
    def packs(self):
        return Pack.objects.filter(product=self.instance) if self.instance.pk else Pack.objects.none()

    @cached_property
    def choices(self):
        return [(pack.pk, str(pack)) for pack in self.packs]

    def add_fields(self, form, index):
        super().add_fields(form, index)
        if field := form.fields.get("pack"):
            field.queryset = self.packs
            field.choices = [("", field.empty_label), *self.choices]


class BarcodeInline(RowsInline):
    model = Barcode
    form = BarcodeForm
    formset = BarcodeRows
    fields = ["code", "pack"]


class PackInline(RowsInline):
    """Ways a product comes in bulk. None is deleted: movements say which pack was entered."""

    model = Pack
    fields = ["name", "units_per_pack"]

    def has_delete_permission(self, request, obj=None):
        return False


class StorePriceInline(RowsInline):
    """The newest prices of single stores. A price is changed by a newer one, so that what was charged stays known."""

    model = StorePrice
    fields = ["store", "price", "effective_from"]
    autocomplete_fields = ["store"]
    verbose_name_plural = gettext_lazy("store prices (the newest)")

    def get_queryset(self, request):
        rows = super().get_queryset(request).select_related("store")
        product = request.resolver_match.kwargs.get("object_id", "")
        if not product.isdigit():
            return rows
        newest = (
            StorePrice.objects.filter(product=product)
            .order_by("-effective_from", "-pk")
            .values("pk")[:NEWEST]
        )
        return rows.filter(pk__in=newest).order_by("-effective_from", "-pk")

    def has_change_permission(self, request, obj=None):
        return False

    def has_delete_permission(self, request, obj=None):
        return False


class ProductForm(forms.ModelForm):
    class Meta:
        model = Product
        fields = [
            "sku",
            "name",
            "name_ur",
            "aliases",
            "category",
            "brand",
            "unit",
            "quantity_step",
            "cost_price",
            "selling_price",
            "status",
        ]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if field := self.fields.get("status"):
            # Merging moves stock between products: it is not done by choosing a word.
            field.choices = [
                choice
                for choice in field.choices
                if choice[0] != Product.Status.MERGED or self.instance.status == Product.Status.MERGED
            ]

    def clean_status(self):
        status = self.cleaned_data["status"]
        if status == Product.Status.ARCHIVED and self.instance.pk and "status" in self.changed_data:
            left = (
                self.instance.levels.exclude(on_hand=0)
                .select_related("store")
                .order_by("store__code")
                .first()
            )
            if left:
                raise ValidationError(
                    _("%(store)s still has %(quantity)s: a product is archived when it is gone everywhere."),
                    params={"store": left.store.code, "quantity": bare(left.on_hand, self.instance)},
                    code="stock_left",
                )
        return status


@admin.register(Product)
class ProductAdmin(HouseAdmin):
    """The catalogue. No product is deleted: its status says where it stands."""

    keyset = "name"
    form = ProductForm
    list_display = ["name_cell", "sku_cell", "category", "price_cell", "cost_cell", "status_cell"]
    list_filter = ["status", CategoryFilter]
    list_select_related = ["category"]
    search_fields = ["sku", "name"]
    search_help_text = gettext_lazy("Name in English, Urdu or Roman Urdu, SKU or barcode")
    autocomplete_fields = ["category"]
    readonly_fields = ["created", "changed"]
    inlines = [BarcodeInline, PackInline, StorePriceInline]
    change_form_template = "admin/product_form.html"
    fieldsets = [
        (None, {"fields": ["sku", "name", "name_ur", "aliases", "category", "brand", "status"]}),
        (gettext_lazy("Unit"), {"fields": ["unit", "quantity_step"]}),
        (gettext_lazy("Price"), {"fields": ["selling_price", "cost_price"]}),
        (gettext_lazy("Dates"), {"fields": ["created", "changed"]}),
    ]

    def get_search_results(self, request, queryset, search_term):
        """In any script, by SKU or by a scanned code; a part of a SKU finds it too."""
        text = search_term.strip()
        if not text:
            return queryset.order_by("name", "pk"), False
        found = queryset.filter(sku__iexact=text)
        if not found.exists():
            found = Product.objects.matching(text)
            found = queryset.filter(pk__in=found.values("pk"))
        return found.order_by("name", "pk"), False

    def get_readonly_fields(self, request, obj=None):
        """What history is written in stays: the number people know, and the unit of all its quantities."""
        return [*self.readonly_fields, *(["sku", "unit"] if obj else [])]

    def tools(self, request, obj):
        links = []
        for perm, name, words in (
            ("inventory.view_stocklevel", "inventory_stocklevel", _("Stock levels")),
            ("inventory.view_movement", "inventory_movement", _("Movements")),
            ("catalog.view_storeprice", "catalog_storeprice", _("Store prices")),
        ):
            if request.user.has_perm(perm):
                links.append((f"{reverse(f'admin:{name}_changelist')}?product={obj.sku}", words, ""))
        return links

    def facts(self, request, obj):
        """The newest prices, for the foot of the page."""
        if not request.user.has_perm("catalog.view_productprice"):
            return {}
        rows = list(
            ProductPrice.objects.filter(pgh_obj=obj)
            .select_related("pgh_context")
            .order_by("-pgh_id")[:NEWEST]
        )
        names = names_behind(rows)
        return {
            "prices": [
                (
                    moment(row.pgh_created_at),
                    money(row.selling_price),
                    money(row.cost_price),
                    names[row.pk],
                )
                for row in rows
            ],
            "prices_url": f"{reverse('admin:catalog_productprice_changelist')}?product={obj.sku}",
        }

    @admin.display(description=gettext_lazy("created"))
    def created(self, product):
        return moment(product.created_at)

    @admin.display(description=gettext_lazy("changed"))
    def changed(self, product):
        return moment(product.updated_at)

    @admin.display(description=gettext_lazy("name"))
    def name_cell(self, product):
        return two_lines(product.name, product.name_ur) if product.name_ur else product.name

    @admin.display(description=gettext_lazy("SKU"))
    def sku_cell(self, product):
        return code(product.sku)

    @admin.display(description=gettext_lazy("price"))
    def price_cell(self, product):
        return money(product.selling_price)

    @admin.display(description=gettext_lazy("usual cost"))
    def cost_cell(self, product):
        return money(product.cost_price)

    @admin.display(description=gettext_lazy("status"))
    def status_cell(self, product):
        return product.get_status_display()


@admin.register(Barcode)
class BarcodeAdmin(HouseAdmin):
    """All codes; the place to find whose a code is, and to move one that was given wrongly."""

    deletable = True
    actions_asked_for = ("view", "add", "change", "delete")
    form = BarcodeForm
    list_display = ["code_cell", "product_cell", "pack"]
    list_filter = [ProductFilter]
    list_select_related = ["product", "pack"]
    search_fields = ["=code"]
    search_help_text = gettext_lazy("The whole code")
    autocomplete_fields = ["product", "pack"]

    def get_search_results(self, request, queryset, search_term):
        text = search_term.strip()
        return (queryset.filter(code__in=[text, clean_code(text)]) if text else queryset), False

    @admin.display(description=gettext_lazy("code"))
    def code_cell(self, barcode):
        return code(barcode.code)

    @admin.display(description=gettext_lazy("product"))
    def product_cell(self, barcode):
        return linked(self.admin_site, barcode.product)


@admin.register(Pack)
class PackAdmin(HouseAdmin):
    list_display = ["name", "product_cell", "units"]
    list_filter = [ProductFilter]
    list_select_related = ["product"]
    search_fields = ["name", "=product__sku"]
    search_help_text = gettext_lazy("Name of the pack, or the whole SKU")
    autocomplete_fields = ["product"]

    @admin.display(description=gettext_lazy("product"))
    def product_cell(self, pack):
        return linked(self.admin_site, pack.product)

    @admin.display(description=gettext_lazy("units in a pack"))
    def units(self, pack):
        return bare(pack.units_per_pack, pack.product)


@admin.register(StorePrice)
class StorePriceAdmin(HouseAdmin):
    """Prices of single stores, newest entry first. One is never edited: a newer one takes its place."""

    list_display = ["store_cell", "product_cell", "price_cell", "begins"]
    list_filter = [StoreFilter, ProductFilter]
    list_select_related = ["store", "product"]
    autocomplete_fields = ["store", "product"]

    actions_asked_for = ("view", "add")

    def has_change_permission(self, request, obj=None):
        return False

    @admin.display(description=gettext_lazy("store"))
    def store_cell(self, row):
        return two_lines(code(row.store.code), shop_name(row.store))

    @admin.display(description=gettext_lazy("product"))
    def product_cell(self, row):
        return two_lines(linked(self.admin_site, row.product, row.product.label), code(row.product.sku))

    @admin.display(description=gettext_lazy("price"))
    def price_cell(self, row):
        return money(row.price)

    @admin.display(description=gettext_lazy("from"))
    def begins(self, row):
        return at(row.effective_from, row.store)


class PriceProductFilter(ProductFilter):
    field = "pgh_obj"


def names_behind(rows: list[ProductPrice]) -> dict[int, str]:
    """Who made each of these price changes, by the row's key; a dash where the history does not know. One query."""
    users = {
        row.pk: (row.pgh_context.metadata or {}).get("user") if row.pgh_context_id else None for row in rows
    }
    known = dict(
        User.objects.filter(pk__in={pk for pk in users.values() if pk}).values_list("pk", "username")
    )
    return {key: known.get(user, "–") for key, user in users.items()}


@admin.register(ProductPrice)
class ProductPriceAdmin(ReadOnlyAdmin):
    """What products cost and when it changed; written by the database itself."""

    keyset = "-pk"
    listed_as = gettext_lazy("Price history")
    list_display = ["when", "product_cell", "price_cell", "cost_cell"]
    list_display_links = None
    list_filter = [PriceProductFilter]

    def get_queryset(self, request):
        return (
            super()
            .get_queryset(request)
            .prefetch_related(Prefetch("pgh_obj", Product.objects.only("sku", "name", "name_ur")))
        )

    def has_view_permission(self, request, obj=None):
        return obj is None and super().has_view_permission(request, obj)

    @admin.display(description=gettext_lazy("time"))
    def when(self, row):
        return moment(row.pgh_created_at)

    @admin.display(description=gettext_lazy("product"))
    def product_cell(self, row):
        return two_lines(linked(self.admin_site, row.pgh_obj, row.pgh_obj.label), code(row.pgh_obj.sku))

    @admin.display(description=gettext_lazy("selling price"))
    def price_cell(self, row):
        return money(row.selling_price)

    @admin.display(description=gettext_lazy("usual cost"))
    def cost_cell(self, row):
        return money(row.cost_price)
