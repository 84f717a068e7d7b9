"""What was sold, by the day and by the product."""

from datetime import date

from django.db import connections
from django.db.models import QuerySet

from catalog.models import Category
from reports.queries.answers import GRAM, PAISA, Report, check_period, totals_of
from reports.queries.days import figures, summed
from stores.models import Store


def daily_sales(stores: QuerySet[Store], start: date, end: date, category: Category | None = None) -> Report:
    """What was sold on each business date from `start` to `end`, both included, net of returns and voids.

    Rows: business_date, documents (sales), lines, units, revenue (rupees); days without trade are left out. A return or
    a void counts on the day on which it happened. With `category` (and those that nest in it), a sale counts once
    however many of its lines belong there. One query. Refuses what `check_period` refuses.
    """
    check_period(start, end)
    per_day = figures(stores, start, end, category, "business_date")
    rows = [
        {
            "business_date": day,
            "documents": sums.documents,
            "lines": sums.lines,
            "units": sums.sold,
            "revenue": sums.revenue,
        }
        for day, sums in sorted(per_day.items())
    ]
    rows = [row for row in rows if row["documents"] or row["lines"] or row["units"] or row["revenue"]]
    return Report(rows, totals_of(rows, documents=0, lines=0, units=GRAM, revenue=PAISA))


BEST = """
SELECT p.sku, p.name, p.name_ur, p.unit, s.sold, s.revenue FROM ({sums}) AS s JOIN catalog_product AS p ON p.id = s.key
WHERE s.sold <> 0 OR s.revenue <> 0 ORDER BY s.{first} DESC, s.{then} DESC, p.sku LIMIT %(limit)s
"""


def top_products(
    stores: QuerySet[Store],
    start: date,
    end: date,
    category: Category | None = None,
    by: str = "revenue",
    limit: int | None = 20,
) -> Report:
    """The products that sold best from `start` to `end`, by "revenue" (rupees) or "units", net of returns and voids.

    Rows: sku, name, name_ur, unit, units, revenue; at most `limit` (None: all), equal ones in the order of their sku.
    Totals are over these rows. One query. Refuses what `check_period` refuses.
    """
    check_period(start, end)
    first, then = {"revenue": ("revenue", "sold"), "units": ("sold", "revenue")}[by]
    before, query, given = summed(stores, start, end, category, "product_id")
    given["limit"] = limit
    with connections[stores.db].cursor() as cursor:
        cursor.execute(before + BEST.format(sums=query, first=first, then=then), given)
        found = cursor.fetchall()
    names = ("sku", "name", "name_ur", "unit", "units", "revenue")
    rows = [dict(zip(names, row, strict=True)) for row in found]
    return Report(rows, totals_of(rows, units=GRAM, revenue=PAISA))
