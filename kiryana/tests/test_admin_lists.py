"""Lists of the head office cost the same however long the tables are: no count(*), few queries, cursors instead of pages."""

import re
from datetime import timedelta

import pytest
from django.contrib import admin
from django.contrib.admin.utils import quote
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from psycopg.errors import QueryCanceled

from inventory.models import Document, Kind
from inventory.services import Actor
from stores.admin.lists import HouseAdmin, KeysetList
from stores.models import Store

pytestmark = pytest.mark.django_db
BIG = [
    "inventory_stocklevel",
    "inventory_document",
    "inventory_movement",
    "inventory_lowstockalert",
    "reports_dailystock",
    "catalog_product",
]
# session, user, the second factor, the rows, and where the list is longer than a page the estimate
QUERIES = {
    "inventory_stocklevel": 4,
    "inventory_document": 5,
    "inventory_movement": 5,
    "inventory_lowstockalert": 4,
    "reports_dailystock": 4,
    "catalog_product": 4,
    "catalog_category": 4,
    "catalog_barcode": 4,
    "catalog_pack": 4,
    "catalog_storeprice": 4,
    "catalog_productprice": 5,
    "inventory_reason": 4,
    "stores_store": 4,
    "stores_membership": 4,
    "stores_user": 4,
    "stores_apikey": 5,
    "stores_apirequest": 4,
    "stores_webhook": 4,
    "stores_delivery": 4,
    "auth_group": 4,
    "admin_logentry": 4,
}


@pytest.fixture
def office(client, head_office):
    client.force_login(head_office)
    return client


@pytest.fixture
def busy(stocked, post, ghee, atta, api_client, other_store, manager):
    """A store with sixty sales and a few alerts: more than one page of each."""
    for number in range(60):
        post(Kind.SALE, (atta, "0.250"), occurred_at=timezone.now() - timedelta(minutes=3 * (60 - number)))
    stocked(ghee).set_reorder(reorder_point=50, target_level=None)
    post(Kind.RECEIPT, (ghee, 5, 500), where=other_store, actor=Actor.in_admin(manager))
    api_client()
    return stocked


def listing(name):
    return reverse(f"admin:{name}_changelist")


def captured(office, url, **query):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answer = office.get(url, query)
    assert answer.status_code == 200, url
    return answer.content.decode(), [query["sql"] for query in queries.captured_queries]


def counts(statements) -> list[str]:
    return [sql for sql in statements if re.search(r"count\s*\(", sql, re.IGNORECASE)]


def test_every_list_is_ours_and_pins_its_queries():
    shown = {f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry}
    assert shown == set(QUERIES)
    for page in admin.site._registry.values():
        assert isinstance(page, HouseAdmin)
        assert page.get_changelist(None) is KeysetList


@pytest.mark.parametrize("name", QUERIES)
def test_a_list_asks_the_same_few_queries_however_long_it_is(office, busy, name):
    _text, statements = captured(office, listing(name))
    assert counts(statements) == []
    assert len(statements) <= QUERIES[name], "\n".join(statements)


@pytest.mark.parametrize("name", BIG)
def test_filters_and_search_never_count_either(office, busy, name):
    for query in (
        {"store": "LHE-0001"},
        {"product": "FLR-0001"},
        {"q": "FLR-0001"},
        {"q": "atta"},
        {"store": "LHE-0001", "product": "FLR-0001", "from": "2020-01-01", "to": "2100-01-01"},
        {"kind__exact": "sale"},
        {"state": "open"},
        {"status__exact": "active"},
    ):
        with CaptureQueriesContext(connection) as queries:
            office.get(listing(name), query, follow=True)
        assert counts(query["sql"] for query in queries.captured_queries) == []


def test_home_page_details_and_suggestions_never_count(office, busy, ghee):
    level, document = busy(ghee), Document.objects.latest("pk")
    suggest = reverse("admin:autocomplete") + "?app_label=inventory&model_name=stocklevel&field_name="
    for url in (
        reverse("admin:index"),
        reverse("admin:inventory_stocklevel_change", args=(level.pk,)),
        reverse("admin:inventory_document_change", args=(document.pk,)),
        reverse("admin:inventory_document_history", args=(document.pk,)),
        reverse("admin:catalog_product_change", args=(ghee.pk,)),
        suggest + "product&term=dalda",
        suggest + "store&term=LHE",
    ):
        _text, statements = captured(office, url)
        assert counts(statements) == []
        assert len(statements) <= 16, url


def test_older_and_newer_walk_the_whole_ledger_once(office, busy):
    url, seen = listing("inventory_movement"), []
    text = office.get(url).content.decode()
    first = re.findall(r"[A-Z]-\d{6}", text)
    while True:
        seen += re.findall(r"/admin/inventory/document/(\d+)/change/", text)
        older = re.search(r'rel="next" href="([^"]+)"', text)
        if not older:
            break
        text = office.get(url + older[1].replace("&amp;", "&")).content.decode()
    assert len(seen) == 63
    assert seen == sorted(seen, key=int, reverse=True)
    pages = 1
    while newer := re.search(r'rel="prev" href="([^"]+)"', text):
        text, pages = office.get(url + newer[1].replace("&amp;", "&")).content.decode(), pages + 1
    assert (re.findall(r"[A-Z]-\d{6}", text), pages) == (first, 3)


def test_a_cursor_of_another_list_or_reader_begins_anew(office, busy):
    text = office.get(listing("inventory_movement")).content.decode()
    older = re.search(r'rel="next" href="([^"]+)"', text)[1].replace("&amp;", "&")
    assert office.get(listing("inventory_document") + older).status_code == 302
    assert office.get(listing("inventory_movement") + "?cursor=torn").status_code == 302
    assert office.get(listing("inventory_movement") + older + "&store=LHE-0001").status_code == 302


def test_a_filter_begins_at_the_first_page(office, busy):
    text = office.get(listing("inventory_movement")).content.decode()
    older = re.search(r'rel="next" href="([^"]+)"', text)[1].replace("&amp;", "&")
    second = office.get(listing("inventory_movement") + older).content.decode()
    assert "cursor=" not in re.search(r'id="changelist-filter".*?</details>', second, re.DOTALL)[0]
    assert 'name="cursor"' not in second


def test_long_lists_say_about_how_many_and_short_ones_exactly(office, busy):
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE inventory_movement")
    assert "≈" in office.get(listing("inventory_movement")).content.decode()
    assert "2 entries" in office.get(listing("stores_store")).content.decode()


def test_no_filter_lists_stores_or_products(office, busy):
    Store.objects.bulk_create(Store(code=f"S-{number:04d}", name=f"Store {number}") for number in range(500))
    for name in (*BIG, "catalog_storeprice", "stores_membership", "stores_apikey"):
        text = office.get(listing(name)).content.decode()
        assert text.count("<option") <= 60
        assert text.count('class="chip"') <= 60
        assert "Store 77" not in text or name == "stores_store"


def test_filters_take_codes_names_and_barcodes(office, busy):
    def rows(**query):
        return re.findall(
            r"(?:FLR|GHE)-0001",
            office.get(listing("inventory_stocklevel"), query).content.decode().split("<tbody", 1)[-1],
        )

    assert rows(store="lhe-0001") == ["FLR-0001", "GHE-0001"]
    assert rows(store="Saddar") == ["GHE-0001"]
    assert set(rows(product="8964000123456")) == {"GHE-0001"}
    assert rows(product="aata") == ["FLR-0001"]
    assert rows(q="چکی آٹا") == ["FLR-0001"]
    text = office.get(listing("inventory_stocklevel"), {"store": "NO-0001"}).content.decode()
    assert "Nothing is known as “NO-0001”" in text
    assert "Nothing fits." in text


def test_documents_are_found_by_number_and_reference(office, busy, post, ghee):
    document = post(Kind.SALE, (ghee, 1), reference="till-7-4711").document

    def found(text):
        rows = office.get(listing("inventory_document"), {"q": text}).content.decode().split("<tbody", 1)[1:]
        return re.findall(r"[A-Z]-\d{6}", "".join(rows))

    for text in (document.number, document.number.lower(), str(document.pk), "till-7-4711"):
        assert set(found(text)) == {document.number}, text
    for text in ("Q-000001", "x" * 200, "٣", "S-99999999999999999999", "0-0-0"):
        assert found(text) == []
    lines = office.get(listing("inventory_movement"), {"q": document.number}).content.decode()
    assert lines.count(f"/document/{document.pk}/change/") == 1


def test_days_filter_by_the_business_date(office, busy, store):
    today = store.today().isoformat()
    assert (
        document_count(office, {"from": today, "to": today})
        + document_count(office, {"to": (store.today() - timedelta(days=1)).isoformat()})
        > 0
    )
    assert document_count(office, {"from": "2100-01-01"}) == 0
    assert (
        "This is not a date."
        in office.get(listing("inventory_document"), {"from": "yesterday"}).content.decode()
    )
    assert (
        "This is not a date."
        in office.get(listing("inventory_document"), {"from": "2026-02-31"}).content.decode()
    )


def document_count(office, query) -> int:
    return office.get(listing("inventory_document"), query).content.decode().count('class="field-kind_cell"')


@pytest.mark.parametrize("query", [{"bogus": "1"}, {"kind__exact": "\0"}, {"id__exact": "x"}])
def test_a_parameter_that_means_nothing_falls_back_to_the_whole_list(office, busy, query):
    assert office.get(listing("inventory_movement"), query).status_code == 302


def test_a_search_that_takes_too_long_is_told_in_words(office, busy, monkeypatch):
    def slow(*_args, **_options):
        raise OperationalError("canceling statement due to statement timeout") from QueryCanceled()

    monkeypatch.setattr("stores.admin.lists.keyset_page", slow)
    assert (
        "Choose a store or some days as well"
        in office.get(listing("inventory_movement"), {"kind__exact": "opening"}).content.decode()
    )


def test_a_null_character_is_no_fault_of_ours(office, busy):
    for query in ({"q": "\0"}, {"store": "\0"}, {"product": "a\0b"}, {"from": "\0"}):
        assert office.get(listing("inventory_movement"), query).status_code == 200


def test_suggestions_carry_the_code_that_filters_take(office, busy):
    url = reverse("admin:autocomplete")
    asked = {"app_label": "inventory", "model_name": "stocklevel", "field_name": "product", "term": "dalda"}
    assert [row["code"] for row in office.get(url, asked).json()["results"]] == ["GHE-0001"]
    asked |= {"field_name": "store", "term": "khi"}
    assert [row["code"] for row in office.get(url, asked).json()["results"]] == ["KHI-0001"]


def test_an_object_is_where_djangos_admin_has_its_page():
    for model, own in admin.site._registry.items():
        for key in (7, "a/b_"):
            name = f"admin:{model._meta.app_label}_{model._meta.model_name}_change"
            assert own.address(model(pk=key)) == reverse(name, args=(quote(key),))
