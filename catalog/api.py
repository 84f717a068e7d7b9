"""The central catalogue for partners: read, add, change. Nothing is deleted: `status` says where a product stands."""

from decimal import Decimal

from django.db import transaction
from django.shortcuts import get_object_or_404
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import mixins, serializers
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.response import Response
from rest_framework.reverse import reverse

from catalog.filters import ProductFilter
from catalog.models import Category, Product, no_spaces
from catalog.queries import clean_code, scan
from catalog.services import CatalogueRefused, Duplicate, change_product, create_product
from stores.api.base import KeyViews, check_match, entity_tag, not_modified
from stores.api.fields import Choice, Code, PriceField, QuantityField, Strict, StrictList, Text
from stores.authentication.problems import Fault, Invalid, Problem, fault
from stores.models import ApiKey

Scope = ApiKey.Scope
STATUSES = [choice for choice in Product.Status.choices if choice[0] in ("draft", "active", "discontinued")]
LONGEST_BARCODE = 64
PRODUCT = {
    "id": 3,
    "sku": "SGR-0003",
    "code": "SGR-0003",
    "name": "Shakkar (loose)",
    "name_ur": "شکر (کھلی)",
    "aliases": "shakar gur shakkar",
    "category": "Sugar & Salt",
    "brand": "",
    "unit": "kg",
    "quantity_step": "0.001",
    "selling_price": "165.00",
    "cost_price": "150.00",
    "status": "active",
    "barcodes": ["2100050000000"],
    "packs": [{"name": "Sack of 50 kg", "units_per_pack": "50.000", "barcodes": []}],
    "created_at": "2026-01-05T06:00:00Z",
    "updated_at": "2026-11-01T06:00:00Z",
}
NEW_PRODUCT = {
    "sku": "TEA-0001",
    "name": "Tapal Danedar 190 g",
    "name_ur": "ٹپال دانے دار 190 گرام",
    "category": "Tea & Coffee",
    "brand": "Tapal",
    "selling_price": "420.00",
    "cost_price": "385.00",
    "barcodes": ["8964000123401"],
}


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
        found = Category.objects.filter(name__iexact=data).first() if 0 < len(data) <= 100 else None
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
    selling_price = PriceField()
    cost_price = PriceField(required=False)
    status = Choice(STATUSES, required=False)
    barcodes = StrictList(child=SkuField(max_length=LONGEST_BARCODE), max_length=50, required=False)


class ProductChange(Strict):
    """What may change of a product. Its SKU, unit and quantity step stay."""

    name = Text(max_length=200, required=False)
    name_ur = Text(max_length=200, blank=True, required=False)
    aliases = Text(max_length=300, blank=True, required=False)
    category = CategoryField(required=False)
    brand = Text(max_length=100, blank=True, required=False)
    selling_price = PriceField(required=False)
    cost_price = PriceField(required=False)
    status = Choice(STATUSES, required=False)
    barcodes = StrictList(
        child=SkuField(max_length=LONGEST_BARCODE),
        max_length=50,
        required=False,
        help_text="All codes it has, and new ones.",
    )

    def validate(self, attrs):
        if not attrs:
            raise ValidationError(
                {"non_field_errors": [ErrorDetail(_("Give at least one field to change."), "empty")]}
            )
        return attrs


class PackSerializer(serializers.Serializer):
    """One way a product comes in bulk."""

    name = serializers.CharField()
    units_per_pack = serializers.DecimalField(14, 3)
    barcodes = serializers.SerializerMethodField()

    def get_barcodes(self, pack) -> list[str]:
        return sorted(row.code for row in pack.barcodes.all())


class ProductSerializer(serializers.ModelSerializer):
    """One product of the central catalogue. `cost_price` only for keys with reports:read."""

    code = serializers.CharField(source="sku", help_text="The same as `sku`, by its older name.")
    category = serializers.CharField(source="category.name")
    cost_price = serializers.DecimalField(12, 2, required=False)
    barcodes = serializers.SerializerMethodField(help_text="Codes of one unit; packs have their own.")
    packs = PackSerializer(many=True)

    class Meta:
        model = Product
        fields = [
            "id", "sku", "code", "name", "name_ur", "aliases", "category", "brand", "unit", "quantity_step", "selling_price",
            "cost_price", "status", "barcodes", "packs", "created_at", "updated_at",
        ]  # fmt: skip

    def get_barcodes(self, product) -> list[str]:
        return sorted(row.code for row in product.barcodes.all() if row.pack_id is None)

    def to_representation(self, product):
        shown = super().to_representation(product)
        if not self.context["sees_cost"]:
            del shown["cost_price"]
        return shown


class FoundPackSerializer(serializers.Serializer):
    """The pack that a barcode stands for."""

    name = serializers.CharField()
    units_per_pack = serializers.DecimalField(14, 3)


class FoundSerializer(ProductSerializer):
    """What a barcode stands for: a product, with the weight in kg of a weight label or the pack of a pack's code."""

    quantity = serializers.DecimalField(14, 3, allow_null=True, help_text="Of a weight label; else null.")
    pack = FoundPackSerializer(allow_null=True)

    class Meta(ProductSerializer.Meta):
        fields = [*ProductSerializer.Meta.fields, "quantity", "pack"]


IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The ETag of the version you change. Without it: 428.",
)


@extend_schema_view(
    list=extend_schema(
        summary="List products", examples=[OpenApiExample("A product", PRODUCT, response_only=True)]
    ),
    retrieve=extend_schema(
        summary="One product", examples=[OpenApiExample("A product", PRODUCT, response_only=True)]
    ),
)
@extend_schema(tags=["products"])
class ProductViews(mixins.ListModelMixin, KeyViews):
    scopes = {
        "list": Scope.CATALOG_READ,
        "retrieve": Scope.CATALOG_READ,
        "lookup": Scope.CATALOG_READ,
        "create": Scope.CATALOG_WRITE,
        "partial_update": Scope.CATALOG_WRITE,
    }
    parameters = {"lookup": frozenset({"barcode"})}
    problems = {
        "create": ("duplicate_sku", "duplicate_barcode"),
        "partial_update": ("not_found", "duplicate_barcode", "version_conflict", "if_match_required"),
        "lookup": ("not_found",),
    }
    queryset = Product.objects.none()
    serializer_class = ProductSerializer
    filterset_class = ProductFilter
    orderings = ("sku", "-sku", "name", "-name", "updated_at", "-updated_at", "id", "-id")
    lookup_field = lookup_url_kwarg = "sku"

    def get_queryset(self):
        return (
            Product.objects.defer("search_text")
            .select_related("category")
            .prefetch_related("barcodes", "packs__barcodes")
        )

    def shown(self, product: Product, status=200) -> Response:
        """One product with its ETag."""
        response = Response(self.get_serializer(product).data, status=status)
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
            OpenApiExample("A new product", NEW_PRODUCT, request_only=True),
            OpenApiExample("The product", PRODUCT, response_only=True, status_codes=["201"]),
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
            OpenApiExample("The product", PRODUCT, response_only=True),
        ],
    )
    def partial_update(self, request, sku):
        """Changes the fields that are sent, if nobody changed the product since the version that If-Match names."""
        given = self.read(ProductChange)
        with transaction.atomic():
            product = get_object_or_404(
                Product.objects.select_for_update(of=("self",)).select_related("category"), sku=sku
            )
            check_match(request, tag_of(product))
            try:
                change_product(product=product, **given)
            except CatalogueRefused as refusal:
                raise problem_of(refusal) from refusal
            return self.shown(self.get_queryset().get(pk=product.pk))

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
                PRODUCT | {"quantity": "1.250", "pack": None},
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
        return Response(FoundSerializer(product, context=self.get_serializer_context()).data)


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


def tag_of(product: Product) -> str:
    """The ETag of a product: it changes with everything that is shown of it, to whomever."""
    return entity_tag(ProductSerializer(product, context={"sees_cost": True}).data)


def problem_of(refusal: CatalogueRefused) -> Problem:
    """The answer of the API to what the catalogue refused."""
    found = Fault(f"/{refusal.field}", refusal.code, refusal.message)
    return (
        Problem(refusal.code, refusal.message, [found])
        if isinstance(refusal, Duplicate)
        else Invalid([found])
    )
