"""Voids and customer returns (R8): everything can be undone once, nothing is deleted."""

from decimal import Decimal

import pytest

from inventory.models import Document, Kind, Movement, Reason
from inventory.services import (
    Actor,
    AlreadyReversed,
    InsufficientStock,
    InvalidDocument,
    Line,
    ReferenceReused,
    StoreNotOpen,
    reverse_document,
)
from stores.models import Store

pytestmark = pytest.mark.django_db


@pytest.fixture
def void(manager):
    def act(document, **options):
        return reverse_document(document=document, actor=Actor.on_page(manager, "manager"), **options)

    return act


def test_a_void_mirrors_each_line_at_the_same_price_and_cost(stocked, post, void, ghee, atta):
    sale = post(Kind.SALE, (ghee, 2), (atta, "1.5"))
    post(Kind.RECEIPT, (ghee, 10, 600))
    undone = void(sale.document, reason=Reason.objects.get(code="MISTAKE"), notes="wrong customer")
    assert undone.document.number.startswith("V-")
    assert undone.document.reverses_id == sale.document.pk
    for before, after in zip(sale.movements, undone.movements, strict=True):
        assert (after.quantity, after.unit_price, after.line_total, after.unit_cost) == (
            -before.quantity, before.unit_price, before.line_total, before.unit_cost,
        )  # fmt: skip
    # 22 at 510 + 10 at 600 = 538.125; two come back at 510.
    assert (stocked(ghee).on_hand, stocked(ghee).average_cost) == (34, Decimal("536.4706"))
    assert stocked(atta).on_hand == 100


@pytest.mark.parametrize("kind", [Kind.WASTAGE, Kind.OWN_USE, Kind.SUPPLIER_RETURN])
def test_goods_that_left_without_a_sale_come_back_at_what_they_left_at(stocked, post, void, ghee, kind):
    post(Kind.RECEIPT, (ghee, 24, 600))  # 48 at 555
    [gone] = post(kind, (ghee, 8)).movements
    assert (gone.quantity, gone.unit_cost, gone.unit_price, gone.line_total) == (-8, 555, None, None)
    assert (stocked(ghee).on_hand, stocked(ghee).average_cost) == (40, 555)
    post(Kind.RECEIPT, (ghee, 40, 605))  # 80 at 580
    [back] = void(gone.document).movements
    assert (back.quantity, back.unit_cost, back.kind) == (8, 555, kind)
    # 80 at 580 and 8 at 555.
    assert (stocked(ghee).on_hand, stocked(ghee).average_cost) == (88, Decimal("577.7273"))


def test_a_document_is_voided_once(stocked, post, void, ghee):
    sale = post(Kind.SALE, (ghee, 2)).document
    undone = void(sale).document
    with pytest.raises(AlreadyReversed):
        void(sale)
    with pytest.raises(AlreadyReversed):
        void(undone)
    assert stocked(ghee).on_hand == 24


def test_the_same_void_sent_twice_is_one(stocked, post, void, ghee):
    sale = post(Kind.SALE, (ghee, 2)).document
    first, second = void(sale, reference="undo-1"), void(sale, reference="undo-1")
    assert (first.document.pk, first.replayed, second.replayed) == (second.document.pk, False, True)
    with pytest.raises(ReferenceReused):
        void(sale, reference="undo-1", notes="other words")
    assert stocked(ghee).on_hand == 24


def test_a_delivery_that_was_sold_cannot_be_voided(post, void, ghee):
    delivery = post(Kind.RECEIPT, (ghee, 10, 500)).document
    post(Kind.SALE, (ghee, 4))
    with pytest.raises(InsufficientStock, match="6 on hand, 10 asked for"):
        void(delivery)


def test_a_voided_delivery_takes_its_own_cost_away(post, void, ghee, stocked):
    delivery = post(Kind.RECEIPT, (ghee, 24, 600)).document
    assert stocked(ghee).average_cost == 555
    void(delivery)
    assert (stocked(ghee).on_hand, stocked(ghee).average_cost) == (24, 510)


def test_a_read_only_store_voids_nothing(stocked, post, void, ghee):
    sale = post(Kind.SALE, (ghee, 2)).document
    sale.store.status = Store.Status.SUSPENDED
    with pytest.raises(Exception, match="read only"):
        void(sale)


def test_a_return_brings_goods_back_at_their_cost_and_price(stocked, post, ghee):
    ghee.price = Decimal(555)
    sale = post(Kind.SALE, (ghee, 3)).document
    post(Kind.RECEIPT, (ghee, 10, 700))
    back = post(Kind.SALE_RETURN, (ghee, 2), returns=sale)
    [line] = back.movements
    assert (line.unit_cost, line.unit_price, line.line_total, line.returns_id) == (
        510,
        555,
        1110,
        sale.movements.get().pk,
    )
    assert back.document.total == 1110


def test_a_return_is_at_most_what_was_sold_and_not_yet_returned(stocked, post, void, ghee):
    sale = post(Kind.SALE, (ghee, 3)).document
    first = post(Kind.SALE_RETURN, (ghee, 2), returns=sale).document
    with pytest.raises(InvalidDocument) as refusal:
        post(Kind.SALE_RETURN, (ghee, 2), returns=sale)
    assert refusal.value.code == "returned_more_than_sold"
    void(first)
    post(Kind.SALE_RETURN, (ghee, 3), returns=sale)
    assert stocked(ghee).on_hand == 24


def test_two_lines_of_one_return_cannot_share_one_sold_line(stocked, post, ghee):
    sale = post(Kind.SALE, (ghee, 3)).document
    with pytest.raises(InvalidDocument):
        post(Kind.SALE_RETURN, (ghee, 2), (ghee, 2), returns=sale)
    assert stocked(ghee).on_hand == 21


def test_a_returned_sale_cannot_be_voided_and_a_voided_one_not_returned(stocked, post, void, ghee):
    returned, voided = post(Kind.SALE, (ghee, 3)).document, post(Kind.SALE, (ghee, 3)).document
    post(Kind.SALE_RETURN, (ghee, 1), returns=returned)
    void(voided)
    with pytest.raises(AlreadyReversed, match="returned"):
        void(returned)
    with pytest.raises(InvalidDocument):
        post(Kind.SALE_RETURN, (ghee, 1), returns=voided)


def test_without_the_bill_no_more_comes_back_than_the_store_sold(stocked, post, ghee, atta):
    post(Kind.SALE, (ghee, 3))
    [line] = post(Kind.SALE_RETURN, (ghee, 1)).movements
    assert (line.unit_cost, line.unit_price) == (510, 560)
    with pytest.raises(InvalidDocument):
        post(Kind.SALE_RETURN, (ghee, 3))
    with pytest.raises(InvalidDocument):
        post(Kind.SALE_RETURN, (atta, 1))


def test_a_product_that_the_sale_lacks_is_named(stocked, post, ghee, atta):
    sale = post(Kind.SALE, (ghee, 3)).document
    with pytest.raises(InvalidDocument) as refusal:
        post(Kind.SALE_RETURN, (ghee, 1), (atta, 1), returns=sale)
    assert (refusal.value.code, refusal.value.lines[0][0]) == ("not_in_sale", 1)


def test_a_sale_of_another_store_cannot_be_returned_here(stocked, post, other_store, ghee):
    post(Kind.RECEIPT, (ghee, 5), where=other_store)
    foreign = post(Kind.SALE, (ghee, 3), where=other_store).document
    with pytest.raises(InvalidDocument, match="Only a sale of this store"):
        post(Kind.SALE_RETURN, (ghee, 1), returns=foreign)


def test_nothing_was_deleted(stocked, post, void, ghee):
    void(post(Kind.SALE, (ghee, 3)).document)
    assert (Document.objects.count(), Movement.objects.filter(product=ghee).count()) == (3, 3)


def test_parts_of_a_return_add_up_to_what_was_paid(stocked, post, void, atta):
    sale = post(Kind.SALE, Line(product=atta, quantity=Decimal(3), line_total=Decimal(100))).document
    totals = [post(Kind.SALE_RETURN, (atta, 1), returns=sale).document for _part in range(2)]
    void(totals[1])
    totals += [post(Kind.SALE_RETURN, (atta, 1), returns=sale).document for _part in range(2)]
    assert [document.total for document in totals] == [
        Decimal("33.33"),
        Decimal("33.33"),
        Decimal("33.33"),
        Decimal("33.34"),
    ]


def test_a_return_can_name_the_sold_line(stocked, post, ghee):
    sale = post(Kind.SALE, Line(product=ghee, quantity=Decimal(1), unit_price=Decimal(560)),
                Line(product=ghee, quantity=Decimal(1), unit_price=Decimal(500)))  # fmt: skip
    cheap = Line(product=ghee, quantity=Decimal(1), returns=sale.movements[1])
    [line] = post(Kind.SALE_RETURN, cheap, returns=sale.document).movements
    assert (line.returns_id, line.unit_price) == (sale.movements[1].pk, 500)
    with pytest.raises(InvalidDocument, match="Name the sale"):
        post(Kind.SALE_RETURN, Line(product=ghee, quantity=Decimal(1), returns=sale.movements[0]))


@pytest.mark.parametrize("status", ["suspended", "closed"])
def test_a_void_sent_again_after_the_store_s_end_gets_its_first_answer(
    stocked, post, void, store, ghee, status
):
    sale, unvoided = post(Kind.SALE, (ghee, 2)).document, post(Kind.SALE, (ghee, 1)).document
    first = void(sale, reference="undo-1", notes="wrong customer")
    Store.objects.update(status=status)
    sale.refresh_from_db()
    again = void(sale, reference="undo-1", notes="wrong customer")
    assert (again.document.pk, again.replayed) == (first.document.pk, True)
    assert [movement.pk for movement in again.movements] == [movement.pk for movement in first.movements]
    for document, options in (
        (sale, {"reference": "undo-1", "notes": "other words"}),
        (sale, {"reference": "undo-2"}),
        (sale, {}),
        (unvoided, {"reference": "undo-1", "notes": "wrong customer"}),
    ):
        document.store.refresh_from_db()
        with pytest.raises(StoreNotOpen):
            void(document, **options)
    assert Document.objects.filter(reverses__isnull=False).count() == 1
