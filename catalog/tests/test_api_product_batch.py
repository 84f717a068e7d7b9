"""Many products in one call: each row its own verdict, nothing done twice, nobody waits for ever."""

import threading
import time
from decimal import Decimal

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from catalog.models import Barcode, Category, Pack, Product
from catalog.services import upsert_products
from stores.models import Change

BATCH = "/api/v1/products/batch/"
TEA = {
    "sku": "TEA-0001",
    "name": "Tapal Danedar 190 g",
    "category": "flour & GRAINS",
    "selling_price": "420.00",
    "barcodes": ["8964000123401", "TAPAL-190"],
}


@pytest.fixture
def send(api_client):
    """send(row, ...) is the list of verdicts; send.till is the client."""
    till = api_client()

    def act(*rows, **options):
        answer = till.post(BATCH, {"products": list(rows), **options})
        assert answer.status_code == 200, answer.json()
        assert answer.json()["dry_run"] is options.get("dry_run", False)
        verdicts = answer.json()["results"]
        assert [verdict["index"] for verdict in verdicts] == list(range(len(rows)))
        for verdict in verdicts:
            assert ("errors" in verdict) == ("code" in verdict) == (verdict["status"] == "rejected")
        return verdicts

    act.till = till
    return act


def words(verdicts) -> list[str]:
    return [verdict["status"] for verdict in verdicts]


def faults(verdict) -> list[tuple]:
    return [(error["pointer"], error["code"]) for error in verdict["errors"]]


def catalogue():
    """Everything that a batch could change."""
    products = Product.objects.order_by("pk").values_list(
        "sku", "name", "name_ur", "aliases", "category", "brand", "unit", "quantity_step", "cost_price",
        "selling_price", "status", "updated_at",
    )  # fmt: skip
    return list(products), list(Barcode.objects.order_by("code").values_list("code", "product", "pack"))


@pytest.mark.django_db
def test_rows_are_added_changed_and_left_alone(send, atta, ghee):
    before = Product.objects.get(pk=ghee.pk).updated_at
    verdicts = send(
        TEA,
        {"sku": "GHE-0001", "selling_price": "565.00", "barcodes": ["8964000123456", "DALDA-1"]},
        {"code": "FLR-0001", "name": "Chakki Atta (loose)", "selling_price": "130", "unit": "kg"},
    )
    assert verdicts == [
        {"index": 0, "sku": "TEA-0001", "status": "created"},
        {"index": 1, "sku": "GHE-0001", "status": "updated"},
        {"index": 2, "sku": "FLR-0001", "status": "unchanged"},
    ]
    tea, tin = Product.objects.get(sku="TEA-0001"), Product.objects.get(pk=ghee.pk)
    assert (tea.name, tea.category.name, tea.unit, tea.status) == (
        TEA["name"],
        "Flour & Grains",
        "pc",
        "active",
    )
    assert (tea.selling_price, tea.cost_price, tea.quantity_step) == (420, 0, 1)
    assert sorted(tea.barcodes.values_list("code", flat=True)) == ["8964000123401", "TAPAL-190"]
    assert (tin.selling_price, tin.cost_price, tin.name) == (565, 500, "Dalda Ghee 1 kg")
    assert tin.updated_at > before
    assert set(tin.barcodes.filter(pack=None).values_list("code", flat=True)) == {"8964000123456", "DALDA-1"}
    assert tin.barcodes.exclude(pack=None).count() == 1
    # Found by its words at once, and its price is on record.
    assert Product.objects.matching("danedar").get() == tea
    assert tin.price_history.count() == 2


@pytest.mark.django_db
def test_sent_twice_nothing_changes_the_second_time(send, ghee):
    rows = [TEA, {"sku": "GHE-0001", "selling_price": "565.00", "status": "discontinued"}]
    assert words(send(*rows)) == ["created", "updated"]
    before, noted = catalogue(), Change.objects.count()
    assert words(send(*rows)) == ["unchanged", "unchanged"]
    assert (catalogue(), Change.objects.count()) == (before, noted)


@pytest.mark.django_db
def test_only_real_changes_are_noted_for_the_feed(send, atta, ghee):
    Change.objects.all().delete()
    send({"sku": "GHE-0001", "selling_price": "565"}, {"sku": "FLR-0001", "selling_price": "130"})
    assert list(Change.objects.values_list("type", "subject")) == [("product.updated", ghee.pk)]
    Change.objects.all().delete()
    send({"sku": "FLR-0001", "barcodes": ["2100001000004", "ATTA"]})
    assert set(Change.objects.values_list("type", "subject")) == {("product.updated", atta.pk)}


@pytest.mark.django_db
def test_a_dry_run_says_the_same_and_changes_nothing(send, atta, ghee):
    rows = [
        TEA,
        {"sku": "GHE-0001", "selling_price": "565.00", "barcodes": ["8964000123456", "DALDA-1"]},
        {"sku": "FLR-0001", "brand": ""},
        {"sku": "FLR-0001", "brand": "x"},
        {"sku": "NEW-1"},
        {"sku": "FLR-0001/x", "barcodes": ["DALDA-1"]},
    ]
    before, noted = catalogue(), Change.objects.count()
    said = send(*rows, dry_run=True)
    assert words(said) == ["created", "updated", "unchanged", "rejected", "rejected", "rejected"]
    assert (catalogue(), Change.objects.count()) == (before, noted)
    assert send(*rows, dry_run=False) == said


@pytest.mark.django_db
@pytest.mark.parametrize(("row", "code", "found"), [
    ({"sku": "GHE-0001", "unit": "kg"}, "validation_error", [("unit", "cannot_change")]),
    ({"sku": "GHE-0001", "quantity_step": "0.5", "unit": "pc"}, "validation_error", [("quantity_step", "cannot_change")]),
    ({"sku": "GHE-0001", "barcodes": ["2100001000004", "8964000123456"]}, "duplicate_barcode", [("barcodes", "duplicate_barcode")]),
    ({"sku": "GHE-0001", "barcodes": ["18964000123453", "8964000123456"]}, "duplicate_barcode", [("barcodes", "duplicate_barcode")]),
    ({"sku": "GHE-0001", "barcodes": []}, "validation_error", [("barcodes", "barcode_stays")]),
    ({"sku": "GHE-0001", "selling_price": "0"}, "validation_error", [("selling_price", "out_of_range")]),
    ({"sku": "GHE-0001", "selling_price": "1.005"}, "validation_error", [("selling_price", "too_many_decimals")]),
    ({"sku": "GHE-0001", "category": "Nothing"}, "validation_error", [("category", "invalid_choice")]),
    ({"sku": "GHE-0001", "category": 5}, "validation_error", [("category", "wrong_type")]),
    ({"sku": "GHE-0001", "status": "merged"}, "validation_error", [("status", "invalid_choice")]),
    ({"sku": "GHE-0001", "colour": "red"}, "unknown_field", [("colour", "unknown_field")]),
    ({"sku": "GHE-0001", "name": ""}, "validation_error", [("name", "blank")]),
    ({"sku": "NEW-1"}, "validation_error", [("name", "required"), ("category", "required"), ("selling_price", "required")]),
    ({**TEA, "selling_price": "0"}, "validation_error", [("selling_price", "out_of_range")]),
    ({**TEA, "sku": "TEA 1"}, "validation_error", [("sku", "invalid_code")]),
    ({**TEA, "sku": 5}, "validation_error", [("sku", "wrong_type")]),
    ({"name": "Nameless"}, "validation_error", [("sku", "required")]),
    ({}, "validation_error", [("", "empty")]),
    ([], "validation_error", [("", "wrong_type")]),
    (5, "validation_error", [("", "wrong_type")]),
    (None, "validation_error", [("", "wrong_type")]),
    ("TEA-0001", "validation_error", [("", "wrong_type")]),
])  # fmt: skip
def test_a_bad_row_is_rejected_with_its_reasons_and_keeps_no_other_back(send, atta, ghee, row, code, found):
    before = catalogue()
    verdicts = send(row, {**TEA, "sku": "TEA-0002"})
    assert words(verdicts) == ["rejected", "created"]
    assert verdicts[0]["code"] == code
    found = [(f"/products/0/{name}" if name else "/products/0", word) for name, word in found]
    assert faults(verdicts[0]) == found
    assert verdicts[0]["detail"] == verdicts[0]["errors"][0]["detail"]
    Product.objects.filter(sku="TEA-0002").update(status="draft")
    Barcode.objects.filter(product__sku="TEA-0002").delete()
    assert (catalogue()[0][:2], catalogue()[1]) == before


@pytest.mark.django_db
def test_a_sku_stands_once_in_a_batch_and_its_first_row_counts(send, ghee):
    verdicts = send(
        {"sku": "GHE-0001", "selling_price": "570"},
        {"sku": "GHE-0001", "selling_price": "580"},
        {"code": "GHE-0001", "colour": "red"},
        {"sku": "GHE-0001 "},
    )
    assert [verdict.get("code") for verdict in verdicts] == [
        None, "duplicate_in_batch", "duplicate_in_batch", "validation_error",
    ]  # fmt: skip
    assert faults(verdicts[1]) == [("/products/1/sku", "duplicate_in_batch")]
    assert [verdict["sku"] for verdict in verdicts] == ["GHE-0001"] * 3 + [None]
    assert Product.objects.get().selling_price == 570


@pytest.mark.django_db
def test_of_two_rows_with_one_barcode_the_first_gets_it(send, ghee):
    pack = Pack.objects.get()
    rows = [
        {**TEA, "barcodes": ["ONE", "8964000123456"]},  # refused, so ONE is still free
        {**TEA, "sku": "TEA-2", "barcodes": ["ONE", "ONE"]},
        {**TEA, "sku": "TEA-3", "barcodes": ["TWO", "ONE"]},
        {**TEA, "sku": "TEA-4", "barcodes": ["TWO"]},
    ]
    verdicts = send(*rows)
    assert words(verdicts) == ["rejected", "created", "rejected", "created"]
    assert "belongs to GHE-0001" in verdicts[0]["detail"]
    assert "ONE belongs to TEA-2" in verdicts[2]["detail"]
    owners = dict(Barcode.objects.filter(pack=None).values_list("code", "product__sku"))
    assert owners == {"8964000123456": "GHE-0001", "ONE": "TEA-2", "TWO": "TEA-4"}
    assert Barcode.objects.get(pack=pack).product == ghee


@pytest.mark.django_db
def test_a_price_of_nothing_has_to_be_meant(send, ghee):
    verdicts = send(
        {"sku": "GHE-0001", "selling_price": "0", "free": True},
        {**TEA, "selling_price": "0", "status": "draft"},
        {**TEA, "sku": "TEA-2", "barcodes": [], "free": True},
    )
    assert words(verdicts) == ["updated", "created", "rejected"]
    assert faults(verdicts[2]) == [("/products/2/free", "not_allowed")]
    assert Product.objects.get(pk=ghee.pk).selling_price == 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/products", "required"),
        ({"products": []}, "/products", "empty"),
        ({"products": [{"sku": "A"}] * 501}, "/products", "too_many_products"),
        ({"products": {"sku": "A"}}, "/products", "wrong_type"),
        ({"products": None}, "/products", "wrong_type"),
        ({"products": [{"sku": "A"}], "dry_run": "yes"}, "/dry_run", "wrong_type"),
        ({"products": [{"sku": "A"}], "dryrun": True}, "/dryrun", "unknown_field"),
        ([TEA], "", "wrong_type"),
    ],
)
def test_a_wrong_batch_is_refused_as_a_whole(api_client, ghee, body, pointer, code):
    before = catalogue()
    answer = api_client().post(BATCH, body)
    assert answer.status_code == 400
    assert [(error["pointer"], error["code"]) for error in answer.json()["errors"]] == [(pointer, code)]
    assert catalogue() == before


@pytest.mark.django_db
def test_only_a_key_that_may_write_the_catalogue(api_client, ghee):
    before = catalogue()
    body = {"products": [TEA]}
    readers = [scope for scope in api_client().key.scopes if scope != "catalog:write"]
    answer = api_client(scopes=readers).post(BATCH, body)
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert api_client().get(BATCH).status_code == 405
    assert api_client().post(BATCH + "?dry_run=1", body).json()["code"] == "unknown_parameter"
    assert catalogue() == before


@pytest.mark.django_db
def test_500_rows_ask_no_more_questions_than_2(send, category):
    def rows(count, price):
        return [
            {**TEA, "sku": f"P-{n:03}", "selling_price": price, "barcodes": [f"B-{n:03}"]}
            for n in range(count)
        ]

    def asked(*rows):
        with CaptureQueriesContext(connection) as context:
            words(send(*rows))
        return len(context)

    send(*rows(1, "1"))
    few = asked(*rows(2, "2"))
    assert asked(*rows(500, "3")) == few
    assert asked(*rows(500, "4")) <= few
    assert words(send(*rows(500, "4"))) == ["unchanged"] * 500
    assert set(Product.objects.values_list("selling_price", flat=True)) == {Decimal(4)}
    assert Barcode.objects.count() == 500


# -- At once --------------------------------------------------------------------------------------------------------


def save(*rows):
    """What becomes of rows (sku, price), by the service alone."""
    made = [
        {"sku": sku, "name": sku, "category": Category.objects.get(), "selling_price": Decimal(price)}
        for sku, price in rows
    ]
    return [outcome.status for outcome in upsert_products(rows=made, approve=lambda fields, product: None)]


@pytest.mark.django_db(transaction=True)
def test_batches_in_opposite_order_never_wait_for_each_other(together, category):
    """Prices of the same products from both ends, and the same new products from both ends, many times over."""
    skus = [f"P-{n:02}" for n in range(40)]
    save(*[(sku, 1) for sku in skus[:20]])
    for turn in range(4):
        new = [f"N-{turn}-{n}" for n in range(20)]
        given = [skus[:20] + new, (skus[:20] + new)[::-1], new + skus[:20], (new + skus[:20])[::-1]]
        results = together(
            [lambda order=order, n=n: save(*[(sku, 2 + n) for sku in order]) for n, order in enumerate(given)]
        )
        assert all(isinstance(result, list) for result in results), results
        # Each new product was added by exactly one of them.
        added = [
            sum(result[order.index(sku)] == "created" for result, order in zip(results, given, strict=True))
            for sku in new
        ]
        assert added == [1] * 20
        # Whoever came last won as a whole.
        assert (
            len(set(Product.objects.filter(sku__in=skus[:20] + new).values_list("selling_price", flat=True)))
            == 1
        )


@pytest.fixture
def aside():
    """aside(name, act) runs `act` in a thread and comes back when all that were started wait for a lock; `aside.results`."""
    threads, results = [], {}
    waiting = """SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'"""

    def start(name, act):
        def work():
            try:
                results[name] = act()
            except Exception as error:
                results[name] = error
            finally:
                connections.close_all()

        threads.append(threading.Thread(target=work))
        threads[-1].start()
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_stat_clear_snapshot()")
                cursor.execute(waiting)
                if cursor.fetchone()[0] >= len(threads):
                    return
        raise AssertionError("nobody waits")

    def done():
        for thread in threads:
            thread.join(timeout=30)
        return results

    start.done = done
    yield start
    done()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("are_new", [False, True])
def test_two_batches_take_products_in_the_order_of_skus(aside, category, are_new):
    """Somebody holds B. Were B first in line for who wants B and A, it would meet who has A already and wants B."""
    if not are_new:
        save(("A", 1), ("B", 1))
    with transaction.atomic():
        if are_new:
            Product.objects.create(sku="B", name="B", category=category, selling_price=1)
        else:
            list(Product.objects.select_for_update().filter(sku="B"))
        aside("from the end", lambda: save(("B", 2), ("A", 2)))
        aside("from the beginning", lambda: save(("A", 3), ("B", 3)))
        transaction.set_rollback(True)
    results = aside.done()
    word = "created" if are_new else "updated"
    assert sorted(results.values()) == sorted([[word, word], ["updated", "updated"]]), results
    assert len(set(Product.objects.values_list("selling_price", flat=True))) == 1


@pytest.mark.django_db(transaction=True)
def test_what_somebody_changes_meanwhile_is_seen_and_kept(aside, category):
    save(("A", 1), ("B", 1), ("C", 1))

    def batch():
        rows = [
            {"sku": "A", "selling_price": Decimal(2)},
            {"sku": "B", "brand": "ours"},
            {"sku": "C", "brand": ""},
        ]
        return [
            outcome.status for outcome in upsert_products(rows=rows, approve=lambda fields, product: None)
        ]

    with transaction.atomic():
        Product.objects.filter(sku__in=["A", "C"]).update(brand="theirs")
        aside("batch", batch)
    assert aside.done() == {"batch": ["updated", "updated", "updated"]}
    assert dict(Product.objects.values_list("sku", "brand")) == {"A": "theirs", "B": "ours", "C": ""}


@pytest.mark.django_db(transaction=True)
def test_a_patch_and_a_batch_do_not_lose_each_others_change(together, api_client, category):
    save(("A", 1), ("B", 1))
    till = api_client()
    for turn in range(5):
        tag = till.get("/api/v1/products/A/")["ETag"]
        change, batch = together([
            lambda tag=tag, turn=turn: till.patch("/api/v1/products/A/", {"brand": f"b{turn}"}, headers={"If-Match": tag}).status_code,
            lambda turn=turn: till.post(BATCH, {"products": [{"sku": "B", "selling_price": "9"}, {"sku": "A", "selling_price": str(10 + turn)}]}).json(),
        ])  # fmt: skip
        assert batch["results"][1]["status"] == "updated"
        product = Product.objects.get(sku="A")
        assert product.selling_price == 10 + turn
        # The patch came first and stays, or came second and was told that its version is old.
        assert (change, product.brand) in [(200, f"b{turn}"), (412, product.brand)]
        assert change != 412 or product.brand != f"b{turn}"


@pytest.mark.django_db(transaction=True)
def test_a_barcode_that_two_want_at_once_goes_to_one(together, category):
    def take(sku):
        row = {
            "sku": sku,
            "name": sku,
            "category": category,
            "selling_price": Decimal(1),
            "barcodes": ["ONE", sku],
        }
        return [
            outcome.status for outcome in upsert_products(rows=[row], approve=lambda fields, product: None)
        ]

    results = together([lambda n=n: take(f"T-{n}") for n in range(8)])
    assert sorted(map(str, results)) == ["['created']"] + ["['rejected']"] * 7
    assert Product.objects.count() == 1
    assert Barcode.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_who_refers_to_a_product_does_not_wait_for_a_batch(together, category):
    """Every new level, price and barcode refers to its product: shops go on while the catalogue is brought up to date."""
    save(("A", 1))
    product = Product.objects.get()

    def refer():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL lock_timeout = '3s'")
            return Barcode.objects.create(code="NEW", product=product).pk

    with transaction.atomic():
        assert save(("A", 2)) == ["updated"]
        [made] = together([refer])
    assert isinstance(made, int), made


@pytest.mark.django_db
def test_a_batch_that_is_always_overtaken_is_told_to_come_again(api_client, ghee, monkeypatch):
    monkeypatch.setattr("catalog.services.ATTEMPTS", 0)
    answer = api_client().post(BATCH, {"products": [TEA]})
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert int(answer["Retry-After"]) > 0
    assert Product.objects.count() == 1
