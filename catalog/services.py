"""Changes to the catalogue that come from outside the admin."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from catalog.models import Barcode, Product

# What a new product cannot do without, and what a product that is in use keeps for ever.
REQUIRED = ("name", "category", "selling_price")
FIXED = ("unit", "quantity_step")
ATTEMPTS = 10


class CatalogueRefused(ValidationError):
    """A change to the catalogue that was not made. `field` is what it is about; nothing was saved."""

    def __init__(self, message, code, field=""):
        super().__init__(message, code=code)
        self.field = field


class Duplicate(CatalogueRefused):
    """The SKU or a barcode belongs to a product already."""


class Overtaken(CatalogueRefused):
    """Others kept taking the same SKUs or barcodes while a batch was saved; it may be sent again."""


@dataclass(slots=True)
class Outcome:
    """What became, or would become, of one row of a batch: a word, and why not where it is "rejected"."""

    status: str
    refusals: list[CatalogueRefused] = field(default_factory=list)


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
            raise stays(gone[0])
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
        raise (
            belongs_to(taken.code, taken.product.sku) if taken else belongs_to(", ".join(codes), "?")
        ) from error


def upsert_products(
    *, rows: Sequence[dict], approve: Callable[[dict, Product], None], dry_run: bool = False
) -> list[Outcome]:
    """Adds the products whose `sku` is new and changes the others to what their rows say; one outcome for each row.

    Each row has its own verdict: what is wrong with one keeps no other back. Outcomes are "created", "updated",
    "unchanged" (nothing was written) or "rejected": a new product without name, category or price, another unit or
    step, a barcode that is taken, a list that leaves out a barcode the product has, or whatever `approve` refuses, which
    is given the fields of a row and the product as it stands (a bare one if it is new). No two rows have one SKU. With
    `dry_run` nothing is written. The number of queries does not depend on the number of rows.
    """
    for _attempt in range(ATTEMPTS):
        try:
            with transaction.atomic():
                return save_batch(rows, approve, dry_run)
        except IntegrityError as error:
            # Somebody was faster with a new SKU or barcode. What he saved can be seen now: begin again.
            if not (is_taken(error, "sku") or is_taken(error, "code")):
                raise
    raise Overtaken(_("Others are changing the same products. Send it again: nothing was saved."), "busy")


def save_batch(rows: Sequence[dict], approve: Callable, dry_run: bool) -> list[Outcome]:
    """One attempt of `upsert_products`. Locks and inserts go by SKU, then by barcode: no two batches wait for each other."""
    known = Product.objects.filter(sku__in=[row["sku"] for row in rows]).defer("search_text").order_by("sku")
    if not dry_run:
        # Sales refer to these rows all the time; only others who change them have to wait.
        known = known.select_for_update(no_key=True)
    products = {product.sku: product for product in known}
    sent = {code for row in rows for code in row.get("barcodes", ())}
    owner = dict(Barcode.objects.filter(code__in=sent).values_list("code", "product__sku"))
    has: dict[str, set[str]] = {}
    for sku, code in Barcode.objects.filter(product__in=products.values(), pack=None).values_list(
        "product__sku", "code"
    ):
        has.setdefault(sku, set()).add(code)

    outcomes, new, changed, touched, codes = [], [], [], set(), []
    for row in rows:
        sku, product = row["sku"], products.get(row["sku"])
        fields = {name: value for name, value in row.items() if name not in ("sku", "barcodes")}
        refusals = [*refused_fields(fields, product), *refused_barcodes(row, has.get(sku, set()), owner)]
        try:
            approve(fields, product or Product())
        except CatalogueRefused as refusal:
            refusals.append(refusal)
        if refusals:
            outcomes.append(Outcome("rejected", refusals))
            continue
        fresh = [code for code in dict.fromkeys(row.get("barcodes", ())) if code not in has.get(sku, ())]
        owner |= dict.fromkeys(fresh, sku)
        if product is None:
            product, others = Product(sku=sku, **fields), {}
            new.append(product)
            outcomes.append(Outcome("created"))
        else:
            others = {name: value for name, value in fields.items() if differs(product, name, value)}
            outcomes.append(Outcome("updated" if others or fresh else "unchanged"))
            if others or fresh:
                changed.append(product)
        for name, value in others.items():
            setattr(product, name, value)
        touched |= others.keys()
        codes += [Barcode(code=code, product=product) for code in fresh]
    if not dry_run:
        Product.objects.bulk_create(sorted(new, key=lambda product: product.sku))
        now = timezone.now()
        for product in changed:
            product.updated_at = now
        Product.objects.bulk_update(changed, [*sorted(touched), "updated_at"])
        Barcode.objects.bulk_create(sorted(codes, key=lambda barcode: barcode.code))
    return outcomes


def refused_fields(fields: dict, product: Product | None) -> list[CatalogueRefused]:
    """What is missing of a new product, or may not change of one that is there."""
    if product is None:
        return [
            CatalogueRefused(_("A new product needs this."), "required", name)
            for name in REQUIRED
            if name not in fields
        ]
    return [
        CatalogueRefused(_("This stays as it is: stock and sales are counted in it."), "cannot_change", name)
        for name in FIXED
        if name in fields and differs(product, name, fields[name])
    ]


def refused_barcodes(row: dict, has: set[str], owner: dict[str, str]) -> list[CatalogueRefused]:
    """What is wrong with the barcodes of a row: one is missing that its product has, or one belongs to another."""
    if "barcodes" not in row:
        return []
    if gone := sorted(has.difference(row["barcodes"])):
        return [stays(gone[0])]
    taken = [code for code in dict.fromkeys(row["barcodes"]) if code in owner and code not in has]
    return [belongs_to(code, owner[code]) for code in taken]


def differs(product: Product, name: str, value) -> bool:
    """Whether `value` is another one than the product has; asks nothing."""
    if name == "category":
        return product.category_id != value.pk
    return getattr(product, name) != value


def stays(code: str) -> CatalogueRefused:
    return CatalogueRefused(
        _("A barcode is never taken away: %(code)s is missing from the list.") % {"code": code},
        "barcode_stays",
        "barcodes",
    )


def belongs_to(code: str, sku: str) -> Duplicate:
    return Duplicate(
        _("The barcode %(code)s belongs to %(sku)s.") % {"code": code, "sku": sku},
        "duplicate_barcode",
        "barcodes",
    )


def is_taken(error: IntegrityError, column: str) -> bool:
    """Whether `error` is that of a unique key on `column`."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return (
        bool(diagnosis)
        and diagnosis.sqlstate == "23505"
        and f"({column})=" in (diagnosis.message_detail or "")
    )
