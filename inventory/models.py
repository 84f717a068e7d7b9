"""How much, where and why: levels, and the ledger that alone may change them.

The tables of this app belong to one store per row. Their physical keys lead with `store_id` (see sql/keys.sql), so
that the data of a store can be moved to a shard of its own; Django sees `id` as the key.
"""

import uuid
from decimal import ROUND_HALF_UP, Decimal

from django.conf import settings
from django.db import models
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from catalog.models import Amount, Cost, Pack, Price, Product, Quantity, in_language
from stores.models import ApiKey, Membership, Store


class Kind(models.TextChoices):
    """Why stock changed. The kind fixes the sign of a movement; only an adjustment may go either way."""

    OPENING = "opening", _("Opening stock")
    RECEIPT = "receipt", _("Stock in")
    SALE = "sale", _("Sale")
    SALE_RETURN = "sale_return", _("Customer return")
    ADJUSTMENT = "adjustment", _("Adjustment")
    WASTAGE = "wastage", _("Wastage")


# +1 brings goods in, -1 takes goods out; an adjustment carries its own sign.
SIGN = {
    Kind.OPENING: 1,
    Kind.RECEIPT: 1,
    Kind.SALE: -1,
    Kind.SALE_RETURN: 1,
    Kind.ADJUSTMENT: 1,
    Kind.WASTAGE: -1,
}
# Kinds whose lines carry a price.
PRICED = frozenset({Kind.SALE, Kind.SALE_RETURN})
# Kinds whose lines carry a cost of their own; all others leave or come back at the average.
COSTED = frozenset({Kind.OPENING, Kind.RECEIPT})


class Reason(models.Model):
    """One coded answer to "why": for adjustments, wastage or reversals."""

    class Use(models.TextChoices):
        ADJUSTMENT = "adjustment", _("Adjustment")
        WASTAGE = "wastage", _("Wastage")
        REVERSAL = "reversal", _("Reversal")

    code = models.CharField(_("code"), max_length=30, unique=True)
    name = models.CharField(_("name"), max_length=100)
    name_ur = models.CharField(_("name in Urdu"), max_length=100, blank=True)
    use = models.CharField(_("used for"), max_length=10, choices=Use)
    active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("reason")
        verbose_name_plural = _("reasons")
        constraints = [
            models.CheckConstraint(
                condition=Q(use__in=["adjustment", "wastage", "reversal"]), name="reason_use_known"
            ),
        ]

    def __str__(self):
        return in_language(self.name, self.name_ur)


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
        return (
            self
            if key.all_stores
            else self.filter(store__in=key.stores.through.objects.filter(apikey=key).values("store"))
        )


class StockLevelQuerySet(StoreData):
    def out(self):
        return self.filter(on_hand=0)

    def negative(self):
        return self.filter(on_hand__lt=0)

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
            # The only rule that stands as a CHECK: PostgreSQL compiles each of them anew for every posting. What
            # concerns the settings alone is guarded where they change (sql/posting.sql), numbers by their types.
            models.CheckConstraint(
                condition=Q(on_hand__gte=0, oversold_since=None)
                | Q(on_hand__lt=0, oversold_since__isnull=False),
                name="level_below_zero_only_flagged",
            ),
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
        self.save(update_fields=["reorder_point", "target_level", "updated_at"])


class Document(models.Model):
    """One act that moved stock in one store: a basket sold, a delivery, a correction. Written once, never changed."""

    class Source(models.TextChoices):
        PAGE = "page", _("Shop page")
        ADMIN = "admin", _("Head office")
        API = "api", _("Partner")
        IMPORT = "import", _("Import")
        DEMO = "demo", _("Demo")

    PREFIX = {
        Kind.OPENING: "O",
        Kind.RECEIPT: "R",
        Kind.SALE: "S",
        Kind.SALE_RETURN: "C",
        Kind.ADJUSTMENT: "A",
        Kind.WASTAGE: "W",
    }

    store = models.ForeignKey(
        Store, models.PROTECT, related_name="documents", verbose_name=_("store"), db_index=False
    )
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    reference = models.CharField(_("reference"), max_length=100, default=uuid.uuid4)
    fingerprint = models.BinaryField(
        _("fingerprint"), max_length=32, help_text=_("SHA-256 of what the caller sent.")
    )
    occurred_at = models.DateTimeField(_("happened"))
    recorded_at = models.DateTimeField(_("recorded"), db_default=Now())
    business_date = models.DateField(_("business date"))
    total = Amount(_("total"), null=True, blank=True)
    line_count = models.PositiveIntegerField(_("lines"))
    reason = models.ForeignKey(
        Reason,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("reason"),
        db_index=False,
    )
    notes = models.CharField(_("notes"), max_length=500, blank=True)
    reverses = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="reversals",
        verbose_name=_("reverses"),
        db_constraint=False,
        db_index=False,
    )
    returns = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="customer_returns",
        verbose_name=_("sale returned"),
        db_constraint=False,
        db_index=False,
    )
    source = models.CharField(_("entered by"), max_length=6, choices=Source)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="documents",
        verbose_name=_("user"),
        db_index=False,
    )
    api_key = models.ForeignKey(
        ApiKey,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="documents",
        verbose_name=_("API key"),
        db_index=False,
    )

    objects = StoreData.as_manager()

    class Meta:
        verbose_name = _("document")
        verbose_name_plural = _("documents")
        indexes = [
            models.Index(fields=["id"], name="document_id"),
            models.Index(fields=["store", "business_date", "kind"], name="document_day"),
            models.Index(
                fields=["store", "returns"], name="document_returns", condition=Q(returns__isnull=False)
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["store", "reference"], name="document_reference_once"),
            models.UniqueConstraint(
                fields=["store", "reverses"],
                name="document_reversed_once",
                condition=Q(reverses__isnull=False),
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["opening", "receipt", "sale", "sale_return", "adjustment", "wastage"]),
                name="document_kind_known",
            ),
            models.CheckConstraint(condition=Q(line_count__gt=0), name="document_has_lines"),
            models.CheckConstraint(condition=~Q(reference=""), name="document_reference_not_empty"),
            models.CheckConstraint(
                condition=Q(total=None) | Q(total__gte=0), name="document_total_not_negative"
            ),
            models.CheckConstraint(condition=Q(user=None) | Q(api_key=None), name="document_one_actor"),
            models.CheckConstraint(
                condition=Q(returns=None) | Q(kind="sale_return"), name="document_only_returns_return"
            ),
        ]

    def __str__(self):
        return self.number

    @property
    def number(self) -> str:
        """What people call it: a letter for the kind (V for a void) and the id, such as S-000123."""
        return f"{'V' if self.reverses_id else self.PREFIX[self.kind]}-{self.pk:06d}"

    @property
    def actor(self) -> str:
        """Who entered it, in words. Needs `user` and `api_key` selected."""
        if self.user_id:
            return self.user.get_full_name() or self.user.get_username()
        return self.api_key.name if self.api_key_id else self.get_source_display()


class Movement(models.Model):
    """One line of the ledger: so much of one product in or out of one store. Written once, never changed.

    The caller gives what happened; the database adds `seq`, `balance_after`, `unit_cost` and `average_cost_after`
    while it moves the level (sql/posting.sql).
    """

    class Oversell(models.TextChoices):
        NO = "", _("No")
        CONFIRMED = "confirmed", _("Confirmed by the seller")
        LATE = "late", _("Had happened already")

    document = models.ForeignKey(
        Document,
        models.PROTECT,
        related_name="movements",
        verbose_name=_("document"),
        db_constraint=False,
        db_index=False,
    )
    line_no = models.PositiveIntegerField(_("line"))
    store = models.ForeignKey(
        Store,
        models.PROTECT,
        related_name="movements",
        verbose_name=_("store"),
        db_constraint=False,
        db_index=False,
    )
    product = models.ForeignKey(
        Product,
        models.PROTECT,
        related_name="movements",
        verbose_name=_("product"),
        db_constraint=False,
        db_index=False,
    )
    kind = models.CharField(_("kind"), max_length=16, choices=Kind)
    quantity = Quantity(_("quantity"))
    entered_quantity = Quantity(_("entered quantity"), null=True, blank=True)
    entered_pack = models.ForeignKey(
        Pack,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("entered pack"),
        db_index=False,
    )
    unit_price = Price(_("unit price"), null=True, blank=True)
    line_total = Amount(_("line total"), null=True, blank=True)
    unit_cost = Cost(_("unit cost"))
    cost_estimated = models.BooleanField(_("cost is estimated"), db_default=False)
    oversell = models.CharField(
        _("sold beyond stock"), max_length=9, choices=Oversell, blank=True, db_default=""
    )
    balance_after = Quantity(_("balance after"))
    average_cost_after = Cost(_("average cost after"))
    seq = models.BigIntegerField(_("number in its row"))
    reason = models.ForeignKey(
        Reason,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        verbose_name=_("reason"),
        db_constraint=False,
        db_index=False,
    )
    reverses = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="reversals",
        verbose_name=_("reverses"),
        db_constraint=False,
        db_index=False,
    )
    returns = models.ForeignKey(
        "self",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="customer_returns",
        verbose_name=_("sale returned"),
        db_constraint=False,
        db_index=False,
    )
    occurred_at = models.DateTimeField(_("happened"))
    recorded_at = models.DateTimeField(_("recorded"), db_default=Now())
    business_date = models.DateField(_("business date"))
    late = models.BooleanField(
        _("entered late"), db_default=False, help_text=_("A later day of this product had movements already.")
    )

    objects = StoreData.as_manager()

    class Meta:
        verbose_name = _("movement")
        verbose_name_plural = _("movements")
        indexes = [
            models.Index(fields=["id"], name="movement_id"),
            models.Index(fields=["store", "business_date", "id"], name="movement_day"),
            models.Index(
                fields=["store", "returns"], name="movement_returns", condition=Q(returns__isnull=False)
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["store", "product", "seq"], name="movement_seq_once"),
            models.UniqueConstraint(fields=["store", "document", "line_no"], name="movement_line_once"),
            models.UniqueConstraint(
                fields=["store", "reverses"],
                name="movement_reversed_once",
                condition=Q(reverses__isnull=False),
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["opening", "receipt", "sale_return"], reverses=None, quantity__gt=0)
                | Q(kind__in=["opening", "receipt", "sale_return"], reverses__isnull=False, quantity__lt=0)
                | Q(kind__in=["sale", "wastage"], reverses=None, quantity__lt=0)
                | Q(kind__in=["sale", "wastage"], reverses__isnull=False, quantity__gt=0)
                | (Q(kind="adjustment") & ~Q(quantity=0)),
                name="movement_sign_fits_kind",
            ),
            models.CheckConstraint(
                condition=Q(kind__in=["sale", "sale_return"], unit_price__isnull=False, line_total__gte=0)
                | (~Q(kind__in=["sale", "sale_return"]) & Q(unit_price=None, line_total=None)),
                name="movement_priced_when_sold",
            ),
            models.CheckConstraint(
                condition=Q(entered_quantity=None) | Q(entered_quantity__gt=0),
                name="movement_entered_is_positive",
            ),
            models.CheckConstraint(condition=Q(seq__gt=0), name="movement_seq_from_one"),
            models.CheckConstraint(
                condition=Q(oversell="") | Q(kind="sale", reverses=None), name="movement_only_sales_oversell"
            ),
            models.CheckConstraint(
                condition=Q(returns=None) | Q(kind="sale_return"), name="movement_only_returns_return"
            ),
        ]

    def __str__(self):
        return f"{self.document_id}/{self.line_no} {self.quantity}"

    @property
    def oversold(self) -> bool:
        """Whether this line left the level below zero."""
        return self.quantity < 0 and self.balance_after < 0


class LowStockAlertQuerySet(StoreData):
    def open(self):
        return self.filter(closed_at=None)


class LowStockAlert(models.Model):
    """One time that a level fell to its reorder point or below; closed when it rose above. At most one is open."""

    store = models.ForeignKey(
        Store, models.PROTECT, related_name="alerts", verbose_name=_("store"), db_index=False
    )
    product = models.ForeignKey(
        Product, models.PROTECT, related_name="alerts", verbose_name=_("product"), db_index=False
    )
    on_hand = Quantity(_("on hand then"))
    reorder_point = Quantity(_("reorder point then"))
    opened_at = models.DateTimeField(_("opened"), db_default=Now())
    closed_at = models.DateTimeField(_("closed"), null=True, blank=True)
    digest = models.ForeignKey(
        "AlertDigest",
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="alerts",
        verbose_name=_("digest"),
        db_constraint=False,
        db_index=False,
    )

    objects = LowStockAlertQuerySet.as_manager()

    class Meta:
        verbose_name = _("low-stock alert")
        verbose_name_plural = _("low-stock alerts")
        indexes = [
            models.Index(fields=["id"], name="alert_id"),
            models.Index(
                fields=["store", "id"], name="alert_waiting", condition=Q(digest=None, closed_at=None)
            ),
            models.Index(fields=["store", "digest"], name="alert_digest", condition=Q(digest__isnull=False)),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["store", "product"], name="alert_one_open", condition=Q(closed_at=None)
            ),
        ]

    def __str__(self):
        return f"{self.store_id} · {self.product_id}: {self.on_hand}"


class AlertDigest(models.Model):
    """One mail about the alerts of one store that nobody had been told of."""

    store = models.ForeignKey(
        Store, models.PROTECT, related_name="digests", verbose_name=_("store"), db_index=False
    )
    created_at = models.DateTimeField(_("created"), db_default=Now())

    objects = StoreData.as_manager()

    class Meta:
        verbose_name = _("alert digest")
        verbose_name_plural = _("alert digests")
        indexes = [models.Index(fields=["id"], name="digest_id")]

    def __str__(self):
        return f"{self.store_id} · {self.created_at:%Y-%m-%d %H:%M}"


class DigestMail(models.Model):
    """One copy of a digest, for one person. Sent at least once, always with the same Message-ID."""

    store = models.ForeignKey(
        Store, models.PROTECT, related_name="+", verbose_name=_("store"), db_index=False
    )
    digest = models.ForeignKey(
        AlertDigest,
        models.PROTECT,
        related_name="mails",
        verbose_name=_("digest"),
        db_constraint=False,
        db_index=False,
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("user")
    )
    claimed_at = models.DateTimeField(_("being sent since"), null=True, blank=True)
    sent_at = models.DateTimeField(_("sent"), null=True, blank=True)

    objects = StoreData.as_manager()

    class Meta:
        verbose_name = _("digest mail")
        verbose_name_plural = _("digest mails")
        indexes = [
            models.Index(fields=["id"], name="digest_mail_id"),
            models.Index(fields=["claimed_at"], name="digest_mail_waiting", condition=Q(sent_at=None)),
        ]
        constraints = [models.UniqueConstraint(fields=["store", "digest", "user"], name="digest_mail_once")]

    def __str__(self):
        return f"{self.digest_id} → {self.user_id}"
