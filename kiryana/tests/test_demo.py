"""The demo chain: the same story for the same seed, whole after any kill, and sound books."""

import io
import json
import stat

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from catalog.models import Barcode, Pack, Product
from catalog.queries import scan
from inventory.models import Document, LowStockAlert, Movement, StockLevel
from kiryana.demo import chain, trade
from stores.models import ApiKey, Membership, Store, User

pytestmark = pytest.mark.django_db

UNTIL = "2026-11-20T18:30:00+05:00"
PRACTICE = {("TEST-0001", "practice-opening")}


@pytest.fixture(autouse=True)
def home(settings, tmp_path):
    settings.KIRYANA_HOME = tmp_path / "home"
    return settings.KIRYANA_HOME


def play(stores=2, days=9, seed=7, *options, processes=1, until=UNTIL):
    told = io.StringIO()
    arguments = [
        "--stores",
        str(stores),
        "--days",
        str(days),
        "--seed",
        str(seed),
        "--until",
        until,
        *options,
    ]
    call_command("demo", *arguments, processes=processes, stdout=told, stderr=told)
    return told.getvalue()


def story():
    """All that happened, without what each installation has of its own."""
    columns = (
        "store__code", "document__reference", "line_no", "product__sku", "kind", "quantity", "line_total", "unit_cost", "balance_after",
        "average_cost_after", "seq", "occurred_at", "oversell", "reason__code", "document__notes", "document__user__username",
    )  # fmt: skip
    return list(Movement.objects.order_by("store__code", "product__sku", "seq").values_list(*columns))


def test_a_chain_that_trades(home):
    play(stores=3, days=21)
    assert (Store.objects.filter(sandbox=False).count(), Product.objects.count()) == (3, 483)
    assert set(Document.objects.values_list("kind", flat=True)) == {
        "opening",
        "receipt",
        "sale",
        "sale_return",
        "adjustment",
        "wastage",
        "own_use",
        "supplier_return",
    }
    assert Document.objects.filter(reverses__isnull=False).exists()
    assert Movement.objects.filter(kind="sale", oversell="late").exists()
    assert Movement.objects.filter(quantity__lt=0, balance_after__lt=0).exists()
    assert Movement.objects.filter(entered_pack__isnull=False, kind="receipt").exists()
    assert (
        Movement.objects.filter(kind="sale", product__unit="kg").exclude(quantity__endswith=".000").exists()
    )
    # Sale by amount: what was charged is a round sum, the weight is not.
    by_amount = Movement.objects.filter(kind="sale", product__unit="kg", line_total=100)
    assert any(line.quantity * 100 % 1 for line in by_amount)
    costs = Movement.objects.filter(kind="receipt", product__sku="SGR-0001").values_list(
        "unit_cost", flat=True
    )
    assert len(set(costs)) > 1
    assert LowStockAlert.objects.open().exists()
    assert LowStockAlert.objects.exclude(closed_at=None).exists()
    assert StockLevel.objects.low().exists()
    assert StockLevel.objects.filter(reorder_point=0).count() == 0
    days = (
        Document.objects.filter(kind="sale").order_by("business_date").values_list("business_date", flat=True)
    )
    assert (str(days[0]), str(days[len(days) - 1])) == ("2026-10-31", "2026-11-20")
    assert Document.objects.filter(occurred_at__gt=UNTIL).count() == 0
    call_command("check_ledger", processes=1)
    # Each store's people act in their own store alone.
    strangers = Document.objects.exclude(user=None).values_list("store", "user").distinct()
    assert set(strangers) <= set(Membership.objects.values_list("store", "user"))


def acts(store, seed=7, stores=2, days=9):
    """What the story of one store says, posted nowhere."""
    plan = chain.Plan(stores, days, seed, timezone.datetime.fromisoformat(UNTIL))
    told = trade.trade(store, plan, *trade.stock(store, plan))
    return [act for act in told if act != 1]


def test_the_same_seed_tells_the_same_story_and_another_seed_another():
    play()
    store = Store.objects.get(code="LHE-0001")
    assert acts(store) == acts(store)
    assert acts(store) != acts(store, seed=8)
    posted = Document.objects.filter(store=store).values_list(
        "reference", "kind", "occurred_at", "line_count"
    )
    told = {
        act.reference: (act.kind, act.occurred or act.entered, len(act.lines))
        for act in acts(store)
        if not act.voids
    }
    voids = {act.reference for act in acts(store) if act.voids}
    assert {reference: tuple(rest) for reference, *rest in posted if reference not in voids} == told


@pytest.mark.parametrize("batch", [60, 500])
@pytest.mark.parametrize("dies_at", [0, 1, 3, 9])
def test_a_killed_run_is_finished_by_the_next(monkeypatch, dies_at, batch):
    monkeypatch.setattr(trade, "BATCH", batch)
    flush, calls = trade.Player.flush, []

    def cut(player):
        if player.drafts:
            calls.append(1)
            if len(calls) > dies_at:
                raise KeyboardInterrupt
        flush(player)

    with monkeypatch.context() as patch:
        patch.setattr(trade.Player, "flush", cut)
        with pytest.raises(KeyboardInterrupt):
            play()
    if dies_at == 0:
        assert not Store.objects.exists()
    # The next run may be asked for something else, at another time: what was begun is finished first.
    told = play(5, 30, 3, until=timezone.now().isoformat()) if dies_at else play()
    assert ("Finishing the demo that was begun: 2 stores, 9 days, seed 7." in told) == bool(dies_at)
    assert (
        Document.objects.filter(reference=chain.CLOSING).count()
        == Store.objects.filter(sandbox=False).count()
        == 2
    )
    wanted = {
        (store.code, act.reference) for store in Store.objects.filter(sandbox=False) for act in acts(store)
    }
    assert set(Document.objects.values_list("store__code", "reference")) == wanted | PRACTICE
    call_command("check_ledger", processes=1)


@pytest.mark.django_db(transaction=True)
def test_two_processes_play_the_story_of_one(home):
    play(3, 5, processes=2)
    there = set(Document.objects.values_list("store__code", "reference", "line_count", "total"))
    assert Document.objects.filter(reference=chain.CLOSING).count() == 3
    call_command("check_ledger", processes=2)
    told = {
        (store.code, act.reference)
        for store in Store.objects.filter(sandbox=False)
        for act in acts(store, stores=3, days=5)
    }
    assert {(code, reference) for code, reference, _lines, _total in there} == told | PRACTICE


def test_a_second_run_changes_nothing(home):
    play()
    file = (home / "demo.json").read_text()
    before = story()
    assert "The demo is there already." in play()
    assert play(2, 9, 7, "--if-empty") == ""
    assert story() == before
    assert (home / "demo.json").read_text() == file


def test_other_data_is_left_alone(store):
    with pytest.raises(CommandError, match="only for an empty one"):
        play()
    assert play(2, 9, 7, "--if-empty") == ""
    assert Store.objects.count() == 1
    assert not Product.objects.exists()


def test_somebody_who_is_called_like_the_cast_keeps_his_password(head_office):
    with pytest.raises(CommandError, match="only for an empty one"):
        play()
    assert authenticate(username="head", password="chai-aur-biscuit") == head_office


def test_logins_and_keys_work_and_are_for_this_account_alone(home):
    play(stores=8, days=2)
    made = json.loads((home / "demo.json").read_text())
    assert stat.S_IMODE((home / "demo.json").stat().st_mode) == 0o600
    users = {
        login["username"]: authenticate(username=login["username"], password=login["password"])
        for login in made["logins"]
    }
    assert None not in users.values()
    assert users["head"].is_superuser
    assert not users["head"].memberships.exists()
    assert users["owner"].memberships.filter(role="owner", store__sandbox=False).count() == 6
    assert users["manager"].memberships.get().role == "manager"
    assert users["cashier"].memberships.get().role == "cashier"
    assert users["cashier-urdu"].language == "ur"
    assert not any(user.is_staff for name, user in users.items() if name != "head")
    everywhere, one, practice = (ApiKey.objects.get(digest=ApiKey.hash(key["key"])) for key in made["keys"])
    assert (everywhere.all_stores, everywhere.allows("movements:write")) == (True, True)
    assert [store.code for store in one.stores.all()] == ["LHE-0001"]
    assert (practice.is_test, practice.all_stores, practice.created_by) == (True, True, users["owner"])
    # All other staff sign in when head office has given them a password.
    named = set(users)
    assert not any(user.has_usable_password() for user in User.objects.exclude(username__in=named))


def test_lost_credentials_are_made_anew_and_the_old_ones_stop_working(home):
    play(days=2)
    old = json.loads((home / "demo.json").read_text())
    (home / "demo.json").unlink()
    call_command("demo", "--credentials", stderr=io.StringIO())
    new = json.loads((home / "demo.json").read_text())
    assert [login["username"] for login in new["logins"]] == [login["username"] for login in old["logins"]]
    for login in old["logins"]:
        assert authenticate(username=login["username"], password=login["password"]) is None
    for login in new["logins"]:
        assert authenticate(username=login["username"], password=login["password"])
    usable = set(ApiKey.objects.usable().values_list("digest", flat=True))
    assert usable == {ApiKey.hash(key["key"]) for key in new["keys"]}
    assert Membership.objects.filter(user__username="owner").count() == 3


def test_there_are_no_credentials_without_a_demo(store):
    with pytest.raises(CommandError):
        call_command("demo", "--credentials")


@pytest.mark.parametrize(
    "options",
    [
        ("--stores", "0"),
        ("--stores", "521"),
        ("--days", "0"),
        ("--seed", "-1"),
        ("--until", "2099-01-01T00:00+05:00"),
        ("--until", "2026-01-01T00:00"),
    ],
)
def test_senseless_wishes_are_refused(options):
    with pytest.raises(CommandError):
        call_command("demo", *options)
    assert not Store.objects.exists()


def test_the_catalogue_is_found_by_any_name(home):
    play(stores=1, days=1)
    for words, sku in (
        ("cheeni", "SGR-0001"), ("chini", "SGR-0001"), ("چینی", "SGR-0001"), ("aata", "FLR-0001"), ("daal chana", "PLS-0001"),
        ("anday", "DRY-0005"), ("doodh", "DRY-0008"), ("sabun lux", "PRC-0002"), ("machis", None), ("huldi", "SPC-0004"),
    ):  # fmt: skip
        found = set(Product.objects.matching(words).values_list("sku", flat=True))
        assert found, words
        assert sku is None or sku in found, (words, found)
    assert not Product.objects.filter(aliases="").exists()
    loose = Barcode.objects.filter(code__startswith="21").select_related("product").first()
    label = scan(loose.code)
    assert (label.product, label.quantity) == (loose.product, None)
    assert loose.product.quantity_step * 1000 == 1
    assert Pack.objects.filter(name="Case of 12", units_per_pack=12).exists()
    assert (
        set(Product.objects.filter(unit="service").values_list("quantity_step", flat=True).distinct())
        != set()
    )


def test_own_prices_of_a_store_are_what_it_charges(home):
    play(stores=2, days=6)
    store = Store.objects.get(code="LHE-0002")
    dearer = store.prices.select_related("product")
    assert dearer
    sold = Movement.objects.filter(store=store, kind="sale", product__in=[price.product for price in dearer])
    assert sold.exists()
    for line in sold.select_related("product"):
        assert line.unit_price == dearer.get(product=line.product).price > line.product.selling_price


def test_the_practice_store_stands_behind_a_wall(home):
    play(stores=2, days=3)
    practice = Store.objects.get(sandbox=True)
    assert practice.code == "TEST-0001"
    # Enough to sell, in more than one way: by the piece and by weight.
    shelf = StockLevel.objects.filter(store=practice).select_related("product")
    assert {level.on_hand for level in shelf} == {24}
    assert {level.product.unit for level in shelf} >= {"pc", "kg"}
    owner = User.objects.get(username="owner")
    assert practice in Store.objects.owned_by(owner)
    live, one, test = (
        Client(headers={"x-api-key": key["key"]})
        for key in json.loads((home / "demo.json").read_text())["keys"]
    )
    for client, codes in ((live, ["LHE-0001", "LHE-0002"]), (one, ["LHE-0001"]), (test, ["TEST-0001"])):
        assert client.get("/api/v1/me/").json()["stores"] == codes
        for path in ("inventory/?limit=500", "movements/?limit=500", "documents/?limit=500"):
            seen = {row["store"] for row in client.get(f"/api/v1/{path}").json()["results"]}
            assert seen <= set(codes), path
        assert {row["code"] for row in client.get("/api/v1/stores/").json()["results"]} == set(codes)
        summary = client.get("/api/v1/reports/inventory-summary/").json()["results"]
        assert {row["store"] for row in summary} == set(codes)
        assert client.get("/api/v1/stores/TEST-0001/").status_code == (200 if client is test else 404)
        assert client.get("/api/v1/reports/daily-sales/?store=TEST-0001").status_code == (
            200 if client is test else 404
        )
    sale = {
        "store": "TEST-0001",
        "kind": "sale",
        "reference": "first",
        "lines": [{"sku": shelf[0].product.sku, "quantity": "1"}],
    }
    assert test.post("/api/v1/documents/", sale, "application/json").status_code == 201
    for client in (live, one):
        foreign, absent = (
            client.post("/api/v1/documents/", {**sale, "store": code}, "application/json").json()
            for code in ("TEST-0001", "TEST-9999")
        )
        assert foreign.pop("request_id") != absent.pop("request_id")
        assert (foreign, foreign["status"]) == (absent, 400)


def test_what_is_sold_in_practice_is_in_no_total_of_the_chain(home):
    play(stores=2, days=3)
    live, _one, test = (
        Client(headers={"x-api-key": key["key"]})
        for key in json.loads((home / "demo.json").read_text())["keys"]
    )
    asked = [
        f"/api/v1/reports/{name}/"
        for name in (
            "inventory-summary", "daily-sales", "low-stock", "top-products", "stock-value", "dead-stock", "movement-summary",
            "shrinkage",
        )
    ]  # fmt: skip
    before = [live.get(url).json() for url in asked]
    assert all("results" in answer for answer in before)
    practice = Store.objects.get(sandbox=True)
    for level in StockLevel.objects.filter(store=practice).select_related("product"):
        line = {"sku": level.product.sku, "quantity": "23"}
        sale = {"store": practice.code, "kind": "sale", "reference": level.product.sku, "lines": [line]}
        assert test.post("/api/v1/documents/", sale, "application/json").status_code == 201
    assert [live.get(url).json() for url in asked] == before
    assert [test.get(url).json() for url in asked] != before
