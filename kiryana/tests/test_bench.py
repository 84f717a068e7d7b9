"""The arithmetic of the bench, its load, and the statement that it runs as a limit."""

import collections
import contextlib
import itertools
import json
import os
import re
import signal
import socket
import threading
import time
from argparse import ArgumentParser
from pathlib import Path

import pytest
from django.apps import apps
from django.db import connection

from catalog.models import Category, Product
from inventory.models import Document, Kind, Movement
from kiryana.bench import history, limits, load, pages
from kiryana.bench.__main__ import NAMES, add_arguments, main
from kiryana.bench.figures import Failed, Figure, in_row, in_turns, short, table, write_down
from kiryana.bench.history import write_history
from kiryana.bench.pace import Pace
from kiryana.bench.run import Bench
from kiryana.bench.seed import Size
from kiryana.bench.trade import Partner, Shelf
from kiryana.tests.test_cluster import until
from stores.models import ApiKey, Store
from stores.services import create_key

SIZE = Size(stores=40, products=200, rounds=3)


# -- Figures ----------------------------------------------------------------------------------------------------------
def figure(*pairs, goal=0.35, stretch=0.55, more_is_better=True) -> Figure:
    made = Figure("sale", "/s", "/s", goal, stretch, more_is_better)
    for value, limit in pairs:
        made.add(value, limit)
    return made


def test_a_ratio_is_the_median_of_what_each_repetition_gave():
    sale = figure((40, 100), (90, 180), (30, 50))  # 0.4, 0.5, 0.6; the ratio of the medians would be 0.4
    assert sale.ratio == 0.5
    assert (sale.value, sale.limit) == (40, 100)
    assert sale.spread == pytest.approx(0.4)
    assert figure((7, 10)).spread == 0


@pytest.mark.parametrize(
    ("ratio", "more", "goal", "stretch", "met"),
    [
        (0.34, True, 0.35, 0.55, "missed"), (0.35, True, 0.35, 0.55, "goal"), (0.55, True, 0.35, 0.55, "stretch"),
        (1.26, False, 1.25, 1.05, "missed"), (1.25, False, 1.25, 1.05, "goal"), (1.0, False, 1.25, 1.05, "stretch"),
        (9.9, False, None, None, ""),
    ],
)  # fmt: skip
def test_a_goal_is_met_from_its_own_side(ratio, more, goal, stretch, met):
    assert figure((ratio, 1), goal=goal, stretch=stretch, more_is_better=more).met == met


def test_rates_are_measured_in_turn_and_every_second_time_backwards():
    asked, answers = [], iter(range(1, 100))

    def rate(name):
        return lambda: asked.append(name) or next(answers)

    rates = [(name, rate(name)) for name in "abc"]
    assert in_turns(rates, 2, 0) == {"a": (1 + 6) / 2, "b": (2 + 5) / 2, "c": (3 + 4) / 2}
    assert in_turns(rates, 1, 1) == {"c": 7, "b": 8, "a": 9}
    assert "".join(asked) == "abccbacba"
    assert in_turns([*rates, rates[0]], 1, 0) == {"a": (10 + 13) / 2, "b": 11, "c": 12}


@pytest.mark.parametrize(("late", "rounds"), [(0, 1 + 4 + 4), (1000, 1 + 1 + 1)])
def test_a_quick_run_measures_as_often_as_fits_into_its_time(tmp_path, late, rounds):
    bench = Bench(tmp_path, quick=True, only=[])
    bench.begun -= late
    asked = []
    found = list(bench.turns("sales", [("a", lambda: asked.append(1) or 7.0)], 4, seconds=1000))
    assert found == [{"a": 7}] * 3
    assert len(asked) == rounds


def test_a_full_run_has_its_time_from_when_the_ledgers_are_filled(tmp_path):
    quick, full = (Bench(tmp_path, quick=quick, only=[]) for quick in (True, False))
    for bench in (quick, full):
        bench.begun, bench.filled = time.monotonic() - 1000, 1000
        told = bench.plan["until"]["pages"] - (1000 if bench is quick else 0)
        assert bench.left("pages") == pytest.approx(told, abs=60)


# -- The pace of the machine ------------------------------------------------------------------------------------------
def test_what_was_measured_in_a_slow_moment_comes_out_as_at_the_usual_speed(monkeypatch):
    pace = Pace()
    pace.begun = [(0, 0.0), (0, 0.0)]
    # (computations, seconds) of two processors: 100 a second at first, then 50 on one of them and 100 on the other.
    told = iter([
        [(100, 1.0), (200, 2.0)], [(100, 1.0), (200, 2.0)], [(150, 2.0), (300, 3.0)], [(150, 2.0), (300, 3.0)],
        [(200, 3.0), (300, 3.0)], [(200, 3.0), (300, 3.0)], [(200, 3.0), (300, 3.0)],
    ])  # fmt: skip
    monkeypatch.setattr(pace, "counted", lambda: next(told))
    pace.settle()
    assert pace.usual == 100
    assert pace.rate(lambda: 30.0) == pytest.approx(40)  # at 75
    assert pace.time(lambda: 30.0) == pytest.approx(15)  # at 50: only one was looked at
    assert pace.rate(lambda: 30.0) == 30  # too short for a look


def test_the_pace_is_told_of_each_processor_until_it_ends():
    with Pace() as pace:
        processors = os.sched_getaffinity(0)
        assert len(pace.processes) == len(processors)
        until(lambda: all(count > 2 for count, _seconds in pace.counted()), "all processes compute")
        assert {*(frozenset(os.sched_getaffinity(one.pid)) for one in pace.processes)} == {
            *(frozenset({processor}) for processor in processors)
        }
        assert all(0 < seconds < 30 for _count, seconds in pace.counted())
    assert not any(one.is_alive() for one in pace.processes)


def test_the_pace_rests_while_it_is_told_to():
    with Pace() as pace:
        until(lambda: all(count for count, _seconds in pace.counted()), "all processes compute")
        with pace.resting():
            until(lambda: {state_of(one.pid) for one in pace.processes} == {"T"}, "all processes are stopped")
        before = pace.counted()
        until(lambda: all(now > then for now, then in zip(pace.counted(), before, strict=True)), "they go on")


def state_of(pid: int) -> str:
    """One letter for what a process does, as the kernel tells it."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_processes_of_the_pace_end_without_a_word_whatever_ends_the_bench(capfd):
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # as bin/bench does
    try:
        with Pace() as pace:
            until(lambda: all(count for count, _seconds in pace.counted()), "all processes compute")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("pair", [(1, 0), (0, 1), (-1, 1), (1, -1), (1, float("nan")), (float("nan"), 1)])
def test_a_figure_without_a_limit_fails(pair):
    with pytest.raises(Failed):
        figure(pair)


def test_two_steps_in_a_row_are_slower_than_each():
    assert in_row(100, 100) == 50
    assert in_row(3500, 6300) == pytest.approx(2250)


def test_the_table_and_the_file_hold_every_figure(tmp_path):
    figures = [
        figure((1234.5, 2000), (1300, 2000)),
        figure((0.5, 0.25), goal=None, stretch=None, more_is_better=False),
    ]
    rows = table(figures).splitlines()
    assert len(rows) == 4
    assert len({len(row) for row in rows}) == 1
    assert "1,267 /s" in rows[2]
    assert "| 0.63 " in rows[2]
    assert "stretch" in rows[2]
    write_down(tmp_path / "bench.json", figures, {"quick": True})
    told = json.loads((tmp_path / "bench.json").read_text())
    assert told["quick"] is True
    assert told["figures"][0]["pairs"] == [[1234.5, 2000], [1300, 2000]]
    assert [short(number) for number in (1234.5, 99.94, 9.994, 0.1234)] == ["1,234", "99.9", "9.99", "0.12"]


def test_every_name_may_be_asked_for_alone():
    parser = ArgumentParser()
    add_arguments(parser)
    assert parser.parse_args([]).only is None
    for name in NAMES:
        assert parser.parse_args(["--quick", "--only", name]).only == [name]
    with pytest.raises(SystemExit):
        parser.parse_args(["--only", "nothing"])


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, capsys):
    data = tmp_path / "postgres" / "data"
    data.mkdir(parents=True)
    assert main(["--quick", "--home", str(tmp_path)]) == 1
    assert "not empty" in capsys.readouterr().err
    assert data.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["postgres"]


# -- Trade ------------------------------------------------------------------------------------------------------------
def test_customers_take_a_few_products_often_and_most_seldom():
    taken = collections.Counter(Shelf(SIZE).products(100_000))
    harmonic = sum(1 / rank for rank in range(1, SIZE.products + 1))
    for rank in (1, 2, 4, 10):
        assert taken[rank] == pytest.approx(100_000 / rank / harmonic, rel=0.1)
    assert set(taken) == set(range(1, SIZE.products + 1))


def test_a_basket_holds_each_product_once_and_every_run_the_same_ones():
    one, other = Shelf(SIZE), Shelf(SIZE)
    baskets = [one.basket(8) for _number in range(500)]
    assert all(len(set(basket)) == 8 for basket in baskets)
    assert baskets == [other.basket(8) for _number in range(500)]


def test_a_history_has_the_lines_it_says(tmp_path):
    lines = write_history(tmp_path, Size(2, 30, 1), 200)
    rows = (tmp_path / "movements.csv").read_text().splitlines()
    assert len(rows) - 1 == lines == 200
    assert [row.split(",")[0] for row in rows[1:]] == sorted(row.split(",")[0] for row in rows[1:])


def killed(*_):
    os._exit(1)


def test_an_import_is_timed_in_a_process_of_its_own(transactional_db, tmp_path, monkeypatch):
    lines, database = write_history(tmp_path, Size(2, 30, 1), 200), connection.settings_dict["NAME"]
    assert 0 < history.seconds_of_import(tmp_path, database) < 60
    assert Movement.objects.count() == lines
    (tmp_path / "stores.csv").unlink()
    with pytest.raises(Failed, match=r"stores\.csv"):
        history.seconds_of_import(tmp_path, database)
    monkeypatch.setattr(history, "run_import", killed)
    with pytest.raises(Failed, match="terminated abruptly"):
        history.seconds_of_import(tmp_path, database)


# -- Load -------------------------------------------------------------------------------------------------------------
@contextlib.contextmanager
def answering(*answers: bytes, pieces: int = 1):
    """A server that gives these answers in turn on every connection, in so many pieces; closes it for an empty one."""

    def serve(line: socket.socket) -> None:
        with line, contextlib.suppress(ConnectionResetError):  # the client has seen enough
            for answer in itertools.cycle(answers):
                got = b""
                while not got.endswith(b"\r\n\r\n"):
                    if not (more := line.recv(4096)):
                        return
                    got += more
                if not answer:
                    return
                step = -(-len(answer) // pieces)
                for place in range(0, len(answer), step):
                    line.sendall(answer[place : place + step])

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


OK = b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nhello"
WRONG = b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
ASK = load.request("GET", "/", "127.0.0.1")


@pytest.mark.parametrize("pieces", [1, 7])
def test_every_answer_is_counted_once(pieces):
    with answering(OK, CHUNKED, pieces=pieces) as address:
        result = load.run(address, iter([ASK] * 40), clients=4, seconds=30)
    assert (len(result.times), result.errors) == (40, 0)
    assert result.rate == pytest.approx(40 / result.seconds)
    assert all(0 < seconds < 30 for seconds in result.times)


def test_wrong_answers_are_errors_and_the_first_is_kept():
    with answering(OK, WRONG) as address:
        result = load.run(address, iter([ASK] * 10), clients=1, seconds=30)
    assert (len(result.times), result.errors, result.first_error) == (10, 5, b"busy")
    with answering(OK) as address:
        assert load.run(address, iter([ASK] * 4), clients=2, wanted=frozenset({302})).errors == 4


def test_a_server_that_hangs_up_ends_the_run():
    with answering(OK, b"") as address, pytest.raises(load.Broken):
        load.run(address, iter([ASK] * 10), clients=2, seconds=30)


def test_a_server_that_says_nothing_ends_the_run():
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(load.Broken, match="within"):
        load.run(listener.getsockname(), iter([ASK]), clients=1, patience=0.05)


def test_a_run_ends_with_its_time_or_its_number():
    with answering(OK) as address:
        assert load.run(address, itertools.repeat(ASK), clients=3, seconds=0.05).seconds < 10
        assert len(load.run(address, itertools.repeat(ASK), clients=3, seconds=30, most=20).times) == 20


def test_a_rate_is_that_of_the_time_in_which_the_work_was_in_full_flow():
    assert load.Result(4.0, [0.1] * 40, 0, busy=(36, 3.0)).rate == 12
    with answering(OK) as address:
        result = load.run(address, itertools.repeat(ASK), clients=3, seconds=0.05)
    answers, seconds = result.busy
    assert len(result.times) == 3 + answers + 2
    assert 0 < seconds < result.seconds
    with answering(OK) as address:  # all of it is the beginning
        assert load.run(address, iter([ASK] * 3), clients=3, seconds=30).busy is None


def test_a_request_is_whole():
    sent = Partner("127.0.0.1:80", "secret").post("/api/v1/documents/", {"a": 1})
    head, body = sent.split(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"POST /api/v1/documents/ HTTP/1.1"
    assert b"X-API-Key: secret" in head
    assert b"Content-Length: %d" % len(body) in head


# -- The posting statement ----------------------------------------------------------------------------------------------
@pytest.fixture
def shop(db):
    """A store and products with the ids that the bench lets stand for all; gives a key."""
    category = Category.objects.create(name="Shelf")
    Store.objects.create(
        pk=limits.STORE, code=f"BEN-{limits.STORE:04}", name="Store", oversell_policy="allow"
    )
    Store.objects.create(pk=3, code="BEN-0003", name="Another", oversell_policy="allow")
    for number in (*limits.PRODUCTS, *range(1, 9)):
        Product.objects.create(
            pk=number, sku=f"BEN-{number:05}", name=f"Soap {number}", category=category, cost_price=40, selling_price=50
        )  # fmt: skip
    with connection.cursor() as cursor:  # no key may have the number of one of the products
        cursor.execute("SELECT setval(pg_get_serial_sequence('stores_apikey', 'id'), 1000000)")
    return create_key(name="Bench", scopes=ApiKey.Scope.values, all_stores=True)[1]


def played(script: str) -> None:
    """What pgbench does with a script whose variables are drawn as store 3 and products 1, 2 ..."""
    for line in script.splitlines():
        if line.startswith("\\set"):
            continue
        for name, value in (
            (":store", "3"),
            (":reference", "4711"),
            *((f":product{n}", str(n + 1)) for n in range(8)),
        ):
            line = line.replace(name, value)
        with connection.cursor() as cursor:
            cursor.execute(line)


@pytest.mark.parametrize("lines", [1, 8])
def test_pgbench_runs_the_statement_by_which_a_sale_is_posted(shop, lines):
    statement, params = limits.posting_statement(shop, lines)
    assert not Document.objects.exists()  # heard, and taken back
    script = limits.as_script(statement, params, SIZE)
    for trace in (limits.REFERENCE, f"BEN-{limits.STORE:04}", "%(", "%s"):
        assert trace not in script
    assert script.count("random_zipfian(1, 200") == lines
    played(script)
    document = Document.objects.get()
    assert (document.store_id, document.kind, document.line_count) == (3, Kind.SALE, lines)
    assert document.reference.endswith("4711")
    assert len(document.fingerprint) == 32
    sold = Movement.objects.filter(document=document).order_by("product_id")
    assert [movement.product_id for movement in sold] == list(range(1, lines + 1))
    assert {movement.quantity for movement in sold} == {-1}


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (limits.STORE, ":store"), (str(limits.PRODUCTS[1]), ":product1"), (7, "7"), (None, "NULL"), (True, "true"),
        ([1, limits.PRODUCTS[0]], "ARRAY[1, :product0]"), ([], "'{}'"), (b"\x01\xff", "'\\x01ff'::bytea"), ("it's", "'it''s'"),
        ('[{"a": 31, "b": "31", "c": 3}]', """('[{"a": ' || (:product0)::text || ', "b": "' || (:product0)::text || '", "c": 3}]')"""),
    ],
)  # fmt: skip
def test_a_value_is_found_again_in_whatever_form_it_goes(value, wanted):
    assert limits.as_sql(value, limits.drawn_for(SIZE)[1]).strip() == wanted


def test_a_statement_that_the_bench_does_not_know_is_refused():
    with pytest.raises(Failed):
        limits.as_script("INSERT INTO inventory_movement VALUES (%s)", [1], SIZE)


def test_a_refused_sale_is_no_statement(shop):
    Product.objects.filter(pk=limits.PRODUCTS[0]).update(sku="BEN-X")
    with pytest.raises(Failed, match="was not heard"):
        limits.posting_statement(shop, 1)


# -- COPY ---------------------------------------------------------------------------------------------------------------
def constraints(cursor, table: str) -> tuple[list, list]:
    """(indexes, checks and keys) of a table, without their names."""
    cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = %s", [table])
    indexes = sorted(row[0].split(" USING ")[1] for row in cursor.fetchall())
    cursor.execute(
        "SELECT contype, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = %s::regclass", [table]
    )
    return indexes, sorted(map(tuple, cursor.fetchall()))


@pytest.mark.parametrize("table", limits.TWINS)
def test_the_table_of_the_limit_has_the_same_indexes_and_keys(db, table):
    connection.ensure_connection()
    raw = connection.connection
    with limits.twin(raw, table) as name, connection.cursor() as cursor:
        indexes, rules = constraints(cursor, table)
        assert constraints(cursor, name)[0] == indexes
        made = constraints(cursor, name)[1]
        assert set(rules) <= set(made)
        # What more it has are the links of the model that the database holds by a trigger.
        [model] = [model for model in apps.get_models() if model._meta.db_table == table]
        linked = [field.column for field in model._meta.concrete_fields if field.is_relation]
        keys = [rule for kind, rule in made if kind == "f"]
        assert len(keys) == len(linked)
        assert all(any(re.search(rf"\b{column}\b.* REFERENCES", key) for key in keys) for column in linked)
        assert {kind for kind, _rule in set(made) - set(rules)} <= {"f"}
        cursor.execute(
            "SELECT count(*) FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal", [name]
        )
        assert cursor.fetchone() == (0,)


@pytest.mark.parametrize("table", ["inventory_stocklevel", "inventory_movement"])
def test_plain_writes_go_to_tables_as_full_as_the_ledger(stocked, table):
    raw = connection.connection
    with limits.twin(raw, table) as name, connection.cursor() as cursor:
        limits.fill_twin(raw, table)
        cursor.execute(f"SELECT * FROM {table} ORDER BY id")
        rows = cursor.fetchall()
        cursor.execute(f"SELECT * FROM {name} ORDER BY id")
        assert rows
        assert cursor.fetchall() == rows
        cursor.execute(f"SELECT nextval(pg_get_serial_sequence('{name}', 'id')) > max(id) FROM {name}")
        assert cursor.fetchone() == (True,)


# -- Pages --------------------------------------------------------------------------------------------------------------
def test_pages_come_from_the_url_table(stocked, head_office, staff):
    staff("owner")
    with connection.cursor() as cursor:
        found = {address.name: address.path for address in pages.addresses(cursor)}
    assert found["dashboard"] == "/s/BEN-0001/"
    assert found["item"] == "/s/BEN-0001/inventory/BEN-00001/"
    assert found["api:level"] == "/api/v1/inventory/BEN-0001/BEN-00001/"
    assert found["admin:inventory_movement_changelist"] == "/admin/inventory/movement/"
    assert found["admin:inventory_document_change"].endswith("/change/")
    assert found["api:report_stock_value"] == "/api/v1/reports/stock-value/"
    assert "logout" not in found
    assert not [path for path in found.values() if "<" in path or "(" in path]


def test_a_page_grows_by_its_best_times():
    page = pages.Address("a", "/a/", "owner", small=[0.010, 0.020], large=[0.090, 0.012])
    assert page.ratio == pytest.approx(1.2)
    # One moment alone in which the machine was fast counts less the more there are: of eight times the best two.
    page.small, page.large = [0.004, 0.010, *[0.011] * 6], [0.010, 0.011, *[0.012] * 6]
    assert page.ratio == pytest.approx(21 / 14)


class Told:
    """A reader that answers with the seconds it was told, page by page, and the last of them ever after."""

    def __init__(self, **seconds: list[float]):
        self.seconds, self.asked, self.begin = seconds, collections.Counter(), {}

    def get(self, path, who, *, begin=False):
        place = self.asked[path]
        self.asked[path] += 1
        self.begin[path] = begin
        told = self.seconds[path.strip("/").partition("?")[0]]
        return 200, b"", told[min(place, len(told) - 1)]


def test_a_page_that_looks_slower_is_asked_again_on_both_ledgers_until_it_does_not():
    """One that was disturbed, one that grows, one that is near what it may take, and one that is none of these."""
    small = Told(noisy=[0.010], grown=[0.010], near=[0.045], calm=[0.010])
    large = Told(noisy=[0.030] * 5 + [0.010], grown=[0.013], near=[0.045], calm=[0.010])
    found = [pages.Address(name, f"/{name}/", "owner") for name in ("noisy", "grown", "near", "calm")]
    assert pages.measure(small, large, found, times=3, again=20, loops=[]) == []
    noisy, grown, *_others = found
    assert small.asked == large.asked == {"/noisy/": 7, "/grown/": 24, "/near/": 24, "/calm/": 4}
    assert (noisy.ratio, grown.ratio) == (1.0, pytest.approx(1.3))
    assert [len(page.large) for page in found] == [len(page.small) for page in found] == [6, 23, 23, 3]
    for time_left, asked in ((iter([True, True, False]), 3 + 2), (iter([False]), 3)):
        near = pages.Address("near", "/near/", "owner")
        pages.measure(
            small, large, [near], times=3, again=20, loops=[], goes_on=lambda left=time_left: next(left)
        )
        assert len(near.large) == asked


def test_of_a_page_that_has_more_to_show_growth_says_nothing():
    item = pages.Address("item", "/s/A/inventory/B/", "owner", small=[0.010], large=[0.030])
    assert (item.ratio, item.doubtful) == (1.0, False)
    item.large.append(0.041)
    assert item.doubtful


@pytest.mark.parametrize(
    ("path", "is_file"),
    [
        ("/s/A/movements/file/", True), ("/s/A/movements/file/?kind=sale", True), ("/s/A/movements/", False),
        ("/api/v1/reports/low-stock/?store=A&format=csv", True), ("/s/A/reports/low-stock/?format=xlsx", True),
        ("/s/A/reports/low-stock/?state=low", False),
    ],
)  # fmt: skip
def test_of_a_file_the_first_byte_is_what_counts(path, is_file):
    reader = Told(**{path.strip("/").partition("?")[0]: [0.010]})
    page = pages.Address("file", path, "owner")
    pages.measure(reader, reader, [page], times=1, again=20, loops=[])
    assert reader.begin == {path: is_file}


def test_the_first_byte_of_a_body_is_timed_and_the_rest_is_read(monkeypatch):
    """Times are those of a clock that moves on with each piece that comes."""
    pieces = [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"3\r\nabc\r\n",
        b"2\r\nde\r\n",
        b"0\r\n\r\n",
    ]
    clock = [0.0]
    monkeypatch.setattr(pages.time, "perf_counter", lambda: clock[0])

    class Socket:
        def sendall(self, _request):
            self.left = list(pieces)

        def recv(self, _size):
            clock[0] += 1
            return self.left.pop(0)

    client = load.Client.__new__(load.Client)
    client.socket, client.buffer, client.begun = Socket(), b"", 0.0
    monkeypatch.setattr(pages.Reader, "connected", lambda self: client)
    reader = pages.Reader(("127.0.0.1", 1), {"owner": {}})
    assert reader.get("/file/", "owner", begin=True) == (200, b"".join(pieces[1:]), 2.0)
    clock[0] = 0.0
    assert reader.get("/file/", "owner") == (200, b"".join(pieces[1:]), 4.0)


def test_what_is_compared_shows_the_same_of_both_ledgers():
    """Lines of one product are asked of a time in which both hold the same."""
    for page in pages.variants():
        if f"sku={pages.sku(1)}" in page.path and "store=" in page.path and "/movements/" in page.path:
            assert "business_date_from=" in page.path
        if "product=ben" in page.path and page.path.startswith("/s/"):
            assert "business_date_from=" in page.path
