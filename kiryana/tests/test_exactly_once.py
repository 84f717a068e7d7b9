"""Exactly once, with a real gunicorn: its worker is killed at every moment, answers are lost, requests come twenty at once.

Nothing here waits for time to pass: a request is stopped where it matters by a lock that the test holds.
"""

import json
import os
import signal
import socket
import threading
from contextlib import contextmanager
from decimal import Decimal

import psycopg
import pytest
from django.core.management import call_command

from inventory.models import Document, Kind, Movement, StockLevel
from kiryana.tests.live import Web, address_of_tests, kill, read_answer, request_bytes
from kiryana.tests.test_cluster import until

pytestmark = pytest.mark.django_db(transaction=True)

ALL = "/api/v1/documents/"
BATCH = "/api/v1/documents/batch/"
# A commit that waits until the test lets it go on.
HOLD = """
CREATE FUNCTION hold_commit() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_advisory_xact_lock_shared(990011); RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER hold_commit AFTER INSERT ON inventory_document
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hold_commit();
"""
LET_GO = "DROP TRIGGER hold_commit ON inventory_document; DROP FUNCTION hold_commit()"


@pytest.fixture
def web(stocked):
    """gunicorn with one worker, so that the test knows whom to kill. Its statements may wait as long as the test needs."""
    made = Web(address_of_tests(), WEB_WORKERS="1", LOCK_TIMEOUT="120s", STATEMENT_TIMEOUT="120s")
    yield made
    made.end()


@pytest.fixture
def key(api_client) -> str:
    return api_client(scopes=["movements:read", "movements:write"]).secret


@pytest.fixture
def other():
    """A connection to the database beside Django's, which takes locks and looks on. Outside of a transaction."""
    with psycopg.connect(address_of_tests(), autocommit=True) as connection:
        yield connection


def sale(reference: str | None = "till-7", quantity: str = "2", **fields) -> dict:
    body = {
        "store": "LHE-0001",
        "kind": "sale",
        "lines": [{"sku": "GHE-0001", "quantity": quantity}],
        **fields,
    }
    return body if reference is None else body | {"reference": reference}


def sold() -> tuple[int, Decimal]:
    """(sales in the ledger, tins on hand); 24 tins were there."""
    return Document.objects.filter(kind=Kind.SALE).count(), StockLevel.objects.get(
        product__sku="GHE-0001"
    ).on_hand


def send(web, request: bytes) -> socket.socket:
    """Sends a request and does not wait for its answer."""
    line = socket.create_connection(("127.0.0.1", web.port), 60)
    line.sendall(request)
    return line


def somebody_waits(other) -> bool:
    """Whether a statement of the server waits for a lock."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return other.execute(asked).fetchone()[0] > 0


def nobody_works(other) -> bool:
    """Whether the database has finished with everything that was asked of it."""
    asked = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND (state LIKE '%transaction%' OR state = 'active') AND backend_type = 'client backend'"
    )
    return other.execute(asked).fetchone()[0] == 0


def kill_worker(web) -> None:
    """Kills the worker and waits for its successor."""
    [worker] = web.workers()
    kill(worker)
    until(lambda: web.workers() not in ([], [worker]), "gunicorn starts another worker")


def books_are_right(capsys) -> None:
    capsys.readouterr()
    call_command("check_ledger")
    assert capsys.readouterr().out == ""


@contextmanager
def holding(other, *statements: str):
    """Holds the locks that these statements take, until the block ends."""
    with other.transaction():
        for statement in statements:
            other.execute(statement)
        yield


@contextmanager
def commits_wait(other):
    """Every commit of a document waits while `other` holds lock 990011."""
    other.execute(HOLD)
    try:
        yield
    finally:
        other.execute(LET_GO)


GHEE = "SELECT FROM inventory_stocklevel WHERE product_id = (SELECT id FROM catalog_product WHERE sku = 'GHE-0001') FOR UPDATE"
GOODS = "LOCK TABLE catalog_product IN ACCESS EXCLUSIVE MODE"


def test_a_worker_killed_before_it_posts_leaves_nothing_and_the_next_try_records_it(web, key, other, capsys):
    with holding(other, GOODS), psycopg.connect(address_of_tests(), autocommit=True) as watcher:
        line = send(web, request_bytes("POST", ALL, sale(), key=key))
        until(lambda: somebody_waits(watcher), "the look-up waits")
        kill_worker(web)
        with pytest.raises(OSError), line:
            read_answer(line)
    until(lambda: nobody_works(other), "the database has let go of the dead")
    assert sold() == (0, 24)
    status, headers, _body = web.ask("POST", ALL, sale(), key=key)
    assert (status, headers.get("idempotent-replayed")) == (201, None)
    status, headers, _body = web.ask("POST", ALL, sale(), key=key)
    assert (status, headers["idempotent-replayed"]) == (200, "true")
    assert sold() == (1, 22)
    books_are_right(capsys)


def test_a_worker_killed_while_it_posts_has_recorded_it_once(web, key, other, capsys):
    """The statement that posts is a whole transaction: the database finishes it, whoever has died meanwhile."""
    with holding(other, GHEE), psycopg.connect(address_of_tests(), autocommit=True) as watcher:
        line = send(web, request_bytes("POST", ALL, sale(), key=key))
        until(lambda: somebody_waits(watcher), "the posting waits")
        kill_worker(web)
        with pytest.raises(OSError), line:
            read_answer(line)
        assert sold() == (0, 24)
    until(lambda: nobody_works(other), "the posting is through")
    assert sold() == (1, 22)
    status, headers, _body = web.ask("POST", ALL, sale(), key=key)
    assert (status, headers["idempotent-replayed"]) == (200, "true")
    assert sold() == (1, 22)
    books_are_right(capsys)


def test_a_worker_killed_in_the_middle_of_the_commit_has_recorded_it_once(web, key, other, capsys):
    """The commit was asked for: the database finishes it, whoever has died meanwhile."""
    with commits_wait(other):
        other.execute("SELECT pg_advisory_lock(990011)")
        line = send(web, request_bytes("POST", ALL, sale(), key=key))
        until(lambda: somebody_waits(other), "the commit waits")
        kill_worker(web)
        with pytest.raises(OSError), line:
            read_answer(line)
        assert sold() == (0, 24)
        other.execute("SELECT pg_advisory_unlock(990011)")
        until(lambda: nobody_works(other), "the commit is through")
    assert sold() == (1, 22)
    status, headers, body = web.ask("POST", ALL, sale(), key=key)
    assert (status, headers["idempotent-replayed"]) == (200, "true")
    assert json.loads(body)["id"] == Document.objects.get(reference="till-7").pk
    assert sold() == (1, 22)
    books_are_right(capsys)


def test_a_worker_killed_between_commit_and_answer_has_recorded_it_once(web, key, other, capsys):
    with commits_wait(other):
        other.execute("SELECT pg_advisory_lock(990011)")
        line = send(web, request_bytes("POST", ALL, sale(), key=key))
        until(lambda: somebody_waits(other), "the commit waits")
        [worker] = web.workers()
        os.kill(worker, signal.SIGSTOP)  # frozen: it will not see that its commit came through
        other.execute("SELECT pg_advisory_unlock(990011)")
        until(lambda: sold() == (1, 22), "the sale is in the ledger")
        kill_worker(web)
        with pytest.raises(OSError), line:
            read_answer(line)
    status, headers, body = web.ask("POST", ALL, sale(), key=key)
    assert (status, headers["idempotent-replayed"]) == (200, "true")
    assert json.loads(body)["id"] == Document.objects.get(reference="till-7").pk
    assert sold() == (1, 22)
    books_are_right(capsys)


def test_a_sender_who_hangs_up_after_sending_finds_it_recorded_once(web, key, other):
    for _try in range(3):
        send(web, request_bytes("POST", ALL, sale(), key=key)).close()
    until(lambda: sold()[0] == 1, "the sale is recorded")
    status, headers, body = web.ask("POST", ALL, sale(), key=key)
    assert (status, headers["idempotent-replayed"]) == (200, "true")
    until(lambda: nobody_works(other), "all tries have ended")
    assert sold() == (1, 22)
    assert json.loads(body)["id"] == Document.objects.get(reference="till-7").pk


def test_a_request_that_breaks_off_leaves_nothing(web, key, other):
    whole = request_bytes("POST", ALL, sale(), key=key)
    for length in (len(whole) - 1, len(whole) - 40, len(whole) // 2):
        send(web, whole[:length]).close()
    # The server takes its connections in turn: when these are answered, it has read the ones before.
    for _thread in range(4):
        assert web.ask("GET", ALL, key=key)[0] == 200
    until(lambda: nobody_works(other), "all has ended")
    assert sold() == (0, 24)
    assert web.ask("POST", ALL, sale(), key=key)[0] == 201


def at_once(acts: list) -> list:
    """Runs all acts at the same moment, each in a thread, and gives what they returned or raised."""
    barrier, found = threading.Barrier(len(acts)), [None] * len(acts)

    def work(place, act):
        try:
            barrier.wait(30)
            found[place] = act()
        except Exception as error:
            found[place] = error

    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return found


@pytest.fixture
def crowd(stocked):
    """gunicorn as it usually runs: two workers."""
    made = Web(address_of_tests())
    yield made
    made.end()


def test_20_sendings_at_once_are_one_sale_with_one_answer(crowd, key, capsys):
    answers = at_once([lambda: crowd.ask("POST", ALL, sale(), key=key)] * 20)
    assert sorted(status for status, _headers, _body in answers) == [200] * 19 + [201]
    assert [headers.get("idempotent-replayed") for status, headers, _body in answers if status == 201] == [
        None
    ]
    assert {headers["idempotent-replayed"] for status, headers, _body in answers if status == 200} == {"true"}
    assert len({body for _status, _headers, body in answers}) == 1
    assert sold() == (1, 22)
    books_are_right(capsys)


def test_20_different_sales_under_one_reference_are_one_sale_and_19_refusals(crowd, key):
    answers = at_once(
        [lambda n=n: crowd.ask("POST", ALL, sale(quantity=str(n)), key=key) for n in range(1, 21)]
    )
    assert sorted(status for status, _headers, _body in answers) == [201] + [422] * 19
    assert {json.loads(body)["code"] for status, _headers, body in answers if status == 422} == {
        "idempotency_key_reused"
    }
    [units] = [
        json.loads(body)["lines"][0]["quantity"] for status, _headers, body in answers if status == 201
    ]
    assert sold() == (1, 24 + Decimal(units))


def test_20_batches_at_once_record_each_sale_once(crowd, key, capsys):
    documents = [sale(f"till-{n}", "1") for n in range(8)]
    answers = at_once([lambda: crowd.ask("POST", BATCH, {"documents": documents}, key=key)] * 20)
    assert {status for status, _headers, _body in answers} == {200}
    verdicts = [json.loads(body)["results"] for _status, _headers, body in answers]
    for place in range(8):
        said = [one[place]["status"] for one in verdicts]
        assert sorted(said) == ["created"] + ["replayed"] * 19
        assert len({json.dumps(one[place]["document"]) for one in verdicts}) == 1
    assert sold() == (8, 16)
    books_are_right(capsys)


def test_20_voids_at_once_void_once(crowd, key, post, ghee, capsys):
    made = post(Kind.SALE, (ghee, 4)).document
    body = {"reason": "MISTAKE", "reference": "void-7"}
    answers = at_once([lambda: crowd.ask("POST", f"{ALL}{made.pk}/reverse/", body, key=key)] * 20)
    assert sorted(status for status, _headers, _body in answers) == [200] * 19 + [201]
    assert len({body for _status, _headers, body in answers}) == 1
    others = at_once(
        [
            lambda n=n: crowd.ask("POST", f"{ALL}{made.pk}/reverse/", body | {"reference": f"v-{n}"}, key=key)
            for n in range(6)
        ]
    )
    assert {(status, json.loads(body)["code"]) for status, _headers, body in others} == {
        (409, "already_reversed")
    }
    assert Document.objects.filter(reverses=made.pk).count() == 1
    assert StockLevel.objects.get(product=ghee).on_hand == 24
    books_are_right(capsys)


def test_a_void_whose_answer_was_lost_is_one_void(web, key, other, post, ghee):
    made = post(Kind.SALE, (ghee, 4)).document
    body = {"reason": "MISTAKE", "reference": "void-7"}
    with commits_wait(other):
        other.execute("SELECT pg_advisory_lock(990011)")
        line = send(web, request_bytes("POST", f"{ALL}{made.pk}/reverse/", body, key=key))
        until(lambda: somebody_waits(other), "the commit waits")
        kill_worker(web)
        line.close()
        other.execute("SELECT pg_advisory_unlock(990011)")
        until(lambda: nobody_works(other), "the commit is through")
    status, headers, answer = web.ask("POST", f"{ALL}{made.pk}/reverse/", body, key=key)
    assert (status, headers["idempotent-replayed"], json.loads(answer)["reverses"]) == (200, "true", made.pk)
    status, _headers, answer = web.ask("POST", f"{ALL}{made.pk}/reverse/", body | {"reason": "TEST"}, key=key)
    assert (status, json.loads(answer)["code"]) in (
        (422, "idempotency_key_reused"),
        (400, "validation_error"),
    )
    assert StockLevel.objects.get(product=ghee).on_hand == 24
    assert Movement.objects.filter(document__reverses=made.pk).count() == 1


def test_a_batch_whose_worker_dies_while_it_waits_is_recorded_whole_and_once(web, key, other, capsys):
    goods = ["FLR-0001", "FLR-0001", "GHE-0001", "FLR-0001"]  # the third waits
    documents = [sale(f"till-{n}", lines=[{"sku": sku, "quantity": "1"}]) for n, sku in enumerate(goods)]
    with holding(other, GHEE), psycopg.connect(address_of_tests(), autocommit=True) as watcher:
        line = send(web, request_bytes("POST", BATCH, {"documents": documents}, key=key))
        until(lambda: somebody_waits(watcher), "the third document waits, and all others with it")
        kill_worker(web)
        with pytest.raises(OSError), line:
            read_answer(line)
    until(
        lambda: nobody_works(other), "all are through: the database had been asked for them in one statement"
    )
    assert set(Document.objects.filter(kind=Kind.SALE).values_list("reference", flat=True)) == {
        "till-0",
        "till-1",
        "till-2",
        "till-3",
    }
    status, _headers, body = web.ask("POST", BATCH, {"documents": documents}, key=key)
    said = [(one["status"], one["reference"]) for one in json.loads(body)["results"]]
    assert status == 200
    assert said == [
        ("replayed", "till-0"),
        ("replayed", "till-1"),
        ("replayed", "till-2"),
        ("replayed", "till-3"),
    ]
    assert Document.objects.filter(kind=Kind.SALE).count() == 4
    books_are_right(capsys)


def test_a_batch_with_known_references_and_other_content_changes_nothing(web, key):
    first = [sale(f"till-{n}", "1") for n in range(3)]
    assert web.ask("POST", BATCH, {"documents": first}, key=key)[0] == 200
    second = [
        sale("till-0", "1"),
        sale("till-1", "3"),
        sale("till-2", "1", notes="x"),
        sale("till-3", "1"),
        sale("till-3", "1"),
        sale("till-3", "2"),
    ]
    _status, _headers, body = web.ask("POST", BATCH, {"documents": second}, key=key)
    said = [(one["status"], one.get("code")) for one in json.loads(body)["results"]]
    reused = ("rejected", "idempotency_key_reused")
    assert said == [("replayed", None), reused, reused, ("created", None), ("replayed", None), reused]
    assert sold() == (4, 20)


def test_other_content_under_a_known_reference_is_refused_and_the_header_is_the_same_reference(web, key):
    assert web.ask("POST", ALL, sale(), key=key)[0] == 201
    for body, headers in (
        (sale(quantity="3"), {}),
        (sale(None, "3"), {"Idempotency_Key": "till-7"}),
        (sale("till-7", "3"), {"Idempotency_Key": "till-7"}),
        (sale(notes="from the shelf"), {}),
        (sale(kind="wastage", reason="DAMAGED"), {}),
    ):
        status, _headers, answer = web.ask("POST", ALL, body, key=key, **headers)
        assert (status, json.loads(answer)["code"]) == (422, "idempotency_key_reused"), body
    status, headers, _answer = web.ask("POST", ALL, sale(None), key=key, Idempotency_Key="till-7")
    assert (status, headers["idempotent-replayed"]) == (200, "true")
    status, _headers, answer = web.ask("POST", ALL, sale("till-7"), key=key, Idempotency_Key="till-8")
    assert (status, json.loads(answer)["errors"][0]["code"]) == (400, "reference_mismatch")
    status, _headers, answer = web.ask("POST", ALL, sale(None), key=key)
    assert (status, json.loads(answer)["code"]) == (400, "reference_required")
    assert sold() == (1, 22)


def test_a_reference_belongs_to_its_store(web, api_client, store, other_store, post, ghee):
    post(Kind.RECEIPT, (ghee, 24, 500), where=other_store)
    key = api_client(stores=[store, other_store]).secret
    for code in ("LHE-0001", "KHI-0001"):
        assert web.ask("POST", ALL, sale(store=code), key=key)[0] == 201
        assert web.ask("POST", ALL, sale(store=code), key=key)[0] == 200
    assert Document.objects.filter(reference="till-7").count() == 2
    assert set(StockLevel.objects.filter(product=ghee).values_list("on_hand", flat=True)) == {22}


def test_two_keys_of_one_store_share_its_references(web, api_client, key):
    assert web.ask("POST", ALL, sale(), key=key)[0] == 201
    second = api_client().secret
    assert web.ask("POST", ALL, sale(), key=second)[0] == 200
    assert web.ask("POST", ALL, sale(quantity="3"), key=second)[0] == 422
    assert sold() == (1, 22)


def test_page_and_api_share_the_references_of_a_store(web, key, client, manager, ghee):
    """The hidden reference of a page is one like any other: whoever comes second finds it used."""
    client.force_login(manager)
    basket = {"lines-TOTAL_FORMS": "1", "lines-INITIAL_FORMS": "0", "act": "save"}
    basket |= {"lines-0-item": "GHE-0001", "lines-0-quantity": "2"}
    page = "/s/LHE-0001/movements/sale/"
    assert client.post(page, basket | {"reference": "basket-1"}).status_code == 302
    assert sold() == (1, 22)
    assert web.ask("POST", ALL, sale("basket-1"), key=key)[0] == 200
    assert web.ask("POST", ALL, sale("basket-1", "3"), key=key)[0] == 422
    assert web.ask("POST", ALL, sale("basket-2", "1"), key=key)[0] == 201
    client.post(page, basket | {"reference": "basket-2"})
    assert sold() == (2, 21)


def test_a_refusal_leaves_the_reference_free_and_one_line_has_it_too(web, key):
    status, _headers, answer = web.ask("POST", ALL, sale(quantity="25"), key=key)
    assert (status, json.loads(answer)["code"]) == (409, "insufficient_stock")
    line = {"store": "LHE-0001", "kind": "sale", "sku": "GHE-0001", "quantity": "1"}
    first = web.ask("POST", "/api/v1/movements/", line, key=key, Idempotency_Key="till-7")
    again = web.ask("POST", "/api/v1/movements/", line | {"reference": "till-7"}, key=key)
    assert (first[0], again[0], first[2] == again[2]) == (201, 200, True)
    # One line and a document of one line are the same act.
    assert web.ask("POST", ALL, sale(quantity="1"), key=key)[0] == 200
    assert sold() == (1, 23)
