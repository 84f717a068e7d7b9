"""Many lines of goods that leave, in one statement: the same ledger as line by line, and nothing of it is believed (R1)."""

import random
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from catalog.models import Product
from inventory.models import Document, Kind, LowStockAlert, Movement, StockLevel
from inventory.services import Actor, InsufficientStock, Line, Posted, post_document, post_documents
from inventory.tests.test_guards import raw_movement
from reports.models import DailyStock
from stores.models import Change, Store

pytestmark = pytest.mark.django_db

LEDGER = [
    "line_no", "product", "kind", "quantity", "unit_price", "line_total", "unit_cost", "cost_estimated", "oversell", "balance_after",
    "average_cost_after", "seq", "late", "business_date",
]  # fmt: skip


@pytest.fixture
def shelf(category):
    """Twelve products."""
    return [
        Product.objects.create(
            sku=f"P-{n}",
            name=f"P {n}",
            category=category,
            cost_price=Decimal(40 + n),
            selling_price=Decimal(50 + n),
        )
        for n in range(12)
    ]


def trade(shelf, now):
    """Some acts of a busy day: baskets, late ones, waste, goods that come, one level that has none yet."""
    dice = random.Random(7)
    acts = []
    for number in range(60):
        kind = dice.choice([Kind.SALE] * 8 + [Kind.WASTAGE, Kind.OWN_USE, Kind.SUPPLIER_RETURN])
        lines = [
            Line(product=dice.choice(shelf), quantity=Decimal(dice.randint(1, 4)))
            for _ in range(dice.randint(1, 6))
        ]
        ago = timedelta(days=dice.choice([0, 0, 0, 0, 1, 2]), seconds=dice.choice([0, 3600]))
        acts.append({"kind": kind, "lines": lines, "reference": f"act-{number}", "occurred_at": now - ago})
    return acts


def stand(store) -> dict:
    """Everything that posting writes in a store, without ids and instants of writing."""
    levels = StockLevel.objects.filter(store=store).order_by("product")
    return {
        "movements": list(Movement.objects.filter(store=store).order_by("document__reference", "line_no").values_list(*LEDGER)),
        "levels": list(levels.values_list("product", "on_hand", "average_cost", "cost_estimated", "seq", "last_business_date")),
        "flags": list(levels.filter(oversold_since__isnull=False).values_list("product", flat=True)),
        "days": list(
            DailyStock.objects.filter(store=store).order_by("product", "business_date").values_list(
                "product", "business_date", "opening", "received", "sold", "other", "closing", "revenue", "cost", "documents", "lines"
            )
        ),
        "alerts": list(
            LowStockAlert.objects.filter(store=store).order_by("product", "id").values_list("product", "on_hand", "closed_at")
        ),
        "told": sorted(
            (change.type, str(change.data)) for change in Change.objects.filter(store=store)
        ),
    }  # fmt: skip


def test_it_is_the_same_ledger_as_line_by_line(shelf, manager, monkeypatch):
    now, stands = timezone.now(), {}
    for many in (10**9, 1):
        monkeypatch.setattr("inventory.services.posting.MANY", many)
        store = Store.objects.create(code=f"S-{many}", name="S", oversell_policy="allow")
        actor = Actor.on_page(manager, "manager")
        for place, product in enumerate(shelf[:-1]):
            post_document(
                store=store, kind=Kind.OPENING, actor=actor, lines=[Line(product=product, quantity=Decimal(8 + 3 * place))],
                reference=f"opening-{place}", occurred_at=now - timedelta(days=3),
            )  # fmt: skip
            StockLevel.objects.get(store=store, product=product).set_reorder(
                reorder_point=Decimal(6), target_level=None
            )
        acts = trade(shelf, now)
        answers = post_documents(store=store, acts=[act | {"actor": actor} for act in acts])
        stands[many] = stand(store) | {
            "answers": [
                [getattr(line, name) for line in answer.movements for name in ("quantity", "balance_after", "seq", "unit_cost", "late")]
                if isinstance(answer, Posted) else answer.code
                for answer in answers
            ]
        }  # fmt: skip
    assert len(stands[1]["movements"]) > 100
    assert stands[1]["alerts"]
    assert stands[1]["flags"]
    assert any(kind == "stock.out" for kind, _data in stands[1]["told"])
    for part in stands[1]:
        assert stands[1][part] == stands[10**9][part], part


FORGED = [
    {"balance_after": 23}, {"seq": 4}, {"seq": 0}, {"seq": -1}, {"unit_cost": 1}, {"average_cost_after": 1},
    {"cost_estimated": True}, {"late": True}, {"quantity": 1, "balance_after": 25}, {"kind": "receipt", "unit_price": None, "line_total": None},
    {"unit_price": None}, {"line_total": -1}, {"line_no": 0}, {"entered_quantity": -1}, {"kind": "wastage"},
]  # fmt: skip


@pytest.mark.parametrize("change", FORGED, ids=str)
def test_a_line_that_does_not_follow_from_its_level_is_refused(stocked, post, ghee, change):
    document = post(Kind.RECEIPT, (ghee, 1, 510)).document
    document.kind = "sale"
    level = stocked(ghee)
    honest = {
        "quantity": -1, "balance_after": level.on_hand - 1, "seq": level.seq + 1, "unit_cost": level.average_cost, "late": False,
        "average_cost_after": level.average_cost, "cost_estimated": False,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('kiryana.goods_out', 'on', true)")
    with pytest.raises(IntegrityError) as refusal:
        raw_movement(document, ghee, **honest | change)
    assert refusal.value.__cause__.diag.constraint_name == "movement_follows_level"
    assert stocked(ghee).on_hand == level.on_hand
    raw_movement(document, ghee, **honest)
    assert stocked(ghee).on_hand == level.on_hand - 1


def test_a_line_without_a_level_is_refused(stocked, post, ghee, category):
    document = post(Kind.SALE, (ghee, 1)).document
    nothing = Product.objects.create(sku="NO", name="No", category=category, cost_price=1, selling_price=1)
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('kiryana.goods_out', 'on', true)")
    with pytest.raises(IntegrityError) as refusal:
        raw_movement(
            document, nothing, quantity=-1, balance_after=-1, seq=1, unit_cost=0, average_cost_after=0
        )
    assert refusal.value.__cause__.diag.constraint_name == "movement_follows_level"


def test_switching_the_setting_off_within_the_statement_opens_nothing(stocked, post, ghee):
    document = post(Kind.SALE, (ghee, 1)).document
    forged = """INSERT INTO inventory_movement (document_id, line_no, store_id, product_id, kind, quantity, unit_price, line_total,
        unit_cost, balance_after, average_cost_after, seq, occurred_at, business_date)
        SELECT document_id, 50, store_id, product_id, kind, quantity, unit_price, line_total, unit_cost, 999,
        average_cost_after, seq + 1, occurred_at, business_date FROM inventory_movement WHERE document_id = %s
        RETURNING set_config('kiryana.goods_out', 'off', true)"""
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('kiryana.goods_out', 'on', true)")
    with pytest.raises(IntegrityError) as refusal, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(forged, [document.pk])
    assert refusal.value.__cause__.diag.constraint_name == "movement_follows_level"
    assert stocked(ghee).on_hand == 23


def test_without_the_setting_the_place_that_is_given_is_not_looked_at(stocked, post, ghee):
    document = post(Kind.SALE, (ghee, 1)).document
    raw_movement(document, ghee, quantity=-1, balance_after=500, seq=77, average_cost_after=1, unit_cost=1)
    assert (stocked(ghee).on_hand, stocked(ghee).seq) == (22, 3)


def test_stock_that_would_fall_below_zero_is_refused_whole(stocked, post, ghee, atta, monkeypatch):
    monkeypatch.setattr("inventory.services.posting.MANY", 1)
    with pytest.raises(InsufficientStock), transaction.atomic():
        post(Kind.SALE, (atta, 1), (ghee, 20), (ghee, 5))
    assert (stocked(ghee).on_hand, stocked(atta).on_hand) == (24, 100)
    assert not Document.objects.filter(kind=Kind.SALE).exists()
    sold = post(Kind.SALE, (atta, 1), (ghee, 20), (ghee, 5), confirm_oversell=True)
    assert [line.oversold for line in sold.movements] == [False, False, True]
    assert stocked(ghee).oversold_since is not None


def test_one_that_cannot_be_does_not_block_the_others(stocked, store, manager, ghee, atta):
    actor = Actor.on_page(manager, "manager")

    def act(reference, *lines, kind=Kind.SALE):
        return {
            "kind": kind, "actor": actor, "reference": reference, "lines": [Line(product=one, quantity=Decimal(n)) for one, n in lines]
        }  # fmt: skip

    acts = [
        act("one", (ghee, 20)), act("two", (ghee, 10)), act("three", (ghee, 4), (atta, "1.5")), act("four", (ghee, "0.5")),
        act("one", (ghee, 20)), act("three", (ghee, 3)), act("five", (ghee, 2), kind=Kind.RECEIPT), act("six", (ghee, 2)),
    ]  # fmt: skip
    answers = post_documents(store=store, acts=acts)
    told = [
        ("replayed" if answer.replayed else "created") if isinstance(answer, Posted) else answer.code
        for answer in answers
    ]
    assert told == [
        "created", "insufficient_stock", "created", "quantity_step", "replayed", "idempotency_key_reused", "created", "created",
    ]  # fmt: skip
    assert stocked(ghee).on_hand == 0
    again = post_documents(store=store, acts=acts)
    assert [isinstance(answer, Posted) and answer.replayed for answer in again] == [
        True, False, True, False, True, False, True, True,
    ]  # fmt: skip
