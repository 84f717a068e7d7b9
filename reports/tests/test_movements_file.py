"""Movements as a file: what the list shows, in its order, however many lines there are, in the same memory."""

import csv
import io
import socket
import tracemalloc
from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.core.signals import request_finished
from django.db import OperationalError, close_old_connections, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import translation
from psycopg.pq import TransactionStatus
from python_calamine import CalamineWorkbook

from inventory.models import Kind, Movement
from inventory.services import Actor, reverse_document
from kiryana.bench.seed import Size, write
from kiryana.bench.trade import store_code
from kiryana.tests.live import Web, address_of_tests, request_bytes
from kiryana.tests.test_cluster import until
from reports import exports
from reports.queries import replica
from stores.models import Membership, Store, User

pytestmark = pytest.mark.django_db


@pytest.fixture
def ledger(stocked, post, ghee, atta, reason):
    """`store` with a delivery, a void, a loss and thirty sales of ten days, of which some happened at once."""
    sale = post(Kind.SALE, (ghee, 2), (atta, "1.250"))
    for number in range(30):
        day = sale.document.occurred_at - timedelta(days=number % 10)
        post(Kind.SALE, (atta, "0.500"), occurred_at=day)
    for _time in range(10):
        post(Kind.SALE, (ghee, 1))
    post(Kind.WASTAGE, (atta, 1), reason=reason("DAMAGED"))


@pytest.fixture
def few(monkeypatch):
    """Files are read in chunks of 5, then 7, and sent by 5 lines."""
    monkeypatch.setattr(replica, "FIRST", 5)
    monkeypatch.setattr(replica, "CHUNK", 7)
    monkeypatch.setattr(exports, "PIECE", 5)


@pytest.fixture
def ask(client, store):
    """ask(owner, "format=csv&kind=sale") is the answer."""

    def get(who, query: str = "", code: str = store.code):
        client.force_login(who)
        return client.get(f"/s/{code}/movements/file/?{query}")

    return get


def rows_of(answer) -> list[list[str]]:
    assert answer.status_code == 200
    body = b"".join(answer.streaming_content)
    return list(csv.reader(io.StringIO(body.decode("utf-8-sig"), newline="")))


def let_go(answer) -> None:
    """As when the client has gone; the test keeps its connection."""
    request_finished.disconnect(close_old_connections)
    answer.close()
    request_finished.connect(close_old_connections)


def listed(client, who, query: str = "") -> list[Movement]:
    """What the pages of the list show, one after the other."""
    client.force_login(who)
    found, path = [], f"/s/LHE-0001/movements/?{query}"
    while path:
        page = client.get(path).context["page"]
        found += [row.pk for row in page.rows]
        path = page.next and f"/s/LHE-0001/movements/?{query}&cursor={page.next}"
    known = {movement.pk: movement for movement in Movement.objects.filter(pk__in=found)}
    return [known[pk] for pk in found]


def shown(movement: Movement) -> list[str]:
    price, total = movement.unit_price, movement.line_total
    return [
        movement.business_date.isoformat(),
        movement.document.number,
        movement.product.sku,
        f"{movement.quantity:f}",
        f"{movement.balance_after:f}",
        "" if price is None else f"{price:f}",
        "" if total is None else f"{total:f}",
        movement.document.actor,
        str(movement.reason or ""),
    ]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "kind=sale",
        "product=ghee",
        "kind=receipt",
        "kind=own_use",
        "business_date_from={0}&business_date_to={0}",
    ],
)
def test_the_file_holds_the_rows_of_the_list_in_its_order(ledger, few, ask, client, owner, store, query):
    query = query.format(store.today() - timedelta(days=3))
    movements = listed(client, owner, query)
    assert movements or query == "kind=own_use"
    _head, *rows = rows_of(ask(owner, query))
    places = [0, 2, 4, 6, 8, 9, 10, 13, 12]
    assert [[row[place] for place in places] for row in rows] == [shown(movement) for movement in movements]


def test_both_files_hold_the_same(ledger, few, ask, owner):
    answer = ask(owner, "format=xlsx")
    book = CalamineWorkbook.from_filelike(io.BytesIO(b"".join(answer.streaming_content)))
    _head, *cells = book.get_sheet_by_index(0).to_python()
    _head, *lines = rows_of(ask(owner))
    assert len(cells) == len(lines) > 40
    for cell, line in zip(cells, lines, strict=True):
        assert [cell[0].isoformat(), *cell[1:6]] == line[:6]
        assert [Decimal(str(cell[place])) for place in (6, 8, 11)] == [
            Decimal(line[place]) for place in (6, 8, 11)
        ]


def test_a_void_a_reason_and_a_person_are_named(stocked, post, ask, manager, ghee, reason, staff):
    auditor = staff("auditor", first_name="Ali", last_name="Raza")
    sold = post(Kind.SALE, (ghee, 2), actor=Actor.on_page(auditor, "manager"))
    reverse_document(
        document=sold.document,
        actor=Actor.on_page(manager, "manager"),
        reference="v-1",
        reason=reason("MISTAKE"),
    )
    _head, void, sale, *_rest = rows_of(ask(auditor))
    assert (void[2][0], void[3], void[12], void[13]) == (
        "V",
        "Sale, voided",
        str(reason("MISTAKE")),
        manager.username,
    )
    assert (sale[2][0], sale[3], sale[12], sale[13]) == ("S", "Sale", "", "Ali Raza")


def test_costs_are_in_the_files_of_those_who_may_see_them(ledger, ask, cashier, auditor):
    assert "Unit cost (Rs)" in rows_of(ask(auditor))[0]
    assert {row[11] for row in rows_of(ask(auditor))[1:]} == {"510.0000", "118.0000"}
    for form in ("csv", "xlsx"):
        body = b"".join(ask(cashier, f"format={form}").streaming_content)
        cells = (
            CalamineWorkbook.from_filelike(io.BytesIO(body)).get_sheet_by_index(0).to_python()
            if form == "xlsx"
            else csv.reader(io.StringIO(body.decode("utf-8-sig")))
        )
        told = " ".join(str(cell) for row in cells for cell in row).lower()
        assert "cost" not in told
        assert "510" not in told
        assert "118" not in told


def test_another_store_is_not_there_and_its_lines_are_in_no_file(ledger, ask, post, owner, other_store, ghee):
    post(Kind.RECEIPT, (ghee, 77, 400), where=other_store)
    assert ask(owner, code=other_store.code).status_code == 404
    assert ask(owner, code="NO-SUCH").status_code == 404
    assert "77.000" not in {row[6] for row in rows_of(ask(owner))}


def test_a_text_that_a_spreadsheet_would_run_is_made_harmless(stocked, post, ask, owner, ghee):
    type(ghee).objects.filter(pk=ghee.pk).update(name="=1+1")
    assert "'=1+1" in {row[5] for row in rows_of(ask(owner))}


def test_the_file_is_in_the_language_of_its_reader_also_when_it_is_sent(ledger, few, ask, staff):
    answer = ask(staff("owner", language="ur"))
    with translation.override("en"):
        head, *rows = rows_of(answer)
    assert "تبدیلی" in head
    assert {row[5] for row in rows} == {"ڈالڈا گھی 1 کلو", "چکی آٹا (کھلا)"}
    assert "فروخت" in {row[3] for row in rows}


def test_what_cannot_be_understood_is_told_by_the_list_and_is_no_file(ask, owner):
    answer = ask(owner, "business_date_from=yesterday&format=csv")
    assert answer.status_code == 302
    assert answer["Location"] == "/s/LHE-0001/movements/?business_date_from=yesterday"
    assert ask(owner, "format=pdf").status_code == 404


def test_the_first_lines_are_sent_after_one_chunk_was_read_and_each_further_chunk_is_one_statement(
    ledger, few, ask, owner
):
    lines = Movement.objects.count()
    with CaptureQueriesContext(connection) as heard:
        answer = ask(owner)
        pieces = iter(answer.streaming_content)
        next(pieces)
    chunks = [one["sql"] for one in heard if 'FROM "inventory_movement"' in one["sql"]]
    assert len(chunks) == 1
    assert chunks[0].endswith("LIMIT 5")
    with CaptureQueriesContext(connection) as heard:
        list(pieces)
    assert len(heard) == -(-(lines - 5) // 7) >= 5
    assert all(one["sql"].endswith("LIMIT 7") for one in heard)
    let_go(answer)


def test_a_request_for_the_headers_alone_reads_no_movement(ledger, client, owner, store):
    client.force_login(owner)
    with CaptureQueriesContext(connection) as heard:
        answer = client.head(f"/s/{store.code}/movements/file/")
    assert answer["Content-Disposition"].startswith('attachment; filename="movements_LHE-0001_')
    assert not [one for one in heard if "inventory_movement" in one["sql"]]
    let_go(answer)


def test_lines_that_are_written_meanwhile_move_nothing(ledger, few, ask, post, owner, ghee):
    before = rows_of(ask(owner))
    answer = ask(owner)
    pieces = iter(answer.streaming_content)
    got = next(pieces)
    post(Kind.RECEIPT, (ghee, 5, 500))
    got += b"".join(pieces)
    let_go(answer)
    assert list(csv.reader(io.StringIO(got.decode("utf-8-sig"), newline=""))) == before


@pytest.mark.django_db(transaction=True)
def test_a_slow_reader_keeps_no_transaction_open(ledger, few, ask, owner):
    answer = ask(owner)
    pieces = iter(answer.streaming_content)
    for _turn in range(3):
        next(pieces)
        assert not connection.in_atomic_block
        assert connection.connection.info.transaction_status == TransactionStatus.IDLE
    let_go(answer)


def test_a_break_in_the_middle_ends_the_answer_with_an_error_and_is_in_the_log(
    ledger, few, ask, owner, caplog
):
    answer = ask(owner)
    pieces = iter(answer.streaming_content)
    next(pieces)

    def gone(execute, sql, params, many, context):
        raise OperationalError("the server is gone")

    with (
        connection.execute_wrapper(gone),
        pytest.raises(OperationalError),
        caplog.at_level("INFO", "kiryana.access"),
    ):
        list(pieces)
    let_go(answer)
    assert [line.code for line in caplog.records if hasattr(line, "code")] == ["broken_off"]


def test_a_process_makes_two_long_files_at_once_and_a_place_is_free_again_however_a_file_ends(
    ledger, few, ask, owner
):
    sent, broken = ask(owner), ask(owner)
    refused = ask(owner, "kind=sale")
    assert (refused.status_code, refused["Location"]) == (302, "/s/LHE-0001/movements/?kind=sale")
    rows_of(sent)
    let_go(broken)  # the client has gone before the first line
    rows_of(ask(owner))
    workbook, lines = ask(owner, "format=xlsx"), ask(owner)
    assert ask(owner).status_code == 302
    let_go(workbook)
    del lines
    for _turn in range(3):
        rows_of(ask(owner))


def test_a_file_that_cannot_be_made_keeps_no_place(ledger, few, ask, owner, monkeypatch):
    monkeypatch.setattr(exports, "workbook", lambda sheets: 1 / 0)
    for _turn in range(3):
        with pytest.raises(ZeroDivisionError):
            ask(owner, "format=xlsx")
    rows_of(ask(owner))


def test_a_workbook_of_too_many_lines_is_not_begun(ledger, few, ask, owner, monkeypatch):
    lines = Movement.objects.count()
    monkeypatch.setattr(exports, "MOST_IN_A_WORKBOOK", lines)
    assert ask(owner, "format=xlsx").status_code == 200
    monkeypatch.setattr(exports, "MOST_IN_A_WORKBOOK", lines - 1)
    answer = ask(owner, "format=xlsx&kind=")
    assert answer.status_code == 302
    assert answer["Location"] == "/s/LHE-0001/movements/?kind="
    assert len(rows_of(ask(owner))) == lines + 1


# -- A long ledger


def peak(act) -> int:
    """Bytes of memory that `act` had at its worst."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


LONG = Size(stores=1, products=3000, rounds=15)


@pytest.fixture
def long_ledger(db):
    """45,000 lines in one store, and a client of its owner with the address of their file."""
    connection.ensure_connection()
    write(connection.connection, LONG)
    owner, client = User.objects.create_user("owner"), Client()
    Membership.objects.create(user=owner, store=Store.objects.get(), role="owner")
    client.force_login(owner)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    return client, f"/s/{store_code(1)}/movements/file/"


def test_a_ledger_of_ten_times_the_lines_takes_the_same_memory(long_ledger):
    client, path = long_ledger

    def read(query: str) -> int:
        answer = client.get(path + query)
        return sum(piece.count(b"\n") for piece in answer.streaming_content)

    few, many = "?product=sugar", ""
    assert (read(few), read(many)) == (1 + LONG.movements // 12, 1 + LONG.movements)
    assert peak(lambda: read(many)) < 1.2 * peak(lambda: read(few))


@pytest.mark.django_db(transaction=True)
def test_a_server_that_breaks_off_in_the_middle_never_sends_the_end(long_ledger):
    """Through gunicorn: a reader waits after the first bytes, meanwhile the database ends the connection that reads for him."""
    client, path = long_ledger
    cookie = f"sessionid={client.cookies['sessionid'].value}"
    web = Web(address_of_tests(), WEB_WORKERS="1")

    def begin() -> socket.socket:
        line = socket.socket()
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(60)
        line.connect(("127.0.0.1", web.port))
        line.sendall(request_bytes("GET", path, Cookie=cookie))
        return line

    def rest(line: socket.socket) -> bytes:
        with line:
            return b"".join(iter(lambda: line.recv(65536), b""))

    try:
        whole = rest(begin())
        assert whole.startswith(b"HTTP/1.1 200")
        assert whole.endswith(b"\r\n0\r\n\r\n")
        assert whole.count(b",BEN-") == LONG.movements
        line = begin()
        got = line.recv(1000)
        assert got.startswith(b"HTTP/1.1 200")
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
            assert cursor.fetchone()[0] > 0
        got += rest(line)
        assert 0 < got.count(b",BEN-") < LONG.movements
        assert not got.endswith(b"0\r\n\r\n")
        until(lambda: "broken_off" in web.told(), "it is in the log")
        assert rest(begin()).endswith(b"\r\n0\r\n\r\n")
    finally:
        web.end()


# -- Memory of what writes

ROW = {
    "day": date(2026, 11, 22),
    "sku": "FLR-0001",
    "name": "Chakki Atta",
    "unit": "kg",
    "quantity": Decimal("-1.250"),
}
COLUMNS = [
    exports.column("Date", "date", "day"),
    exports.column("SKU", "text", "sku"),
    exports.column("Change", "quantity", "quantity"),
]


def generated(lines: int):
    return ({**ROW, "sku": f"FLR-{number:07}"} for number in range(lines))


@pytest.mark.parametrize(
    ("make", "lines"),
    [
        (lambda sheet: sum(map(len, exports.csv_lines(sheet))), 300_000),
        (lambda sheet: exports.workbook([sheet]).close(), 30_000),
    ],
    ids=["csv", "xlsx"],
)
def test_a_file_of_ten_times_the_lines_takes_the_same_memory(make, lines):
    peaks = [
        peak(lambda many=many: make(exports.Sheet("T", COLUMNS, generated(many), {})))
        for many in (lines // 10, lines)
    ]
    assert peaks[1] < 1.2 * peaks[0]
