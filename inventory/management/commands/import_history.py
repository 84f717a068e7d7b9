import csv
import gzip
import json
import re
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby
from pathlib import Path

from django.apps import apps
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone

from catalog.models import Barcode, Category, Pack, Product
from inventory.models import COSTED, Document, Kind, Movement, StockLevel
from inventory.services import (
    CLOCK_SLACK,
    MAX_LINES,
    OLDEST_IMPORT,
    PAISA,
    Actor,
    Draft,
    Line,
    draft_document,
    insert_documents,
    open_levels,
)
from stores.management import Progress, in_processes
from stores.models import Store

BATCH = 2000  # lines in one statement
UNKNOWN = 10_000  # lines; with so few any index will do
HELD = 200_000  # lines of movements.csv in memory
# What a history tells: stock that was there, goods that came, baskets that were sold. Nothing of it can be refused for
# lack of stock, so a file that was read to its end without an error goes in whole.
KINDS = {"OPENING": Kind.OPENING, "RECEIPT": Kind.RECEIPT, "STOCK_IN": Kind.RECEIPT, "SALE": Kind.SALE}
QUANTITY = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,3})?")
MONEY = re.compile(r"[0-9]{1,10}(\.[0-9]{1,2})?")
COST = re.compile(r"[0-9]{1,10}(\.[0-9]{1,4})?")
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:\d\d)", re.ASCII)
REFERENCE = re.compile(r"[!-~]{1,100}")
UNITS = {"svc": Product.Unit.SERVICE, "": Product.Unit.PIECE}


UNREADABLE = (csv.Error, UnicodeDecodeError, EOFError, gzip.BadGzipFile, zlib.error)
# Fields whose form matters, with what says so.
LIKELY = {
    (model, name): model._meta.get_field(name).validators[:1]
    for model, name in ((Store, "code"), (Store, "timezone"), (Product, "sku"), (Barcode, "code"))
}


class BadRow(CommandError):
    """A row that cannot be taken; nothing was written."""

    def __init__(self, file: Path, line: int, message: str):
        super().__init__(f"{file.name}, line {line}: {message}")


@contextmanager
def table(
    folder: Path, name: str, required: tuple[str, ...]
) -> Iterator[tuple[Path, dict[str, int], Iterator]]:
    """The file `name`.csv or .csv.gz of `folder`: its path, where each column stands, and (line number, row) pairs."""
    file = folder / f"{name}.csv"
    if not file.is_file():
        file = folder / f"{name}.csv.gz"
    if not file.is_file():
        raise CommandError(f"{folder} holds neither {name}.csv nor {name}.csv.gz.")
    unpack = gzip.open if file.suffix == ".gz" else open
    with unpack(file, "rt", encoding="utf-8-sig", newline="") as lines:
        reader = csv.reader(lines, strict=True)
        try:
            header = next(reader, [])
        except UNREADABLE as error:
            raise BadRow(file, 1, f"not readable as CSV in UTF-8: {error}") from None
        place = {title.strip().lower(): index for index, title in enumerate(header)}
        if missing := [column for column in required if column not in place]:
            raise CommandError(f"{file.name}, line 1: the column {missing[0]} is missing.")
        if len(place) != len(header):
            raise CommandError(f"{file.name}, line 1: two columns have the same name.")

        def rows():
            line = reader.line_num + 1
            try:
                for row in reader:
                    if len(row) != len(header):
                        if not row:
                            line = reader.line_num + 1
                            continue
                        raise BadRow(file, line, f"{len(row)} fields, but the first line has {len(header)}.")
                    yield line, row
                    line = reader.line_num + 1
            except UNREADABLE as error:
                raise BadRow(file, line, f"not readable as CSV in UTF-8: {error}") from None

        yield file, place, rows()


def dictionaries(
    folder: Path, name: str, required: tuple[str, ...]
) -> Iterator[tuple[Path, int, dict[str, str]]]:
    with table(folder, name, required) as (file, place, rows):
        for line, row in rows:
            yield file, line, {title: row[index].strip() for title, index in place.items()}


def check_fields(model, given: dict[str, str], file: Path, line: int) -> None:
    """Refuses a text that is too long for its field or that the field's validators refuse.

    Full validation of a model instance costs fifty times as much, which tells with 100,000 products.
    """
    for name, text in given.items():
        field = model._meta.get_field(name)
        if len(text) > (field.max_length or 100_000):
            raise BadRow(file, line, f"{name} is longer than {field.max_length} letters.")
        if not text.isprintable():
            raise BadRow(file, line, f"{name} holds a character that cannot be printed.")
        for validate in LIKELY.get((model, name), ()):
            try:
                validate(text)
            except ValidationError as error:
                raise BadRow(file, line, f"{name} “{text[:40]}”: {error.messages[0]}") from None


def number(text: str, form: re.Pattern, what: str, file: Path, line: int) -> Decimal:
    if not form.fullmatch(text):
        raise BadRow(
            file,
            line,
            f"{what} “{text[:40]}” is not a number of the form {'0.00' if form is MONEY else '0.000'}.",
        )
    return Decimal(text)


def read_stores(folder: Path) -> dict[str, Store]:
    """Stores by code: those that exist as they are, others new and unsaved."""
    found = {}
    existing = {store.code: store for store in Store.objects.all()}
    for file, line, row in dictionaries(folder, "stores", ("code", "name")):
        code = row["code"]
        if code in found:
            raise BadRow(file, line, f"the store {code} appears twice.")
        fields = ("name", "name_ur", "address", "area", "city", "phone", "timezone")
        given = {"code": code} | {field: row[field] for field in fields if row.get(field)}
        if not code or not row["name"]:
            raise BadRow(file, line, "a store needs a code and a name.")
        check_fields(Store, given, file, line)
        store = existing.get(code) or Store(**given)
        if store.status in (Store.Status.SUSPENDED, Store.Status.CLOSED):
            raise BadRow(file, line, f"the store {code} is {store.get_status_display().lower()}.")
        found[code] = store
    return found


def read_products(folder: Path) -> tuple[dict[str, Product], dict[str, str], dict[str, str], dict[str, str]]:
    """Products by SKU (existing ones as they are), then of the new ones: category, barcode and case size by SKU.

    A product's `department` becomes the group above its category. Categories come as "department\\tcategory".
    """
    products, categories, barcodes, cases, taken = (
        {},
        {},
        {},
        {},
        set(Barcode.objects.values_list("code", flat=True)),
    )
    existing = {product.sku: product for product in Product.objects.all()}
    for file, line, row in dictionaries(folder, "products", ("sku", "name")):
        sku = row["sku"]
        if sku in products:
            raise BadRow(file, line, f"the product {sku} appears twice.")
        if sku in existing:
            products[sku] = existing[sku]
            continue
        price = next(
            (
                row[title]
                for title in ("sell_price", "sale_price", "selling_price", "price")
                if row.get(title)
            ),
            None,
        )
        if price is None:
            raise BadRow(file, line, "the selling price is missing.")
        decimals = row.get("decimals") or ("0" if row.get("unit", "pc") in ("", "pc", "dozen") else "3")
        if decimals not in ("0", "1", "2", "3"):
            raise BadRow(file, line, f"decimals “{decimals[:40]}” is not 0, 1, 2 or 3.")
        given = {
            field: row[field] for field in ("sku", "name", "name_ur", "aliases", "brand") if row.get(field)
        }
        if not sku or not row["name"]:
            raise BadRow(file, line, "a product needs a SKU and a name.")
        check_fields(Product, given, file, line)
        unit = UNITS.get(row.get("unit", ""), row.get("unit", ""))
        if unit not in Product.Unit.values:
            raise BadRow(file, line, f"the unit “{unit[:40]}” is none of {', '.join(Product.Unit.values)}.")
        products[sku] = Product(
            unit=unit,
            quantity_step=Decimal(1).scaleb(-int(decimals)),
            selling_price=number(price, MONEY, "the price", file, line),
            cost_price=number(row.get("cost_price") or "0", MONEY, "the cost", file, line),
            **given,
        )
        department, category = row.get("department", ""), row.get("category", "")
        if max(len(department), len(category)) > 100:
            raise BadRow(file, line, "the name of the category is longer than 100 letters.")
        categories[sku] = f"{department}\t{category or department or 'Other'}"
        if code := row.get("barcode"):
            if code in taken:
                raise BadRow(file, line, f"the barcode {code} belongs to another product.")
            check_fields(Barcode, {"code": code}, file, line)
            taken.add(code)
            barcodes[sku] = code
        if case := row.get("case_qty"):
            if number(case, QUANTITY, "the case", file, line) <= 0:
                raise BadRow(file, line, "a case holds more than nothing.")
            cases[sku] = case
    return products, categories, barcodes, cases


# A commit that a power cut takes back is brought again by the next run: no need to wait for the disk each time. And plans
# that were made while a table was almost empty must not read the whole of it when it has grown.
IN_BULK = "SET LOCAL synchronous_commit = off; SET LOCAL enable_seqscan = off"


class Parcels:
    """The checked lines of movements.csv on disk, one file for each store, in their order."""

    def __init__(self, folder: Path):
        self.folder, self.held, self.count, self.lines = folder, {}, {}, 0

    def add(self, store: str, text: str) -> None:
        self.held.setdefault(store, []).append(text)
        self.count[store] = self.count.get(store, 0) + 1
        self.lines += 1
        if self.lines % HELD == 0:
            self.put_down()

    def put_down(self) -> None:
        for store, texts in self.held.items():
            with open(self.folder / store, "a", encoding="ascii") as file:
                file.write("\n".join(texts) + "\n")
        self.held = {}

    def of(self, store: str) -> Iterator[list[str]]:
        """(kind, instant, SKU, quantity, line total, unit cost, reference) of each line."""
        with open(self.folder / store, encoding="ascii") as file:
            for text in file:
                yield text[:-1].split("\t")


def read_movements(
    folder: Path, stores: dict[str, Store], products: dict[str, Product], parcels: Parcels
) -> None:
    """Checks every line of movements.csv and puts it into the parcel of its store."""
    oldest, newest = OLDEST_IMPORT, timezone.now() + CLOCK_SLACK
    columns = ("occurred_at", "store", "sku", "type", "delta", "line_total", "reference")
    last, last_text, instant, sale_sign = oldest, "", "", ""
    seen: dict[str, set[str]] = {code: set() for code in stores}
    now_open: dict[tuple[str, str], tuple[str, int]] = {}  # documents of this instant: their kind and lines
    steps = {sku: product.quantity_step for sku, product in products.items()}
    usable = {
        sku: product.status in (Product.Status.ACTIVE, Product.Status.DISCONTINUED)
        for sku, product in products.items()
    }
    receivable = {sku: product.status == Product.Status.ACTIVE for sku, product in products.items()}
    with table(folder, "movements", columns) as (file, place, rows):
        at_time, at_store, at_sku, at_type, at_delta, at_total, at_reference = (
            place[column] for column in columns
        )
        at_cost = place.get("unit_cost")
        for line, row in rows:
            text, store, sku, delta, total, reference = (
                row[at_time], row[at_store], row[at_sku], row[at_delta], row[at_total], row[at_reference],
            )  # fmt: skip
            kind = KINDS.get(row[at_type])
            if kind is None:
                raise BadRow(file, line, f"type “{row[at_type][:40]}” is none of {', '.join(KINDS)}.")
            if text != last_text:
                if not INSTANT.fullmatch(text):
                    raise BadRow(
                        file, line, f"occurred_at “{text[:40]}” is not a time such as 2017-01-01T12:30:00Z."
                    )
                try:
                    when = datetime.fromisoformat(text).astimezone(UTC)
                except (ValueError, OverflowError):
                    raise BadRow(file, line, f"occurred_at “{text}” does not exist.") from None
                if when < last:
                    too_old = when < oldest
                    raise BadRow(
                        file,
                        line,
                        "the time lies before the year 2000."
                        if too_old
                        else "the time lies before that of the line above.",
                    )
                if when > newest:
                    raise BadRow(file, line, "the time lies in the future.")
                if when != last:
                    now_open.clear()
                last, last_text, instant = when, text, when.isoformat()
            if store not in stores:
                raise BadRow(file, line, f"the store “{store[:40]}” is not in stores.csv.")
            if sku not in steps:
                raise BadRow(file, line, f"the product “{sku[:40]}” is not in products.csv.")
            if not (usable[sku] if kind == Kind.SALE else receivable[sku]):
                raise BadRow(
                    file, line, f"the product {sku} is {products[sku].get_status_display().lower()}."
                )
            if not QUANTITY.fullmatch(delta):
                raise BadRow(file, line, f"delta “{delta[:40]}” is not a quantity with at most 3 decimals.")
            if ("." in delta or steps[sku] != 1) and Decimal(delta) % steps[sku]:
                raise BadRow(file, line, f"{sku} comes in steps of {steps[sku].normalize():f}, not {delta}.")
            sign, size = ("-", delta[1:]) if delta[0] == "-" else ("+", delta)
            if not size.strip("0."):
                raise BadRow(file, line, "delta is zero.")
            if kind == Kind.SALE:
                # Histories write what was sold as a negative or as a positive number; one file does not do both.
                if sign != (sale_sign := sale_sign or sign):
                    raise BadRow(file, line, "this sale has another sign than the sales above.")
                if not MONEY.fullmatch(total):
                    raise BadRow(
                        file, line, f"line_total “{total[:40]}” is not what was charged, such as 2.78."
                    )
                if not reference:
                    raise BadRow(file, line, "a sale needs the reference of its basket.")
                cost = ""
            else:
                if sign == "-":
                    raise BadRow(
                        file, line, f"{row[at_type].lower()} takes nothing away: delta must be above zero."
                    )
                total, cost = "", row[at_cost] if at_cost is not None else ""
                if cost and not COST.fullmatch(cost):
                    raise BadRow(file, line, f"unit_cost “{cost[:40]}” is not an amount of money.")
            if reference:
                if not REFERENCE.fullmatch(reference):
                    raise BadRow(
                        file, line, "a reference has 1 to 100 letters, digits or signs, without spaces."
                    )
                of_kind, lines = now_open.get((store, reference), (None, 0))
                if of_kind is None:
                    if reference in seen[store]:
                        raise BadRow(file, line, f"the reference {reference} was used above at another time.")
                    seen[store].add(reference)
                elif of_kind != kind:
                    raise BadRow(file, line, f"the reference {reference} stands for another type above.")
                if lines == MAX_LINES:
                    raise BadRow(file, line, f"a document has at most {MAX_LINES} lines.")
                now_open[store, reference] = kind, lines + 1
            parcels.add(store, f"{kind.value}\t{instant}\t{sku}\t{size}\t{total}\t{cost}\t{reference}")
    parcels.put_down()


@transaction.atomic
def make_masters(
    stores: dict[str, Store], products: dict[str, Product], categories: dict, barcodes: dict, cases: dict
) -> None:
    """Saves the stores and products that are new; afterwards all in the two dictionaries are saved."""
    Store.objects.bulk_create(store for store in stores.values() if store.pk is None)
    parents = {department: None for pair in categories.values() if (department := pair.split("\t")[0])}
    known = {category.name: category for category in Category.objects.all()}
    for department in parents:
        if department not in known:
            known[department] = Category.objects.create(name=department)
    for pair in sorted(set(categories.values())):
        department, name = pair.split("\t")
        if name not in known:
            known[name] = Category.objects.create(name=name, parent=known.get(department))
    for sku, pair in categories.items():
        products[sku].category = known[pair.split("\t")[1]]
    fields = (
        "sku",
        "name",
        "name_ur",
        "aliases",
        "brand",
        "unit",
        "quantity_step",
        "cost_price",
        "selling_price",
        "status",
    )
    with connection.cursor() as cursor:
        if categories:
            columns = ", ".join([*fields, "category_id", "updated_at"])
            now = timezone.now()
            with cursor.copy(f"COPY catalog_product ({columns}) FROM STDIN") as copy:
                for sku in categories:
                    product = products[sku]
                    copy.write_row([*(getattr(product, field) for field in fields), product.category_id, now])
    for sku, pk in Product.objects.values_list("sku", "pk"):
        if sku in categories:
            products[sku].pk = pk
    Barcode.objects.bulk_create(
        (Barcode(code=code, product=products[sku]) for sku, code in barcodes.items()), batch_size=2000
    )
    Pack.objects.bulk_create(
        (
            Pack(product=products[sku], name=f"Case of {case}", units_per_pack=Decimal(case))
            for sku, case in cases.items()
        ),
        batch_size=2000,
    )


def analyse() -> None:
    """Has the planner look at the tables of this system, which were small or empty a moment ago."""
    own = [apps.get_app_config(label).get_models() for label in ("stores", "catalog", "inventory", "reports")]
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {', '.join(model._meta.db_table for models in own for model in models)}")


def drafts(
    store: Store, products: dict[str, Product], lines: Iterator[list[str]], now: datetime
) -> Iterator[Draft]:
    """The documents of one store in the order of time. Lines without a reference are one document for each instant and
    kind, with a reference that follows from both: a second run finds what the first one did."""
    actor = Actor.importing()
    for instant, together in groupby(lines, key=lambda line: line[1]):
        documents: dict[tuple, list] = {}
        loose: dict[str, int] = {}
        for kind, _instant, sku, size, total, cost, reference in together:
            if not reference:
                count = loose[kind] = loose.get(kind, -1) + 1
                reference = f"{kind}:{instant}:{count // MAX_LINES}"
            quantity = Decimal(size)
            charged = Decimal(total) if total else None
            documents.setdefault((kind, reference), []).append(
                Line(
                    product=products[sku],
                    quantity=quantity,
                    line_total=charged,
                    unit_price=(charged / quantity).quantize(PAISA, ROUND_HALF_UP) if total else None,
                    unit_cost=Decimal(cost) if cost else None,
                )
            )
        when = datetime.fromisoformat(instant)
        for (kind, reference), posts in documents.items():
            yield draft_document(
                store=store,
                kind=kind,
                lines=posts,
                actor=actor,
                now=now,
                reference=reference,
                occurred_at=when,
            )


def known_documents(store: Store) -> dict[str, bytes]:
    return {
        reference: bytes(said)
        for reference, said in Document.objects.filter(store=store).values_list("reference", "fingerprint")
    }


def check_known(store: Store, products: dict[str, Product], parcels: Parcels, now: datetime) -> None:
    """Refuses a file that tells something else than the database under a reference that both know."""
    if not (known := known_documents(store)):
        return
    for draft in drafts(store, products, parcels.of(store.code), now):
        reference = draft.document["reference"]
        if known.get(reference, draft.document["fingerprint"]) != draft.document["fingerprint"]:
            raise CommandError(
                f"movements.csv: the reference {reference} of {store.code} was recorded before with other content."
            )


def load(store: Store, products: dict[str, Product], parcels: Parcels, now: datetime) -> Iterator[int]:
    """Posts the lines of one store, many documents in one statement; yields how many lines are there each time."""
    known = known_documents(store)
    open_levels(store, (products[sku] for _kind, _instant, sku, *_rest in parcels.of(store.code)))
    waiting, lines, there = [], 0, 0
    for draft in drafts(store, products, parcels.of(store.code), now):
        if draft.document["reference"] in known:
            there += len(draft.rows)
            continue
        # Sales of a product are posted all together where its goods have not come in by the same statement.
        stocked = waiting and waiting[0].document["kind"] in COSTED and draft.document["kind"] not in COSTED
        if stocked or lines >= BATCH:
            insert(store, waiting)
            yield lines + there
            waiting, lines, there = [], 0, 0
        waiting.append(draft)
        lines += len(draft.rows)
    insert(store, waiting)
    yield lines + there


def insert(store: Store, waiting: list[Draft]) -> None:
    if waiting:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(IN_BULK)
            insert_documents(store, waiting, answer=False)


# What was sold in one store, by day and in all, told by the ledger itself.
SOLD = """
SELECT business_date::text, count(DISTINCT document_id), count(*), -sum(quantity), sum(line_total)
FROM inventory_movement WHERE store_id = (SELECT id FROM stores_store WHERE code = %s) AND kind = 'sale'
GROUP BY business_date
"""


def differences(folder: Path, stores: Iterable[str]) -> Iterator[str]:
    """Where the database differs from closing_stock.csv and expected.json, in words."""
    levels = StockLevel.objects.filter(seq__gt=0, store__code__in=stores)
    levels = {
        (store, sku): had
        for store, sku, *had in levels.values_list("store__code", "product__sku", "on_hand", "seq")
    }
    for file, line, row in dictionaries(folder, "closing_stock", ("store", "sku", "quantity")):
        on_hand, seq = levels.pop((row["store"], row["sku"]), (None, None))
        wanted = number(row["quantity"], QUANTITY, "the quantity", file, line)
        movements = row.get("movements") or str(seq)
        if on_hand != wanted or str(seq) != movements:
            yield f"{file.name}, line {line}: {row['store']} {row['sku']} has {on_hand} after {seq} movements, not {wanted} after {movements}."
    for (store, sku), (on_hand, _seq) in levels.items():
        yield f"{store} {sku} has {on_hand} on hand but is not in closing_stock."
    expected = folder / "expected.json"
    if not expected.is_file():
        return
    told = json.loads(expected.read_text(encoding="utf-8"), parse_float=Decimal)
    for code, days in told.get("daily", {}).items():
        with connection.cursor() as cursor:
            cursor.execute(SOLD, [code])
            there = {day: figures for day, *figures in cursor.fetchall()}
        for day in days:
            wanted = [day["baskets"], day["lines"], Decimal(day["units"]), Decimal(day["revenue"])]
            found = there.pop(day["business_date"], [0, 0, Decimal(0), Decimal(0)])
            if found != wanted:
                yield f"expected.json: {code} {day['business_date']} has {words(found)}, not {words(wanted)}."
        for day, found in there.items():
            yield f"expected.json: {code} {day} has {words(found)}, but is not there."
    posted = Movement.objects.filter(store__code__in=stores)
    for word, lines in told.get("lines", {}).items():
        if (found := posted.filter(kind=KINDS[word]).count()) != lines:
            yield f"expected.json: there are {found} lines {word}, not {lines}."
    if "revenue" in told and (
        found := posted.filter(kind=Kind.SALE).aggregate(sum=Sum("line_total"))["sum"]
    ) != Decimal(told["revenue"]):
        yield f"expected.json: the revenue is {found}, not {told['revenue']}."


def words(figures: list) -> str:
    baskets, lines, units, revenue = figures
    return f"{baskets} baskets, {lines} lines, {units} units for {revenue}"


class Command(BaseCommand):
    """Bring in a history of stores: its catalogue, and every movement through the one door to the ledger."""

    help = (
        "Import stores.csv, products.csv and movements.csv (or .csv.gz) of a folder. All lines are checked before the first "
        "one is written; a run that was killed is finished by the same command."
    )

    def add_arguments(self, parser):
        parser.add_argument("folder", type=Path)
        parser.add_argument(
            "--processes", type=int, default=2, help="stores that are loaded at once (default 2)"
        )
        parser.add_argument(
            "--check", action="store_true", help="compare with closing_stock.csv and expected.json afterwards"
        )

    def handle(self, *, folder, processes, check, **options):
        stores = read_stores(folder)
        products, categories, barcodes, cases = read_products(folder)
        with tempfile.TemporaryDirectory(prefix="kiryana-import-") as temporary:
            parcels = Parcels(Path(temporary))
            read_movements(folder, stores, products, parcels)
            now = timezone.now()
            trading = sorted(
                (stores[code] for code in parcels.count), key=lambda store: -parcels.count[store.code]
            )
            for product in products.values():
                product.price = (
                    product.selling_price
                )  # each line says what was charged: nobody is to look prices up
            for store in trading:
                if store.pk is not None:
                    check_known(store, products, parcels, now)
            make_masters(stores, products, categories, barcodes, cases)
            progress, analysed = Progress("Import", parcels.lines, "lines", self.stderr), False
            for done in in_processes(lambda store: load(store, products, parcels, now), trading, processes):
                progress.add(done)
                if progress.done > max(progress.total // 20, UNKNOWN) and not analysed:
                    analyse()  # the planner knows nothing of tables that were empty, and takes wrong indexes
                    analysed = True
            seconds = progress.end()
        analyse()
        self.stdout.write(
            f"{parcels.lines} lines of {len(trading)} stores, {len(products)} products: {seconds:.1f} s, "
            f"{parcels.lines / max(seconds, 0.001):.0f} lines a second."
        )
        if check:
            for difference in differences(folder, stores):
                raise CommandError(difference)
            self.stdout.write("Closing stock and daily sales are as expected.")
