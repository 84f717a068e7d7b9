"""A history of some stores as files, for `import_history`."""

import csv
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kiryana.bench.seed import Size
from kiryana.bench.trade import Shelf, sku, store_code

# The command as it is, timed without the start of Python.
COMMAND = """
import sys, time, django
django.setup()
from django.core.management import call_command
began = time.perf_counter()
call_command("import_history", sys.argv[1], stdout=sys.stderr)
print(time.perf_counter() - began)
"""
WORDS = [sys.executable, "-c", COMMAND]
BASKET = 5  # lines


def write_history(folder: Path, size: Size, lines: int) -> int:
    """Writes stores.csv, products.csv and movements.csv: openings, then baskets, `lines` or a few more in all; how many."""
    shelf = Shelf(size, seed=2)
    begun = datetime.now(UTC).replace(hour=6, minute=0, second=0, microsecond=0) - timedelta(days=60)
    with open(folder / "stores.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["code", "name"])
        rows.writerows([store_code(number), f"Store {number}"] for number in range(1, size.stores + 1))
    with open(folder / "products.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["sku", "name", "category", "sell_price", "cost_price"])
        rows.writerows(
            [sku(number), f"Product {number}", f"Shelf {number % 20}", "50.00", "40.00"]
            for number in range(1, size.products + 1)
        )
    written = 0
    with open(folder / "movements.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["occurred_at", "store", "sku", "type", "delta", "line_total", "reference"])
        for store in range(1, size.stores + 1):
            for product in range(1, size.products + 1):
                rows.writerow(
                    [
                        f"{begun:%Y-%m-%dT%H:%M:%SZ}",
                        store_code(store),
                        sku(product),
                        "OPENING",
                        "1000",
                        "",
                        "",
                    ]
                )
                written += 1
        number = 0
        # Sixty days of trade, however many baskets there are.
        baskets = max((lines - written) // BASKET, 1)
        for number in range(baskets):
            when = begun + timedelta(seconds=60 + number * (59 * 86400) // baskets)
            store = store_code(1 + number % size.stores)
            for product in shelf.basket(BASKET):
                rows.writerow(
                    [
                        f"{when:%Y-%m-%dT%H:%M:%SZ}",
                        store,
                        sku(product),
                        "SALE",
                        "-1",
                        "50.00",
                        f"basket-{number}",
                    ]
                )
                written += 1
    return written
