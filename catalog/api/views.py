"""The central catalogue for partners: read, add, change. Nothing is deleted: `status` says where a product stands."""

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response
from rest_framework.reverse import reverse

from catalog.api import examples
from catalog.api.inputs import (
    LONGEST_BARCODE,
    ProductBatch,
    ProductBatchSchema,
    ProductChange,
    ProductInput,
    ProductRow,
)
from catalog.api.shapes import FoundSerializer, ProductSerializer, ProductVerdictsSerializer
from catalog.filters import ProductFilter
from catalog.models import Category, Product, no_spaces
from catalog.queries import clean_code, scan
from catalog.services import (
    CatalogueRefused,
    Duplicate,
    Overtaken,
    change_product,
    create_product,
    upsert_products,
)
from stores.api.base import KeyViews, Listed, check_match, entity_tag, not_modified
from stores.api.fields import check_free, kept
from stores.authentication.problems import RETRY, Fault, Invalid, Problem, fault, faults_of
from stores.models import ApiKey

Scope = ApiKey.Scope
IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The ETag of the version you change. Without it: 428.",
)


@extend_schema_view(
    list=extend_schema(
        summary="List products", examples=[OpenApiExample("A product", examples.PRODUCT, response_only=True)]
    ),
    retrieve=extend_schema(
        summary="One product", examples=[OpenApiExample("A product", examples.PRODUCT, response_only=True)]
    ),
)
@extend_schema(tags=["products"])
class ProductViews(Listed, KeyViews):
    scopes = {
        "list": Scope.CATALOG_READ,
        "retrieve": Scope.CATALOG_READ,
        "lookup": Scope.CATALOG_READ,
        "create": Scope.CATALOG_WRITE,
        "partial_update": Scope.CATALOG_WRITE,
        "batch": Scope.CATALOG_WRITE,
    }
    parameters = {"lookup": frozenset({"barcode"})}
    problems = {
        "create": ("duplicate_sku", "duplicate_barcode"),
        "partial_update": ("not_found", "duplicate_barcode", "version_conflict", "if_match_required"),
        "lookup": ("not_found",),
    }
    tagged = frozenset({"retrieve", "create", "partial_update"})
    queryset = Product.objects.none()
    serializer_class = ProductSerializer
    filterset_class = ProductFilter
    orderings = ("sku", "-sku", "name", "-name", "updated_at", "-updated_at", "id", "-id")
    lookup_field = lookup_url_kwarg = "sku"

    def get_queryset(self):
        return Product.objects.defer("search_text").select_related("category").with_codes()

    def shown(self, product: Product, status=200) -> Response:
        """One product with its ETag."""
        response = Response(self.shape.to_representation(product), status=status)
        response["ETag"] = tag_of(product)
        return response

    def retrieve(self, request, sku):
        """One product, with its ETag; 304 for a reader who sends that in If-None-Match."""
        product = get_object_or_404(self.get_queryset(), sku=sku)
        if not_modified(request, tag_of(product)):
            return Response(status=304, headers={"ETag": tag_of(product)})
        return self.shown(product)

    @extend_schema(
        summary="Add a product",
        request=ProductInput,
        responses={201: ProductSerializer},
        examples=[
            OpenApiExample("A new product", examples.NEW_PRODUCT, request_only=True),
            OpenApiExample("The product", examples.PRODUCT, response_only=True, status_codes=["201"]),
        ],
    )
    def create(self, request):
        """Adds a product to the central catalogue."""
        given = self.read(ProductInput)
        try:
            product = create_product(**given)
        except CatalogueRefused as refusal:
            raise problem_of(refusal) from refusal
        response = self.shown(self.get_queryset().get(pk=product.pk), 201)
        response["Location"] = reverse("api:product", [product.sku], request=request)
        return response

    @extend_schema(
        summary="Change a product",
        parameters=[IF_MATCH],
        request=ProductChange,
        responses={200: ProductSerializer},
        examples=[
            OpenApiExample("A new price", {"selling_price": "170.00"}, request_only=True),
            OpenApiExample("The product", examples.PRODUCT, response_only=True),
        ],
    )
    def partial_update(self, request, sku):
        """Changes the fields that are sent, if nobody changed the product since the version that If-Match names."""
        given = self.read(ProductChange)
        with transaction.atomic():
            product = get_object_or_404(
                Product.objects.select_for_update(of=("self",)).select_related("category").with_codes(),
                sku=sku,
            )
            check_match(request, tag_of(product))
            check_price(given, product)
            try:
                change_product(product=product, **given)
            except CatalogueRefused as refusal:
                raise problem_of(refusal) from refusal
            return self.shown(self.get_queryset().get(pk=product.pk))

    @extend_schema(
        summary="Add and change many products",
        request=ProductBatchSchema,
        responses={200: ProductVerdictsSerializer},
        examples=[
            OpenApiExample("A new product, a new price, a mistake", examples.BATCH, request_only=True),
            OpenApiExample("Verdicts", examples.VERDICTS, response_only=True),
        ],
    )
    def batch(self, request):
        """Up to 500 products, each added, changed or rejected by itself: one bad one never blocks the others.

        A product is known by its SKU. Fields that are not sent stay as they are. Sent twice, the second time changes nothing.
        """
        sent = self.read(ProductBatch)
        dry_run, known = sent.get("dry_run", False), {}
        for category in Category.objects.order_by("-pk"):
            known[category.name.upper()] = category
        verdicts, rows, seen = [], {}, set()
        for index, raw in enumerate(sent["products"]):
            row = ProductRow(data=raw, context={"categories": known})
            sku = said_sku(raw)
            verdicts.append({"index": index, "sku": sku, "status": "rejected"})
            if sku in seen:
                words = _("This SKU stands in the batch already; its first row counts.")
                verdicts[-1] |= rejected(
                    index, "duplicate_in_batch", [Fault("/sku", "duplicate_in_batch", words)]
                )
            elif row.is_valid():
                rows[index] = row.validated_data
            else:
                problem = Invalid(faults_of(row.errors))
                verdicts[-1] |= rejected(index, problem.code, problem.faults)
            seen |= {sku} - {None}
        try:
            outcomes = upsert_products(rows=list(rows.values()), approve=approve_price, dry_run=dry_run)
        except Overtaken as refusal:
            raise Problem("busy", refusal.message, wait=RETRY) from refusal
        for index, outcome in zip(rows, outcomes, strict=True):
            verdicts[index]["status"] = outcome.status
            if outcome.refusals:
                problem = problem_of(outcome.refusals[0])
                faults = [Fault(f"/{one.field}", one.code, one.message) for one in outcome.refusals]
                verdicts[index] |= rejected(index, problem.code, faults)
        return Response({"dry_run": dry_run, "results": verdicts})

    @extend_schema(
        summary="Find a product by barcode",
        parameters=[
            OpenApiParameter(
                "barcode",
                str,
                required=True,
                description="As scanned: EAN, UPC, a weight label, a pack's code.",
            )
        ],
        responses={200: FoundSerializer},
        examples=[
            OpenApiExample(
                "A weight label of 1.250 kg",
                examples.PRODUCT | {"quantity": "1.250", "pack": None},
                response_only=True,
            )
        ],
    )
    def lookup(self, request):
        """The product that a barcode stands for, with the weight of a weight label or the pack of a pack's code."""
        found = scan(read_barcode(request.query_params.get("barcode")))
        if found is None:
            raise Problem("not_found", _("No product has this barcode."))
        product = self.get_queryset().get(pk=found.product.pk)
        product.quantity, product.pack = found.quantity, found.pack
        return Response(kept(FoundSerializer, sees_cost=self.sees_cost).to_representation(product))


def read_barcode(text: str | None) -> str:
    """A scanned code; refuses what cannot be one."""
    if not text:
        raise fault("/barcode", "required", _("Give a barcode."))
    if len(text) > LONGEST_BARCODE + 10:
        raise fault(
            "/barcode", "too_long", _("A barcode has at most %(most)d letters.") % {"most": LONGEST_BARCODE}
        )
    if not no_spaces.regex.match(clean_code(text)):
        raise fault("/barcode", "not_a_product_code", _("This is not the code of a product."))
    return text


def check_price(given: dict, product: Product) -> None:
    """Refuses a change by which a product would be in use at a price of 0 unsaid; takes `free` out of `given`."""
    status = given.get("status", product.status)
    priced = "selling_price" in given or (product.status == Product.Status.DRAFT and "status" in given)
    price = {"selling_price": given.get("selling_price", product.selling_price)}
    if "free" in given:
        price["free"] = given.pop("free")
    check_free(price, "selling_price", zero_allowed=status == Product.Status.DRAFT or not priced)


def approve_price(given: dict, product: Product) -> None:
    """`check_price` as the catalogue refuses; a new product without a price is refused for that alone."""
    if product.pk is None and "selling_price" not in given:
        return
    try:
        check_price(given, product)
    except ValidationError as error:
        [found] = faults_of(error.detail)
        raise CatalogueRefused(found.detail, found.code, found.pointer.strip("/")) from error


def said_sku(row) -> str | None:
    """The SKU that a row of a batch gives, None if it is none."""
    sku = row.get("sku", row.get("code")) if isinstance(row, dict) else None
    return sku if isinstance(sku, str) and len(sku) <= 40 and no_spaces.regex.match(sku) else None


def rejected(index: int, code: str, faults: list[Fault]) -> dict:
    """The part of a verdict that says why a row was not taken."""
    at = f"/products/{index}"
    errors = [
        {"pointer": at + found.pointer, "code": found.code, "detail": found.detail} for found in faults[:20]
    ]
    return {"code": code, "detail": faults[0].detail, "errors": errors}


def tag_of(product: Product) -> str:
    """The ETag of a product: it changes with everything that is shown of it, to whomever."""
    return entity_tag(kept(ProductSerializer, sees_cost=True).to_representation(product))


def problem_of(refusal: CatalogueRefused) -> Problem:
    """The answer of the API to what the catalogue refused."""
    found = Fault(f"/{refusal.field}", refusal.code, refusal.message)
    return (
        Problem(refusal.code, refusal.message, [found])
        if isinstance(refusal, Duplicate)
        else Invalid([found])
    )
