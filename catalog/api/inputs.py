"""What partners send about products."""

from decimal import Decimal

from django.utils.translation import gettext as _
from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from catalog.models import Category, Product, no_spaces
from stores.api.fields import (
    Choice,
    Code,
    Flag,
    PriceField,
    QuantityField,
    Strict,
    StrictList,
    Text,
    check_free,
)

STATUSES = [choice for choice in Product.Status.choices if choice[0] in ("draft", "active", "discontinued")]
LONGEST_BARCODE = 64
MAX_BATCH = 500


class SkuField(Code):
    """A SKU or barcode that is new: letters, digits and . _ / - only."""

    def to_internal_value(self, data):
        data = super().to_internal_value(data)
        if not no_spaces.regex.match(data):
            self.fail("invalid_code")
        return data


class CategoryField(serializers.Field):
    """A category by its English name."""

    def to_internal_value(self, data):
        if not isinstance(data, str):
            raise ValidationError(_("Send the name of a category."), code="wrong_type")
        if not 0 < len(data) <= 100:
            found = None
        elif (known := self.context.get("categories")) is not None:  # of a batch, asked for once
            found = known.get(data.upper())
        else:
            found = Category.objects.filter(name__iexact=data).order_by("pk").first()
        if found is None:
            raise ValidationError(_("There is no such category."), code="invalid_choice")
        return found

    def to_representation(self, value) -> str:
        return value.name


class ProductInput(Strict):
    """A new product."""

    synonyms = {"code": "sku"}

    sku = SkuField(max_length=40)
    name = Text(max_length=200)
    name_ur = Text(max_length=200, blank=True, required=False)
    aliases = Text(
        max_length=300, blank=True, required=False, help_text="Roman Urdu and other words people search by."
    )
    category = CategoryField(help_text="The English name of a category.")
    brand = Text(max_length=100, blank=True, required=False)
    unit = Choice(Product.Unit.choices, required=False)
    quantity_step = QuantityField(
        low=Decimal("0.001"), required=False, help_text="1 for pieces, 0.001 for loose goods."
    )
    selling_price = PriceField(help_text="0 only with free, or in a draft.")
    free = Flag(required=False, help_text="Given away: goes with a selling_price of 0, and with no other.")
    cost_price = PriceField(required=False)
    status = Choice(STATUSES, required=False)
    barcodes = StrictList(child=SkuField(max_length=LONGEST_BARCODE), max_length=50, required=False)

    def validate(self, attrs):
        check_free(attrs, "selling_price", zero_allowed=attrs.get("status") == Product.Status.DRAFT)
        return attrs


class ProductChange(Strict):
    """What may change of a product. Its SKU, unit and quantity step stay."""

    fewest = 1

    name = Text(max_length=200, required=False)
    name_ur = Text(max_length=200, blank=True, required=False)
    aliases = Text(max_length=300, blank=True, required=False)
    category = CategoryField(required=False)
    brand = Text(max_length=100, blank=True, required=False)
    selling_price = PriceField(required=False, help_text="0 only with free, or in a draft.")
    free = Flag(required=False, help_text="Given away: goes with a selling_price of 0, and with no other.")
    cost_price = PriceField(required=False)
    status = Choice(STATUSES, required=False)
    barcodes = StrictList(
        child=SkuField(max_length=LONGEST_BARCODE),
        max_length=50,
        required=False,
        help_text="All codes it has, and new ones.",
    )


class ProductRow(ProductChange):
    """One product of a batch. New: it needs name, category and price. There already: its unit and quantity step stay."""

    synonyms = {"code": "sku"}

    sku = SkuField(max_length=40)
    unit = Choice(Product.Unit.choices, required=False)
    quantity_step = QuantityField(
        low=Decimal("0.001"), required=False, help_text="1 for pieces, 0.001 for loose goods."
    )


class ProductBatch(Strict):
    """Up to 500 products. Each is looked at by itself: what is wrong with one is told in its verdict."""

    products = StrictList(min_length=1, max_length=MAX_BATCH, too_many="too_many_products")
    dry_run = Flag(required=False)


class ProductBatchSchema(serializers.Serializer):
    """Up to 500 products, each added, changed or rejected by itself, in this order."""

    products = ProductRow(many=True, min_length=1, max_length=MAX_BATCH)
    dry_run = serializers.BooleanField(
        required=False, help_text="true: nothing is saved; the verdicts say what would be."
    )
