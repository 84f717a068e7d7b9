"""Questions about the catalogue."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from catalog.models import Barcode, Pack, Product
from stores.models import Store

WEIGHT_PREFIX = "21"


@dataclass(frozen=True, slots=True)
class Scan:
    """What a scanned code stands for: a product, perhaps in a pack, perhaps with its weight (kg)."""

    product: Product
    pack: Pack | None = None
    quantity: Decimal | None = None


def has_check_digit(code: str) -> bool:
    """Whether the last digit of an EAN-8, UPC-A, EAN-13 or GTIN-14 fits the others (GS1: weights 3 and 1 from the right)."""
    if len(code) not in (8, 12, 13, 14) or not (code.isascii() and code.isdigit()):
        return False
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(code)))
    return total % 10 == 0


def check_digit(body: str) -> str:
    """The digit that completes `body` to a valid GTIN."""
    total = sum(int(digit) * (1 if place % 2 else 3) for place, digit in enumerate(reversed(body)))
    return str(-total % 10)


def weight_label(code: str) -> tuple[str, Decimal] | None:
    """(item's own barcode, weight in kg) of an in-store weight label: 21, 5 item digits, 5 gram digits, check digit.

    None for any other code, and for a label of 0 g, which is the item's own barcode.
    """
    if (
        len(code) != 13
        or not code.startswith(WEIGHT_PREFIX)
        or not has_check_digit(code)
        or code[7:12] == "00000"
    ):
        return None
    item = code[:7] + "00000"
    return item + check_digit(item), Decimal(code[7:12]) / 1000


def clean_code(text: str) -> str:
    """A scanned text without what scanners add: white space, the AIM mark ]E0; UPC-A as its EAN-13."""
    code = text.strip().removeprefix("]E0")
    if len(code) == 12 and has_check_digit(code):
        code = "0" + code
    return code


def forms_of(code: str) -> list[tuple[str, Decimal | None]]:
    """The barcodes that a scanned `code` may be, the likeliest first; the item of a weight label with its weight (kg)."""
    clean = clean_code(code)
    forms = [(clean, None)] if clean == code.strip() else [(clean, None), (code.strip(), None)]
    label = weight_label(clean)
    return [*forms, label] if label else forms


def scan_many(codes: Iterable[str], store: Store | None = None, at=None) -> dict[str, Scan]:
    """What each of `codes` stands for, in two queries however many there are; unknown ones are left out.

    With `store`, products carry their `price` there at the instant `at` (default now).
    """
    wanted = {code: forms_of(code) for code in codes}
    every = {form for forms in wanted.values() for form, _kg in forms}
    rows = {row.code: row for row in Barcode.objects.filter(code__in=every).select_related("pack")}
    products = Product.objects.filter(pk__in={row.product_id for row in rows.values()}).select_related(
        "category"
    )
    products = (products.priced(store, at) if store else products).in_bulk() if rows else {}
    found = {}
    for code, forms in wanted.items():
        row, quantity = next(((rows[form], kg) for form, kg in forms if form in rows), (None, None))
        if row is not None:
            found[code] = Scan(products[row.product_id], row.pack, quantity)
    return found


def scan(code: str, store: Store | None = None) -> Scan | None:
    """What `code` stands for, or None."""
    return scan_many([code], store).get(code)
