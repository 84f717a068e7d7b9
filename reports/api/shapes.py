"""How reports are shown to partners."""

from rest_framework import serializers

from inventory.models import Kind, StockLevel


def money(**options):
    return serializers.DecimalField(24, 2, **options)


def units(**options):
    return serializers.DecimalField(24, 3, **options)


class DailySalesRow(serializers.Serializer):
    """One business date, net of returns and voids."""

    business_date = serializers.DateField()
    documents = serializers.IntegerField()
    lines = serializers.IntegerField()
    units = units()
    revenue = money()


class DailySalesTotals(serializers.Serializer):
    documents = serializers.IntegerField()
    lines = serializers.IntegerField()
    units = units()
    revenue = money()


class DailySales(serializers.Serializer):
    """Sales by business date; days without trade are left out."""

    results = DailySalesRow(many=True)
    totals = DailySalesTotals()


class SummaryTotals(serializers.Serializer):
    products = serializers.IntegerField()
    low = serializers.IntegerField()
    out = serializers.IntegerField()
    negative = serializers.IntegerField()
    value_at_cost = money()
    value_at_price = money()


class SummaryRow(serializers.Serializer):
    """One store now."""

    store = serializers.CharField()
    products = serializers.IntegerField()
    low = serializers.IntegerField()
    out = serializers.IntegerField()
    negative = serializers.IntegerField()
    value_at_cost = money()
    value_at_price = money()


class InventorySummary(serializers.Serializer):
    """How each store stands now."""

    results = SummaryRow(many=True)
    totals = SummaryTotals()


class LowStockRow(serializers.Serializer):
    """One product that a store lacks, or will soon."""

    store = serializers.CharField()
    sku = serializers.CharField()
    name = serializers.CharField()
    name_ur = serializers.CharField()
    unit = serializers.CharField()
    on_hand = units()
    reorder_point = units()
    target_level = units(allow_null=True)
    state = serializers.ChoiceField([(state, state) for state in StockLevel.State.values if state != "ok"])


class LowStockTotals(serializers.Serializer):
    items = serializers.IntegerField()
    negative = serializers.IntegerField()
    out = serializers.IntegerField()
    low = serializers.IntegerField()


class LowStock(serializers.Serializer):
    """What is below zero, out or low now, the most urgent first. Totals are over all of it, also beyond `limit`."""

    results = LowStockRow(many=True)
    totals = LowStockTotals()


class TopProductsRow(serializers.Serializer):
    """One product, net of returns and voids."""

    sku = serializers.CharField()
    name = serializers.CharField()
    name_ur = serializers.CharField()
    unit = serializers.CharField()
    units = units()
    revenue = money()


class TopProductsTotals(serializers.Serializer):
    units = units()
    revenue = money()


class TopProducts(serializers.Serializer):
    """What sold best. Totals are over these rows."""

    results = TopProductsRow(many=True)
    totals = TopProductsTotals()


class ValueTotals(serializers.Serializer):
    products = serializers.IntegerField()
    value_at_cost = money()
    value_at_price = money()
    margin = money(help_text="value_at_price less value_at_cost.")


class ValueRow(ValueTotals):
    """One category now."""

    category = serializers.CharField()
    category_ur = serializers.CharField()
    category_id = serializers.IntegerField()

    def get_fields(self):
        fields = super().get_fields()
        return {name: fields[name] for name in ("category", "category_ur", "category_id")} | fields


class StockValue(serializers.Serializer):
    """What the goods on the shelves are worth now, by category, the most valuable first."""

    results = ValueRow(many=True)
    totals = ValueTotals()


class DeadStockRow(serializers.Serializer):
    """One product that lies in a store and is not sold there."""

    store = serializers.CharField()
    sku = serializers.CharField()
    name = serializers.CharField()
    name_ur = serializers.CharField()
    unit = serializers.CharField()
    on_hand = units()
    value_at_cost = money()
    last_sold = serializers.DateField(
        allow_null=True,
        help_text="Business date of the last sale that was not voided; null if there is none.",
    )
    days = serializers.IntegerField(allow_null=True, help_text="Since then.")


class DeadStockTotals(serializers.Serializer):
    items = serializers.IntegerField()
    value_at_cost = money()


class DeadStock(serializers.Serializer):
    """What lies there and is not sold, the most valuable first. Totals are over all of it, also beyond `limit`."""

    results = DeadStockRow(many=True)
    totals = DeadStockTotals()


class MovementSummaryTotals(serializers.Serializer):
    documents = serializers.IntegerField()
    lines = serializers.IntegerField()
    units_in = units()
    units_out = units()
    value_at_cost = money(help_text="What came in less what went out.")


class MovementSummaryRow(MovementSummaryTotals):
    """One kind of movement, net of voids."""

    kind = serializers.ChoiceField(Kind.choices)

    def get_fields(self):
        fields = super().get_fields()
        return {"kind": fields["kind"]} | fields


class MovementSummary(serializers.Serializer):
    """What moved stock, by kind: one row for each kind."""

    results = MovementSummaryRow(many=True)
    totals = MovementSummaryTotals()


class ShrinkageTotals(serializers.Serializer):
    wastage = money()
    own_use = money()
    adjusted_minus = money(help_text="Corrections downwards.")
    adjusted_plus = money(help_text="Corrections upwards.")
    lost = money(help_text="wastage, own_use and adjusted_minus less adjusted_plus.")
    units = units()
    revenue = money(help_text="Of all sales, net of returns and voids.")
    percent_of_sales = money(allow_null=True, help_text="lost in percent of revenue; null without sales.")


class ShrinkageRow(ShrinkageTotals):
    """One store, or one product, by what was chosen."""

    store = serializers.CharField(allow_null=True, help_text="null by product.")
    sku = serializers.CharField(allow_null=True, help_text="null by store, as the next three.")
    name = serializers.CharField(allow_null=True)
    name_ur = serializers.CharField(allow_null=True)
    unit = serializers.CharField(allow_null=True)

    def get_fields(self):
        fields = super().get_fields()
        return {name: fields[name] for name in ("store", "sku", "name", "name_ur", "unit")} | fields


class Shrinkage(serializers.Serializer):
    """What left the shelves without being sold, in rupees at cost. Totals are over all of it, also beyond `limit`."""

    results = ShrinkageRow(many=True)
    totals = ShrinkageTotals()
