"""Products, stock, one item, movements, a day's sales and documents: what is shown, to whom, in how many queries."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from catalog.models import Category, Product, StorePrice
from inventory.models import Document, Kind, Movement
from inventory.queries import prices
from inventory.services import Actor, Line, post_document

pytestmark = pytest.mark.django_db


@pytest.fixture
def see(client, store, manager):
    """see("inventory", "?state=low", user=cashier) is the page's HTML."""

    def get(name, query="", *, user=None, args=(), status=200):
        client.force_login(user or manager)
        answer = client.get(reverse(name, args=[store.code, *args]) + query)
        assert answer.status_code == status
        return answer.text

    return get


@pytest.fixture
def shelf(store, post, category):
    """Sixty soaps on the shelf, more than a page shows."""
    soaps = [
        Product.objects.create(
            sku=f"SOAP-{n:02}", name=f"Soap {n:02}", category=category, selling_price=50, cost_price=30
        )
        for n in range(60)
    ]
    post(Kind.RECEIPT, *[(soap, 10, 31) for soap in soaps])
    return soaps


def names(page: str) -> list[str]:
    """What the rows of a list are called."""
    return re.findall(r'class="title"[^>]*>([^<]+)<', page)


def next_of(page: str) -> str:
    return re.search(r'rel="next" href="([^"]*)"', page)[1].replace("&amp;", "&")


# -- Products ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words", ["ghee", "گھی", "ڈالڈا", "8964000123456", "18964000123453", "dalda 1kg", "GHE-0001"]
)
def test_products_are_found_in_any_script_and_by_barcode(see, stocked, words):
    assert names(see("products", f"?search={words}")) == ["Dalda Ghee 1 kg"]


def test_products_show_price_here_on_hand_and_the_ways_to_move_them(see, store, stocked, atta, ghee, auditor):
    StorePrice.objects.create(store=store, product=ghee, price=575)
    page = see("products")
    assert names(page) == ["Chakki Atta (loose)", "Dalda Ghee 1 kg"]
    assert "Rs 575" in page
    assert '<bdi dir="ltr">100.000</bdi> kg' in page
    assert f"{reverse('sale', args=[store.code])}?sku=GHE-0001" in page
    assert "?sku=" not in see("products", user=auditor)


def test_products_are_narrowed_by_category_and_by_those_that_nest_in_it(see, stocked, category):
    tea, food = Category.objects.create(name="Tea"), Category.objects.create(name="Food")
    category.parent = food
    category.save()
    assert len(names(see("products", f"?category={food.pk}"))) == 2
    assert len(names(see("inventory", f"?category={food.pk}"))) == 2
    assert "No product fits" in see("products", f"?category={tea.pk}")
    assert "Select a valid choice" in see("products", "?category=999999")
    assert "Select a valid choice" in see("products", "?category=x")


@pytest.mark.parametrize(
    "query",
    [
        "?search=%00",
        "?search=" + "x" * 101,
        "?search=" + "a%20" * 40,
        "?search=%",
        "?search=_",
        "?category=%00",
        "?state=%00",
    ],
)
def test_odd_filters_never_break_a_page(see, stocked, query):
    for page in ("products", "inventory", "movements"):
        see(page, query.replace("search", "product") if page == "movements" else query)


def test_find_answers_line_entry_in_json(see, stocked, store, cashier, client):
    exact = json.loads(see("find", "?q=18964000123453", user=cashier))
    assert exact["exact"] is True
    assert exact["units"] == "12.000"
    assert exact["results"][0]["name"] == "Dalda Ghee 1 kg"
    assert exact["results"][0]["price"] == "560"
    assert exact["results"][0]["on_hand"] == "24"
    words = json.loads(see("find", "?q=aata"))
    assert (words["exact"], words["results"][0]["sku"]) == (False, "FLR-0001")
    assert json.loads(see("find", "?q=%00"))["results"] == []
    assert "cost" not in json.dumps(exact)
    client.logout()
    assert client.get(reverse("find", args=[store.code]) + "?q=x").status_code == 302


# -- Stock ---------------------------------------------------------------------------------------------------------


def test_stock_shows_states_with_counts_and_filters_by_them(see, stocked, post, store, ghee, atta, manager):
    post(Kind.SALE, (ghee, 30), confirm_oversell=True)
    stocked(atta).set_reorder(reorder_point=Decimal(200), target_level=None)
    page = see("inventory")
    assert re.sub(r"<[^>]+>|\s+", " ", page).split("Show only")[0]
    chips = re.findall(r'<a class="chip".*?</a>', page, re.S)
    shown = [" ".join(re.sub(r"<[^>]+>", " ", chip).split()) for chip in chips]
    assert shown == ["All 2", "Below zero 1", "Out 0", "Low 1", "OK 0"]
    assert names(see("inventory", "?state=negative")) == ["Dalda Ghee 1 kg"]
    assert names(see("inventory", "?state=low&search=atta")) == ["Chakki Atta (loose)"]
    assert "Nothing here" in see("inventory", "?state=out")
    assert "Nothing here" in see("inventory", "?state=wrong")


def test_cashiers_see_no_cost_value_or_margin_anywhere(see, stocked, post, store, cashier, ghee):
    # 118.37 and 517.53 stand nowhere but in costs.
    post(Kind.RECEIPT, (ghee, 24, "525.06"))
    receipt = Document.objects.filter(kind=Kind.RECEIPT).last()
    for name, args in (
        ("products", []), ("inventory", []), ("movements", []), ("item", ["GHE-0001"]), ("document", [receipt.pk]), ("sales_today", []),
        ("sale", []), ("receipt", []), ("find", []),
    ):  # fmt: skip
        page = see(name, "?q=ghee" if name == "find" else "", args=args, user=cashier)
        for word in ("517.53", "525.06", "Rs 510", "Rs 500", "at cost", "Value", "margin"):
            assert word not in re.sub(
                r'name="csrfmiddlewaretoken" value="[^"]*"|value="[0-9a-f-]{36}"', "", page
            ), (name, word)
    assert "Rs 517.53" in see("item", args=["GHE-0001"])
    assert "Rs 24,841.44" in see("inventory")


def test_stock_is_paged_both_ways_and_a_cursor_fits_only_its_list(see, shelf, client, staff, store):
    first = see("inventory")
    assert names(first)[0] == "Soap 00"
    assert len(names(first)) == 50
    second = see("inventory", next_of(first))
    assert names(second) == [f"Soap {n:02}" for n in range(50, 60)]
    back = re.search(r'rel="prev" href="([^"]*)"', second)[1].replace("&amp;", "&")
    assert names(see("inventory", back)) == names(first)
    see("inventory", next_of(first) + "&state=ok", status=404)
    see("products", next_of(first), status=404)
    see("inventory", next_of(first), user=staff("owner"), status=404)
    see("inventory", "?cursor=rubbish", status=404)


# -- One item --------------------------------------------------------------------------------------------------------


def test_an_item_has_its_card_with_balances(see, stocked, post, ghee, reason):
    post(Kind.SALE, (ghee, 2))
    post(Kind.WASTAGE, (ghee, 1), reason=reason("DAMAGED"))
    page = see("item", args=["GHE-0001"])
    balances = re.findall(r'cell-end number">(?:<span[^>]*>)+<bdi dir="ltr">([^<]*)', page)
    assert balances == ["21", "22", "24"]
    assert "Damaged" in page
    assert "8964000123456" in page


@pytest.mark.parametrize("sku", ["NOPE", "a%00b", "FLR-0001/adjust", "flr-0001"])
def test_an_unknown_item_is_not_found(client, stocked, cashier, sku):
    client.force_login(cashier)
    assert client.get(f"/s/LHE-0001/inventory/{sku}/").status_code == 404


def test_auditors_look_at_costs_and_change_nothing(see, stocked, auditor):
    page = see("item", args=["GHE-0001"], user=auditor)
    assert "Rs 510" in page
    assert "Update stock" not in page
    assert "Save reorder" not in page


# -- Movements -------------------------------------------------------------------------------------------------------


def test_movements_are_filtered_by_kind_item_days_and_person(see, stocked, post, store, ghee, atta, cashier):
    post(Kind.SALE, (ghee, 2), actor=Actor.on_page(cashier, "cashier"))
    today = store.today().isoformat()
    tomorrow = (store.today() + timedelta(days=1)).isoformat()
    assert len(names(see("movements"))) == 3
    assert names(see("movements", "?kind=sale")) == ["Dalda Ghee 1 kg"]
    assert names(see("movements", "?product=aata")) == ["Chakki Atta (loose)"]
    assert names(see("movements", "?product=GHE-0001&kind=receipt")) == ["Dalda Ghee 1 kg"]
    assert len(names(see("movements", f"?business_date_from={today}&business_date_to={today}"))) == 3
    assert "No movement for this filter" in see("movements", f"?business_date_from={tomorrow}")
    assert names(see("movements", f"?user={cashier.username}")) == ["Dalda Ghee 1 kg"]
    assert "before the first one" in see(
        "movements", f"?business_date_from={tomorrow}&business_date_to={today}"
    )
    assert "Enter a valid date" in see("movements", "?business_date_from=2026-02-30")
    assert "Select a valid choice" in see("movements", "?user=somebody")


def test_movements_turn_pages_by_key_while_new_ones_come(see, shelf, post, ghee):
    first = see("movements")
    post(Kind.RECEIPT, (ghee, 1, 1))
    second = names(see("movements", next_of(first)))
    assert len(second) == 10
    assert not set(second) & set(names(first))


def test_a_movement_after_midnight_stands_under_the_day_of_the_store(see, store, post, ghee):
    with time_machine.travel(datetime(2026, 11, 21, 19, 30, tzinfo=UTC), tick=False):
        post(Kind.RECEIPT, (ghee, 1, 1))
        page = see("movements")
    assert "22 Nov 2026" in page
    assert "12:30 am" in page


# -- Sales of a day and documents -------------------------------------------------------------------------------------


def test_a_days_sales_add_up_less_returns_and_voids(see, stocked, post, store, ghee, atta, manager, reason):
    from inventory.services import reverse_document

    sale = post(Kind.SALE, (ghee, 3)).document
    post(Kind.SALE, (atta, "1.5"))
    void = post(Kind.SALE, (ghee, 1)).document
    reverse_document(document=void, actor=Actor.on_page(manager, "manager"), reason=reason("MISTAKE"))
    post_document(
        store=store,
        kind=Kind.SALE_RETURN,
        lines=[Line(product=ghee, quantity=Decimal(1))],
        actor=Actor.on_page(manager, "manager"),
        returns=sale,
    )
    page = see("sales_today")
    figures = re.findall(r'figure-number"><bdi dir="ltr">([^<]*)', page)
    assert figures == ["Rs 1,315", "2"]
    assert "Voided" in page
    assert "Customer return" in page
    yesterday = (store.today() - timedelta(days=1)).isoformat()
    assert "No sales that day" in see("sales_today", f"?date={yesterday}")
    tomorrow = (store.today() + timedelta(days=1)).isoformat()
    for wrong in (tomorrow, "x", "1999-01-01", "%00"):
        see("sales_today", f"?date={wrong}", status=404)


@pytest.mark.parametrize(
    "day", ["2026-W01-1", "20260105", "2026-02-30", "1999-12-31", "9999-12-31", "x", "%00", "%DB%B2%DB%B0"]
)
def test_a_day_that_is_not_written_as_a_day_has_no_sales(see, day):
    see("sales_today", f"?date={day}", status=404)


def test_a_document_of_another_store_is_not_there(see, stocked, post, other_store, ghee, staff):
    boss = staff("manager", other_store)
    theirs = post(
        Kind.RECEIPT, (ghee, 1, 1), where=other_store, actor=Actor.on_page(boss, "manager")
    ).document
    for page in ("document", "reverse", "customer_return"):
        see(page, args=[theirs.pk], status=404)
    see("document", args=[2**70], status=404)


def test_looking_writes_nothing(see, stocked, post, ghee, django_assert_num_queries):
    sale = post(Kind.SALE, (ghee, 1)).document
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as queries:
        for page in ("products", "inventory", "movements", "sales_today", "sale", "receipt", "adjustment"):
            see(page)
        for page in ("document", "reverse", "customer_return"):
            see(page, args=[sale.pk])
        see("item", args=["GHE-0001"])
    own = [
        query["sql"]
        for query in queries
        if "session" not in query["sql"] and "last_login" not in query["sql"]
    ]
    assert not [
        sql
        for sql in own
        if not sql.startswith(("SELECT", "DECLARE", "SAVEPOINT", "RELEASE", "BEGIN", "COMMIT"))
    ]


# Beside the session and the user with his store: what each page asks, for sixty rows as for two.
@pytest.mark.parametrize(
    ("name", "args", "queries"),
    [
        ("products", [], 5),  # categories, rows, levels
        ("inventory", [], 6),  # counts, categories, rows, prices
        ("movements", [], 4),  # people, rows
        ("item", ["SOAP-07"], 7),  # level, rows, price, reasons, barcodes
        ("sales_today", [], 4),  # rows, total
        ("sale", [], 2),
    ],
)
def test_pages_ask_the_database_as_often_for_many_rows_as_for_few(
    see, client, store, manager, shelf, name, args, queries, django_assert_num_queries
):
    client.force_login(manager)
    with django_assert_num_queries(queries):
        assert client.get(reverse(name, args=[store.code, *args])).status_code == 200


def test_the_ledger_reads_no_column_that_it_does_not_show(
    client, store, manager, shelf, django_assert_num_queries
):
    """What belongs to each of fifty rows and is long: the words a product is searched by, the print of what a caller sent."""
    client.force_login(manager)
    with django_assert_num_queries(4) as asked:
        page = client.get(reverse("movements", args=[store.code]))
    [rows] = [query["sql"] for query in asked if 'FROM "inventory_movement"' in query["sql"]]
    assert len(page.context["page"].rows) > 1
    for column in ("search_text", "fingerprint", "password", "digest", "unit_cost", "recorded_at"):
        assert f'"{column}"' not in rows


def test_a_document_with_many_lines_costs_the_same(client, store, manager, shelf, django_assert_num_queries):
    client.force_login(manager)
    document = Document.objects.get()
    assert document.line_count == 60
    # session, user with store, document, its void, lines, what came back
    with django_assert_num_queries(6):
        assert client.get(reverse("document", args=[store.code, document.pk])).status_code == 200


def test_search_terms_and_product_names_are_escaped(see, store, post, category):
    bad = Product.objects.create(
        sku="XSS-1", name='<script>alert("x")</script>', name_ur="{{7*7}}", category=category, selling_price=1
    )
    post(Kind.RECEIPT, (bad, 1, 1))
    for page in ("products", "inventory", "movements"):
        assert "<script>alert" not in see(page)
    assert "<script>alert" not in see("products", "?search=%3Cscript%3Ealert(1)%3C/script%3E")
    assert "<script>alert" not in see("item", args=["XSS-1"])
    assert Movement.objects.count() == 1


def test_a_page_of_goods_has_the_prices_that_a_sale_would_have(store, other_store, ghee, atta):
    """The statement of a page says the rule of prices (R6) again: it must not say another."""
    now = timezone.now()
    for where, price, hours in ((store, 500, -48), (store, 510, -1), (store, 900, 5), (other_store, 1, -1)):
        StorePrice.objects.create(
            store=where, product=ghee, price=price, effective_from=now + timedelta(hours=hours)
        )
    both = [ghee.pk, atta.pk]
    sold = Product.objects.filter(pk__in=both).priced(store).values_list("pk", "price")
    assert prices(store, both) == dict(sold) == {ghee.pk: 510, atta.pk: atta.selling_price}
