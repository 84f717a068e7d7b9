"""The ledger: documents and their movements, the kinds they have and the reasons they give."""

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from catalog.models import Amount, Cost, Pack, Price, Product, Quantity, in_language, word_of
from inventory.models.levels import StoreData
from stores.models import ApiKey, Store


class Kind(models.TextChoices):
    """Why stock changed. The kind fixes the sign of a movement; only an adjustment may go either way."""

    OPENING = "opening", _("Opening stock")
    RECEIPT = "receipt", _("Stock in")
    SALE = "sale", _("Sale")
    SALE_RETURN = "sale_return", _("Customer return")
    ADJUSTMENT = "adjustment", _("Adjustment")
    WASTAGE = "wastage", _("Wastage")
    OWN_USE = "own_use", _("Own use")
    SUPPLIER_RETURN = "supplier_return", _("Returned to supplier")


# +1 brings goods in, -1 takes goods out; an adjustment carries its own sign.
SIGN = {
    Kind.OPENING: 1,
    Kind.RECEIPT: 1,
    Kind.SALE: -1,
    Kind.SALE_RETURN: 1,
    Kind.ADJUSTMENT: 1,
    Kind.WASTAGE: -1,
    Kind.OWN_USE: -1,
    Kind.SUPPLIER_RETURN: -1,
}
# Kinds whose lines carry a price.
PRICED = frozenset({Kind.SALE, Kind.SALE_RETURN})
# Kinds whose lines carry a cost of their own; all others leave or come back at the average.
COSTED = frozenset({Kind.OPENING, Kind.RECEIPT})


class Reason(models.Model):
    """One coded answer to "why": for reversals, or for a kind of document that people enter by its reason."""

    class Use(models.TextChoices):
        ADJUSTMENT = "adjustment", _("Adjustment")
        WASTAGE = "wastage", _("Wastage")
        OWN_USE = "own_use", _("Own use")
        SUPPLIER_RETURN = "supplier_return", _("Returned to supplier")
        REVERSAL = "reversal", _("Reversal")

    # Whoever changes stock by hand gives one of these, and the reason tells the kind: the words are the same.
    MANUAL = (Use.ADJUSTMENT, Use.WASTAGE, Use.OWN_USE, Use.SUPPLIER_RETURN)

    code = models.CharField(_("code"), max_length=30, unique=True)
    name = models.CharField(_("name"), max_length=100)
    name_ur = models.CharField(_("name in Urdu"), max_length=100, blank=True)
    use = models.CharField(_("used for"), max_length=16, choices=Use)
    active = models.BooleanField(_("active"), default=True)

    class Meta:
        verbose_name = _("reason")
        verbose_name_plural = _("reasons")
        constraints = [
            models.CheckConstraint(
                condition=Q(use__in=["adjustment", "wastage", "own_use", "supplier_return", "reversal"]),
                name="reason_use_known",
            ),
        ]

    def __str__(self):
        return in_language(self.name, self.name_ur)

    @property
    def kind(self) -> str:
        """The kind of document that this reason makes; for one of MANUAL."""
        return Kind(self.use)

    @property
    def takes_away(self) -> bool:
        """Whether goods can only leave for this reason."""
        return SIGN[self.kind] < 0


class Document(models.Model):
    """One act that moved stock in one store: a basket sold, a delivery, a correction. Written once, never changed.

    Its rules are the triggers document_is_whole, document_never_changes and document_never_truncated (sql/posting.sql).
    """

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
        Kind.OWN_USE: "U",
        Kind.SUPPLIER_RETURN: "D",
    }

    store = models.ForeignKey(
        Store,
        models.PROTECT,
        related_name="documents",
        verbose_name=_("store"),
        db_constraint=False,
        db_index=False,
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
    line_count = models.IntegerField(_("lines"))
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
        db_constraint=False,
        db_index=False,
    )

    objects = StoreData.as_manager()

    class Meta:
        verbose_name = _("document")
        verbose_name_plural = _("documents")
        indexes = [
            models.Index(fields=["id"], name="document_id"),
            models.Index(fields=["store", "business_date", "kind"], name="document_day"),
            # What is rare beside the sales is found without walking past them; a sale does not pay for it.
            models.Index(fields=["kind", "id"], name="document_kind", condition=~Q(kind="sale")),
            models.Index(
                fields=["store", "kind", "id"], name="document_store_kind", condition=~Q(kind="sale")
            ),
            models.Index(fields=["source", "id"], name="document_source", condition=~Q(source="api")),
            models.Index(fields=["id"], name="document_void", condition=Q(reverses__isnull=False)),
            models.Index(fields=["user", "id"], name="document_user", condition=Q(user__isnull=False)),
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
        ]

    def __str__(self):
        return self.number

    @property
    def number(self) -> str:
        """What people call it: a letter for the kind (V for a void) and the id, such as S-000123."""
        return self.number_of(self.pk, self.kind, bool(self.reverses_id))

    @classmethod
    def number_of(cls, pk: int, kind: str, is_void: bool) -> str:
        """The number of the document with these figures, for lists that hold no documents."""
        return f"{'V' if is_void else cls.PREFIX[kind]}-{pk:06d}"

    # Django's own looks through all choices each time, which a list of fifty rows feels.
    def get_kind_display(self) -> str:
        return word_of(Kind, self.kind, get_language())

    def get_source_display(self) -> str:
        return word_of(self.Source, self.source, get_language())

    @property
    def actor(self) -> str:
        """Who entered it, in words. Needs `user` and `api_key` selected."""
        user, key = self.user if self.user_id else None, self.api_key.name if self.api_key_id else None
        names = (user.username, user.first_name, user.last_name) if user else (None, None, None)
        return self.actor_of(*names, key, self.source)

    @classmethod
    def actor_of(
        cls, username: str | None, first_name: str | None, last_name: str | None, key: str | None, source: str
    ) -> str:
        """Who entered a document with these columns, in words, for lists that hold no documents."""
        full_name = f"{first_name or ''} {last_name or ''}".strip()
        return full_name or username or key or word_of(cls.Source, source, get_language())


class Movement(models.Model):
    """One line of the ledger: so much of one product in or out of one store. Written once, never changed.

    The caller gives what happened; the database adds `seq`, `balance_after`, `unit_cost` and `average_cost_after`
    while it moves the level (sql/posting.sql), where its rules stand too: sign, price, links and stock.
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
    line_no = models.IntegerField(_("line"))
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

    # How lists of one store are put in order: by the index movement_day.
    NEWEST_DAY_FIRST = "-business_date"

    objects = StoreData.as_manager()

    class Meta:
        verbose_name = _("movement")
        verbose_name_plural = _("movements")
        indexes = [
            models.Index(fields=["id"], name="movement_id"),
            models.Index(fields=["store", "business_date", "id"], name="movement_day"),
            # The lines of a product in all stores.
            models.Index(fields=["product", "id"], name="movement_product"),
            # As for documents.
            models.Index(fields=["kind", "id"], name="movement_kind", condition=~Q(kind="sale")),
            models.Index(
                fields=["store", "kind", "id"], name="movement_store_kind", condition=~Q(kind="sale")
            ),
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
        ]

    def __str__(self):
        return f"{self.document_id}/{self.line_no} {self.quantity}"

    # As in Document.
    def get_kind_display(self) -> str:
        return word_of(Kind, self.kind, get_language())

    @property
    def oversold(self) -> bool:
        """Whether this line left the level below zero."""
        return self.quantity < 0 and self.balance_after < 0
