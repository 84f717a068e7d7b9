"""import_history takes a history whole or not at all, goes on where it was killed, and reconciles to the last unit."""

import csv
import gzip
import io
import json
import shutil
from decimal import Decimal
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from catalog.models import Category, Product
from inventory.management.commands import import_history
from inventory.models import Document, Kind, Movement, StockLevel
from stores.models import Store

pytestmark = pytest.mark.django_db

SAMPLE = Path(__file__).parent / "data" / "sample_2w"

STORES = "code,name,timezone\nA-1,Anarkali,Asia/Karachi\nB-1,Bazar,America/New_York\n"
PRODUCTS = """sku,name,department,category,unit,decimals,sell_price,cost_price,barcode,case_qty
ATTA,Chakki Atta,GROCERY,FLOUR,kg,3,130,120,2100001000004,
GHEE,"Dalda, 1 kg",GROCERY,GHEE,pc,0,560.50,500,8964000123456,12
SOAP,Soap,HOME,HOME,pc,,90,,,
"""
MOVEMENTS = """seq,occurred_at,store,sku,type,delta,line_total,reference
1,2017-01-01T00:00:00Z,A-1,ATTA,OPENING,100.5,,
2,2017-01-01T00:00:00Z,A-1,GHEE,OPENING,24,,
3,2017-01-01T00:00:00Z,B-1,GHEE,OPENING,1,,
4,2017-01-01T03:30:00Z,B-1,GHEE,SALE,-1,561.00,B1
5,2017-01-01T19:30:00Z,A-1,ATTA,SALE,-0.769,100.00,A1
6,2017-01-01T19:30:00Z,A-1,GHEE,SALE,-2,1121,A1
7,2017-01-01T19:30:00Z,A-1,SOAP,SALE,-1,90,A2
8,2017-01-01T19:30:00Z,A-1,GHEE,SALE,-1,560.50,A1
9,2017-01-02T10:00:00+05:00,A-1,SOAP,RECEIPT,12,,R1
"""


def run(folder, *options, processes=1):
    out = io.StringIO()
    call_command(
        "import_history", str(folder), *options, processes=processes, stdout=out, stderr=io.StringIO()
    )
    return out.getvalue()


@pytest.fixture
def folder(tmp_path):
    """folder() holds a small history; folder(movements=...) another one."""

    def write(**files):
        for name, text in ({"stores": STORES, "products": PRODUCTS, "movements": MOVEMENTS} | files).items():
            (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def nothing_is_there():
    return not (
        Store.objects.exists()
        or Product.objects.exists()
        or Category.objects.exists()
        or Document.objects.exists()
    )


def table(name):
    with gzip.open(SAMPLE / f"{name}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.django_db(transaction=True)
def test_two_weeks_of_twenty_stores_reconcile_to_the_last_unit():
    assert "Closing stock and daily sales are as expected." in run(SAMPLE, "--check", processes=2)
    levels = {
        (store, sku): (on_hand, seq)
        for store, sku, on_hand, seq in StockLevel.objects.values_list(
            "store__code", "product__sku", "on_hand", "seq"
        )
    }
    expected = {
        (row["store"], row["sku"]): (Decimal(row["quantity"]), int(row["movements"]))
        for row in table("closing_stock")
    }
    assert levels == expected
    told = json.loads((SAMPLE / "expected.json").read_text(), parse_float=Decimal)
    lines = {kind: Movement.objects.filter(kind=kind.lower()).count() for kind in told["lines"]}
    assert lines == told["lines"]
    assert sum(Movement.objects.filter(kind="sale").values_list("line_total", flat=True)) == Decimal(
        told["revenue"]
    )
    sales = [row for row in table("movements") if row["type"] == "SALE"]
    charged = Movement.objects.filter(kind="sale").values_list(
        "store__code", "document__reference", "product__sku", "line_total"
    )
    assert sorted(charged) == sorted(
        (row["store"], row["reference"], row["sku"], Decimal(row["line_total"])) for row in sales
    )
    assert Document.objects.filter(kind="sale").count() == len(
        {(row["store"], row["reference"]) for row in sales}
    )
    # The same again finds all of it.
    run(SAMPLE, "--check")
    assert Movement.objects.count() == sum(told["lines"].values())


def test_a_small_history_is_taken_as_it_was(folder):
    run(folder())
    anarkali, bazar = Store.objects.order_by("code")
    assert {
        (level.store.code, level.product.sku): level.on_hand
        for level in StockLevel.objects.select_related("store", "product")
    } == {
        ("A-1", "ATTA"): Decimal("99.731"),
        ("A-1", "GHEE"): 21,
        ("A-1", "SOAP"): 11,
        ("B-1", "GHEE"): 0,
    }
    basket = Document.objects.get(reference="A1")
    assert (basket.kind, basket.line_count, basket.total, basket.source) == (
        Kind.SALE,
        3,
        Decimal("1781.50"),
        "import",
    )
    assert [str(line.unit_price) for line in basket.movements.order_by("line_no")] == [
        "130.04",
        "560.50",
        "560.50",
    ]
    assert str(basket.business_date) == "2017-01-02"  # half past midnight in Karachi
    assert str(Document.objects.get(store=bazar, reference="B1").business_date) == "2016-12-31"
    sold = Movement.objects.get(product__sku="SOAP", kind="sale")
    assert (sold.balance_after, sold.oversell, sold.cost_estimated) == (-1, "late", True)
    assert (
        Document.objects.filter(store=anarkali, kind="opening").values_list("line_count", flat=True).get()
        == 2
    )
    ghee = Product.objects.get(sku="GHEE")
    assert (ghee.category.name, ghee.category.parent.name, ghee.selling_price) == (
        "GHEE",
        "GROCERY",
        Decimal("560.50"),
    )
    assert ghee.packs.get().units_per_pack == 12
    assert Product.objects.get(sku="SOAP").category.parent is None
    assert Product.objects.get(sku="ATTA").quantity_step == Decimal("0.001")


def test_sales_may_be_written_as_positive_numbers(folder):
    run(folder(movements=MOVEMENTS.replace(",-", ",")))
    assert StockLevel.objects.get(store__code="A-1", product__sku="GHEE").on_hand == 21


def test_what_is_there_keeps_its_name_and_price(folder):
    run(folder())
    Product.objects.filter(sku="GHEE").update(selling_price=600, name="Dalda")
    run(folder())
    assert Product.objects.get(sku="GHEE").selling_price == 600
    assert Movement.objects.count() == 9


def test_a_longer_file_adds_what_is_new(folder):
    run(folder())
    run(folder(movements=MOVEMENTS + "10,2017-01-03T10:00:00Z,A-1,GHEE,SALE,-1,560.50,A3\n"))
    assert StockLevel.objects.get(store__code="A-1", product__sku="GHEE").on_hand == 20
    assert Movement.objects.count() == 10


def test_an_opening_of_many_products_is_several_documents(folder):
    many = "".join(f"P{number},Thing {number},,,pc,0,10,,,\n" for number in range(700))
    lines = "".join(f"{number},2017-01-01T00:00:00Z,A-1,P{number},OPENING,3,,\n" for number in range(700))
    made = folder(products=PRODUCTS + many, movements=MOVEMENTS.split("\n")[0] + "\n" + lines)
    run(made)
    run(made)
    assert list(Document.objects.order_by("reference").values_list("line_count", flat=True)) == [500, 200]


def changed(line, old, new):
    """MOVEMENTS with `old` replaced in its `line`."""
    lines = MOVEMENTS.split("\n")
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new)
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"movements": changed(5, "SALE,-1", "SALE,one")}, "movements.csv, line 5: delta “one”"),
        ({"movements": changed(5, "SALE,-1", "SALE,NaN")}, "line 5: delta “NaN”"),
        ({"movements": changed(5, "SALE,-1", "SALE,1e3")}, "line 5: delta “1e3”"),
        ({"movements": changed(5, "SALE,-1", "SALE,-0.5")}, "line 5: GHEE comes in steps of 1"),
        ({"movements": changed(6, "-0.769", "-0.7695")}, "line 6: delta “-0.7695”"),
        ({"movements": changed(6, "-0.769", "0.769")}, "line 6: this sale has another sign"),
        ({"movements": changed(6, "-0.769", "-0.000")}, "line 6: delta is zero"),
        ({"movements": changed(3, "24", "-24")}, "line 3: opening takes nothing away"),
        ({"movements": changed(5, "561.00", "")}, "line 5: line_total “”"),
        ({"movements": changed(5, "561.00", "-561.00")}, "line 5: line_total “-561.00”"),
        ({"movements": changed(5, "561.00", "561.005")}, "line 5: line_total"),
        ({"movements": changed(5, ",B1", ",")}, "line 5: a sale needs the reference"),
        ({"movements": changed(5, ",B1", ",B 1")}, "line 5: a reference has"),
        (
            {"movements": changed(10, ",R1", ",A1")},
            "line 10: the reference A1 was used above at another time",
        ),
        ({"movements": changed(10, "RECEIPT", "GIFT")}, "line 10: type “GIFT”"),
        (
            {"movements": changed(9, "SALE,-1", "RECEIPT,1")},
            "line 9: the reference A1 stands for another type",
        ),
        ({"movements": changed(10, "A-1", "C-1")}, "line 10: the store “C-1” is not in stores.csv"),
        ({"movements": changed(10, "SOAP", "RICE")}, "line 10: the product “RICE” is not in products.csv"),
        (
            {"movements": changed(10, "2017-01-02T10:00:00+05:00", "2017-01-02T10:00:00")},
            "line 10: occurred_at",
        ),
        (
            {"movements": changed(10, "2017-01-02T10", "2017-02-30T10")},
            "line 10: occurred_at “2017-02-30T10:00:00+05:00” does not exist",
        ),
        (
            {"movements": changed(10, "2017-01-02T10", "2017-01-01T10")},
            "line 10: the time lies before that of the line above",
        ),
        ({"movements": changed(10, "2017", "2999")}, "line 10: the time lies in the future"),
        ({"movements": changed(2, "2017", "1999")}, "line 2: the time lies before the year 2000"),
        ({"movements": changed(10, ",R1", "")}, "line 10: 7 fields"),
        ({"movements": changed(10, ",R1", ",R1,x")}, "line 10: 9 fields"),
        (
            {"movements": MOVEMENTS.replace("line_total", "total", 1)},
            "movements.csv, line 1: the column line_total is missing",
        ),
        ({"movements": MOVEMENTS + '"'}, "line 11: not readable"),
        ({"products": PRODUCTS.replace("560.50", "Rs 560")}, "products.csv, line 3: the price “Rs 560”"),
        (
            {"products": PRODUCTS.replace("SOAP,Soap", "ATTA,Soap")},
            "products.csv, line 4: the product ATTA appears twice",
        ),
        ({"products": PRODUCTS.replace("SOAP,Soap", "SO AP,Soap")}, "products.csv, line 4: sku “SO AP”"),
        ({"products": PRODUCTS.replace("SOAP,Soap", "SOAP," + "x" * 201)}, "line 4: name is longer than 200"),
        ({"products": PRODUCTS.replace("Soap", "")}, "line 4: a product needs a SKU and a name"),
        (
            {"products": PRODUCTS.replace("8964000123456", "2100001000004")},
            "line 3: the barcode 2100001000004 belongs",
        ),
        ({"products": PRODUCTS.replace("pc,0,560.50", "box,0,560.50")}, "line 3: the unit “box”"),
        ({"stores": STORES.replace("Asia/Karachi", "Asia/Atlantis")}, "stores.csv, line 2: timezone"),
        ({"stores": STORES.replace("A-1", "a 1")}, "stores.csv, line 2: code"),
        ({"stores": STORES + "A-1,Again,Asia/Karachi\n"}, "stores.csv, line 4: the store A-1 appears twice"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_done(folder, files, words):
    with pytest.raises(CommandError) as refusal:
        run(folder(**files))
    assert words in str(refusal.value)
    assert nothing_is_there()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CommandError, match=r"neither stores\.csv nor stores\.csv\.gz"):
        run(tmp_path)


def test_a_torn_archive_is_refused(folder):
    made = folder()
    packed = gzip.compress((MOVEMENTS + MOVEMENTS.split("\n", 1)[1] * 300).encode())
    (made / "movements.csv").unlink()
    (made / "movements.csv.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(CommandError, match="movements"):
        run(made)
    assert nothing_is_there()


def test_the_text_encoding_is_checked(folder):
    made = folder()
    (made / "products.csv").write_bytes(PRODUCTS.replace("Soap", "Savon à main").encode("latin-1"))
    with pytest.raises(CommandError, match=r"products\.csv, line"):
        run(made)
    assert nothing_is_there()


def test_another_story_under_a_known_reference_is_refused_before_anything_is_written(folder):
    run(folder())
    other = changed(5, "561.00", "562.00") + "10,2017-01-03T10:00:00Z,A-1,GHEE,SALE,-1,560.50,A3\n"
    with pytest.raises(CommandError, match="the reference B1 of B-1 was recorded before with other content"):
        run(folder(movements=other))
    assert Movement.objects.count() == 9


def test_a_store_that_is_closed_takes_no_history(folder):
    Store.objects.create(code="B-1", name="Bazar", status=Store.Status.CLOSED)
    with pytest.raises(CommandError, match=r"stores\.csv, line 3: the store B-1 is closed"):
        run(folder())


def test_sales_do_not_go_with_the_goods_that_came_before_them(folder, monkeypatch):
    """Where goods come in by the same statement, the lines of their product are posted one by one."""
    insert, batches = import_history.insert, []

    def heard(store, waiting):
        batches.append((store.code, [draft.document["kind"] for draft in waiting]))
        insert(store, waiting)

    monkeypatch.setattr(import_history, "insert", heard)
    run(folder())
    assert batches == [
        ("A-1", ["opening"]), ("A-1", ["sale", "sale", "receipt"]), ("B-1", ["opening"]), ("B-1", ["sale"]),
    ]  # fmt: skip


@pytest.mark.parametrize("dies_at", [1, 2, 3, 4])
def test_a_killed_import_is_finished_by_the_next(folder, monkeypatch, dies_at):
    monkeypatch.setattr(import_history, "BATCH", 1)
    insert, calls = import_history.insert, []

    def cut(store, waiting):
        calls.append(1)
        if len(calls) == dies_at:
            raise KeyboardInterrupt
        insert(store, waiting)

    with monkeypatch.context() as patch:
        patch.setattr(import_history, "insert", cut)
        with pytest.raises(KeyboardInterrupt):
            run(folder())
    before = Document.objects.count()
    assert before == dies_at - 1
    run(folder())
    assert (Movement.objects.count(), Document.objects.count()) == (9, 6)
    assert StockLevel.objects.get(store__code="A-1", product__sku="SOAP").on_hand == 11


@pytest.mark.parametrize(
    ("file", "old", "new", "words"),
    [
        (
            "closing_stock.csv",
            "A-1,GHEE,21,3",
            "A-1,GHEE,20,3",
            "closing_stock.csv, line 3: A-1 GHEE has 21.000 after 3 movements, not 20",
        ),
        ("closing_stock.csv", "A-1,GHEE,21,3", "A-1,GHEE,21,5", "closing_stock.csv, line 3"),
        ("closing_stock.csv", "B-1,GHEE", "B-1,ATTA", "closing_stock.csv, line 5: B-1 ATTA has None"),
        ("closing_stock.csv", "B-1,GHEE,0,2\n", "", "B-1 GHEE has 0.000 on hand but is not in closing_stock"),
        ("expected.json", '"1871.50"', '"1871.51"', "A-1 2017-01-02"),
        ("expected.json", '"baskets": 2', '"baskets": 3', "A-1 2017-01-02"),
    ],
)
def test_the_check_sees_what_differs(folder, file, old, new, words):
    made = folder(
        closing_stock="store,sku,quantity,movements\nA-1,ATTA,99.731,2\nA-1,GHEE,21,3\nA-1,SOAP,11,2\nB-1,GHEE,0,2\n"
    )
    day = {"business_date": "2017-01-02", "baskets": 2, "lines": 4, "units": "4.769", "revenue": "1871.50"}
    (made / "expected.json").write_text(json.dumps({"daily": {"A-1": [day]}}))
    run(made, "--check")
    path = made / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(CommandError) as refusal:
        run(made, "--check")
    assert words in str(refusal.value)


def test_packed_files_are_taken_too(folder, tmp_path):
    made = folder()
    for name in ("stores", "products", "movements"):
        with open(made / f"{name}.csv", "rb") as plain, gzip.open(made / f"{name}.csv.gz", "wb") as packed:
            shutil.copyfileobj(plain, packed)
        (made / f"{name}.csv").unlink()
    run(made)
    assert Movement.objects.count() == 9
