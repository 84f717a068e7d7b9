"""A till that never loses a sale and never sends one twice, however bad the line is. Python 3.11, standard library only.

    export API=http://127.0.0.1:8000/api/v1 KEY=kir_test_...
    python till.py sell LHE-TEST TEA-0001 2       # writes the sale down here: needs no network
    python till.py send                           # sends what is waiting, until nothing is
    python till.py rejected                       # what the server would not take, and why

How it works: a sale gets its reference when it is written down, not when it is sent. Whatever happens on the way, the
same sale is sent again under the same reference, and the server records each reference once. So a lost answer, a
restart or a power cut needs no special care: what has no verdict yet is sent again.
"""

import http.client
import json
import os
import random
import sqlite3
import sys
import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

DONE = ("created", "replayed", "accepted_with_flag")
AGAIN = (
    "busy",
    "unavailable",
    "rate_limited",
    "storage_full",
    "server_error",
)  # come again: nothing was recorded


class Refused(Exception):
    """The server will not take this however often it is sent; the text says why."""


class Queue:
    """The sales of this till in one SQLite file. A sale that was added survives everything but the disk."""

    def __init__(self, path: str):
        self.rows = sqlite3.connect(path)
        self.rows.execute("PRAGMA synchronous = FULL")
        self.rows.execute(
            "CREATE TABLE IF NOT EXISTS sale"
            " (reference TEXT PRIMARY KEY, body TEXT NOT NULL, verdict TEXT NOT NULL DEFAULT 'waiting', said TEXT)"
        )

    def add(self, store: str, *lines: dict) -> str:
        """Writes a sale down; the caller commits (`with queue.rows:`), several at once if he likes."""
        reference, now = str(uuid.uuid4()), datetime.now(UTC).isoformat(timespec="seconds")
        sale = {"store": store, "kind": "sale", "reference": reference, "occurred_at": now, "lines": lines}
        self.rows.execute("INSERT INTO sale (reference, body) VALUES (?, ?)", (reference, json.dumps(sale)))
        return reference

    def waiting(self, most: int) -> list[dict]:
        asked = "SELECT body FROM sale WHERE verdict = 'waiting' ORDER BY rowid LIMIT ?"
        return [json.loads(body) for (body,) in self.rows.execute(asked, (most,))]

    def settle(self, verdicts: list[dict]) -> int:
        """Notes what became of sales, and of how many. What was only busy goes on waiting."""
        final = [one for one in verdicts if one["status"] in DONE or one["code"] not in AGAIN]
        with self.rows:
            self.rows.executemany(
                "UPDATE sale SET verdict = ?, said = ? WHERE reference = ?",
                [(one["status"], one.get("detail"), one["reference"]) for one in final],
            )
        return len(final)


def ask(path: str, body: dict, timeout: float) -> tuple[int, float, dict]:
    """One request: status, seconds to wait if the server names them, answer. Raises where no whole answer came."""
    headers = {"X-API-Key": os.environ["KEY"], "Content-Type": "application/json"}
    request = urllib.request.Request(os.environ["API"] + path, json.dumps(body).encode(), headers)
    try:
        answer = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        answer = error  # an answer as well, and like every other it may be cut off while it is read
    with answer:
        return answer.status, float(answer.headers.get("Retry-After", 0)), json.load(answer)


def post_batch(sales: list[dict], timeout: float = 30) -> list[dict]:
    """Sends up to 200 sales until an answer comes; returns the verdicts. Raises Refused where trying again is no use."""
    tries = 0
    while True:
        wait = 0.0
        try:
            status, wait, answer = ask("/documents/batch/", {"documents": sales}, timeout)
            if status == 200:
                return answer["results"]
            if status < 500 and status not in (408, 429):
                raise Refused(f"{answer['code']}: {answer['detail']}")
            why = answer["code"]
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
            why = repr(
                error
            )  # lost somewhere on the way: whether the server has them or not, the same sales once more
        tries += 1
        wait = max(
            wait, min(2 ** min(tries, 9) / 20, 20) * random.uniform(0.5, 1.5)
        )  # not all tills at one moment
        print(f"{why}; once more in {wait:.1f} s", file=sys.stderr)
        time.sleep(wait)


def send(queue: Queue, size: int = 200, connections: int = 2, timeout: float = 30) -> None:
    """Sends until nothing is waiting, in batches of `size`, over so many connections at once."""
    with ThreadPoolExecutor(connections) as pool:
        while sales := queue.waiting(size * connections):
            batches = [sales[start : start + size] for start in range(0, len(sales), size)]
            settled = [
                queue.settle(verdicts) for verdicts in pool.map(post_batch, batches, [timeout] * len(batches))
            ]
            if not any(settled):
                time.sleep(2)  # others are at work on the same goods


def main(command: str = "send", *arguments: str) -> None:
    queue = Queue(os.environ.get("TILL", "till.sqlite"))
    if command == "sell":
        store, sku, quantity = arguments
        with queue.rows:
            print(queue.add(store, {"sku": sku, "quantity": quantity}))
    elif command == "send":
        send(queue, *map(int, arguments))
    rejected = "SELECT reference, said FROM sale WHERE verdict = 'rejected' ORDER BY rowid"
    for reference, said in queue.rows.execute(rejected) if command != "sell" else ():
        print(f"rejected {reference}: {said}")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except Refused as refusal:
        sys.exit(f"The server refuses the whole batch. {refusal}")
