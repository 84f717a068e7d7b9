"""What partners send about stock."""

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.serializers import Serializer

from inventory.filters import KINDS
from inventory.services import MAX_LINES
from stores.api.fields import (
    Choice,
    Code,
    CostField,
    Flag,
    IdOrReference,
    Instant,
    PriceField,
    QuantityField,
    StoreCode,
    Strict,
    StrictList,
    Text,
    check_free,
)

MAX_DOCUMENTS = settings.API_LIMITS["documents"]


def wrong(code: str, words, field: str = "non_field_errors") -> ValidationError:
    return ValidationError({field: [ErrorDetail(words, code)]})


class ActInput(Strict):
    """What every document says of itself."""

    synonyms = {"movement_type": "kind"}

    store = StoreCode(help_text="The code of a store of this key.")
    kind = Choice(KINDS, help_text="stock_in is receipt.")
    reference = Code(
        max_length=100,
        required=False,
        help_text="Your own number for it, unique per store for ever; or send it as Idempotency-Key.",
    )
    occurred_at = Instant(required=False, help_text="When it happened, up to 7 days back. Left out: now.")
    reason = Code(
        max_length=30,
        required=False,
        help_text="A coded reason of this kind; sales, returns and what comes in have none.",
    )
    notes = Text(max_length=500, blank=True, notes=True, required=False)
    returns = IdOrReference(
        max_length=100, required=False, help_text="Of a sale_return: the sale, by id or by reference."
    )
    confirm_oversell = Flag(required=False, help_text="Sell beyond stock where the store's policy is to ask.")


class LineInput(Strict):
    """One line. Name the product by exactly one of `sku` and `barcode`.

    The barcode of a weight label gives the quantity where none is sent; with the barcode of a pack, `quantity` counts
    packs. Quantities are positive, except that an adjustment carries its own sign. `amount` instead of `quantity` sells
    loose goods for so many rupees. Without `unit_price` the store's price counts, without `unit_cost` the usual cost.
    """

    synonyms = {"code": "sku"}
    one_of = (("sku", "barcode"),)
    not_both = (("quantity", "amount"),)

    sku = Code(max_length=40, required=False)
    barcode = Code(max_length=64, required=False)
    quantity = QuantityField(required=False)
    amount = PriceField(required=False, help_text="Rupees of loose goods; sales only.")
    unit_price = PriceField(required=False, help_text="Sales and returns. 0 only with free.")
    free = Flag(required=False, help_text="Given away: goes with a unit_price of 0, and with no other.")
    line_total = PriceField(
        required=False, help_text="What was charged, if not quantity times price. Sales and returns."
    )
    unit_cost = CostField(required=False, help_text="Receipts and opening stock.")

    def validate(self, attrs):
        if ("sku" in attrs) == ("barcode" in attrs):
            raise wrong("sku_or_barcode", _("Name the product by exactly one of sku and barcode."))
        if "quantity" in attrs and "amount" in attrs:
            raise wrong("quantity_or_amount", _("Send a quantity or an amount, not both."))
        check_free(attrs, "unit_price")
        return attrs


class DocumentInput(ActInput):
    """One act in one store: all its lines, or none."""

    lines = StrictList(child=LineInput(), min_length=1, max_length=MAX_LINES, too_many="too_many_lines")


class MovementInput(ActInput, LineInput):
    """A document of one line."""

    synonyms = ActInput.synonyms | LineInput.synonyms


class ReversalInput(Strict):
    """Why a document is voided."""

    reason = Code(max_length=30, help_text="A coded reason for a reversal, such as MISTAKE.")
    reference = Code(
        max_length=100,
        required=False,
        help_text="Your own number for the void; or send it as Idempotency-Key.",
    )
    notes = Text(max_length=500, blank=True, notes=True, required=False)


class BatchInput(Strict):
    """Up to 200 documents. Each is looked at by itself: what is wrong with one is told in its verdict."""

    documents = StrictList(min_length=1, max_length=MAX_DOCUMENTS, too_many="too_many_documents")


class BatchSchema(Serializer):
    """Up to 200 documents, each recorded or refused by itself, in this order."""

    documents = DocumentInput(many=True, max_length=MAX_DOCUMENTS)


class LevelChange(Strict):
    """When to warn, and how far to refill."""

    fewest = 1

    reorder_point = QuantityField(low=0, required=False)
    target_level = QuantityField(low=0, required=False, allow_null=True)

    def validate(self, attrs):
        level = self.context["level"]
        target = attrs.get("target_level", level.target_level)
        if target is not None and target < attrs.get("reorder_point", level.reorder_point):
            raise wrong(
                "below_reorder_point",
                _("The level to refill to lies below the reorder point."),
                "target_level",
            )
        return attrs
