"""What is sold: one list for all stores, with codes, packs and prices."""

from decimal import Decimal
from functools import lru_cache

import pghistory
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.core.validators import MinValueValidator, RegexValidator
from django.db import connections, models
from django.db.models import F, Func, OuterRef, Prefetch, Q, Subquery, Value
from django.db.models.functions import Coalesce, Least, Now, NullIf, StrIndex
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from stores.models import Store


class Number(models.DecimalField):
    """A decimal of one of the database's own number types (sql/domains.sql), which keep NaN out."""

    digits, places, domain = 0, 0, ""

    def __init__(self, *args, **kwargs):
        kwargs |= {"max_digits": self.digits, "decimal_places": self.places}
        super().__init__(*args, **kwargs)

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        del kwargs["max_digits"], kwargs["decimal_places"]
        return name, path, args, kwargs

    def db_type(self, connection):
        return self.domain


class Quantity(Number):
    """An amount of goods in the product's base unit, 3 decimals; may be negative."""

    digits, places, domain = 14, 3, "kiryana_quantity"


class Price(Number):
    """Rupees for one unit, 2 decimals, never negative."""

    digits, places, domain = 12, 2, "kiryana_price"

    def __init__(self, *args, **kwargs):
        kwargs["validators"] = [MinValueValidator(Decimal(0))]
        super().__init__(*args, **kwargs)

    def deconstruct(self):
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("validators", None)
        return name, path, args, kwargs


class Amount(Number):
    """Rupees in all, 2 decimals; may be negative."""

    digits, places, domain = 16, 2, "kiryana_amount"


class Cost(Number):
    """Rupees that one unit cost, 4 decimals, never negative."""

    digits, places, domain = 14, 4, "kiryana_cost"


class CostTotal(Number):
    """Rupees that goods cost in all, 4 decimals; may be negative."""

    digits, places, domain = 18, 4, "kiryana_cost_total"


class Worth(Number):
    """Rupees that many levels are worth together, 2 decimals; may be negative."""

    digits, places, domain = 24, 2, "kiryana_worth"


no_spaces = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9._/-]*\Z", _("Use letters, digits and . _ / - only, without spaces.")
)


def in_language(english: str, urdu: str) -> str:
    """The name in the reader's language; the English one where there is no Urdu."""
    return urdu if urdu and get_language() == "ur" else english


@lru_cache(maxsize=256)
def word_of(choices: type[models.TextChoices], value: str, language: str | None) -> str:
    """The word for one of `choices` in `language`, the reader's own: lists say the same few over and over."""
    return str(choices(value).label)


class Category(models.Model):
    """One group of products, such as Flour & Grains; groups may nest."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    name_ur = models.CharField(_("name in Urdu"), max_length=100, blank=True)
    parent = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="children", verbose_name=_("parent")
    )

    class Meta:
        verbose_name = _("category")
        verbose_name_plural = _("categories")

    def __str__(self):
        return in_language(self.name, self.name_ur)


class Fold(Func):
    """catalog_fold(): the form in which text is compared (see catalog/sql/fold.sql)."""

    function = "catalog_fold"
    output_field = models.TextField()


class Joined(Fold):
    """catalog_fold() of several texts joined by spaces."""

    arg_joiner = " || ' ' || "


LIKELY = 100  # products among which a till chooses


class ProductQuerySet(models.QuerySet):
    def active(self):
        return self.filter(status=Product.Status.ACTIVE)

    def with_codes(self):
        """Adds `codes` (its barcodes) and `ways` (its packs, each with its `codes`) as lists."""
        codes = Prefetch("barcodes", to_attr="codes")
        return self.prefetch_related(
            codes, Prefetch("packs", Pack.objects.prefetch_related(codes), to_attr="ways")
        )

    def priced(self, store: Store, at=None):
        """Adds `price`: the newest StorePrice of `store` effective at `at` (default now), else the product's (R6)."""
        effective = StorePrice.objects.filter(
            product=OuterRef("pk"), store=store, effective_from__lte=at or Now()
        )
        newest = effective.order_by("-effective_from", "-pk").values("price")[:1]
        return self.annotate(price=Coalesce(Subquery(newest), F("selling_price")))

    def matching(self, text: str):
        """Products whose search text holds every word of `text`, in any script or spelling that folds alike.

        Words are looked for anywhere in a name, so "sug 1k" finds Sugar 1 kg; a known barcode finds its product alone.
        Asks the database at once for the folded form of `text`: how text folds is told in one place, fold.sql.
        """
        with connections[self.db].cursor() as cursor:
            cursor.execute("SELECT catalog_fold(%s)", [text])
            [folded] = cursor.fetchone()
        if folded.isdigit() and (
            found := Barcode.objects.filter(code=folded).values_list("product", flat=True).first()
        ):
            return self.filter(pk=found)
        hits = self if folded else self.none()
        for word in folded.split()[:8]:
            hits = hits.filter(search_text__contains=word)
        return hits

    def nearest_first(self, text: str):
        """The LIKELY of them for choosing: names that begin with the first word of `text` before those that hold it further on.

        For products that fit `text` (`matching`): "cheeni" means sugar before it means cinnamon, dar cheeni. To fold two names
        takes as long as to find twenty products, so of many only those are put in order that hold the word soonest. What else
        is to be known of each (`priced`) is best asked of the result.
        """
        first = Func(Value(text.split(maxsplit=1)[0] if text.strip() else ""), function="catalog_fold")
        soonest = self.order_by(StrIndex(F("search_text"), first), "name", "pk").values("pk")[:LIKELY]
        places = [
            NullIf(StrIndex(Func(F(name), function="catalog_fold"), first), Value(0))
            for name in ("name", "name_ur")
        ]
        likely = self.model.objects.using(self._db).filter(pk__in=soonest)
        return likely.order_by(Least(*places).asc(nulls_last=True), "name", "pk")


@pghistory.track(
    pghistory.InsertEvent(),
    pghistory.UpdateEvent(condition=pghistory.AnyChange("cost_price", "selling_price")),
    fields=["cost_price", "selling_price"],
    model_name="ProductPrice",
    obj_field=pghistory.ObjForeignKey(related_name="price_history"),
)
class Product(models.Model):
    """One thing that stores sell, with its unit, usual cost and price. Never deleted: `status` says where it stands."""

    class Unit(models.TextChoices):
        PIECE = "pc", _("pc")
        KILOGRAM = "kg", _("kg")
        GRAM = "g", _("g")
        LITRE = "l", _("l")
        MILLILITRE = "ml", _("ml")
        DOZEN = "dozen", _("dozen")
        SERVICE = "service", _("service")

    class Status(models.TextChoices):
        DRAFT = "draft", _("Draft")
        ACTIVE = "active", _("Active")
        DISCONTINUED = "discontinued", _("Discontinued")
        ARCHIVED = "archived", _("Archived")
        MERGED = "merged", _("Merged")

    sku = models.CharField(_("SKU"), max_length=40, unique=True, validators=[no_spaces])
    name = models.CharField(_("name"), max_length=200)
    name_ur = models.CharField(_("name in Urdu"), max_length=200, blank=True)
    aliases = models.CharField(
        _("other names"),
        max_length=300,
        blank=True,
        help_text=_("Roman Urdu and other words people search by: cheeni chini shakar."),
    )
    category = models.ForeignKey(
        Category, models.PROTECT, related_name="products", verbose_name=_("category")
    )
    brand = models.CharField(_("brand"), max_length=100, blank=True)
    unit = models.CharField(_("unit"), max_length=7, choices=Unit, default=Unit.PIECE)
    quantity_step = Quantity(
        _("quantity step"),
        default=Decimal(1),
        validators=[MinValueValidator(Decimal("0.001"))],
        help_text=_("The smallest amount that is sold: 1 for pieces, 0.001 for loose goods."),
    )
    cost_price = Price(_("usual cost"), default=Decimal(0))
    selling_price = Price(_("selling price"))
    status = models.CharField(_("status"), max_length=12, choices=Status, default=Status.ACTIVE)
    search_text = models.GeneratedField(
        expression=Joined(F("sku"), F("name"), F("name_ur"), F("aliases"), F("brand")),
        output_field=models.TextField(),
        db_persist=True,
        verbose_name=_("search text"),
    )
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)
    updated_at = models.DateTimeField(_("changed"), auto_now=True)

    objects = ProductQuerySet.as_manager()

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")
        indexes = [
            GinIndex(OpClass(F("search_text"), name="gin_trgm_ops"), name="product_search"),
            models.Index(fields=["name", "id"], name="product_name"),
            models.Index(fields=["updated_at", "id"], name="product_updated"),
        ]
        constraints = [
            models.CheckConstraint(condition=Q(quantity_step__gt=0), name="product_step_positive"),
            models.CheckConstraint(
                condition=Q(unit__in=["pc", "kg", "g", "l", "ml", "dozen", "service"]),
                name="product_unit_known",
            ),
            models.CheckConstraint(
                condition=Q(status__in=["draft", "active", "discontinued", "archived", "merged"]),
                name="product_status_known",
            ),
        ]

    def __str__(self):
        return f"{self.sku} {self.label}"

    # Django's own looks through all choices each time, which a list of fifty rows feels.
    def get_unit_display(self) -> str:
        return word_of(self.Unit, self.unit, get_language())

    @property
    def label(self) -> str:
        """The name in the reader's language."""
        return in_language(self.name, self.name_ur)


class Pack(models.Model):
    """One way a product comes in bulk, such as a case of 12."""

    product = models.ForeignKey(Product, models.PROTECT, related_name="packs", verbose_name=_("product"))
    name = models.CharField(_("name"), max_length=50)
    units_per_pack = Quantity(_("units in a pack"))

    class Meta:
        verbose_name = _("pack")
        verbose_name_plural = _("packs")
        constraints = [
            models.UniqueConstraint(fields=["product", "name"], name="pack_name_once"),
            models.CheckConstraint(condition=Q(units_per_pack__gt=0), name="pack_units_positive"),
        ]

    def __str__(self):
        return self.name


class Barcode(models.Model):
    """One code that scanners read, for a product or for one of its packs. A code means one thing for ever."""

    code = models.CharField(_("code"), max_length=64, unique=True, validators=[no_spaces])
    product = models.ForeignKey(Product, models.PROTECT, related_name="barcodes", verbose_name=_("product"))
    pack = models.ForeignKey(
        Pack, models.PROTECT, null=True, blank=True, related_name="barcodes", verbose_name=_("pack")
    )

    class Meta:
        verbose_name = _("barcode")
        verbose_name_plural = _("barcodes")

    def __str__(self):
        return self.code


class StorePrice(models.Model):
    """One store's own price of a product from an instant on; the newest that has begun counts."""

    store = models.ForeignKey(Store, models.CASCADE, related_name="prices", verbose_name=_("store"))
    product = models.ForeignKey(
        Product, models.PROTECT, related_name="store_prices", verbose_name=_("product")
    )
    price = Price(_("price"))
    effective_from = models.DateTimeField(_("from"), db_default=Now())
    created_at = models.DateTimeField(_("created"), db_default=Now(), editable=False)

    class Meta:
        verbose_name = _("store price")
        verbose_name_plural = _("store prices")
        # The key of the table itself is (store, id), as that of all that belongs to a store (migration 0005).
        indexes = [models.Index(fields=["id"], name="store_price_id")]
        constraints = [
            models.UniqueConstraint(fields=["store", "product", "effective_from"], name="store_price_once"),
        ]

    def __str__(self):
        return f"{self.store} · {self.product} · {self.price}"
