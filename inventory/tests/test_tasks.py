"""Low-stock mails: each reader once, nothing lost, whenever a worker is killed and however many run."""

from datetime import timedelta
from decimal import Decimal

import pytest
import time_machine
from django.core import mail
from django.db import connection
from django.utils import timezone

from inventory.models import AlertDigest, DigestMail, Kind, LowStockAlert
from inventory.tasks import mails as tasks
from stores.models import Store

pytestmark = pytest.mark.django_db(transaction=True)


class Killed(BaseException):
    """The worker is gone: no code of it runs any more."""


@pytest.fixture
def low(stocked, post, owner, ghee, atta):
    """Two products have run low; the manager and the owner have addresses."""
    stocked(ghee).set_reorder(reorder_point=Decimal(10), target_level=None)
    stocked(atta).set_reorder(reorder_point=Decimal("20.5"), target_level=None)
    post(Kind.SALE, (ghee, 15), (atta, "80.250"))


def run():
    tasks.mail_low_stock(timestamp=0)


def readers():
    return sorted(message.to[0].partition("<")[2].rstrip(">") or message.to[0] for message in mail.outbox)


def test_owner_and_manager_are_told_once(low, store, owner, manager, cashier, ghee):
    run()
    assert readers() == sorted([owner.email, manager.email])
    [text] = {message.body.partition("\n")[2] for message in mail.outbox}
    assert "2 products of Madina Kiryana have run low" in text
    assert "- Dalda Ghee 1 kg (GHE-0001): 9 pc on hand, reorder point 10 pc" in text
    assert "- Chakki Atta (loose) (FLR-0001): 19.750 kg on hand, reorder point 20.500 kg" in text
    assert "/s/LHE-0001/reports/low-stock/" in text
    assert mail.outbox[0].subject == "Madina Kiryana: 2 products have run low"
    run()
    assert len(mail.outbox) == 2
    assert AlertDigest.objects.count() == 1


def test_names_and_subject_are_in_the_language_of_the_reader(low, owner, store):
    owner.language, owner.first_name = "ur", "طارق\nمحمود"
    owner.save()
    run()
    [message] = [message for message in mail.outbox if owner.email in message.to[0]]
    assert "مدینہ کریانہ" in message.subject
    assert "ڈالڈا گھی 1 کلو" in message.body
    assert "\n" not in message.subject + message.to[0]
    assert message.message().as_bytes()


def test_what_runs_low_later_comes_with_the_next_digest(low, post, ghee, atta):
    run()
    post(Kind.RECEIPT, (ghee, 30, 500))
    post(Kind.SALE, (ghee, 35))
    run()
    assert len(mail.outbox) == 2  # not an hour has gone by
    with time_machine.travel(timezone.now() + timedelta(minutes=61)):
        AlertDigest.objects.update(created_at=timezone.now() - timedelta(minutes=61))
        run()
    assert [("Chakki" in message.body, "Dalda" in message.body) for message in mail.outbox[2:]] == [
        (False, True)
    ] * 2


def test_what_was_filled_up_before_anybody_was_told_is_no_news(low, post, ghee, atta):
    post(Kind.RECEIPT, (ghee, 30, 500), (atta, 100, 120))
    run()
    assert mail.outbox == []


def test_nobody_is_told_what_runs_low_in_a_practice_store(low, post, staff, ghee):
    practice = Store.objects.create(code="TEST-0001", name="Practice shop", sandbox=True)
    staff("owner", practice)
    LowStockAlert.objects.update(closed_at=timezone.now())
    LowStockAlert.objects.create(store=practice, product=ghee, on_hand=0, reorder_point=1)
    run()
    assert mail.outbox == []
    assert not AlertDigest.objects.exists()


def test_alerts_wait_for_a_reader_with_an_address(low, owner, manager):
    type(owner).objects.update(email="")
    run()
    assert (mail.outbox, LowStockAlert.objects.filter(digest=None).count()) == ([], 2)
    owner.email = "owner@example.pk"
    owner.save()
    run()
    assert readers() == ["owner@example.pk"]


def test_people_who_left_are_not_told(low, owner, manager):
    owner.is_active = False
    owner.save()
    run()
    assert readers() == [manager.email]


def test_nobody_hears_of_another_store(low, staff, other_store, owner, manager):
    staff("manager", other_store)
    run()
    assert readers() == sorted([owner.email, manager.email])


# Where the worker dies: the function that is cut, and whether before or after its work.
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    "step", ["gather", "gather_store", "bulk_create", "send_waiting", "take", "send", "sent_at"]
)
def test_a_killed_worker_loses_nothing(low, owner, manager, monkeypatch, step, after):
    home, name = {
        "bulk_create": (DigestMail.objects, "bulk_create"),
        "sent_at": (tasks.timezone, "now"),
    }.get(step, (tasks, step))
    original, calls = getattr(home, name), []

    def cut(*args, **options):
        calls.append(1)
        if step == "sent_at" and not mail.outbox:
            return original(*args, **options)
        if after:
            original(*args, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(home, name, cut)
        with pytest.raises(Killed):
            run()
    assert calls
    mail_ids = {message.extra_headers["Message-ID"] for message in mail.outbox}
    run()
    with time_machine.travel(timezone.now() + tasks.LEASE + timedelta(seconds=1)):
        run()
    # At least once each, and what went out twice did so under one Message-ID.
    by_reader = {}
    for message in mail.outbox:
        by_reader.setdefault(message.to[0], set()).add(message.extra_headers["Message-ID"])
    assert {*readers()} == {owner.email, manager.email}
    assert all(len(ids) == 1 for ids in by_reader.values())
    assert mail_ids <= {found for ids in by_reader.values() for found in ids}
    assert (AlertDigest.objects.count(), LowStockAlert.objects.filter(digest=None).count()) == (1, 0)
    assert DigestMail.objects.filter(sent_at=None).count() == 0


def test_a_lease_is_respected_until_it_runs_out(low):
    tasks.gather()
    first, second = tasks.take(), tasks.take()
    assert {first, second} == set(DigestMail.objects.all())
    assert tasks.take() is None
    run()
    assert mail.outbox == []
    with time_machine.travel(timezone.now() + tasks.LEASE + timedelta(seconds=1)):
        run()
    assert len(mail.outbox) == 2


def test_workers_that_run_at_once_tell_nobody_twice(low, together, store, owner, manager, ghee, monkeypatch):
    assert [result for result in together([run] * 6) if isinstance(result, BaseException)] == []
    assert readers() == sorted([owner.email, manager.email])
    assert AlertDigest.objects.count() == 1


def test_a_sale_in_progress_is_not_waited_for(low, post, ghee, together):
    """A sale holds the alert that it closes; the digest passes over it, so that neither waits for the other."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(
            "UPDATE inventory_lowstockalert SET closed_at = now() WHERE product_id = %s", [ghee.pk]
        )
        assert together([tasks.gather]) == [1]
        cursor.execute("COMMIT")
    assert LowStockAlert.objects.filter(digest=None).count() == 1


def test_a_refused_address_does_not_hold_up_the_others(low, owner, manager, monkeypatch):
    send = tasks.send

    def refuse(message, server):
        if message.user_id == min(owner.pk, manager.pk):
            raise tasks.SMTPRecipientsRefused({})
        send(message, server)

    monkeypatch.setattr(tasks, "send", refuse)
    run()
    assert len(mail.outbox) == 1
    assert DigestMail.objects.filter(sent_at=None).count() == 1


def test_a_server_out_of_reach_is_asked_once_and_the_mails_wait(low, monkeypatch):
    asked = []

    def away(message, server):
        asked.append(message)
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(tasks, "send", away)
        run()
    assert len(asked) == 1
    with time_machine.travel(timezone.now() + tasks.LEASE + timedelta(seconds=1)):
        run()
    assert len(mail.outbox) == 2


def test_a_mail_that_nobody_took_for_a_week_is_given_up(low):
    tasks.gather()
    AlertDigest.objects.update(created_at=timezone.now() - timedelta(days=8))
    assert tasks.send_waiting() == 0


def test_the_worker_knows_its_tasks():
    from procrastinate.contrib.django import app

    known = {task.task.name for task in app.periodic_registry.periodic_tasks.values()}
    assert {
        "inventory.tasks.mail_low_stock",
        "inventory.tasks.forget_deliveries",
        "kiryana.tasks.forget_sessions",
        "kiryana.tasks.forget_jobs",
    } <= known
