"""A history of some stores as files, and how long `import_history` takes for them."""

import csv
import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from kiryana.bench.figures import Failed
from kiryana.bench.seed import Size
from kiryana.bench.trade import Shelf, sku, store_code
from kiryana.cluster import die_with_parent

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


def seconds_of_import(folder: Path, database: str) -> float:
    """Seconds of the command as it is, in a process of its own, without the start of Python. Raises Failed."""
    from django.db import connections

    connections.close_all()  # a connection must not be shared with a child
    with ProcessPoolExecutor(1, multiprocessing.get_context("fork")) as pool:
        try:
            return pool.submit(run_import, folder, database, os.getpid()).result()
        except Exception as error:
            raise Failed(f"import_history: {error!r}") from error


def run_import(folder: Path, database: str, parent: int) -> float:
    """What the child of `seconds_of_import` does."""
    from django.core.management import call_command
    from django.db import connection

    die_with_parent(parent)
    connection.settings_dict["NAME"] = database
    with open(os.devnull, "w") as nowhere:
        began = time.perf_counter()
        call_command("import_history", str(folder), stdout=nowhere, stderr=nowhere)
        return time.perf_counter() - began
