"""The connection to PostgreSQL: what stays prepared, and that it is known to be alive without being asked."""

import time

import psycopg
import pytest
from django.db import connection
from django.db.backends.postgresql import base

from inventory.models import Reason
from kiryana.tests.live import address_of_tests
from stores.models import ApiKey

PREPARED = "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE %s"


def prepared(words: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(PREPARED, [f"%{words}%"])
        return cursor.fetchone()[0]


def sell(till, number: int, **more):
    line = {"sku": "GHE-0001", "quantity": "1"}
    sent = {"store": "LHE-0001", "kind": "sale", "reference": f"s-{number}", "lines": [line]} | more
    answer = till.post("/api/v1/documents/", sent)
    assert answer.status_code == 201, answer.content


@pytest.mark.django_db(transaction=True)
def test_what_every_sale_asks_is_prepared_once_whatever_is_null_in_it(api_client, stocked):
    till = api_client()
    for number in range(3):
        sell(till, number)
    sell(
        till, 3, lines=[{"barcode": "18964000123453", "quantity": "1"}, {"sku": "GHE-0001", "quantity": "2"}]
    )
    sell(till, 4, notes="Ramzan", confirm_oversell=True)
    Reason.objects.get_or_create(code="DAMAGED", defaults={"name": "Damaged", "use": "wastage"})
    sell(till, 5, kind="wastage", reason="DAMAGED")
    for words in ("INSERT INTO inventory_document", "FROM stores_apikey WHERE", "FROM catalog_barcode"):
        assert prepared(words) == 1


@pytest.mark.django_db(transaction=True)
def test_nothing_stays_prepared_where_a_pooler_may_change_the_server(api_client, stocked):
    connection.close()
    threshold = connection.settings_dict["OPTIONS"]["prepare_threshold"]
    connection.settings_dict["OPTIONS"]["prepare_threshold"] = None
    try:
        till = api_client()
        for number in range(4):
            sell(till, number)
        assert prepared("") == 0
    finally:
        connection.settings_dict["OPTIONS"]["prepare_threshold"] = threshold
        connection.close()


@pytest.mark.django_db
def test_what_is_sent_by_name_is_still_written_down_in_words(api_client, stocked, django_assert_num_queries):
    till = api_client()
    for number in range(4):
        sell(till, number)
    with django_assert_num_queries(5) as asked:
        sell(till, 4)
    assert "'s-4'" not in asked[0]["sql"]
    assert "INSERT INTO inventory_document" in asked[3]["sql"]
    assert "'s-4'::text" in asked[3]["sql"]


@pytest.mark.django_db(transaction=True)
def test_a_living_connection_is_known_without_a_question_and_a_dead_one_too(monkeypatch):
    connection.ensure_connection()
    with monkeypatch.context() as patch:
        patch.setattr(base.DatabaseWrapper, "is_usable", lambda self: pytest.fail("The server was asked."))
        assert connection.is_usable()
    number = connection.connection.info.backend_pid
    with psycopg.connect(address_of_tests(), autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [number])
    deadline = time.monotonic() + 5
    while connection.is_usable() and time.monotonic() < deadline:
        pass
    assert not connection.is_usable()
    connection.health_check_enabled, connection.health_check_done = True, False
    connection.close_if_health_check_failed()
    assert ApiKey.objects.count() == 0


@pytest.mark.django_db
def test_a_price_change_by_a_key_says_where_it_came_from(api_client, ghee):
    sent = {"selling_price": "570"}
    page = api_client().get("/api/v1/products/GHE-0001/")
    answer = api_client().patch(
        "/api/v1/products/GHE-0001/", sent, headers={"if-match": page.headers["ETag"]}
    )
    assert answer.status_code == 200
    assert ghee.price_history.latest("pgh_id").pgh_context.metadata["url"] == "/api/v1/products/GHE-0001/"
