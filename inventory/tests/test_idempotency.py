"""One reference, one effect (R3)."""

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.utils import timezone

from catalog.models import Product
from inventory.models import Document, Kind
from inventory.services import InvalidDocument, ReferenceReused, Refused

pytestmark = pytest.mark.django_db


def test_the_same_act_sent_again_is_answered_again(stocked, post, ghee, atta):
    first = post(Kind.SALE, (ghee, 2), (atta, "1.25"), reference="till-7")
    again = post(Kind.SALE, (ghee, 2), (atta, "1.250"), reference="till-7")
    assert (first.replayed, again.replayed) == (False, True)
    assert [m.pk for m in first.movements] == [m.pk for m in again.movements]
    assert [m.balance_after for m in first.movements] == [m.balance_after for m in again.movements]
    assert stocked(ghee).on_hand == 22


def test_a_price_change_between_two_sendings_does_not_make_them_two(stocked, post, ghee):
    first = post(Kind.SALE, (ghee, 2), reference="till-7")
    Product.objects.update(selling_price=999)
    again = post(Kind.SALE, (Product.objects.get(pk=ghee.pk), 2), reference="till-7")
    assert again.document.total == first.document.total == 1120


@pytest.mark.parametrize("change", ["quantity", "kind", "notes", "line", "time", "price"])
def test_other_content_under_the_same_reference_is_refused(stocked, post, ghee, atta, change):
    post(Kind.SALE, (ghee, 2), reference="till-7")
    lines, kind, options = [(ghee, 2)], Kind.SALE, {}
    if change == "quantity":
        lines = [(ghee, 3)]
    elif change == "kind":
        kind = Kind.WASTAGE
    elif change == "notes":
        options = {"notes": "x"}
    elif change == "line":
        lines.append((atta, 1))
    elif change == "time":
        options = {"occurred_at": timezone.now() - timedelta(hours=1)}
    else:
        from inventory.services import Line

        lines = [Line(product=ghee, quantity=Decimal(2), unit_price=Decimal(1))]
    with pytest.raises(ReferenceReused):
        post(kind, *lines, reference="till-7", **options)
    assert (stocked(ghee).on_hand, stocked(atta).on_hand) == (22, 100)


def test_a_refused_act_leaves_its_reference_free(stocked, post, ghee):
    with pytest.raises(Exception, match="Not enough"):
        post(Kind.SALE, (ghee, 25), reference="till-7")
    post(Kind.RECEIPT, (ghee, 1, 500))
    assert post(Kind.SALE, (ghee, 25), reference="till-7").replayed is False


def test_references_belong_to_their_store(stocked, post, other_store, ghee):
    post(Kind.RECEIPT, (ghee, 1), reference="1001")
    post(Kind.RECEIPT, (ghee, 1), reference="1001", where=other_store)
    assert Document.objects.filter(reference="1001").count() == 2


@pytest.mark.parametrize("reference", ["", "x" * 101, "with space", "نمبر", "tab\t"])
def test_references_that_cannot_be_kept_are_refused(stocked, post, ghee, reference):
    with pytest.raises(InvalidDocument) as refusal:
        post(Kind.SALE, (ghee, 1), reference=reference)
    assert refusal.value.field == "reference"


@pytest.mark.parametrize("since", ["too old", "discontinued", "store closed"])
def test_what_was_recorded_is_answered_again_when_it_would_no_longer_be_taken(
    stocked, post, store, ghee, since
):
    when = timezone.now() - timedelta(hours=1)
    first = post(Kind.RECEIPT, (ghee, 2, 500), reference="lorry-9", occurred_at=when)
    days = 40 if since == "too old" else 0
    ghee.status = "discontinued" if since == "discontinued" else "active"
    store.status = "closed" if since == "store closed" else "open"
    with time_machine.travel(timezone.now() + timedelta(days=days)):
        again = post(Kind.RECEIPT, (ghee, 2, 500), reference="lorry-9", occurred_at=when)
        with pytest.raises(Refused):
            post(Kind.RECEIPT, (ghee, 3, 500), reference="lorry-9", occurred_at=when)
    assert (again.replayed, again.document.pk) == (True, first.document.pk)
    assert stocked(ghee).on_hand == 26
