"""How a shop of the demo chain trades, day by day, and the posting of it.

`trade` invents what happens from the seed alone, never looking at the database: it can be begun again at any time and
tells the same story with the same references. `play` posts it through inventory/services.py, leaving out what is there.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import accumulate
from random import Random
from zoneinfo import ZoneInfo

from django.db import connection, transaction

from catalog.models import Pack, Product
from inventory.models import Document, Kind, Reason, StockLevel
from inventory.services import (
    GRAM,
    Actor,
    Line,
    draft_document,
    find,
    insert_documents,
    post_document,
    reverse_document,
)
from kiryana.demo.chain import CLOSING, OPENING, Plan, read_csv
from stores.models import Membership, Store

BATCH = 800  # lines in one statement
# A commit that a power cut takes back is made again by the next run: no need to wait for the disk each time. And plans
# that were made while a table was almost empty must not read the whole of it when it has grown.
IN_BULK = "SET LOCAL synchronous_commit = off; SET LOCAL enable_seqscan = off"
BASKETS = {"small": 20, "medium": 32, "large": 48}  # on a usual day
LINES = ([1, 2, 3, 4, 5, 6, 8, 12], [26, 24, 18, 12, 8, 6, 4, 2])  # of a basket: how many, how often
# Milk and bread after the dawn prayer, tea until after midnight; most come before lunch and in the evening.
HOURS = (
    [0, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23],
    [2, 2, 3, 4, 6, 8, 9, 8, 5, 4, 4, 6, 9, 11, 11, 9, 6, 4, 3],
)
# How much a customer comes for, by category; what is not named counts 1.
PULL = {
    "Dairy & Eggs": 5, "Biscuits & Bakery": 4, "Cold Drinks & Juices": 3.5, "Sugar & Salt": 3.5, "Flour & Grains": 3.5,
    "Snacks & Nimko": 3, "Confectionery": 3, "Tea & Coffee": 2.5, "Cooking Oil & Ghee": 2.5, "Pulses": 2.2, "Rice": 2,
    "Tobacco": 4, "Fresh Produce": 4, "Laundry & Cleaning": 1.6, "Personal Care": 1.3,
}  # fmt: skip
DAILY = {"Dairy & Eggs", "Fresh Produce", "Biscuits & Bakery"}  # delivered every day but Sunday
SPOILS = {
    "Dairy & Eggs": "EXPIRED",
    "Fresh Produce": "DAMAGED",
    "Biscuits & Bakery": "EXPIRED",
    "Frozen & Ice Cream": "DAMAGED",
}


@dataclass(slots=True)
class Item:
    """One product on the shelf of the store that is played. Quantities are whole thousandths of its unit."""

    product: Product
    pack: Pack | None
    loose: bool
    pull: float
    reorder: int = 0
    target: int = 0
    on_hand: int = 0
    cost: Decimal = Decimal(0)


@dataclass(slots=True)
class Act:
    """One document that somebody enters at `entered`; with `voids`, the void of an earlier one."""

    reference: str
    kind: str
    entered: datetime
    role: str
    lines: list[Line] = field(default_factory=list)
    occurred: datetime | None = None
    reason: str | None = None
    notes: str = ""
    returns: str | None = None
    voids: str | None = None
    confirm: bool = False


def quantity(thousandths: int) -> Decimal:
    return Decimal(thousandths).scaleb(-3)


def shelf(
    store: Store, plan: Plan, products: list[Product], packs: dict[int, Pack]
) -> tuple[list[Item], float]:
    """What the store keeps, with reorder points and targets from what it will sell, and its baskets on a usual day.

    `products` carry their price in this store.
    """
    row = next(row for row in read_csv("stores.csv")[: plan.stores] if row["code"] == store.code)
    chance = Random(f"{plan.seed}/{store.code}/shelf")  # noqa: S311 - a game, and one that can be repeated
    order = Random(f"{plan.seed}/popularity")  # noqa: S311 - what sells well in one shop sells in all
    ranked = sorted(
        (product for product in products if product.unit != Product.Unit.SERVICE),
        key=lambda product: order.random() / PULL.get(product.category.name, 1),
    )
    places = {product.pk: place for place, product in enumerate(ranked)}
    kept = sorted(ranked, key=lambda product: places[product.pk] * chance.uniform(0.4, 1.6))[
        : int(row["assortment"])
    ]
    items = [
        Item(
            product,
            packs.get(product.pk),
            product.quantity_step < 1,
            chance.uniform(0.6, 1.5) / (places[product.pk] + 6) ** 0.8,
        )
        for product in sorted(kept, key=lambda product: product.sku)
    ]
    baskets = BASKETS[row["size"]] * chance.uniform(0.8, 1.25)
    lines = baskets * sum(n * often for n, often in zip(*LINES, strict=True)) / sum(LINES[1])
    whole = sum(item.pull for item in items)
    for item in items:
        item.cost = item.product.cost_price
        each = 1.5 if not item.loose else 0.15 if item.product.selling_price > 600 else 0.9
        sold = lines * each * item.pull / whole  # on a usual day, in units
        days = (2, 5) if item.product.category.name in DAILY else (4, 12)
        if item.loose:
            least = 0.25 if item.product.selling_price > 600 else 1
            reorder, target = max(sold * days[0], least), max(sold * days[1], least * 4)
            item.reorder, item.target = round(reorder * 4) * 250, round(target * 4) * 250
        else:
            item.reorder, item.target = (
                max(round(sold * days[0]), 2) * 1000,
                max(round(sold * days[1]), 6) * 1000,
            )
    return items, baskets


def trade(store: Store, plan: Plan, items: list[Item], baskets: float) -> Iterator[Act | int]:
    """Everything that happens in the store, in the order in which it is entered; 1 between two days."""
    zone = ZoneInfo(store.timezone)
    until = plan.until.astimezone(zone)
    first = until.date() - timedelta(days=plan.days - 1)
    beginning = datetime.combine(first, time(0), zone)
    chance = Random(f"{plan.seed}/{store.code}")  # noqa: S311
    till = list(accumulate(item.pull for item in items))
    by_category = {}
    for item in items:
        by_category.setdefault(item.product.category.name, []).append(item)
    visits = {name: {chance.randrange(6), chance.randrange(6)} for name in sorted(by_category)}
    waiting, number = [], 0  # what will happen: (when, tie breaker, what, with what)

    def plan_for(when: datetime, what, *given) -> None:
        nonlocal number
        number += 1
        heapq.heappush(waiting, (when, number, what, given))

    def opening(when):
        lines = []
        for item in items:
            item.on_hand = rounded(item, item.target * chance.uniform(0.6, 1.1))
            lines.append(Line(product=item.product, quantity=quantity(item.on_hand), unit_cost=item.cost))
        return Act(OPENING, Kind.OPENING, when, "manager", lines, notes=plan.note())

    def rounded(item: Item, thousandths: float) -> int:
        step = 250 if item.loose else 1000
        return max(round(thousandths / step), 1) * step

    def delivery(when, name):
        lines = []
        for item in by_category[name]:
            # Prices of suppliers wander, a little more often up than down.
            item.cost = max(
                item.cost * Decimal(chance.choice(("0.98", "0.99", "1", "1", "1", "1.01", "1.02", "1.025"))),
                Decimal("0.5"),
            )
            item.cost = item.cost.quantize(Decimal("0.01"), ROUND_HALF_UP)
            if item.on_hand > item.reorder * 1.1 or chance.random() < 0.08:
                continue
            wanted = item.target - item.on_hand
            case = int(item.pack.units_per_pack) * 1000 if item.pack else 0
            if case and wanted * 1.5 >= case:
                cases = max(round(wanted / case), 1)
                item.on_hand += cases * case
                lines.append(
                    Line(
                        product=item.product,
                        pack=item.pack,
                        pack_quantity=Decimal(cases),
                        unit_cost=item.cost,
                    )
                )
            else:
                came = rounded(item, wanted)
                item.on_hand += came
                lines.append(Line(product=item.product, quantity=quantity(came), unit_cost=item.cost))
        return Act("", Kind.RECEIPT, when, "manager", lines, notes=name) if lines else None

    def wish(item: Item) -> tuple[int, Line]:
        """How much somebody takes: thousandths, and the line that says so."""
        product, dear = item.product, item.product.price > 600
        if not item.loose:
            count = chance.choices(
                (1, 2, 3, 4, 6), (70, 18, 5, 2, 5) if product.price < 60 else (84, 12, 2, 1, 1)
            )[0]
            return count * 1000, Line(product=product, quantity=Decimal(count))
        way = chance.random()
        if way < 0.25:
            amount = Decimal(chance.choice((50, 100, 100, 150, 200) if dear else (20, 50, 50, 100, 100, 200)))
            weight = (amount / product.price).quantize(GRAM, ROUND_HALF_UP)
            return int(weight.scaleb(3)), Line(product=product, amount=amount)
        if way < 0.5:
            weight = chance.randrange(40, 320) if dear else chance.randrange(180, 2600)
        else:
            weight = chance.choice((50, 100, 100, 250) if dear else (250, 500, 500, 1000, 1000, 2000))
        return weight, Line(product=product, quantity=quantity(weight))

    def sale(when, late=False):
        lines, taken, confirm = [], [], False
        wanted = dict.fromkeys(
            chance.choices(range(len(items)), cum_weights=till, k=chance.choices(*LINES)[0])
        )
        for place in wanted:
            item = items[place]
            weight, line = wish(item)
            if weight > item.on_hand and not late:
                if item.on_hand >= 1000 and not item.loose:
                    weight, line = item.on_hand, Line(product=item.product, quantity=quantity(item.on_hand))
                elif (
                    store.oversell_policy != Store.OversellPolicy.BLOCK
                    and item.on_hand >= 0
                    and chance.random() < 0.05
                ):
                    confirm = True
                else:
                    continue  # the shelf is empty, the customer goes without
            item.on_hand -= weight
            lines.append(line)
            taken.append((item, weight))
        if not lines:
            return None
        act = Act("", Kind.SALE, when, "cashier", lines, confirm=confirm)
        if late:
            act.occurred = max(when - timedelta(minutes=chance.randrange(50, 1200)), beginning)
            act.notes = "Written on paper while the power was out."
        else:
            turn = chance.random()
            if turn < 0.006:
                plan_for(when + timedelta(minutes=chance.randrange(2, 15)), void, act, taken)
            elif turn < 0.018:
                plan_for(
                    when + timedelta(minutes=chance.randrange(60, 1700)), give_back, act, chance.choice(taken)
                )
        return act

    def void(when, sold, taken):
        for item, weight in taken:
            item.on_hand += weight
        return Act(
            "",
            Kind.SALE,
            when,
            "manager",
            reason=chance.choice(("MISTAKE", "CUSTOMER_LEFT", "DUPLICATE")),
            voids=sold.reference,
        )

    def give_back(when, sold, taken):
        item, weight = taken
        back = weight if item.loose else 1000 * chance.randint(1, weight // 1000)
        item.on_hand += back
        line = Line(product=item.product, quantity=quantity(back))
        return Act("", Kind.SALE_RETURN, when, "cashier", [line], returns=sold.reference)

    def waste(when):
        name = chance.choice([name for name in SPOILS if name in by_category] or sorted(by_category))
        lines = []
        for item in chance.sample(by_category[name], min(chance.randint(1, 3), len(by_category[name]))):
            spoiled = chance.randrange(100, 900) if item.loose else 1000 * chance.randint(1, 2)
            if spoiled <= item.on_hand:
                item.on_hand -= spoiled
                lines.append(Line(product=item.product, quantity=quantity(spoiled)))
        reason = "SPILLED" if chance.random() < 0.15 else SPOILS.get(name, "DAMAGED")
        return Act("", Kind.WASTAGE, when, "manager", lines, reason=reason) if lines else None

    def take_home(when):
        lines = []
        for item in chance.sample(items, min(chance.randint(1, 3), len(items))):
            taken = chance.choice((250, 500, 1000)) if item.loose else 1000
            if taken <= item.on_hand:
                item.on_hand -= taken
                lines.append(Line(product=item.product, quantity=quantity(taken)))
        return Act("", Kind.OWN_USE, when, "manager", lines, reason="OWN_USE") if lines else None

    def send_back(when):
        lines = []
        for item in chance.sample(items, min(chance.randint(1, 2), len(items))):
            count = 1000 * chance.randint(1, 3)
            if count <= item.on_hand:
                item.on_hand -= count
                lines.append(Line(product=item.product, quantity=quantity(count)))
        return Act("", Kind.SUPPLIER_RETURN, when, "manager", lines, reason="TO_SUPPLIER") if lines else None

    def check(when):
        lines = []
        for item in chance.sample(items, min(chance.randint(3, 7), len(items))):
            change = chance.choice((-2, -1, -1, 1)) * (chance.randrange(20, 200) if item.loose else 1000)
            if item.on_hand < 0:
                change = -item.on_hand
            if item.on_hand + change >= 0:
                item.on_hand += change
                lines.append(Line(product=item.product, quantity=quantity(change)))
        return Act("", Kind.ADJUSTMENT, when, "manager", lines, reason="COUNTED") if lines else None

    def closing(when):
        item = max(items, key=lambda item: (item.on_hand, item.product.sku))
        item.on_hand += 1000
        return Act(
            CLOSING,
            Kind.ADJUSTMENT,
            when,
            "manager",
            [Line(product=item.product, quantity=Decimal(1))],
            reason="FOUND",
        )

    plan_for(beginning, opening)
    plan_for(until, closing)
    numbers = {}
    for day_number in range(plan.days):
        day = first + timedelta(days=day_number)
        busy = {4: 0.9, 5: 1.1, 6: 1.25}.get(day.weekday(), 1) * (1.15 if day.day <= 7 else 0.95)
        for name in visits:
            comes = day.weekday() != 6 if name in DAILY else day.weekday() in visits[name]
            if comes and chance.random() > 0.1:
                plan_for(datetime.combine(day, time(9, chance.randrange(60)), zone), delivery, name)
        for _basket in range(max(round(chance.gauss(baskets * busy, baskets**0.5)), 3)):
            hour = chance.choices(*HOURS)[0]
            when = datetime.combine(day, time(hour, chance.randrange(60), chance.randrange(60)), zone)
            if chance.random() < 0.006:
                plan_for(when + timedelta(minutes=chance.randrange(60, 300)), sale, True)
            else:
                plan_for(when, sale)
        if chance.random() < 0.5:
            plan_for(datetime.combine(day, time(22, 45), zone), waste)
        if chance.random() < 0.2:
            plan_for(datetime.combine(day, time(22, 40), zone), take_home)
        if day.weekday() == 2 and chance.random() < 0.7:
            plan_for(datetime.combine(day, time(11, 15), zone), send_back)
        if day.weekday() == 6:
            plan_for(datetime.combine(day, time(22, 50), zone), check)
        midnight = datetime.combine(day + timedelta(days=1), time(0), zone)
        while waiting and waiting[0][0] < midnight and waiting[0][0] <= until:
            when, _tie, what, given = heapq.heappop(waiting)
            act = what(when, *given)
            if act is None:
                continue
            if not act.reference:
                numbers[day] = numbers.get(day, 0) + 1
                act.reference = f"demo-{day:%Y%m%d}-{numbers[day]:04d}"
            yield act
        numbers.pop(day, None)
        yield 1


def stock(store: Store, plan: Plan) -> tuple[list[Item], float]:
    """The shelf of `store` with the products, prices and cases of the database."""
    products = list(Product.objects.priced(store, plan.until).select_related("category").order_by("sku"))
    packs = {pack.product_id: pack for pack in Pack.objects.order_by("pk")}
    known = {row["sku"] for row in read_csv("products.csv")}
    return shelf(store, plan, [product for product in products if product.sku in known], packs)


@transaction.atomic
def open_store(store: Store, plan: Plan) -> None:
    """The store's levels with their reorder points, and its opening stock."""
    items, baskets = stock(store, plan)
    StockLevel.objects.bulk_create(
        [
            StockLevel(
                store=store,
                product=item.product,
                reorder_point=quantity(item.reorder),
                target_level=quantity(item.target),
            )
            for item in items
        ],
        ignore_conflicts=True,
    )
    opening = next(trade(store, plan, items, baskets))
    Player(store).post(opening)


def open_practice(store: Store, plan: Plan, products: list[Product]) -> None:
    """A shelf for the sandbox: one product of each category, enough of it to sell and to run out of."""
    by_category = {product.category_id: product for product in reversed(products)}
    goods = [each for each in by_category.values() if each.unit != Product.Unit.SERVICE]
    goods.sort(key=lambda product: product.sku)
    StockLevel.objects.bulk_create(
        StockLevel(store=store, product=product, reorder_point=5, target_level=30) for product in goods
    )
    lines = [Line(product=product, quantity=Decimal(24), unit_cost=product.cost_price) for product in goods]
    draft = draft_document(
        store=store,
        kind=Kind.OPENING,
        lines=lines,
        actor=Actor.playing(),
        reference="practice-opening",
        occurred_at=plan.until,
        now=plan.until,
    )
    insert_documents(store, [draft], answer=False)


def play(store: Store, plan: Plan) -> Iterator[int]:
    """Posts the store's trade from where it stands to its end; yields 1 for each day."""
    known = set(
        Document.objects.filter(store=store, reference__startswith="demo-").values_list(
            "reference", flat=True
        )
    )
    if OPENING not in known:
        open_store(store, plan)
        known.add(OPENING)
    player = Player(store)
    for act in trade(store, plan, *stock(store, plan)):
        if act == 1:
            yield 1
        elif act.reference not in known:
            player.post(act)
            if player.lines >= BATCH:
                player.flush()
    player.flush()


class Player:
    """Posts acts of one store: plain ones many at a time, those that refer to others one by one, all in their order."""

    def __init__(self, store: Store):
        self.store, self.drafts, self.lines = store, [], 0
        self.reasons = {reason.code: reason for reason in Reason.objects.all()}
        people = Membership.objects.filter(
            store=store, user__username__startswith=store.code.lower()
        ).select_related("user")
        self.actors = {}
        for member in people.order_by("user__username"):
            self.actors.setdefault(member.role, []).append(Actor(Document.Source.DEMO, user=member.user))

    def actor(self, act: Act) -> Actor:
        """Who enters it: cashiers change at four in the afternoon."""
        staff = self.actors.get(act.role) or [Actor.playing()]
        return staff[(act.entered.hour >= 16) % len(staff)]

    def post(self, act: Act) -> None:
        common = {
            "actor": self.actor(act),
            "reference": act.reference,
            "reason": self.reasons[act.reason] if act.reason else None,
        }
        if act.voids:
            self.flush()
            reverse_document(document=find(self.store, act.voids), now=act.entered, **common)
            return
        common |= {
            "store": self.store,
            "kind": act.kind,
            "lines": act.lines,
            "occurred_at": act.occurred or act.entered,
            "notes": act.notes,
        }
        if act.returns:
            self.flush()
            post_document(returns=find(self.store, act.returns), **common)
            return
        self.drafts.append(draft_document(now=act.entered, confirm_oversell=act.confirm, **common))
        self.lines += len(act.lines)
        if act.kind == Kind.OPENING:
            self.flush()

    @transaction.atomic
    def flush(self) -> None:
        if self.drafts:
            with connection.cursor() as cursor:
                cursor.execute(IN_BULK)
            insert_documents(self.store, self.drafts, answer=False)
        self.drafts, self.lines = [], 0
