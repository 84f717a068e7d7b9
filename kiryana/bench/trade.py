"""What customers and partners send: baskets of products that some buy often and most seldom, as requests made beforehand."""

import itertools
import json
import random
import uuid
from collections.abc import Iterator, Sequence
from urllib.parse import urlencode

from kiryana.bench import load
from kiryana.bench.seed import Size

DOCUMENTS, BATCH = "/api/v1/documents/", "/api/v1/documents/batch/"


def store_code(number: int) -> str:
    return f"BEN-{number:04}"


def sku(number: int) -> str:
    return f"BEN-{number:05}"


class Shelf:
    """Products and stores as customers take them: any store, products by zipf's law with exponent 1."""

    def __init__(self, size: Size, seed: int = 1):
        self.size, self.random = size, random.Random(seed)  # noqa: S311 - the same trade in each run
        self.weights = list(itertools.accumulate(1 / rank for rank in range(1, size.products + 1)))

    def products(self, count: int) -> list[int]:
        return self.random.choices(range(1, self.size.products + 1), cum_weights=self.weights, k=count)

    def basket(self, lines: int) -> list[int]:
        """`lines` different products."""
        taken: dict[int, None] = {}
        while len(taken) < lines:
            taken |= dict.fromkeys(self.products(lines - len(taken)))
        return list(taken)

    def store(self) -> int:
        return self.random.randint(1, self.size.stores)


def sale(store: int, products: Sequence[int]) -> dict:
    return {
        "store": store_code(store), "kind": "sale", "reference": str(uuid.uuid4()),
        "lines": [{"sku": sku(product), "quantity": "1"} for product in products],
    }  # fmt: skip


class Partner:
    """Who sends requests to the API at `host` with `key`."""

    def __init__(self, host: str, key: str):
        self.host, self.key = host, key

    def post(self, path: str, body: dict) -> bytes:
        content = json.dumps(body).encode()
        return load.request(
            "POST", path, self.host, content, X_API_Key=self.key, Content_Type="application/json"
        )

    def get(self, path: str) -> bytes:
        return load.request("GET", path, self.host, X_API_Key=self.key)

    def sales(self, shelf: Shelf, lines: int) -> Iterator[bytes]:
        """Baskets of `lines` products for ever."""
        while True:
            yield self.post(DOCUMENTS, sale(shelf.store(), shelf.basket(lines)))

    def sales_of_one(self, store: int, product: int) -> Iterator[bytes]:
        while True:
            yield self.post(DOCUMENTS, sale(store, [product]))

    def batches(self, shelf: Shelf, documents: int, lines: int) -> Iterator[bytes]:
        """Batches of one store each, as a till sends them that was away."""
        while True:
            store = shelf.store()
            yield self.post(
                BATCH, {"documents": [sale(store, shelf.basket(lines)) for _number in range(documents)]}
            )


CSRF = "c" * 32


class Counter:
    """Cashiers who are signed in, each in a store of his own: `sessions` are (store, session key)."""

    def __init__(self, host: str, sessions: Sequence[tuple[int, str]]):
        self.host, self.sessions = host, sessions

    def sales(self, shelf: Shelf) -> Iterator[bytes]:
        """The form of the sale page with one line, sent for ever."""
        for store, session in itertools.cycle(self.sessions):
            form = {
                "csrfmiddlewaretoken": CSRF, "act": "save", "reference": str(uuid.uuid4()), "lines-TOTAL_FORMS": "1",
                "lines-INITIAL_FORMS": "0", "lines-0-item": sku(shelf.basket(1)[0]), "lines-0-quantity": "1",
            }  # fmt: skip
            yield load.request(
                "POST", f"/s/{store_code(store)}/movements/sale/", self.host, urlencode(form).encode(),
                Cookie=f"sessionid={session}; csrftoken={CSRF}", Content_Type="application/x-www-form-urlencoded",
            )  # fmt: skip
