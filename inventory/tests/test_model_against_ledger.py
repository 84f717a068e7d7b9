"""Any sequence of acts leaves the ledger as a plain model in Python says it must be."""

from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal

import pytest
from django.db import connection, transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from catalog.models import Category, Product
from inventory.models import Document, Kind, LowStockAlert, Movement, StockLevel
from inventory.services import (
    Actor,
    AlreadyReversed,
    InsufficientStock,
    InvalidDocument,
    Line,
    post_document,
    reverse_document,
)
from reports.models import DailyStock
from stores.models import Store, User

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("road")]

quantities = st.decimals("0.001", "50", places=3)
costs = st.decimals("0", "300", places=2)
products = st.integers(0, 2)
days = st.integers(0, 5)


class Shelf:
    """One product in one store, as DOMAIN's rules R4 and R7 say it in words."""

    def __init__(self, usual_cost):
        self.on_hand, self.average, self.lines = Decimal(0), usual_cost, 0
        self.usual_cost, self.touched = usual_cost, False

    def move(self, quantity, cost):
        """Joins or leaves at `cost`; None is the average."""
        if not self.touched and cost is None:
            self.average = self.usual_cost
        before, self.on_hand = self.on_hand, self.on_hand + quantity
        self.lines, self.touched = self.lines + 1, True
        if cost is None:
            return self.average
        if quantity > 0 and before <= 0:
            self.average = cost
        elif self.on_hand > 0 and (worth := before * self.average + quantity * cost) >= 0:
            self.average = (worth / self.on_hand).quantize(Decimal("0.0001"), ROUND_HALF_UP)
        return cost


class Shop(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.atomic = transaction.atomic()
        self.atomic.__enter__()
        category = Category.objects.create(name="Model")
        self.store = Store.objects.create(code="MODEL", name="Model", oversell_policy="warn")
        self.actor = Actor.on_page(User.objects.create_user("model"), "owner")
        self.products = [
            Product.objects.create(
                sku=f"M-{n}",
                name=f"M {n}",
                category=category,
                unit="kg",
                quantity_step=Decimal("0.001"),
                cost_price=Decimal(100 + n),
                selling_price=Decimal(150),
            )
            for n in range(3)
        ]
        self.shelves = [Shelf(product.cost_price) for product in self.products]
        self.documents, self.voided, self.returned = [], set(), {}

    def teardown(self):
        transaction.set_rollback(True)
        self.atomic.__exit__(None, None, None)

    def post(self, kind, lines, **options):
        made = [
            Line(product=self.products[n], quantity=quantity, unit_cost=cost) for n, quantity, cost in lines
        ]
        ago = options.pop("ago", 0)
        when = timezone.now() - timedelta(days=ago, seconds=1) if ago else None
        return post_document(
            store=self.store, kind=kind, lines=made, actor=self.actor, occurred_at=when, **options
        )

    def keep(self, posted, kind, lines):
        done = [(n, self.shelves[n].move(quantity, cost), quantity) for n, quantity, cost in lines]
        self.documents.append((posted.document, kind, done))

    @rule(lines=st.lists(st.tuples(products, quantities, costs), min_size=1, max_size=4), ago=days)
    def receive(self, lines, ago):
        posted = self.post(Kind.RECEIPT, lines, ago=ago)
        # Lines are posted in the order of their products.
        self.keep(posted, Kind.RECEIPT, sorted(lines, key=lambda line: line[0]))

    @rule(
        lines=st.lists(st.tuples(products, quantities), min_size=1, max_size=4),
        ago=days,
        confirm=st.booleans(),
    )
    def sell(self, lines, ago, confirm):
        lines = [(n, quantity, None) for n, quantity in lines]
        left = [shelf.on_hand for shelf in self.shelves]
        for n, quantity, _cost in lines:
            left[n] -= quantity
        # Anything that leaves a touched shelf below zero needs the seller's word, unless it is late.
        short = any(left[n] < 0 for n, _quantity, _cost in lines)
        if short and not (confirm or ago):
            with pytest.raises(InsufficientStock), transaction.atomic():
                self.post(Kind.SALE, lines, ago=ago)
            return
        posted = self.post(Kind.SALE, lines, ago=ago, confirm_oversell=confirm)
        self.keep(
            posted,
            Kind.SALE,
            [(n, -quantity, None) for n, quantity, _ in sorted(lines, key=lambda line: line[0])],
        )

    @rule(
        n=products,
        quantity=quantities,
        kind=st.sampled_from([Kind.WASTAGE, Kind.OWN_USE, Kind.SUPPLIER_RETURN, Kind.ADJUSTMENT]),
        up=st.booleans(),
    )
    def correct(self, n, quantity, kind, up):
        signed = quantity if kind == Kind.ADJUSTMENT and up else -quantity
        said = signed if kind == Kind.ADJUSTMENT else quantity
        if signed < 0 and self.shelves[n].on_hand + signed < 0:
            with pytest.raises(InsufficientStock), transaction.atomic():
                self.post(kind, [(n, said, None)])
            return
        self.keep(self.post(kind, [(n, said, None)]), kind, [(n, signed, None)])

    @precondition(lambda self: self.documents)
    @rule(data=st.data())
    def void(self, data):
        place = data.draw(st.integers(0, len(self.documents) - 1))
        document, kind, done = self.documents[place]
        act = lambda: reverse_document(document=document, actor=self.actor)  # noqa: E731
        if place in self.voided or (kind == Kind.SALE and self.returned.get(place)):
            with pytest.raises(AlreadyReversed), transaction.atomic():
                act()
            return
        trial, short = [shelf.on_hand for shelf in self.shelves], False
        for n, _cost, quantity in done:
            trial[n] -= quantity
            short |= quantity > 0 and trial[n] < 0
        if short:
            with pytest.raises(InsufficientStock), transaction.atomic():
                act()
            return
        act()
        self.voided.add(place)
        for n, cost, quantity in done:
            self.shelves[n].move(-quantity, cost)

    @precondition(lambda self: any(kind == Kind.SALE for _document, kind, _done in self.documents))
    @rule(data=st.data(), quantity=quantities)
    def bring_back(self, data, quantity):
        sales = [place for place, (_document, kind, _done) in enumerate(self.documents) if kind == Kind.SALE]
        place = data.draw(st.sampled_from(sales))
        document, _kind, done = self.documents[place]
        n, cost, sold = data.draw(st.sampled_from(done))
        lines = [line for line in done if line[0] == n]
        if len(lines) > 1:
            return  # which of several lines it comes from is told in test_reversal
        back = self.returned.get(place, {}).get(n, Decimal(0))
        act = lambda: self.post(Kind.SALE_RETURN, [(n, quantity, None)], returns=document)  # noqa: E731
        if place in self.voided or back + quantity > -sold:
            with pytest.raises(InvalidDocument), transaction.atomic():
                act()
            return
        act()
        self.shelves[n].move(quantity, cost)
        self.returned.setdefault(place, {})[n] = back + quantity

    @invariant()
    def levels_are_what_the_model_says(self):
        levels = {level.product_id: level for level in StockLevel.objects.filter(store=self.store)}
        for product, shelf in zip(self.products, self.shelves, strict=True):
            level = levels.get(product.pk)
            if level is None:
                assert shelf.lines == 0
                continue
            assert (level.on_hand, level.average_cost, level.seq) == (
                shelf.on_hand,
                shelf.average,
                shelf.lines,
            )
            assert (level.oversold_since is not None) == (shelf.on_hand < 0)

    @invariant()
    def the_ledger_adds_up(self):
        for product in self.products:
            balance = Decimal(0)
            for number, line in enumerate(
                Movement.objects.filter(store=self.store, product=product).order_by("seq"), 1
            ):
                balance += line.quantity
                assert (line.seq, line.balance_after) == (number, balance)

    @invariant()
    def the_days_add_up(self):
        for product in self.products:
            lines, balance = list(Movement.objects.filter(store=self.store, product=product)), Decimal(0)
            rows = list(
                DailyStock.objects.filter(store=self.store, product=product).order_by("business_date")
            )
            assert [row.business_date for row in rows] == sorted({line.business_date for line in lines})
            for row in rows:
                today = [line for line in lines if line.business_date == row.business_date]
                sales = [line for line in today if line.kind in (Kind.SALE, Kind.SALE_RETURN)]
                assert row.opening == balance
                balance += sum(line.quantity for line in today)
                assert row.closing == balance == row.opening + row.received - row.sold + row.other
                assert row.sold == -sum(line.quantity for line in sales)
                assert row.revenue == sum(
                    line.line_total if line.quantity < 0 else -line.line_total for line in sales
                )
                gone = [
                    (-line.quantity * line.unit_cost).quantize(Decimal("0.0001"), ROUND_HALF_UP)
                    for line in sales
                ]
                assert row.cost == sum(gone)

    @invariant()
    def an_open_alert_means_low_stock(self):
        open_now = list(
            LowStockAlert.objects.filter(store=self.store).open().values_list("product", flat=True)
        )
        assert len(open_now) == len(set(open_now))
        for level in StockLevel.objects.filter(store=self.store):
            assert level.product_id not in open_now or level.on_hand <= level.reorder_point


def test_any_sequence_of_acts(db):
    run_state_machine_as_test(
        Shop,
        settings=settings(
            max_examples=25,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        ),
    )
    assert not Document.objects.exists()
    assert connection.in_atomic_block is False
