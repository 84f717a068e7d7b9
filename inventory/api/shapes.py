"""How levels, documents and the ledger are shown to partners."""

from rest_framework import serializers

from inventory.filters import OLD_KINDS
from inventory.models import Document, Movement, StockLevel
from stores.api.fields import Shown

OLD_WORD = {kind: word for word, kind in OLD_KINDS.items()}
COSTS = ("unit_cost", "average_cost", "average_cost_after", "cost_estimated")
WITH_SCOPE = "Only for keys with reports:read."


class Priced(Shown):
    """Leaves out what goods cost for keys that may not see it (R16)."""

    def shown_fields(self):
        return [
            field
            for field in super().shown_fields()
            if field.field_name not in COSTS or self.context["sees_cost"]
        ]


def cost(**options):
    return serializers.DecimalField(14, 4, required=False, help_text=WITH_SCOPE, **options)


def quantity(**options):
    return serializers.DecimalField(14, 3, **options)


class LevelSerializer(Priced):
    """How much of one product one store has now."""

    store = serializers.CharField(source="store.code")
    sku = serializers.CharField(source="product.sku")
    name = serializers.CharField(source="product.name")
    unit = serializers.CharField(source="product.unit")
    current_quantity = quantity(source="on_hand", help_text="The same as `on_hand`, by its older name.")
    average_cost = cost()
    cost_estimated = serializers.BooleanField(required=False, help_text=WITH_SCOPE)
    state = serializers.ChoiceField(StockLevel.State.choices)

    class Meta:
        model = StockLevel
        fields = [
            "id", "store", "sku", "name", "unit", "on_hand", "current_quantity", "average_cost", "cost_estimated", "reorder_point",
            "target_level", "state", "listed", "oversold_since", "last_counted_at", "seq", "updated_at",
        ]  # fmt: skip


class LineSerializer(Priced):
    """One line of a document, as the ledger holds it: signed, with what it left behind."""

    sku = serializers.CharField(source="product.sku")
    pack = serializers.CharField(source="entered_pack.name", default=None, allow_null=True)
    unit_cost = cost()
    average_cost_after = cost()
    cost_estimated = serializers.BooleanField(required=False, help_text=WITH_SCOPE)
    oversold = serializers.BooleanField(help_text="Whether this line left the level below zero.")
    reverses = serializers.IntegerField(source="reverses_id", allow_null=True)
    returns = serializers.IntegerField(source="returns_id", allow_null=True)

    class Meta:
        model = Movement
        fields = [
            "id", "line_no", "sku", "quantity", "entered_quantity", "pack", "unit_price", "line_total", "unit_cost",
            "cost_estimated", "balance_after", "average_cost_after", "seq", "oversold", "reverses", "returns",
        ]  # fmt: skip


class MovementSerializer(LineSerializer):
    """One line of the ledger with its document."""

    document = serializers.IntegerField(source="document_id")
    number = serializers.CharField(source="document.number")
    reference = serializers.CharField(source="document.reference")
    store = serializers.CharField(source="store.code")
    movement_type = serializers.SerializerMethodField(
        help_text="The same as `kind`, where a receipt has its older name stock_in."
    )
    reason = serializers.CharField(source="reason.code", default=None, allow_null=True)

    class Meta(LineSerializer.Meta):
        fields = [
            "id", "document", "number", "reference", "line_no", "store", "sku", "kind", "movement_type",
            *LineSerializer.Meta.fields[3:], "reason", "occurred_at", "recorded_at", "business_date",
        ]  # fmt: skip

    def get_movement_type(self, movement) -> str:
        return OLD_WORD.get(movement.kind, movement.kind)


class DocumentRowSerializer(Shown):
    """One act in one store, without its lines."""

    number = serializers.CharField()
    store = serializers.CharField(source="store.code")
    reason = serializers.CharField(source="reason.code", default=None, allow_null=True)
    reverses = serializers.IntegerField(
        source="reverses_id", allow_null=True, help_text="The document that this one voids."
    )
    returns = serializers.IntegerField(
        source="returns_id", allow_null=True, help_text="The sale that came back."
    )
    voided_by = serializers.IntegerField(
        default=None, allow_null=True, help_text="The document that voids this one."
    )

    class Meta:
        model = Document
        fields = [
            "id", "number", "store", "kind", "reference", "occurred_at", "recorded_at", "business_date", "total", "reason",
            "notes", "reverses", "returns", "voided_by", "line_count",
        ]  # fmt: skip


class DocumentSerializer(DocumentRowSerializer):
    """One act in one store with its lines. `oversold`: a line left its level below zero."""

    oversold = serializers.BooleanField()
    lines = LineSerializer(many=True)

    class Meta(DocumentRowSerializer.Meta):
        fields = [*DocumentRowSerializer.Meta.fields, "oversold", "lines"]


class FaultSerializer(serializers.Serializer):
    """One thing that is wrong."""

    pointer = serializers.CharField()
    code = serializers.CharField()
    detail = serializers.CharField()


class VerdictSerializer(serializers.Serializer):
    """What became of one document of a batch."""

    index = serializers.IntegerField(help_text="Its place in the batch, from 0.")
    status = serializers.ChoiceField(["created", "replayed", "accepted_with_flag", "rejected"])
    reference = serializers.CharField(allow_null=True)
    document = DocumentSerializer(required=False, help_text="Unless rejected.")
    code = serializers.CharField(required=False, help_text="If rejected: as in the error answers.")
    detail = serializers.CharField(required=False)
    errors = FaultSerializer(many=True, required=False)


class BatchSerializer(serializers.Serializer):
    """One verdict for each document, in the order in which they were sent."""

    results = VerdictSerializer(many=True)
