"""What happened, for those who follow it from outside: the feed of the API and the webhooks read this one list."""

from django.db import models
from django.db.models import F, Func
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from stores.models.places import Store


class ChangeQuerySet(models.QuerySet):
    def settled(self):
        """Changes that no transaction still running can get in front of. Only these may be handed out."""
        return self.filter(moment__lt=Func(function="stores_horizon", output_field=models.BigIntegerField()))

    def after(self, moment: int, pk: int):
        """Changes behind this place in the feed, in its order."""
        return self.filter(moment__gte=moment).exclude(moment=moment, pk__lte=pk).order_by("moment", "pk")


class Change(models.Model):
    """One thing that changed: written by the database (sql/changes.sql) in the transaction that changed it.

    Ids are taken before a transaction commits, so their order is not the order in which changes become visible. The feed
    is ordered by `moment`, the number of the transaction, and is read up to the oldest transaction still running
    (`settled`): what is read once is complete, and nothing ever appears before it.
    """

    class Type(models.TextChoices):
        MOVEMENT_CREATED = "movement.created", _("Stock moved")
        STOCK_LOW = "stock.low", _("Stock is low")
        STOCK_OUT = "stock.out", _("Stock is out")
        PRODUCT_UPDATED = "product.updated", _("Product changed")

    moment = models.BigIntegerField(editable=False, db_default=Func(function="stores_moment"))
    type = models.CharField(_("type"), max_length=20, choices=Type)
    # Empty for the catalogue, which belongs to no store.
    store = models.ForeignKey(
        Store, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    # The document of movement.created; the product of all others.
    subject = models.BigIntegerField()
    # What the level was then, for stock.low and stock.out.
    data = models.JSONField(null=True)
    created_at = models.DateTimeField(_("time"), db_default=Now())

    objects = ChangeQuerySet.as_manager()

    class Meta:
        verbose_name = _("change")
        verbose_name_plural = _("changes")
        indexes = [models.Index(F("store"), F("moment"), F("id"), name="change_store")]

    def __str__(self):
        return f"{self.type} {self.subject}"

    @property
    def event_id(self) -> str:
        """The name of this change for ever, in the feed and in every webhook that tells of it."""
        return f"evt_{self.pk}"


class Feed(models.Model):
    """One row: what must be known of the feed beside its changes, and comes along in a dump."""

    # How far changes were deleted for their age; a reader who stands before this place may have missed some.
    moment = models.BigIntegerField(default=0)
    change = models.BigIntegerField(default=0)
    # The server that numbers the changes (stores_home in sql/feed.sql); another one after a restore.
    home = models.CharField(max_length=60, blank=True)

    class Meta:
        verbose_name = _("state of the feed")
        verbose_name_plural = _("states of the feed")

    def __str__(self):
        return f"{self.moment}/{self.change}"
