"""Examples of reports, for the schema."""

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
VALUE = {"products": 23, "value_at_cost": "104310.75", "value_at_price": "118455.00", "margin": "14144.25"}
VALUES = {
    "results": [{"category": "Sugar & Salt", "category_ur": "چینی اور نمک", "category_id": 4, **VALUE}],
    "totals": VALUE,
}
DEAD = {
    "results": [
        {
            "store": "LHE-0001",
            "sku": "SPC-0017",
            "name": "Saffron 1 g",
            "name_ur": "زعفران 1 گرام",
            "unit": "pc",
            "on_hand": "12.000",
            "value_at_cost": "5400.00",
            "last_sold": "2026-08-14",
            "days": 100,
        }
    ],
    "totals": {"items": 1, "value_at_cost": "5400.00"},
}
MOVED = {
    "documents": 118,
    "lines": 402,
    "units_in": "0.000",
    "units_out": "731.250",
    "value_at_cost": "-81204.50",
}
MOVEMENTS = {"results": [{"kind": "sale", **MOVED}], "totals": MOVED}
LOST = {
    "wastage": "1250.00",
    "own_use": "300.00",
    "adjusted_minus": "410.50",
    "adjusted_plus": "60.50",
    "lost": "1900.00",
    "units": "14.250",
    "revenue": "98120.50",
    "percent_of_sales": "1.94",
}
SHRUNK = {
    "results": [{"store": "LHE-0001", "sku": None, "name": None, "name_ur": None, "unit": None, **LOST}],
    "totals": LOST,
}
