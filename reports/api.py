"""Reports for partners: the same questions as the pages ask, the same figures."""

import csv
import io
from datetime import date, timedelta

from django.core.exceptions import ValidationError as Refused
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.response import Response

from catalog.filters import read_category
from inventory.models import StockLevel
from reports import queries
from reports.exports import FORMULA
from stores.api.base import KeyViews, store_of
from stores.authentication.problems import fault
from stores.filters import read_day
from stores.models import ApiKey, Store

USUAL_DAYS = 30
USUAL_TOP, MOST_TOP = 20, 500
AREA = frozenset({"store", "category", "format"})
PERIOD = AREA | {"from", "to"}


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
    """What is below zero, out or low now, the most urgent first."""

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


class CSVRenderer(BaseRenderer):
    """The rows of a report as CSV, in UTF-8 with its mark, for spreadsheets; text that they take for a formula gets a '."""

    media_type = "text/csv"
    format = "csv"
    charset = "utf-8"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        if "results" not in data:  # an error, which stays JSON
            return JSONRenderer().render(data)
        file = io.StringIO()
        names = renderer_context["view"].columns
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([cell(row[name], name in TEXTS) for name in names] for row in data["results"])
        return b"\xef\xbb\xbf" + file.getvalue().encode()


TEXTS = frozenset({"store", "sku", "name", "name_ur", "unit", "state"})


def cell(value, text: bool):
    """A value as a cell: empty for none, and no text that would be run as a formula."""
    if value is None:
        return ""
    return f"'{value}" if text and str(value).startswith(FORMULA) else value


def parameter(name, kind, description, **options):
    return OpenApiParameter(name, kind, description=description, **options)


AREA_PARAMETERS = [
    parameter("store", str, "Code of one store; without it, all stores of the key."),
    parameter("category", str, "Name or id; what nests in it is included."),
    parameter("format", str, "csv for a file with the rows alone.", enum=["json", "csv"]),
]
PERIOD_PARAMETERS = [
    *AREA_PARAMETERS,
    parameter("from", OpenApiTypes.DATE, "First business date, included. Without it: 30 days up to `to`."),
    parameter(
        "to", OpenApiTypes.DATE, "Last business date, included; at most 400 days in all. Without it: today."
    ),
]
SALES = {
    "results": [
        {
            "business_date": "2026-11-22",
            "documents": 118,
            "lines": 402,
            "units": "731.250",
            "revenue": "98120.50",
        }
    ],
    "totals": {"documents": 118, "lines": 402, "units": "731.250", "revenue": "98120.50"},
}
FIGURES = {
    "products": 483,
    "low": 21,
    "out": 6,
    "negative": 1,
    "value_at_cost": "1204310.75",
    "value_at_price": "1398455.00",
}
SUMMARY = {"results": [{"store": "LHE-0001", **FIGURES}], "totals": FIGURES}
LOW = {
    "results": [
        {
            "store": "LHE-0001",
            "sku": "SGR-0003",
            "name": "Shakkar (loose)",
            "name_ur": "شکر (کھلی)",
            "unit": "kg",
            "on_hand": "18.750",
            "reorder_point": "20.000",
            "target_level": "100.000",
            "state": "low",
        }
    ],
    "totals": {"items": 1, "negative": 0, "out": 0, "low": 1},
}
TOP = {
    "results": [
        {
            "sku": "TEA-0001",
            "name": "Tapal Danedar 190 g",
            "name_ur": "ٹپال دانے دار",
            "unit": "pc",
            "units": "84.000",
            "revenue": "35280.00",
        }
    ],
    "totals": {"units": "84.000", "revenue": "35280.00"},
}


def report(summary: str, shape, example, parameters):
    """What the schema says of one report."""
    return extend_schema(
        summary=summary,
        parameters=parameters,
        responses={(200, "application/json"): shape, (200, "text/csv"): str},
        examples=[OpenApiExample(summary, example, response_only=True, media_type="application/json")],
    )


@extend_schema(tags=["reports"])
class ReportViews(KeyViews):
    scopes = dict.fromkeys(
        ("inventory_summary", "daily_sales", "low_stock", "top_products"), ApiKey.Scope.REPORTS_READ
    )
    parameters = {
        "inventory_summary": AREA,
        "low_stock": AREA,
        "daily_sales": PERIOD,
        "top_products": PERIOD | {"by", "limit"},
    }
    problems = dict.fromkeys(scopes, ("not_found",))
    renderer_classes = [JSONRenderer, CSVRenderer]
    pagination_class = None
    filter_backends = []

    @report("Inventory summary", InventorySummary, SUMMARY, AREA_PARAMETERS)
    def inventory_summary(self, request):
        """What each store holds now: products, how many are low or out, and what it is worth at cost and at price."""
        return self.told(InventorySummary, queries.inventory_summary(self.stores(), self.category()))

    @report("Low stock", LowStock, LOW, AREA_PARAMETERS)
    def low_stock(self, request):
        """What is below zero, out, or at or below its reorder point now, the most urgent first."""
        return self.told(LowStock, queries.low_stock(self.stores(), self.category()))

    @report("Daily sales", DailySales, SALES, PERIOD_PARAMETERS)
    def daily_sales(self, request):
        """Sales by the stores' own business dates, net of returns and voids."""
        return self.told(DailySales, self.over(queries.daily_sales))

    @report(
        "Top products",
        TopProducts,
        TOP,
        [
            *PERIOD_PARAMETERS,
            parameter("by", str, "What counts.", enum=["revenue", "units"], default="revenue"),
            parameter(
                "limit",
                {"type": "integer", "minimum": 1, "maximum": MOST_TOP, "default": USUAL_TOP},
                "How many.",
            ),
        ],
    )
    def top_products(self, request):
        """What sold best, net of returns and voids."""
        by, limit = (
            request.query_params.get("by", "revenue"),
            request.query_params.get("limit", str(USUAL_TOP)),
        )
        if by not in ("revenue", "units"):
            raise fault("/by", "invalid_choice", _("Choose one of %(words)s.") % {"words": "revenue, units"})
        if not (limit.isascii() and limit.isdigit() and len(limit) <= 4 and 1 <= int(limit) <= MOST_TOP):
            raise fault(
                "/limit", "out_of_range", _("The limit is a number from 1 to %(most)d.") % {"most": MOST_TOP}
            )
        return self.told(TopProducts, self.over(queries.top_products, by=by, limit=int(limit)))

    def told(self, shape, found: queries.Report) -> Response:
        self.columns = list(shape().fields["results"].child.fields)
        response = Response(shape({"results": found.rows, "totals": found.totals}).data)
        if self.request.accepted_renderer.format == "csv":
            response["Content-Disposition"] = f'attachment; filename="{self.action.replace("_", "-")}.csv"'
        return response

    def stores(self):
        """The stores that the report is about: the one that is named, or all of the key."""
        self.store = store_of(self, self.request.query_params.get("store"))
        return Store.objects.filter(pk=self.store.pk) if self.store else self.my_stores()

    def category(self):
        return self.understood("category", read_category)

    def understood(self, name: str, read):
        """The parameter `name` as `read` understands it, None when it is not given."""
        text = self.request.query_params.get(name)
        if text is None:
            return None
        try:
            return read(text)
        except Refused as refusal:
            raise fault(f"/{name}", refusal.code, refusal.message) from None

    def over(self, question, **options) -> queries.Report:
        """The answer to `question` for the days that are asked about."""
        stores = self.stores()
        end: date = self.understood("to", read_day) or self.today()
        start: date = self.understood("from", read_day) or end - timedelta(days=USUAL_DAYS - 1)
        try:
            return question(stores, start, end, self.category(), **options)
        except queries.InvalidPeriod as refusal:
            raise fault(f"/{refusal.field}", refusal.code, refusal.message) from None

    def today(self) -> date:
        """The business date there is now in the store, or in the most easterly of all stores of the key."""
        zones = (
            {self.store.timezone}
            if self.store
            else set(self.my_stores().values_list("timezone", flat=True).distinct())
        )
        now = timezone.now()
        return max((Store(timezone=zone).business_date(now) for zone in zones), default=now.date())
