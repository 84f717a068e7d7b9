"""Recording sales, stock in, adjustments, returns and voids on the shop pages, without a script."""

import re
from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.urls import reverse
from django.utils import timezone

from catalog.models import Product, StorePrice
from inventory.models import Document, Kind, Movement, StockLevel
from stores.models import Membership

pytestmark = pytest.mark.django_db


@pytest.fixture
def entry(client, store):
    """entry("sale", ("ghee", 2), act="save") posts lines (item, quantity, further boxes) as a browser would."""

    def post(page, *lines, act="save", reference="ref-1", where=store, **head):
        data = {
            "act": act,
            "reference": reference,
            "lines-TOTAL_FORMS": str(len(lines)),
            "lines-INITIAL_FORMS": "0",
            **head,
        }
        for number, line in enumerate(lines):
            boxes = {
                "item": line[0],
                "quantity": line[1] if len(line) > 1 else "",
                **(line[2] if len(line) > 2 else {}),
            }
            data |= {f"lines-{number}-{name}": value for name, value in boxes.items()}
        return client.post(reverse(page, args=[where.code]), data)

    return post


def boxes(page: str) -> dict:
    """Names and values of the inputs of a page."""
    tags = re.findall(r"<input[^>]*>", page)
    return {
        name[1]: (re.search(r'value="([^"]*)"', tag) or ["", ""])[1]
        for tag in tags
        if (name := re.search(r'name="([^"]*)"', tag))
    }


# -- Sale ---------------------------------------------------------------------------------------------------------


def test_a_cashier_sells_several_items_by_barcode_sku_and_name(client, cashier, stocked, entry, ghee, atta):
    client.force_login(cashier)
    answer = entry("sale", ("8964000123456", "2"), ("flr-0001", "۱٫۲۵۰"), ("", ""), ("aata", "0.250"))
    assert answer.status_code == 302
    sale = Document.objects.get(kind=Kind.SALE)
    assert sale.total == Decimal("1315.00")
    assert sale.user == cashier
    assert sale.source == "page"
    assert stocked(ghee).on_hand == 22
    assert stocked(atta).on_hand == Decimal("98.500")
    assert sale.number in client.get(answer["Location"]).text


def test_the_form_comes_with_a_reference_and_five_lines(client, cashier, stocked):
    client.force_login(cashier)
    page = client.get(reverse("sale", args=["LHE-0001"])).text
    assert len(boxes(page)["reference"]) == 36
    assert boxes(page)["lines-TOTAL_FORMS"] == "5"
    assert "lines-0-price" not in page, "prices are the manager's"


def test_sent_twice_it_is_one_sale(client, cashier, stocked, entry, ghee):
    client.force_login(cashier)
    for _time in range(2):
        assert entry("sale", ("GHE-0001", "2")).status_code == 302
    assert Document.objects.filter(kind=Kind.SALE).count() == 1
    assert stocked(ghee).on_hand == 22


def test_back_and_changed_it_asks_before_it_is_a_second_sale(client, cashier, stocked, entry, ghee):
    client.force_login(cashier)
    entry("sale", ("GHE-0001", "2"))
    answer = entry("sale", ("GHE-0001", "3"))
    assert answer.status_code == 200
    assert "was saved already" in answer.text
    assert stocked(ghee).on_hand == 22
    fresh = boxes(answer.text)["reference"]
    assert fresh != "ref-1"
    assert entry("sale", ("GHE-0001", "3"), reference=fresh).status_code == 302
    assert stocked(ghee).on_hand == 19


def test_checking_records_nothing_and_fills_in_what_is_known(client, cashier, stocked, entry):
    client.force_login(cashier)
    answer = entry("sale", ("8964000123456",), ("",), ("FLR-0001",), act="check", notes="for Ahmed")
    kept = boxes(answer.text)
    assert not Document.objects.filter(kind=Kind.SALE).exists()
    assert kept["lines-0-item"] == "8964000123456"
    assert kept["lines-0-quantity"] == "1", "one piece was scanned"
    assert kept["lines-1-item"] == "FLR-0001"
    assert kept["lines-1-quantity"] == "", "a weight is never guessed"
    assert kept["lines-TOTAL_FORMS"] == "7"
    assert "Dalda Ghee 1 kg" in answer.text
    assert "for Ahmed" in answer.text
    assert "How many?" not in answer.text
    assert re.search(r'name="lines-2-item"[^>]* autofocus', answer.text), "the next scan goes there"


def test_a_name_that_fits_several_items_comes_back_with_a_choice_and_nothing_is_lost(
    client, cashier, stocked, entry, ghee, category
):
    Product.objects.create(
        sku="GHE-0002", name="Dalda Ghee 5 kg", category=category, brand="Dalda", selling_price=2500
    )
    client.force_login(cashier)
    answer = entry("sale", ("dalda ghee", "2"), ("FLR-0001", "1.5"), notes="kept")
    assert answer.status_code == 200
    assert "Several items fit" in answer.text
    assert '<option value="GHE-0001">' in answer.text
    assert '<option value="GHE-0002">' in answer.text
    kept = boxes(answer.text)
    assert (kept["lines-0-item"], kept["lines-0-quantity"], kept["lines-0-asked"]) == (
        "dalda ghee",
        "2",
        "dalda ghee",
    )
    assert kept["lines-1-quantity"] == "1.5"
    chosen = {"product": "GHE-0001", "asked": "dalda ghee"}
    assert entry("sale", ("dalda ghee", "2", chosen), ("FLR-0001", "1.5")).status_code == 302
    assert stocked(ghee).on_hand == 22


def test_a_choice_does_not_outlive_the_words_it_was_made_for(client, cashier, stocked, entry, ghee, atta):
    client.force_login(cashier)
    entry("sale", ("FLR-0001", "1", {"product": "GHE-0001", "asked": "dalda ghee"}))
    assert stocked(ghee).on_hand == 24
    assert stocked(atta).on_hand == 99


def test_rupees_of_loose_goods_are_charged_exactly(client, cashier, stocked, entry, atta):
    client.force_login(cashier)
    assert entry("sale", ("FLR-0001", "", {"amount": "100"})).status_code == 302
    line = Movement.objects.get(kind=Kind.SALE)
    assert (line.line_total, line.quantity) == (100, Decimal("-0.769"))


def test_a_weight_label_tells_product_and_weight(client, cashier, stocked, entry, atta):
    client.force_login(cashier)
    label = "2100001012502"
    from catalog.queries import check_digit

    label = label[:12] + check_digit(label[:12])
    kept = boxes(entry("sale", (label,), act="check").text)
    assert kept["lines-0-quantity"] == "1.250"


def test_a_pack_scanned_at_the_till_sells_its_units(client, cashier, stocked, entry, ghee):
    client.force_login(cashier)
    assert entry("sale", ("18964000123453", "1")).status_code == 302
    assert stocked(ghee).on_hand == 12
    assert Document.objects.get(kind=Kind.SALE).total == 12 * 560


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("no such thing", "1"), "No item has this code or name."),
        (("GHE-0001", ""), "How many?"),
        (("GHE-0001", "1,000"), "without commas"),
        (("GHE-0001", "1.5"), "steps of 1"),
        (("GHE-0001", "0"), "Must be above zero"),
        (("GHE-0001", "1", {"amount": "5"}), "Either a quantity or an amount"),
        (("", "3"), "Which item?"),
        (("a\0b", "3"), "characters that cannot be kept"),
        (("8" * 90, "3"), "No item has this code or name."),
    ],
)
def test_what_is_wrong_is_told_at_its_line_and_kept(client, cashier, stocked, entry, line, words):
    client.force_login(cashier)
    answer = entry("sale", ("FLR-0001", "2"), line)
    assert answer.status_code == 200
    assert words in answer.text
    assert boxes(answer.text)["lines-0-quantity"] == "2"
    assert not Document.objects.filter(kind=Kind.SALE).exists()


def test_an_empty_form_and_a_torn_one_record_nothing(client, cashier, stocked, entry):
    client.force_login(cashier)
    assert "at least one item" in entry("sale", ("",)).text
    answer = client.post(reverse("sale", args=["LHE-0001"]), {"act": "save", "lines-TOTAL_FORMS": "x"})
    assert answer.status_code == 200
    assert entry("sale", ("GHE-0001", "1"), reference="with space").status_code == 200
    assert not Document.objects.filter(kind=Kind.SALE).exists()


def test_beyond_stock_the_lines_are_named_and_the_seller_may_go_on(client, cashier, stocked, entry, ghee):
    client.force_login(cashier)
    answer = entry("sale", ("FLR-0001", "1"), ("GHE-0001", "30"))
    assert answer.status_code == 200
    assert "Only 24 pc on record." in answer.text
    assert "Sell anyway" in answer.text
    assert stocked(ghee).on_hand == 24
    again = entry(
        "sale",
        ("FLR-0001", "1"),
        ("GHE-0001", "30"),
        act="confirm",
        reference=boxes(answer.text)["reference"],
    )
    assert again.status_code == 302
    assert stocked(ghee).on_hand == -6
    assert "below zero now" in client.get(again["Location"]).text


def test_a_store_that_blocks_offers_no_way_around(client, cashier, store, stocked, entry, ghee):
    store.oversell_policy = "block"
    store.save()
    client.force_login(cashier)
    answer = entry("sale", ("GHE-0001", "30"))
    assert "Not enough stock" in answer.text
    assert "Sell anyway" not in answer.text
    assert entry("sale", ("GHE-0001", "30"), act="confirm").status_code == 200
    assert stocked(ghee).on_hand == 24


def test_only_managers_and_owners_set_a_price(client, cashier, manager, stocked, entry):
    client.force_login(cashier)
    entry("sale", ("GHE-0001", "1", {"price": "1"}))
    client.force_login(manager)
    entry("sale", ("GHE-0001", "1", {"price": "550"}), reference="ref-2")
    assert list(
        Movement.objects.filter(kind=Kind.SALE).order_by("seq").values_list("unit_price", flat=True)
    ) == [560, 550]


def test_the_price_is_the_one_of_the_time_it_happened(client, cashier, store, stocked, entry, ghee):
    StorePrice.objects.create(
        store=store, product=ghee, price=600, effective_from=timezone.now() - timedelta(hours=1)
    )
    client.force_login(cashier)
    before = (timezone.now() - timedelta(hours=2)).astimezone(timezone.get_fixed_timezone(300))
    assert entry("sale", ("GHE-0001", "1"), when=f"{before:%Y-%m-%dT%H:%M}").status_code == 302
    line = Movement.objects.get(kind=Kind.SALE)
    assert line.unit_price == 560
    assert abs(line.occurred_at - before) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("when", "words"),
    [
        ("2020-01-01T10:00", "Too long ago"),
        ("2999-01-01T10:00", "future"),
        ("yesterday", "Write date and time"),
        ("2026-02-30T10:00", "no such date"),
    ],
)
def test_a_time_that_cannot_be_is_told(client, cashier, stocked, entry, when, words):
    client.force_login(cashier)
    answer = entry("sale", ("GHE-0001", "1"), when=when)
    assert words in answer.text
    assert '<details class="fold" open>' in answer.text


def test_a_sale_page_asks_the_database_as_often_for_eight_lines_as_for_one(
    client, cashier, stocked, entry, category, django_assert_num_queries
):
    for number in range(8):
        Product.objects.create(
            sku=f"SOAP-{number}", name=f"Soap {number}", category=category, selling_price=50
        )
    client.force_login(cashier)
    # session, user with store, items
    with django_assert_num_queries(3):
        entry("sale", ("SOAP-1", "1"), act="check")
    with django_assert_num_queries(3):
        entry("sale", *[(f"SOAP-{number}", "1") for number in range(8)], act="check")


def test_words_ask_twice_a_line_and_all_lines_once_more_together(
    client, cashier, stocked, entry, django_assert_num_queries
):
    client.force_login(cashier)
    # the three above; how the words fold and what fits; what that is here
    with django_assert_num_queries(6):
        answer = entry("sale", ("dalda", "1"), act="check")
    assert boxes(answer.text)["lines-0-product"] == "GHE-0001"
    assert "24 pc" in re.sub("<[^>]+>", "", answer.text)
    with django_assert_num_queries(8):
        entry("sale", ("dalda", "1"), ("chakki", "1"), act="check")


# -- Stock in -----------------------------------------------------------------------------------------------------


def test_stock_in_by_pack_with_a_cost(client, manager, stocked, entry, ghee):
    client.force_login(manager)
    pack = str(ghee.packs.get().pk)
    answer = entry(
        "receipt", ("GHE-0001", "2", {"pack": pack, "cost": "520.5"}), ("FLR-0001", "10", {"pack": "unit"})
    )
    document = Document.objects.get(kind=Kind.RECEIPT, reference="ref-1")
    assert answer["Location"] == reverse("document", args=["LHE-0001", document.pk])
    assert stocked(ghee).on_hand == 48
    line = document.movements.get(product=ghee)
    assert (line.entered_quantity, line.unit_cost) == (2, Decimal("520.5"))
    assert "Rs 520.50" in client.get(answer["Location"]).text


def test_the_only_pack_is_taken_when_packs_are_counted_and_a_pack_code_counts_packs(
    client, manager, stocked, entry, ghee
):
    client.force_login(manager)
    entry("receipt", ("GHE-0001", "1", {"pack": "pack"}))
    entry("receipt", ("18964000123453", "1"), reference="ref-2")
    assert stocked(ghee).on_hand == 48
    assert (
        "This item has no pack"
        in entry("receipt", ("FLR-0001", "1", {"pack": "pack"}), reference="ref-3").text
    )
    kept = entry("receipt", ("18964000123453", ""), act="check").text
    assert f'<option value="{ghee.packs.get().pk}" selected>Case of 12</option>' in kept


def test_a_cashier_receives_without_seeing_or_setting_a_cost(client, cashier, stocked, entry, ghee):
    client.force_login(cashier)
    page = client.get(reverse("receipt", args=["LHE-0001"])).text
    assert "-cost" not in page
    answer = entry("receipt", ("GHE-0001", "1", {"cost": "1"}))
    assert Movement.objects.get(document__reference="ref-1").unit_cost == 500, "the usual cost"
    document = client.get(answer["Location"]).text
    assert "Rs 500" not in document
    assert "at cost" not in document


# -- Adjustment and wastage -----------------------------------------------------------------------------------------


def test_an_adjustment_of_several_items_for_one_reason(client, manager, stocked, entry, reason, ghee, atta):
    client.force_login(manager)
    missing = reason("MISSING").pk
    answer = entry(
        "adjustment",
        ("GHE-0001", "2", {"direction": "less"}),
        ("FLR-0001", "1.5", {"direction": "more"}),
        reason=missing,
    )
    assert answer.status_code == 302
    assert stocked(ghee).on_hand == 22
    assert stocked(atta).on_hand == Decimal("101.500")
    assert Document.objects.get(reference="ref-1").kind == Kind.ADJUSTMENT


@pytest.mark.parametrize(
    ("why", "kind"), [("DAMAGED", "wastage"), ("OWN_USE", "own_use"), ("TO_SUPPLIER", "supplier_return")]
)
def test_the_reason_tells_the_kind_which_only_takes_away(
    client, manager, stocked, entry, reason, ghee, why, kind
):
    client.force_login(manager)
    damaged = reason(why).pk
    assert (
        "takes goods away"
        in entry("adjustment", ("GHE-0001", "2", {"direction": "more"}), reason=damaged).text
    )
    assert entry("adjustment", ("GHE-0001", "2", {"direction": "less"}), reason=damaged).status_code == 302
    assert Document.objects.get(reference="ref-1").kind == kind
    assert stocked(ghee).on_hand == 22


def test_an_adjustment_needs_a_reason_and_never_goes_below_zero(
    client, manager, stocked, entry, reason, ghee
):
    client.force_login(manager)
    assert "Choose a reason" in entry("adjustment", ("GHE-0001", "2", {"direction": "less"})).text
    answer = entry("adjustment", ("GHE-0001", "25", {"direction": "less"}), reason=reason("MISSING").pk)
    assert "Only 24 pc on record" in answer.text
    assert "Sell anyway" not in answer.text
    reversal = reason("MISTAKE").pk
    assert entry("adjustment", ("GHE-0001", "1", {"direction": "less"}), reason=reversal).status_code == 200
    assert stocked(ghee).on_hand == 24


# -- One item: counted, less, more; reorder numbers -----------------------------------------------------------------


@pytest.fixture
def adjust(client, reason):
    def post(sku="GHE-0001", *, how="counted", quantity="20", why="COUNTED", seen=1, reference="adj-1"):
        data = {
            "how": how,
            "quantity": quantity,
            "reason": reason(why).pk,
            "seen": seen,
            "reference": reference,
        }
        return client.post(reverse("item_adjust", args=["LHE-0001", sku]), data)

    return post


def test_a_count_sets_what_is_on_hand_and_a_second_press_changes_nothing(
    client, manager, stocked, adjust, ghee
):
    client.force_login(manager)
    for _time in range(2):
        assert adjust(quantity="۲۰").status_code == 302
    assert stocked(ghee).on_hand == 20
    assert Document.objects.filter(kind=Kind.ADJUSTMENT).count() == 1
    answer = adjust(quantity="19")
    assert "was saved already" in answer.text
    assert stocked(ghee).on_hand == 20


def test_a_count_of_what_has_moved_meanwhile_is_asked_again(client, manager, stocked, adjust, post, ghee):
    client.force_login(manager)
    post(Kind.SALE, (ghee, 1))
    answer = adjust(quantity="20")
    assert answer.status_code == 200
    assert "there should be 23 pc now" in answer.text
    assert boxes(answer.text)["seen"] == "2"
    assert adjust(quantity="20", seen=2).status_code == 302
    assert stocked(ghee).on_hand == 20


@pytest.mark.parametrize(
    ("how", "why", "left", "kind"),
    [
        ("less", "MISSING", 21, "adjustment"),
        ("more", "FOUND", 27, "adjustment"),
        ("less", "EXPIRED", 21, "wastage"),
        ("less", "OWN_USE", 21, "own_use"),
        ("less", "TO_SUPPLIER", 21, "supplier_return"),
    ],
)
def test_less_and_more(client, manager, stocked, adjust, ghee, how, why, left, kind):
    client.force_login(manager)
    assert adjust(how=how, quantity="3", why=why).status_code == 302
    assert stocked(ghee).on_hand == left
    assert Document.objects.get(reference="adj-1").kind == kind


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"quantity": "24"}, "nothing to change"),
        ({"quantity": ""}, "How many?"),
        ({"quantity": "-4"}, "Must be above zero"),
        ({"how": "less", "quantity": "0"}, "Must be above zero"),
        ({"how": "more", "quantity": "2", "why": "DAMAGED"}, "takes goods away"),
        ({"how": "more", "quantity": "2", "why": "TO_SUPPLIER"}, "takes goods away"),
        ({"quantity": "25", "why": "OWN_USE"}, "takes goods away"),
        ({"how": "less", "quantity": "25", "why": "OWN_USE"}, "Not enough stock"),
        ({"how": "less", "quantity": "30", "why": "MISSING"}, "Not enough stock"),
        ({"how": "less", "quantity": "1.5", "why": "MISSING"}, "steps of 1"),
        ({"seen": "x"}, "Update stock"),
        ({"how": "sideways"}, "Select a valid choice"),
    ],
)
def test_an_update_that_cannot_be_comes_back_filled(client, manager, stocked, adjust, ghee, said, words):
    client.force_login(manager)
    answer = adjust(**said)
    assert answer.status_code == 200
    assert words in answer.text
    assert stocked(ghee).on_hand == 24


def test_reorder_numbers_are_set_by_managers_only(client, manager, cashier, stocked, ghee):
    page = reverse("item_reorder", args=["LHE-0001", "GHE-0001"])
    client.force_login(cashier)
    assert client.post(page, {"reorder_point": "5"}).status_code == 404
    client.force_login(manager)
    assert "Refill to at least" in client.post(page, {"reorder_point": "30", "target_level": "5"}).text
    assert client.post(page, {"reorder_point": "۳۰", "target_level": ""}).status_code == 302
    assert (stocked(ghee).reorder_point, stocked(ghee).state) == (30, "low")
    assert client.get(page).status_code == 405


def test_an_item_that_never_was_here_can_be_found_and_given_reorder_numbers(
    client, manager, store, ghee, adjust
):
    client.force_login(manager)
    assert "Never in stock here" in client.get(reverse("item", args=["LHE-0001", "GHE-0001"])).text
    assert not StockLevel.objects.exists(), "looking writes nothing"
    client.post(reverse("item_reorder", args=["LHE-0001", "GHE-0001"]), {"reorder_point": "5"})
    assert adjust(quantity="7", seen=0).status_code == 302
    assert StockLevel.objects.get().on_hand == 7


# -- Return and void --------------------------------------------------------------------------------------------------


@pytest.fixture
def sold(stocked, post, cashier, ghee, atta):
    from inventory.services import Actor

    return post(Kind.SALE, (ghee, 3), (atta, "1.250"), actor=Actor.on_page(cashier, "cashier")).document


def test_goods_of_a_sale_come_back_once(client, cashier, stocked, sold, ghee):
    client.force_login(cashier)
    page = reverse("customer_return", args=["LHE-0001", sold.pk])
    assert "Dalda Ghee" in client.get(page).text
    for _time in range(2):
        assert client.post(page, {"reference": "back-1", "line-1": "2", "line-2": ""}).status_code == 302
    back = Document.objects.get(kind=Kind.SALE_RETURN)
    assert (back.returns_id, back.total) == (sold.pk, 1120)
    assert stocked(ghee).on_hand == 23
    assert "At most 1 can come back" in client.post(page, {"reference": "back-2", "line-1": "2"}).text
    assert "at one line or more" in client.post(page, {"reference": "back-3", "line-1": "0"}).text
    shown = client.get(reverse("document", args=["LHE-0001", sold.pk])).text
    assert back.number in shown


def test_a_return_whose_content_changed_is_asked_again(client, cashier, stocked, sold, ghee):
    client.force_login(cashier)
    page = reverse("customer_return", args=["LHE-0001", sold.pk])
    client.post(page, {"reference": "back-1", "line-1": "1"})
    assert "was saved already" in client.post(page, {"reference": "back-1", "line-1": "2"}).text
    assert stocked(ghee).on_hand == 22


def test_a_void_undoes_a_document_once(client, manager, stocked, sold, ghee, atta, reason):
    client.force_login(manager)
    page = reverse("reverse", args=["LHE-0001", sold.pk])
    assert "Void S-" in client.get(page).text
    assert "Choose a reason" in client.post(page, {"reference": "v-1"}).text
    for _time in range(2):
        answer = client.post(page, {"reference": "v-1", "reason": reason("MISTAKE").pk})
        assert answer.status_code == 302
    assert stocked(ghee).on_hand == 24
    assert stocked(atta).on_hand == 100
    void = Document.objects.get(reverses=sold.pk)
    assert answer["Location"] == reverse("document", args=["LHE-0001", void.pk])
    assert client.get(reverse("reverse", args=["LHE-0001", void.pk])).status_code == 404
    shown = client.get(answer["Location"]).text
    assert void.number in shown
    assert reverse("reverse", args=["LHE-0001", void.pk]) not in shown
    assert "Voided" in client.get(reverse("document", args=["LHE-0001", sold.pk])).text


def test_a_cashier_voids_only_his_own_sale_of_today(
    client, cashier, staff, store, stocked, sold, post, ghee, reason
):
    mine = reverse("reverse", args=["LHE-0001", sold.pk])
    theirs = reverse("reverse", args=["LHE-0001", post(Kind.SALE, (ghee, 1)).document.pk])
    receipt = reverse("reverse", args=["LHE-0001", Document.objects.get(kind=Kind.RECEIPT).pk])
    client.force_login(cashier)
    assert client.get(mine).status_code == 200
    assert client.get(theirs).status_code == 404
    assert client.get(receipt).status_code == 404
    with time_machine.travel(timezone.now() + timedelta(days=1)):
        client.force_login(cashier)
        assert client.get(mine).status_code == 404
        assert client.post(mine, {"reference": "v", "reason": reason("MISTAKE").pk}).status_code == 404
    client.force_login(cashier)
    assert client.post(mine, {"reference": "v", "reason": reason("MISTAKE").pk}).status_code == 302
    assert stocked(ghee).on_hand == 23


def test_a_sale_that_was_returned_in_part_is_not_voided(client, manager, stocked, sold, reason):
    client.force_login(manager)
    client.post(
        reverse("customer_return", args=["LHE-0001", sold.pk]), {"reference": "back-1", "line-1": "1"}
    )
    answer = client.post(
        reverse("reverse", args=["LHE-0001", sold.pk]), {"reference": "v-1", "reason": reason("MISTAKE").pk}
    )
    assert "void the return first" in answer.text


# -- Who may ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        ("owner", {"sale", "receipt", "adjustment"}),
        ("manager", {"sale", "receipt", "adjustment"}),
        ("cashier", {"sale", "receipt"}),
        ("auditor", set()),
    ],
)
def test_each_role_opens_the_acts_that_are_its_own(client, staff, stocked, entry, role, allowed):
    client.force_login(staff(role))
    for page in ("sale", "receipt", "adjustment"):
        wanted = 200 if page in allowed else 404
        assert client.get(reverse(page, args=["LHE-0001"])).status_code == wanted
        assert entry(page, ("",)).status_code == wanted


def test_nobody_acts_in_a_store_that_is_not_his(client, manager, other_store, stocked, entry, ghee):
    client.force_login(manager)
    assert entry("sale", ("GHE-0001", "1"), where=other_store).status_code == 404
    Membership.objects.filter(user=manager).delete()
    assert entry("sale", ("GHE-0001", "1")).status_code == 404
    assert stocked(ghee).on_hand == 24


def test_a_suspended_store_is_read_only_and_says_so(client, manager, store, stocked, entry, ghee):
    store.status = "suspended"
    store.save()
    client.force_login(manager)
    assert "This store is read only." in entry("sale", ("GHE-0001", "1")).text
    assert stocked(ghee).on_hand == 24


# -- The session ran out while a form was filled -----------------------------------------------------------------------


def test_a_form_sent_after_the_session_ran_out_comes_back_filled(client, cashier, stocked, entry, ghee):
    answer = entry("sale", ("GHE-0001", "2"), ("FLR-0001", "1.5"), notes="for Ahmed")
    assert answer.status_code == 401
    assert "What you typed is kept" in answer.text
    from html import unescape

    carried = {
        name: unescape(value) for name, value in boxes(answer.text).items() if name in ("next", "kept")
    }
    wrong = client.post(reverse("login"), {"username": cashier.username, "password": "x", **carried})
    assert unescape(boxes(wrong.text)["kept"]) == carried["kept"]
    back = client.post(
        reverse("login"), {"username": cashier.username, "password": "chai-aur-biscuit", **carried}
    )
    fields = boxes(back.text)
    assert fields["lines-1-quantity"] == "1.5"
    assert 'action="/s/LHE-0001/movements/sale/"' in back.text
    filled = client.post("/s/LHE-0001/movements/sale/", {**fields, "act": "check"})
    assert filled.status_code == 200
    assert "for Ahmed" in filled.text
    assert stocked(ghee).on_hand == 24
    assert client.post("/s/LHE-0001/movements/sale/", {**fields, "act": "save"}).status_code == 302
    assert stocked(ghee).on_hand == 22


def test_a_carried_form_leads_nowhere_else(client, cashier):
    data = {
        "username": cashier.username,
        "password": "chai-aur-biscuit",
        "next": "https://evil.example/",
        "kept": '[["a","b"]]',
    }
    assert client.post(reverse("login"), data)["Location"] == "/"
