"""Changes to the catalogue that come from outside the admin."""

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from catalog.models import Barcode, Product


class CatalogueRefused(ValidationError):
    """A change to the catalogue that was not made. `field` is what it is about; nothing was saved."""

    def __init__(self, message, code, field=""):
        super().__init__(message, code=code)
        self.field = field


class Duplicate(CatalogueRefused):
    """The SKU or a barcode belongs to a product already."""


@transaction.atomic
def create_product(*, barcodes: Iterable[str] = (), **fields) -> Product:
    """Makes a product with its barcodes. Refuses a SKU or barcode that is taken; of two who come at once, one is refused."""
    try:
        with transaction.atomic():
            product = Product.objects.create(**fields)
    except IntegrityError as error:
        if not is_taken(error, "sku"):
            raise
        raise Duplicate(_("The SKU %(sku)s is taken.") % fields, "duplicate_sku", "sku") from error
    add_barcodes(product, barcodes)
    return product


@transaction.atomic
def change_product(*, product: Product, barcodes: Iterable[str] | None = None, **fields) -> Product:
    """Changes `fields` of a product and adds the codes of `barcodes` that it lacks. Lock the product before you call.

    Refuses a barcode that is taken, and a list that leaves out one the product has: a code means one thing for ever.
    """
    for name, value in fields.items():
        setattr(product, name, value)
    if barcodes is not None:
        wanted = list(dict.fromkeys(barcodes))
        has = set(Barcode.objects.filter(product=product, pack=None).values_list("code", flat=True))
        if gone := sorted(has - set(wanted)):
            raise CatalogueRefused(
                _("A barcode is never taken away: %(code)s is missing from the list.") % {"code": gone[0]},
                "barcode_stays",
                "barcodes",
            )
        add_barcodes(product, [code for code in wanted if code not in has])
    product.save(update_fields=[*fields, "updated_at"])
    return product


def add_barcodes(product: Product, codes: Iterable[str]) -> None:
    """Gives `product` these codes; refuses one that is taken."""
    codes = list(dict.fromkeys(codes))
    try:
        with transaction.atomic():
            Barcode.objects.bulk_create([Barcode(code=code, product=product) for code in sorted(codes)])
    except IntegrityError as error:
        if not is_taken(error, "code"):
            raise
        taken = Barcode.objects.filter(code__in=codes).select_related("product").order_by("code").first()
        words = (
            {"code": taken.code, "sku": taken.product.sku}
            if taken
            else {"code": ", ".join(codes), "sku": "?"}
        )
        raise Duplicate(
            _("The barcode %(code)s belongs to %(sku)s.") % words, "duplicate_barcode", "barcodes"
        ) from error


def is_taken(error: IntegrityError, column: str) -> bool:
    """Whether `error` is that of a unique key on `column`."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return (
        bool(diagnosis)
        and diagnosis.sqlstate == "23505"
        and f"({column})=" in (diagnosis.message_detail or "")
    )
