"""What happened, by day: kept in the same transaction as the movements, so that reports never read the ledger."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog.models import Amount, CostTotal, Product, Quantity
from inventory.models import StoreData
from stores.models import Store


class DailyStock(models.Model):
    """One product's day in one store: how it opened, what came, went and was sold, how it closed.

    Written by a trigger on the ledger (sql/daily_stock.sql). `sold`, `lines`, `documents`, `revenue` and `cost` are
    net of returns and voids. `documents` counts the sales whose first line is this product, so that the sum over
    all products of a store's day is the number of its sales.
    """

    store = models.ForeignKey(
        Store, models.PROTECT, related_name="+", verbose_name=_("store"), db_constraint=False, db_index=False
    )
    product = models.ForeignKey(
        Product,
        models.PROTECT,
        related_name="+",
        verbose_name=_("product"),
        db_constraint=False,
        db_index=False,
    )
    business_date = models.DateField(_("business date"))
    opening = Quantity(_("opening"))
    received = Quantity(_("received"))
    sold = Quantity(_("sold"))
    other = Quantity(_("other"))
    closing = Quantity(_("closing"))
    revenue = Amount(_("revenue"))
    cost = CostTotal(_("cost of goods sold"))
    documents = models.IntegerField(_("sales"))
    lines = models.IntegerField(_("sale lines"))

    objects = StoreData.as_manager()

    class Meta:
        verbose_name = _("daily stock")
        verbose_name_plural = _("daily stock")
        indexes = [models.Index(fields=["store", "business_date"], name="daily_stock_day")]
        constraints = [
            models.UniqueConstraint(fields=["store", "product", "business_date"], name="daily_stock_once"),
        ]

    def __str__(self):
        return f"{self.store_id} · {self.product_id} · {self.business_date}"
