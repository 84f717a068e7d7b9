"""Reports for partners: the same questions as the pages ask, the same figures."""

import csv
import io
from datetime import date, timedelta

from django.core.exceptions import ValidationError as Refused
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.response import Response

from catalog.filters import read_category
from reports import queries
from reports.api import examples, shapes
from reports.exports import FORMULA
from reports.queries.replica import from_replica
from stores.api.base import KeyViews, store_of
from stores.authentication.problems import fault
from stores.filters import read_day
from stores.models import ApiKey, Store

USUAL_DAYS = 30
USUAL_TOP, MOST_TOP = 20, 500
AREA = frozenset({"store", "category", "format"})
PERIOD = AREA | {"from", "to"}


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


TEXTS = frozenset({"store", "sku", "name", "name_ur", "unit", "state", "category", "category_ur"})


def cell(value, text: bool):
    """A value as a cell: empty for none, and no text that would be run as a formula."""
    if value is None:
        return ""
    return f"'{value}" if text and str(value).startswith(FORMULA) else value


def parameter(name, kind, description, **options):
    return OpenApiParameter(name, kind, description=description, **options)


def number_parameter(name, description, most, usual):
    shape = {"type": "integer", "minimum": 1, "maximum": most, "default": usual}
    return parameter(name, shape, description)


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


def report(summary: str, shape, example, parameters):
    """What the schema says of one report, which is read from the replica where there is one."""
    described = extend_schema(
        summary=summary,
        parameters=parameters,
        responses={(200, "application/json"): shape, (200, "text/csv"): str},
        examples=[OpenApiExample(summary, example, response_only=True, media_type="application/json")],
    )
    return lambda action: described(from_replica(action))


@extend_schema(tags=["reports"])
class ReportViews(KeyViews):
    parameters = {
        "inventory_summary": AREA,
        "low_stock": AREA | {"limit"},
        "daily_sales": PERIOD,
        "top_products": PERIOD | {"by", "limit"},
        "stock_value": AREA,
        "dead_stock": AREA | {"days", "limit"},
        "movement_summary": PERIOD,
        "shrinkage": PERIOD | {"by", "limit"},
    }
    scopes = dict.fromkeys(parameters, ApiKey.Scope.REPORTS_READ)
    problems = dict.fromkeys(parameters, ("not_found",))
    renderer_classes = [JSONRenderer, CSVRenderer]
    pagination_class = None
    filter_backends = []

    @report("Inventory summary", shapes.InventorySummary, examples.SUMMARY, AREA_PARAMETERS)
    def inventory_summary(self, request):
        """What each store holds now: products, how many are low or out, and what it is worth at cost and at price."""
        return self.told(shapes.InventorySummary, queries.inventory_summary(self.stores(), self.category()))

    @report(
        "Low stock",
        shapes.LowStock,
        examples.LOW,
        [*AREA_PARAMETERS, number_parameter("limit", "How many, the most urgent first.", MOST_TOP, MOST_TOP)],
    )
    def low_stock(self, request):
        """What is below zero, out, or at or below its reorder point now, the most urgent first."""
        limit = self.number("limit", MOST_TOP, MOST_TOP)
        return self.told(shapes.LowStock, queries.low_stock(self.stores(), self.category(), limit=limit))

    @report("Daily sales", shapes.DailySales, examples.SALES, PERIOD_PARAMETERS)
    def daily_sales(self, request):
        """Sales by the stores' own business dates, net of returns and voids."""
        return self.told(shapes.DailySales, self.over(queries.daily_sales))

    @report(
        "Top products",
        shapes.TopProducts,
        examples.TOP,
        [
            *PERIOD_PARAMETERS,
            parameter("by", str, "What counts.", enum=["revenue", "units"], default="revenue"),
            number_parameter("limit", "How many.", MOST_TOP, USUAL_TOP),
        ],
    )
    def top_products(self, request):
        """What sold best, net of returns and voids."""
        by, limit = self.one_of("by", "revenue", "units"), self.number("limit", MOST_TOP, USUAL_TOP)
        return self.told(shapes.TopProducts, self.over(queries.top_products, by=by, limit=limit))

    @report("Stock value", shapes.StockValue, examples.VALUES, AREA_PARAMETERS)
    def stock_value(self, request):
        """What the goods on the shelves are worth now, by category: at cost, at price, and the difference."""
        return self.told(shapes.StockValue, queries.stock_value(self.stores(), self.category()))

    @report(
        "Dead stock",
        shapes.DeadStock,
        examples.DEAD,
        [
            *AREA_PARAMETERS,
            number_parameter("days", "Not sold for so many days.", queries.MAX_DAYS, queries.DEAD_DAYS),
            number_parameter("limit", "How many, the most valuable first.", MOST_TOP, MOST_TOP),
        ],
    )
    def dead_stock(self, request):
        """What lies there and was not sold for some time, the most valuable first. A sale that was voided was no sale."""
        days, limit = (
            self.number("days", queries.MAX_DAYS, queries.DEAD_DAYS),
            self.number("limit", MOST_TOP, MOST_TOP),
        )
        stores = self.stores()
        return self.told(
            shapes.DeadStock, queries.dead_stock(stores, self.today(), days, self.category(), limit)
        )

    @report("Movement summary", shapes.MovementSummary, examples.MOVEMENTS, PERIOD_PARAMETERS)
    def movement_summary(self, request):
        """What moved stock, by kind, net of voids. Units in less units out are by how much stock changed."""
        return self.told(shapes.MovementSummary, self.over(queries.movement_summary))

    @report(
        "Shrinkage",
        shapes.Shrinkage,
        examples.SHRUNK,
        [
            *PERIOD_PARAMETERS,
            parameter("by", str, "One row for each.", enum=["store", "product"], default="store"),
            number_parameter(
                "limit", "How many, by product the greatest loss first, by store by code.", MOST_TOP, MOST_TOP
            ),
        ],
    )
    def shrinkage(self, request):
        """What left the shelves without being sold, at cost and in percent of the sales, net of voids."""
        by, limit = self.one_of("by", "store", "product"), self.number("limit", MOST_TOP, MOST_TOP)
        return self.told(shapes.Shrinkage, self.over(queries.shrinkage, by=by, limit=limit))

    def one_of(self, name: str, *words: str) -> str:
        """The parameter `name`, one of `words`; the first of them when it is not given."""
        found = self.request.query_params.get(name, words[0])
        if found not in words:
            raise fault(
                f"/{name}", "invalid_choice", _("Choose one of %(words)s.") % {"words": ", ".join(words)}
            )
        return found

    def number(self, name: str, most: int, usual: int) -> int:
        """The parameter `name`, a whole number from 1 to `most`; `usual` when it is not given."""
        text = self.request.query_params.get(name, str(usual))
        if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= most):
            raise fault(
                f"/{name}",
                "out_of_range",
                _("This is a number from 1 to %(most)d.") % {"most": most},
            )
        return int(text)

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
