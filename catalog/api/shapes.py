"""How products are shown to partners."""

from rest_framework import serializers

from catalog.models import Product
from stores.api.fields import Shown


class ProductFaultSerializer(serializers.Serializer):
    """One thing that is wrong with a row."""

    pointer = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class ProductVerdictSerializer(serializers.Serializer):
    """What became of one row of a batch, or would become of it."""

    index = serializers.IntegerField(help_text="Its place in the batch, from 0.")
    sku = serializers.CharField(allow_null=True, help_text="As it was sent; null where that is no SKU.")
    status = serializers.ChoiceField(["created", "updated", "unchanged", "rejected"])
    code = serializers.CharField(
        required=False, help_text="If rejected: as in the error answers, or duplicate_in_batch."
    )
    detail = serializers.CharField(required=False)
    errors = ProductFaultSerializer(many=True, required=False)


class ProductVerdictsSerializer(serializers.Serializer):
    """One verdict for each row, in the order in which they were sent."""

    dry_run = serializers.BooleanField(help_text="Whether this only says what would be.")
    results = ProductVerdictSerializer(many=True)


class PackSerializer(serializers.Serializer):
    """One way a product comes in bulk."""

    name = serializers.CharField()
    units_per_pack = serializers.DecimalField(14, 3)
    barcodes = serializers.SerializerMethodField()

    def get_barcodes(self, pack) -> list[str]:
        return sorted(row.code for row in pack.codes)


class ProductSerializer(Shown):
    """One product of the central catalogue, asked for `with_codes`. `cost_price` only for keys with reports:read."""

    code = serializers.CharField(source="sku", help_text="The same as `sku`, by its older name.")
    category = serializers.CharField(source="category.name")
    cost_price = serializers.DecimalField(12, 2, required=False)
    barcodes = serializers.SerializerMethodField(help_text="Codes of one unit; packs have their own.")
    packs = PackSerializer(source="ways", many=True)

    class Meta:
        model = Product
        fields = [
            "id", "sku", "code", "name", "name_ur", "aliases", "category", "brand", "unit", "quantity_step", "selling_price",
            "cost_price", "status", "barcodes", "packs", "created_at", "updated_at",
        ]  # fmt: skip

    def get_barcodes(self, product) -> list[str]:
        return sorted(row.code for row in product.codes if row.pack_id is None)

    def shown_fields(self):
        return [
            field
            for field in super().shown_fields()
            if field.field_name != "cost_price" or self.context["sees_cost"]
        ]


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
