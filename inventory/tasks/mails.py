"""Mails about low stock (R15): nobody is told twice what he knows, and no alert is lost, whenever a worker is killed.

Three steps, each safe to be cut short and safe to be done by two workers at once:
1. `gather` - one transaction puts the alerts that nobody was told of into a digest, with one DigestMail for each reader;
2. `take` - a worker leases one mail that waits, for `LEASE`; who dies loses the lease and another takes it up;
3. `send`, outside of any transaction - then `sent_at` is written. Killed in between, the mail goes out again with the same
   Message-ID, by which mail programs know it as the same.
"""

import logging
from datetime import timedelta
from email.utils import formataddr
from smtplib import SMTPRecipientsRefused
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.db import close_old_connections, transaction
from django.db.models import F, Q
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import ngettext
from procrastinate.contrib.django import app

from inventory.models import AlertDigest, DigestMail, LowStockAlert
from stores.models import Membership, Store, User
from stores.templatetags.shop import plain_quantity, shop_name

log = logging.getLogger(__name__)

LEASE = timedelta(minutes=5)  # longer than any mail server takes; then the worker is taken for dead
QUIET = timedelta(hours=1)  # between two digests of one store: what runs low meanwhile is gathered
STALE = timedelta(days=7)  # a mail that no server took for so long is of no use to its reader
LISTED = 100  # products named in one mail
CANDIDATES = 50  # mails that a worker looks at to find one that no other has in hand
READERS = (Membership.Role.OWNER, Membership.Role.MANAGER)


@app.periodic(cron="*/5 * * * *")
@app.task(name="inventory.tasks.mail_low_stock", queueing_lock="mail_low_stock")
def mail_low_stock(timestamp: int = 0) -> None:
    """Tells owners and managers what ran low since they were told last. Runs every five minutes."""
    close_old_connections()  # the server may have been started anew since the last run
    try:
        gather()
        send_waiting()
    finally:
        close_old_connections()


def gather() -> int:
    """Makes a digest for each store that has open alerts in none, and readers; gives how many.

    Alerts of a store whose owner and managers have no address wait until somebody has one.
    """
    waiting = LowStockAlert.objects.open().filter(digest=None).order_by().values("store").distinct()
    told_lately = AlertDigest.objects.filter(created_at__gt=timezone.now() - QUIET).values("store")
    stores = (
        # Who practises is not told at night that practice goods run low.
        Store.objects.filter(pk__in=waiting, sandbox=False)
        .exclude(pk__in=told_lately)
        .exclude(status=Store.Status.CLOSED)
    )
    return sum(gather_store(store) for store in stores.order_by("pk"))


@transaction.atomic
def gather_store(store: Store) -> bool:
    """Puts the store's untold alerts into one digest with a mail for each reader; whether there was one to make."""
    readers = User.objects.filter(
        memberships__store=store, memberships__role__in=READERS, is_active=True
    ).exclude(email="")
    readers = list(readers.order_by("pk"))
    if not readers:
        return False
    # Passing over locked rows: a sale that closes an alert now is never waited for (it may wait for us), and of two
    # workers each gets its own alerts. What is passed over is there the next time.
    alerts = LowStockAlert.objects.open().filter(store=store, digest=None).order_by("pk")
    alerts = list(alerts.select_for_update(skip_locked=True).values_list("pk", flat=True))
    if not alerts:
        return False
    digest = AlertDigest.objects.create(store=store)
    LowStockAlert.objects.filter(store=store, pk__in=alerts).update(digest=digest)
    DigestMail.objects.bulk_create(DigestMail(store=store, digest=digest, user=reader) for reader in readers)
    return True


def send_waiting() -> int:
    """Sends every mail that waits, one after the other; gives how many. Ends when the mail server is out of reach."""
    sent = 0
    server = get_connection()
    try:
        while mail := take():
            try:
                server.open()  # nothing where it is open already
                send(mail, server)
            except SMTPRecipientsRefused:
                log.warning("The mail server refuses the address of user %s.", mail.user_id)
                continue
            except OSError:
                # The rest would fail alike. All of it is tried again when the leases have run out.
                log.warning("The mail server is out of reach; digests wait.", exc_info=True)
                break
            DigestMail.objects.filter(store=mail.store_id, pk=mail.pk).update(sent_at=timezone.now())
            sent += 1
    finally:
        server.close()
    return sent


@transaction.atomic
def take() -> DigestMail | None:
    """Leases the oldest mail that waits and gives it; None when there is none."""
    now = timezone.now()
    free = Q(claimed_at=None) | Q(claimed_at__lt=now - LEASE)
    waiting = DigestMail.objects.filter(
        free, sent_at=None, digest__created_at__gt=now - STALE, digest__store=F("store")
    )
    waiting = waiting.order_by(F("claimed_at").asc(nulls_first=True), "pk").select_related(
        "digest", "store", "user"
    )
    # Looked for in all stores, locked in one: another worker may have taken it in between, then it is the next one's turn.
    for store, pk in waiting.values_list("store", "pk")[:CANDIDATES]:
        mail = waiting.filter(store=store, pk=pk).select_for_update(skip_locked=True, of=("self",)).first()
        if mail:
            DigestMail.objects.filter(store=store, pk=pk).update(claimed_at=now)
            return mail
    return None


def send(mail: DigestMail, server) -> None:
    """Hands one mail to the mail server, in the reader's language, always under the same Message-ID."""
    user, store = mail.user, mail.store
    alerts = (
        LowStockAlert.objects.filter(store=store, digest=mail.digest_id)
        .select_related("product")
        .order_by("product__name", "pk")
    )
    with translation.override(user.language):
        alerts = list(alerts)
        rows = [
            {
                "product": alert.product.label,
                "sku": alert.product.sku,
                "on_hand": f"{plain_quantity(alert.on_hand, alert.product.unit)} {alert.product.get_unit_display()}",
                "reorder_point": f"{plain_quantity(alert.reorder_point, alert.product.unit)} {alert.product.get_unit_display()}",
            }
            for alert in alerts[:LISTED]
        ]
        where = " ".join(shop_name(store).split())
        subject = ngettext(
            "%(store)s: one product has run low", "%(store)s: %(count)d products have run low", len(alerts)
        )
        name = " ".join((user.get_full_name() or user.get_username()).split())
        body = render_to_string(
            "emails/low_stock.txt",
            {
                "name": name,
                "store": where,
                "count": len(alerts),
                "rows": rows,
                "more": max(len(alerts) - LISTED, 0),
                "url": settings.SITE_URL + reverse("low_stock", args=[store.code]),
            },
        )
    EmailMessage(
        subject % {"store": where, "count": len(alerts)},
        body,
        to=[formataddr((name, user.email))],
        headers={"Message-ID": f"<low-stock-{store.pk}-{mail.pk}@{urlsplit(settings.SITE_URL).hostname}>"},
        connection=server,
    ).send()
