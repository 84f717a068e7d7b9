"""Questions about what happened and what it means: asked by page, API and export alike, so that all give one answer.

Every function starts from the caller's stores. Days come from DailyStock, quantities and values from StockLevel; the
ledger itself is read only where a day cannot tell (sales of one category, kinds other than sales) and for the newest
lines, always by an index that the period or the number of rows bounds: no figure costs more because the ledger is long.
All figures are exact Decimals: money with 2 decimals, quantities with 3. Totals are the sums of the rows that are
returned, unless the function says otherwise.
"""

from reports.queries.answers import MAX_DAYS, InvalidPeriod, Report, ValueReport, check_period
from reports.queries.ledger import movement_summary, newest_movements, shrinkage
from reports.queries.levels import (
    DEAD_DAYS,
    NOTHING,
    SHORT,
    dead_stock,
    inventory_summary,
    inventory_value,
    low_stock,
    short_counts,
    short_levels,
    stock_value,
    sums_by_store,
)
from reports.queries.sales import daily_sales, top_products

__all__ = [
    "DEAD_DAYS",
    "MAX_DAYS",
    "NOTHING",
    "SHORT",
    "InvalidPeriod",
    "Report",
    "ValueReport",
    "check_period",
    "daily_sales",
    "dead_stock",
    "inventory_summary",
    "inventory_value",
    "low_stock",
    "movement_summary",
    "newest_movements",
    "short_counts",
    "short_levels",
    "shrinkage",
    "stock_value",
    "sums_by_store",
    "top_products",
]
