"""Low-stock alerts open and close with the stock that crosses the reorder point (R15)."""

from decimal import Decimal

import pytest
from django.db import transaction

from inventory.models import Kind, LowStockAlert, StockLevel
from inventory.services import InsufficientStock

pytestmark = pytest.mark.django_db


@pytest.fixture
def watched(stocked, ghee):
    """24 tins, to be warned of at 10."""
    stocked(ghee).set_reorder(reorder_point=Decimal(10), target_level=Decimal(40))


def alerts():
    return [(a.on_hand, a.closed_at is not None) for a in LowStockAlert.objects.order_by("id")]


def test_falling_to_the_reorder_point_opens_one_alert(watched, post, ghee):
    post(Kind.SALE, (ghee, 13))
    assert alerts() == []
    post(Kind.SALE, (ghee, 1))
    assert alerts() == [(10, False)]
    post(Kind.SALE, (ghee, 1))
    assert alerts() == [(10, False)]


def test_rising_above_it_closes_the_alert_and_falling_again_opens_another(watched, post, ghee):
    post(Kind.SALE, (ghee, 20))
    post(Kind.RECEIPT, (ghee, 6))
    assert alerts() == [(4, False)]
    post(Kind.RECEIPT, (ghee, 1))
    assert alerts() == [(4, True)]
    post(Kind.WASTAGE, (ghee, 2))
    assert alerts() == [(4, True), (9, False)]


def test_a_basket_with_the_product_twice_crosses_once(watched, post, ghee):
    post(Kind.SALE, (ghee, 7), (ghee, 8))
    assert alerts() == [(9, False)]


def test_moving_the_reorder_point_across_the_stock_counts_too(watched, stocked, ghee):
    stocked(ghee).set_reorder(reorder_point=Decimal(24), target_level=None)
    assert alerts() == [(24, False)]
    stocked(ghee).set_reorder(reorder_point=Decimal(23), target_level=None)
    assert alerts() == [(24, True)]


def test_products_outside_the_assortment_are_not_watched(watched, post, ghee):
    StockLevel.objects.filter(product=ghee).update(listed=False)
    post(Kind.SALE, (ghee, 20))
    assert alerts() == []


def test_a_refused_sale_opens_nothing(watched, post, ghee):
    with pytest.raises(InsufficientStock):
        post(Kind.SALE, (ghee, 25))
    assert alerts() == []


def test_an_alert_goes_with_the_movement_that_is_rolled_back(watched, post, ghee):
    with transaction.atomic():
        post(Kind.SALE, (ghee, 20))
        assert alerts() == [(4, False)]
        transaction.set_rollback(True)
    assert alerts() == []
