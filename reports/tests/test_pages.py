"""The dashboard and the report pages: what they show, to whom, and in how many queries."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from html import unescape
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone, translation

from catalog.models import Category, Product
from inventory.models import Kind, StockLevel
from inventory.services import Actor, reverse_document
from reports import queries
from reports.templatetags.reports import sales_chart
from stores.models import Membership, Store, User
from stores.templatetags.shop import plain_money

pytestmark = pytest.mark.django_db
PAGES = ["dashboard", "reports", "daily_sales", "inventory_value", "low_stock", "top_products"]


@pytest.fixture
def mine(store):
    return Store.objects.filter(pk=store.pk)


@pytest.fixture
def see(client, owner, store):
    """see("low_stock", "?state=out", user=cashier) is the text of that page, without marks and with single spaces."""

    def get(name: str, query: str = "", user: User | None = None, status: int = 200) -> str:
        client.force_login(user or owner)
        answer = client.get(reverse(name, args=[store.code]) + query)
        assert answer.status_code == status
        return words_of(answer.content.decode())

    return get


@pytest.fixture
def traded(stocked, post, ghee, atta):
    """Two sales today and one the day before yesterday; ghee runs low."""
    post(Kind.SALE, (ghee, 2), (atta, "1.250"))
    post(Kind.SALE, (ghee, 20))
    post(Kind.SALE, (atta, 10), occurred_at=timezone.now() - timedelta(days=2))
    StockLevel.objects.get(product=ghee).set_reorder(reorder_point=Decimal(5), target_level=None)


def words_of(html: str) -> str:
    """What a reader sees of a page's main part."""
    main = html[html.index("<main") : html.index("</main>")]
    text = re.sub(r"<(title|style|script).*?</\1>", " ", main, flags=re.S)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def many_short(store, category, number):
    """`number` products that are out in `store`."""
    fields = {"category": category, "selling_price": 10}
    goods = Product.objects.bulk_create(
        Product(sku=f"OUT-{n:04d}", name=f"Empty {n:04d}", **fields) for n in range(number)
    )
    StockLevel.objects.bulk_create(StockLevel(store=store, product=one, reorder_point=4) for one in goods)


# -- figures ---------------------------------------------------------------------------------------------------


def test_the_dashboard_says_what_the_reports_say(traded, see, mine, store):
    text = see("dashboard")
    today = queries.daily_sales(mine, store.today(), store.today()).totals
    assert f"Sales so far today {plain_money(today['revenue'])}" in text
    assert f"Sales made {today['documents']}" in text
    [standing] = queries.inventory_summary(mine).rows
    assert (standing["out"], standing["low"], standing["negative"]) == (0, 1, 0)
    assert "Out 0 Low 1 Below zero 0" in text
    assert f"Money on the shelves {plain_money(standing['value_at_cost'])}" in text
    assert "Dalda Ghee 1 kg Low 2 pc reorder at 5 pc" in text
    assert "Chakki Atta (loose)" in text


def test_every_number_of_the_dashboard_opens_its_list(traded, client, owner, store):
    client.force_login(owner)
    page = client.get(reverse("dashboard", args=[store.code])).content.decode()
    today = store.today().isoformat()
    for name, query in (
        ("daily_sales", f"?from={today}&amp;to={today}"),
        ("sales_today", ""),
        ("inventory_value", ""),
        ("low_stock", "?state=out"),
        ("low_stock", "?state=low"),
        ("low_stock", "?state=negative"),
        ("low_stock", ""),
        ("movements", ""),
    ):
        address = reverse(name, args=[store.code]) + query
        assert f'href="{address}"' in page, address
        assert client.get(unescape(address)).status_code == 200


def test_a_number_of_the_dashboard_is_the_length_of_the_list_it_opens(
    traded, client, owner, store, category, mine
):
    many_short(store, category, 3)
    client.force_login(owner)
    shown = client.get(reverse("dashboard", args=[store.code])).context["standing"]
    for state in ("out", "low", "negative"):
        listed = client.get(reverse("low_stock", args=[store.code]), {"state": state}).context["rows"]
        assert len(listed) == shown[state]
    value = client.get(reverse("inventory_value", args=[store.code])).context
    assert sum(row["value_at_cost"] for row in value["rows"]) == value["totals"]["value_at_cost"]
    assert value["totals"]["value_at_cost"] == queries.inventory_summary(mine).totals["value_at_cost"]


def test_the_dashboard_shows_the_last_ten_movements(stocked, post, ghee, manager, see):
    for _n in range(11):
        post(Kind.SALE, (ghee, 1))
    reverse_document(document=post(Kind.SALE, (ghee, 3)).document, actor=Actor.on_page(manager, "manager"))
    text = see("dashboard")
    movements = text[text.index("Last movements") :]
    assert movements.count("Sale ·") + movements.count("Sale void ·") >= 10
    assert "Sale void ·" in movements
    assert "+3 pc" in movements


def test_daily_sales_shows_rows_and_totals(traded, see, mine, store):
    report = queries.daily_sales(mine, store.today() - timedelta(days=13), store.today())
    text = see("daily_sales")
    assert len(report.rows) == 2
    for row in report.rows:
        assert plain_money(row["revenue"]) in text
    assert f"Revenue {plain_money(report.totals['revenue'])} Sales 3 Lines 4 Units 33.250" in text
    assert f"Total Sales 3 Units 33.250 {plain_money(report.totals['revenue'])}" in text


def test_half_past_midnight_in_karachi_is_today_on_the_dashboard(store, manager, owner, ghee, post, client):
    with time_machine.travel(datetime(2026, 11, 22, 19, 30, tzinfo=UTC)):
        post(Kind.RECEIPT, (ghee, 10), occurred_at=timezone.now() - timedelta(hours=5))
        post(
            Kind.SALE,
            (ghee, 1),
            occurred_at=datetime(2026, 11, 22, 23, 59, 59, tzinfo=ZoneInfo("Asia/Karachi")),
        )
        post(Kind.SALE, (ghee, 2))
        client.force_login(owner)
        text = words_of(client.get(reverse("dashboard", args=[store.code])).content.decode())
    assert text.startswith("Monday 23 Nov 2026 Up to 12:30 am")
    assert "Sales so far today Rs 1,120" in text
    assert "Sales made 1" in text


def test_a_category_narrows_daily_sales_with_those_that_nest_in_it(traded, post, see, category):
    parent = Category.objects.create(name="Food")
    Category.objects.filter(pk=category.pk).update(parent=parent)
    assert "Total Sales 3 Units 33.250" in see("daily_sales", f"?category={parent.pk}")
    assert "No sales in these days" in see(
        "daily_sales", f"?category={Category.objects.create(name='Toys').pk}"
    )


def test_top_products_are_ordered_by_what_was_asked(traded, see):
    by_revenue = see("top_products")
    assert by_revenue.index("Dalda Ghee") < by_revenue.index("Chakki Atta")
    by_units = see("top_products", "?by=units&limit=10")
    assert by_units.index("Dalda Ghee") < by_units.index("Chakki Atta")
    assert "22 pc Rs 12,320" in by_units
    assert "These 2 products 33.250 Rs 13,782.50" in by_units


def test_inventory_value_shows_categories_and_where_most_of_the_money_lies(traded, see, mine):
    totals = queries.inventory_value(mine).totals
    text = see("inventory_value")
    assert (
        f"At cost {plain_money(totals['value_at_cost'])} At price {plain_money(totals['value_at_price'])}"
        in text
    )
    assert "Flour & Grains 2 100.0%" in text
    assert "Where most of the money lies" in text


# -- filters ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["daily_sales", "top_products"])
@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?from=2026-11-02&to=2026-11-01", "The first day lies after the last one."),
        ("?from=2025-01-01&to=2026-11-01", "A report covers at most 400 days."),
        ("?from=2026-02-30&to=2026-03-01", "Write a day such as 2026-11-22."),
        ("?from=yesterday", "Write a day such as 2026-11-22."),
        ("?from=2026-11-01%00&to=2026-11-02", "Write a day such as 2026-11-22."),
        ("?from=0001-01-01&to=0001-01-02", "Choose a day between the years 2000 and 2100."),
        ("?from=9999-12-31&to=9999-12-31", "Choose a day between the years 2000 and 2100."),
        ("?category=99999999999999999999", "This category does not exist."),
        ("?category=abc", "This category does not exist."),
    ],
)
def test_a_wrong_filter_is_told_beside_its_field(traded, see, name, query, words):
    assert words in see(name, query, status=400)


def test_what_was_typed_is_kept_beside_the_message(client, owner, store):
    client.force_login(owner)
    page = client.get(
        reverse("daily_sales", args=[store.code]), {"from": "2026-11-02", "to": "2026-11-01"}
    ).content.decode()
    assert 'value="2026-11-02"' in page
    assert 'value="2026-11-01"' in page


def test_days_may_be_written_in_urdu_digits(traded, see, store):
    day = store.today().isoformat().translate(str.maketrans("0123456789", "۰۱۲۳۴۵۶۷۸۹"))
    assert "Sales 2" in see("daily_sales", f"?from={day}&to={day}")


def test_unknown_orders_numbers_and_states_are_refused(traded, see):
    see("top_products", "?by=margin", status=400)
    see("top_products", "?limit=1000000", status=400)
    see("low_stock", "?state=ok", status=400)
    see("low_stock", "?category=x", status=400)


def test_low_stock_is_narrowed_by_state_and_category(traded, see, store, category):
    other = Category.objects.create(name="Toys")
    many_short(store, other, 2)
    assert "Dalda Ghee 1 kg" in see("low_stock")
    out = see("low_stock", "?state=out")
    assert "Dalda" not in out
    assert "Empty 0001" in out
    flour = see("low_stock", f"?category={category.pk}")
    assert "Dalda" in flour
    assert "Empty" not in flour
    assert "All 1" in flour, "counts are those of the category"


def test_low_stock_is_paged(client, owner, store, category):
    many_short(store, category, 101)
    client.force_login(owner)
    address = reverse("low_stock", args=[store.code])
    pages = [client.get(address, {"page": number}).context["rows"] for number in (1, 2, 3)]
    assert [len(rows) for rows in pages] == [50, 50, 1]
    assert len({row["sku"] for rows in pages for row in rows}) == 101
    assert "Page 2 of 3" in words_of(client.get(address, {"page": 2}).content.decode())
    for number in ("0", "-1", "4", "10" * 20, "x", "", "۲", "1\0"):
        assert client.get(address, {"page": number}).status_code == 404, number


# -- people ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAGES)
def test_nobody_sees_a_page_without_signing_in(client, store, name):
    answer = client.get(reverse(name, args=[store.code]))
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("login"))


@pytest.mark.parametrize("name", PAGES)
def test_another_store_is_answered_like_an_absent_one(client, owner, other_store, name):
    client.force_login(owner)
    foreign = client.get(reverse(name, args=[other_store.code]))
    absent = client.get(reverse(name, args=["XXX-0009"]))
    assert foreign.status_code == absent.status_code == 404
    # What differs in every answer, whatever was asked: the address, the form's token, the request's number.
    own = r"KHI-0001|XXX-0009|name=\"csrfmiddlewaretoken\" value=\"\w+\"|[0-9a-f]{12,32}"
    assert re.sub(own, "", foreign.content.decode()) == re.sub(own, "", absent.content.decode())


@pytest.mark.parametrize("role", ["owner", "manager", "auditor"])
def test_those_who_may_see_cost_see_value(traded, see, staff, role):
    user = staff(role)
    assert "Money on the shelves" in see("dashboard", user=user)
    assert "At cost" in see("inventory_value", user=user)
    assert "How much money lies on the shelves?" in see("reports", user=user)


def test_a_cashier_sees_no_cost_value_or_margin(traded, client, cashier, store):
    client.force_login(cashier)
    assert client.get(reverse("inventory_value", args=[store.code])).status_code == 404
    for name in ("dashboard", "reports", "daily_sales", "low_stock", "top_products"):
        page = client.get(reverse(name, args=[store.code])).content.decode()
        main = page[page.index("<main") : page.index("</main>")]
        assert not re.search(r"cost|margin|profit|on the shelves|inventory-value", main), name
        assert not re.search(r"\b(1,020|510|118)\b", re.sub(r"<[^>]*>", " ", main)), (
            name
        )  # ids in links may be any number


@pytest.mark.parametrize("name", PAGES)
def test_reports_are_only_read(client, owner, store, name):
    client.force_login(owner)
    assert client.post(reverse(name, args=[store.code])).status_code == 405


# -- states and speed --------------------------------------------------------------------------------------------


def test_a_new_store_has_an_empty_state_on_every_page(see):
    assert "No movements yet" in see("dashboard")
    assert "There are no items yet." in see("dashboard")
    assert "No sales in these days" in see("daily_sales")
    assert "No sales in these days" in see("top_products")
    assert "Nothing is running out" in see("low_stock")
    assert "Nothing on the shelves yet" in see("inventory_value")


def test_a_state_without_items_offers_all_of_them(traded, see):
    assert "No item is in this state. Show all" in see("low_stock", "?state=out")


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("dashboard", 8),
        ("reports", 2),
        ("daily_sales", 4),
        ("inventory_value", 3),
        ("low_stock", 5),
        ("top_products", 4),
    ],
)
def test_pages_take_few_queries_however_much_there_is(
    traded, client, owner, store, category, name, count, django_assert_num_queries
):
    """The session, and the user with his store, are two of them."""
    client.force_login(owner)
    address = reverse(name, args=[store.code])
    client.get(address)
    with django_assert_num_queries(count):
        client.get(address)
    many_short(store, category, 60)
    with django_assert_num_queries(count):
        client.get(address)


def test_pages_keep_to_the_content_policy(traded, client, owner, store):
    client.force_login(owner)
    for name in PAGES:
        page = client.get(reverse(name, args=[store.code])).content.decode()
        assert not re.search(r"""\sstyle=|<style|\son[a-z]+=|<script(?![^>]* src=)""", page), name


def test_figures_stand_isolated_in_urdu(traded, client, staff, store):
    client.force_login(staff("owner", language="ur"))
    page = client.get(reverse("dashboard", args=[store.code])).content.decode()
    assert '<html lang="ur" dir="rtl">' in page
    assert '<span class="figure-number"><bdi dir="ltr">Rs 12,482.50</bdi></span>' in page
    assert "ڈالڈا گھی" in page


# -- the chart -------------------------------------------------------------------------------------------------


def chart_of(values: dict[int, str], days: int = 14, end=None, today=None):
    """The chart of `values` rupees by the number of days before the end."""
    end = end or datetime(2026, 11, 22, tzinfo=UTC).date()
    rows = [
        {"business_date": end - timedelta(days=ago), "revenue": Decimal(value)}
        for ago, value in sorted(values.items())
    ]
    return sales_chart(rows, end - timedelta(days=days - 1), end, today or end)


def test_the_title_of_the_chart_is_the_answer(traded, see):
    assert chart_of({0: "10", 3: "21400"})["title"] == "The best day was Thursday 19 November: Rs\xa021,400"
    assert chart_of({0: "10"}, days=1)["title"] == "Rs\xa010 on Sunday 22 November"
    assert chart_of({0: "10"}, days=70)["title"].startswith("The best week began on ")
    assert "The best day was" in see("daily_sales")


def test_each_day_has_a_bar_as_high_as_its_figure():
    chart = chart_of({0: "50", 1: "100", 2: "25"}, days=3, today=datetime(2027, 1, 1, tzinfo=UTC).date())
    heights = [Decimal(height) for height in re.findall(r"v([\d.]+)", chart["best"] + chart["others"])]
    assert heights == [96, 24, 48]
    assert [label.text for label in chart["labels"]] == ["25", "100", "50", "20", "21", "22"]


def test_a_day_that_is_not_over_is_drawn_apart():
    chart = chart_of({0: "50", 1: "100"})
    assert chart["running"].count("M") == 1
    assert chart_of({0: "50", 1: "100"}, today=datetime(2027, 1, 1, tzinfo=UTC).date())["running"] == ""


def test_returns_beyond_sales_hang_below_the_line():
    chart = chart_of({0: "-50", 1: "50"}, days=2, today=datetime(2027, 1, 1, tzinfo=UTC).date())
    assert chart["floor"] == "72.0"
    assert re.match(r"M[\d.]+ 72\.0h", chart["others"])
    assert re.match(r"M[\d.]+ 24\.0h", chart["best"])


def test_a_chart_of_nothing_but_losses_is_drawn_too():
    chart = chart_of({0: "-50", 1: "-10"}, days=2)
    assert chart["floor"] == "24.0"


@pytest.mark.parametrize("days", [1, 2, 14, 62, 63, 400])
def test_the_chart_stays_small(see, post, ghee, stocked, store, client, owner, days):
    post(Kind.SALE, (ghee, 1))
    client.force_login(owner)
    start = store.today() - timedelta(days=days - 1)
    page = client.get(
        reverse("daily_sales", args=[store.code]), {"from": start, "to": store.today()}
    ).content.decode()
    [drawing] = re.findall(r'<svg viewBox="0 0 320.*?</svg>', page, re.S)
    assert len(drawing.encode()) <= 6 * 1024
    full = chart_of(dict.fromkeys(range(days), "98765.43"), days=days)
    assert len(full["others"]) + len(full["best"]) + len(full["running"]) < 4 * 1024


def test_labels_stay_inside_and_apart():
    for days in (3, 14, 15, 30, 62, 90, 400):
        for best in (0, days // 2, days - 1):
            labels = chart_of(
                {ago: "98765.43" if ago == best else "98765.42" for ago in range(days)}, days=days
            )["labels"]
            for label in labels:
                half = len(label.text) * 4
                assert half - 8 <= label.x <= 320 - half + 8
            for line in {label.y for label in labels}:
                row = sorted((label for label in labels if label.y == line), key=lambda label: label.x)
                for one, next_one in pairwise(row):
                    assert next_one.x - one.x >= (len(one.text) + len(next_one.text)) * 4 - 1


def test_time_runs_from_right_to_left_in_urdu():
    with translation.override("ur"):
        labels = chart_of({0: "50", 1: "100"}, days=3)["labels"]
    days = [label for label in labels if label.text in ("20", "21", "22")]
    assert [label.text for label in sorted(days, key=lambda label: label.x)] == ["22", "21", "20"]


def test_two_stores_of_one_owner_do_not_mix(traded, client, owner, other_store):
    Membership.objects.create(user=owner, store=other_store, role="owner")
    client.force_login(owner)
    text = words_of(client.get(reverse("dashboard", args=[other_store.code])).content.decode())
    assert "Sales so far today Rs 0" in text
    assert "Money on the shelves Rs 0" in text
    assert "Dalda" not in text
