"""What happened, by day: kept in the same transaction as the movements, so that reports never read the ledger."""

from datetime import date

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from catalog.models import Amount, Category, CostTotal, Price, Product, Quantity, Worth
from inventory.models import StoreData
from stores.models import Store

NEVER = date.min  # a store of which no day is summed up yet
NONE = models.Value([], ArrayField(models.BigIntegerField()))


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


class Figures(models.Model):
    """The figures of DailyStock that can be added up over days, stores and products."""

    documents = models.BigIntegerField(_("sales"))
    lines = models.BigIntegerField(_("sale lines"))
    sold = Quantity(_("sold"))
    revenue = Amount(_("revenue"))
    cost = CostTotal(_("cost of goods sold"))

    class Meta:
        abstract = True


class ClosedDays(models.Model):
    """Up to which business date the days of a store are summed up (sql/closed_days.sql); sandboxes have no row."""

    store = models.OneToOneField(
        Store,
        models.PROTECT,
        primary_key=True,
        related_name="+",
        db_constraint=False,
        verbose_name=_("store"),
    )
    upto = models.DateField(_("closed up to"), db_default=NEVER)
    # Categories whose products were moved; of each that is here CategoryDay is not to be read.
    uncounted = ArrayField(models.BigIntegerField(), verbose_name=_("uncounted categories"), db_default=NONE)

    class Meta:
        verbose_name = _("closed days")
        verbose_name_plural = _("closed days")

    def __str__(self):
        return f"{self.store_id} · {self.upto}"


class StoreDay(Figures):
    """The sums of one closed day of a store, over all its products."""

    pk = models.CompositePrimaryKey("store", "business_date")
    store = models.ForeignKey(
        Store, models.PROTECT, related_name="+", verbose_name=_("store"), db_constraint=False, db_index=False
    )
    business_date = models.DateField(_("business date"))

    objects = StoreData.as_manager()

    class Meta:
        verbose_name = _("day of a store")
        verbose_name_plural = _("days of stores")

    def __str__(self):
        return f"{self.store_id} · {self.business_date}"


class LateFigures(Figures):
    """What a posting added to a day that had been closed already, until the job takes it into the sums."""

    pk = models.CompositePrimaryKey("store", "id")
    id = models.BigIntegerField()
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

    objects = StoreData.as_manager()

    class Meta:
        verbose_name = _("late figures")
        verbose_name_plural = _("late figures")

    def __str__(self):
        return f"{self.store_id} · {self.product_id} · {self.business_date}"


class ProductDay(Figures):
    """The sums of one product's closed day over all stores whose days are summed up; written by the job alone, never by a posting."""

    pk = models.CompositePrimaryKey("business_date", "product")
    business_date = models.DateField(_("business date"))
    product = models.ForeignKey(
        Product,
        models.PROTECT,
        related_name="+",
        verbose_name=_("product"),
        db_constraint=False,
        db_index=False,
    )

    class Meta:
        verbose_name = _("day of a product")
        verbose_name_plural = _("days of products")

    def __str__(self):
        return f"{self.business_date} · {self.product_id}"


class CategoryDay(Figures):
    """The sums of one closed day of a store over the products of one category and of what nests in it.

    `documents` are the sales that hold a line of it, less those voided that day. A day of which there are late figures is
    not right until the job has counted it again (sql/closed_days.sql).
    """

    pk = models.CompositePrimaryKey("store", "category", "business_date")
    store = models.ForeignKey(
        Store, models.PROTECT, related_name="+", verbose_name=_("store"), db_constraint=False, db_index=False
    )
    # Nobody reads what is left of a category that is gone.
    category = models.ForeignKey(
        Category,
        models.DO_NOTHING,
        related_name="+",
        verbose_name=_("category"),
        db_constraint=False,
        db_index=False,
    )
    business_date = models.DateField(_("business date"))

    objects = StoreData.as_manager()

    class Meta:
        verbose_name = _("day of a category")
        verbose_name_plural = _("days of categories")

    def __str__(self):
        return f"{self.store_id} · {self.category_id} · {self.business_date}"


class CategoryProduct(models.Model):
    """A product that CategoryDay counted under a category: it was in it, or in what nests in it."""

    pk = models.CompositePrimaryKey("category", "product")
    category = models.ForeignKey(
        Category,
        models.DO_NOTHING,
        related_name="+",
        verbose_name=_("category"),
        db_constraint=False,
        db_index=False,
    )
    product = models.ForeignKey(
        Product,
        models.DO_NOTHING,
        related_name="+",
        verbose_name=_("product"),
        db_constraint=False,
        db_index=False,
    )

    class Meta:
        verbose_name = _("product of a category")
        verbose_name_plural = _("products of categories")

    def __str__(self):
        return f"{self.category_id} · {self.product_id}"


class StandingOf(models.Model):
    """Sums of Standing: what inventory-summary and stock-value tell, as of the mark."""

    value_at_cost = Worth(_("value at cost"))
    value_at_price = Worth(_("value at price"))

    class Meta:
        abstract = True


class Standing(StandingOf):
    """What one level was worth and how it stood at the mark (services.restate); what reports do not count has no row."""

    class Urgency(models.IntegerChoices):
        NEGATIVE = 0, _("Below zero")
        OUT = 1, _("Out")
        LOW = 2, _("Low")

    pk = models.CompositePrimaryKey("store", "product")
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
    stocked = models.BooleanField(_("in stock"))
    urgency = models.SmallIntegerField(_("urgency"), choices=Urgency, null=True)
    last_sold = models.DateField(_("last sold"), null=True)

    objects = StoreData.as_manager()

    class Meta:
        verbose_name = _("standing of a level")
        verbose_name_plural = _("standing of levels")
        indexes = [
            models.Index(
                fields=["store", "product"], name="standing_short", condition=Q(urgency__isnull=False)
            ),
            # Read alone, also when hardly any of them is dead.
            models.Index(
                fields=["-value_at_cost"],
                name="standing_worth",
                include=["last_sold", "store", "product"],
                condition=Q(stocked=True),
            ),
        ]

    def __str__(self):
        return f"{self.store_id} · {self.product_id}"


class StoreStanding(StandingOf):
    """The sums of Standing of a store; sandboxes have none."""

    store = models.OneToOneField(
        Store,
        models.PROTECT,
        primary_key=True,
        related_name="+",
        db_constraint=False,
        verbose_name=_("store"),
    )
    products = models.BigIntegerField(_("products"))
    low = models.BigIntegerField(_("low"))
    out = models.BigIntegerField(_("out"))
    negative = models.BigIntegerField(_("below zero"))

    objects = StoreData.as_manager()

    class Meta:
        verbose_name = _("standing of a store")
        verbose_name_plural = _("standing of stores")

    def __str__(self):
        return str(self.store_id)


class ProductStanding(StandingOf):
    """The sums of Standing of a product over all stores, and the price and state of the product that they were made with."""

    product = models.OneToOneField(
        Product,
        models.PROTECT,
        primary_key=True,
        related_name="+",
        db_constraint=False,
        verbose_name=_("product"),
    )
    levels = models.BigIntegerField(_("levels"))
    selling_price = Price(_("price"))
    in_use = models.BooleanField(_("in use"))

    class Meta:
        verbose_name = _("standing of a product")
        verbose_name_plural = _("standing of products")

    def __str__(self):
        return str(self.product_id)


class StandingMark(models.Model):
    """Up to which movement and level Standing knows everything, and of which instant its prices are. One row."""

    movement = models.BigIntegerField(_("movement"))
    level = models.BigIntegerField(_("stock level"))
    priced_at = models.DateTimeField(_("priced at"))

    class Meta:
        verbose_name = _("mark of the standing")
        verbose_name_plural = _("marks of the standing")

    def __str__(self):
        return str(self.priced_at)


class Restated(models.Model):
    """A level that stands otherwise without a movement: its settings or its store's price were changed (sql/standing.sql)."""

    pk = models.CompositePrimaryKey("store", "id")
    id = models.BigIntegerField()
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

    objects = StoreData.as_manager()

    class Meta:
        verbose_name = _("restated level")
        verbose_name_plural = _("restated levels")

    def __str__(self):
        return f"{self.store_id} · {self.product_id}"
