"""What each store has now: one row for each product in each store."""

from decimal import ROUND_HALF_UP, Decimal

from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog.models import Cost, Product, Quantity
from stores.models import ApiKey, Membership, Store


class StoreData(models.QuerySet):
    """Rows that belong to a store: every list starts from the caller's stores."""

    def for_store(self, store: Store):
        return self.filter(store=store)

    def for_user(self, user):
        """Rows of the stores that `user` works in."""
        if not user.is_authenticated:
            return self.none()
        return self.filter(store__in=Membership.objects.filter(user=user).values("store"))

    def for_key(self, key: ApiKey):
        """Rows of the stores that a partner's key may see."""
        if key.all_stores and not key.is_test:
            # Asked this way round, a list of all stores is still read in the order of its index.
            return self.exclude(store__in=Store.objects.filter(sandbox=True).values("pk"))
        return self.filter(store__in=Store.objects.for_key(key).values("pk"))


class StockLevelQuerySet(StoreData):
    def out(self):
        return self.filter(on_hand=0)

    def negative(self):
        """Below zero, which is the same as flagged (level_below_zero_only_flagged): these few have an index."""
        return self.filter(oversold_since__isnull=False)

    def low(self):
        """At or below the reorder point, but not out."""
        return self.filter(on_hand__gt=0, on_hand__lte=F("reorder_point"))

    def ok(self):
        return self.filter(on_hand__gt=F("reorder_point"))

    def in_state(self, state: str):
        """Levels in one of StockLevel.State."""
        return {"out": self.out, "low": self.low, "ok": self.ok, "negative": self.negative}[state]()

    def with_state(self):
        """Adds `state_now`, the same word as `StockLevel.state`, for lists that sort or count by it."""
        return self.annotate(
            state_now=Case(
                When(on_hand__lt=0, then=Value("negative")),
                When(on_hand=0, then=Value("out")),
                When(on_hand__lte=F("reorder_point"), then=Value("low")),
                default=Value("ok"),
                output_field=models.CharField(),
            )
        )


class StockLevel(models.Model):
    """How much of one product one store has now, and what it cost on average.

    `on_hand`, `average_cost`, `seq` and what follows from them change only when a movement is inserted; the database
    refuses anything else.
    """

    class State(models.TextChoices):
        NEGATIVE = "negative", _("Below zero")
        OUT = "out", _("Out")
        LOW = "low", _("Low")
        OK = "ok", _("OK")

    store = models.ForeignKey(
        Store, models.PROTECT, related_name="levels", verbose_name=_("store"), db_index=False
    )
    product = models.ForeignKey(
        Product, models.PROTECT, related_name="levels", verbose_name=_("product"), db_index=False
    )
    on_hand = Quantity(_("on hand"), default=Decimal(0), db_default=Decimal(0))
    average_cost = Cost(_("average cost"), default=Decimal(0), db_default=Decimal(0))
    cost_estimated = models.BooleanField(
        _("cost is estimated"),
        default=True,
        db_default=True,
        help_text=_("No receipt has told the cost: the product's usual cost stands in."),
    )
    seq = models.BigIntegerField(_("movements"), default=0, db_default=0)
    oversold_since = models.DateTimeField(_("below zero since"), null=True, blank=True)
    listed = models.BooleanField(
        _("listed"), default=True, db_default=True, help_text=_("Part of this store's assortment.")
    )
    reorder_point = Quantity(_("reorder point"), default=Decimal(0), db_default=Decimal(0))
    target_level = Quantity(_("refill to"), null=True, blank=True)
    last_business_date = models.DateField(_("last business date"), null=True, blank=True)
    last_counted_at = models.DateTimeField(_("last counted"), null=True, blank=True)
    updated_at = models.DateTimeField(_("changed"), db_default=Now())

    objects = StockLevelQuerySet.as_manager()

    class Meta:
        verbose_name = _("stock level")
        verbose_name_plural = _("stock levels")
        # An index on the product alone would tempt the planner away from the exact key while there are few stores.
        indexes = [
            models.Index(fields=["product", "store"], name="level_product"),
            models.Index(fields=["id"], name="level_id"),
            models.Index(fields=["store"], name="level_oversold", condition=Q(oversold_since__isnull=False)),
        ]
        constraints = [
            models.UniqueConstraint(fields=["store", "product"], name="level_once"),
            # All other rules are triggers (sql/posting.sql): PostgreSQL compiles a CHECK anew for every posting. Numbers are
            # guarded by their types.
        ]

    def __str__(self):
        return f"{self.store_id} · {self.product_id}: {self.on_hand}"

    @property
    def state(self) -> str:
        """negative, out, low (at or below the reorder point) or ok."""
        if self.on_hand < 0:
            return self.State.NEGATIVE
        if self.on_hand == 0:
            return self.State.OUT
        return self.State.LOW if self.on_hand <= self.reorder_point else self.State.OK

    @property
    def value(self) -> Decimal:
        """Rupees on the shelf at average cost, 2 decimals half up."""
        return (self.on_hand * self.average_cost).quantize(Decimal("0.01"), ROUND_HALF_UP)

    def set_reorder(self, *, reorder_point: Decimal, target_level: Decimal | None) -> None:
        """Changes when to warn and how far to refill; crossing the new point opens or closes the alert."""
        self.reorder_point, self.target_level, self.updated_at = reorder_point, target_level, timezone.now()
        self.full_clean(validate_unique=False)
        changed = {name: getattr(self, name) for name in ("reorder_point", "target_level", "updated_at")}
        StockLevel.objects.filter(store=self.store_id, product=self.product_id).update(**changed)
