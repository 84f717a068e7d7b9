"""Head office sees webhooks and what was sent, switches them off and on, sends again; no secret is shown."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission
from django.urls import reverse
from django.utils import timezone

from stores.models import Delivery, User, Webhook
from stores.services import addresses, create_key, revoke_key, webhooks

pytestmark = pytest.mark.django_db
LIST, SENT = reverse("admin:stores_webhook_changelist"), reverse("admin:stores_delivery_changelist")


@pytest.fixture
def office(client, head_office):
    client.force_login(head_office)
    return client


@pytest.fixture
def webhook(store, monkeypatch):
    monkeypatch.setattr(addresses, "resolve", lambda host, port: [("8.8.8.8", port)])
    key, _secret = create_key(name="Foodpanda", scopes=["webhooks:manage", "inventory:read"], stores=[store])
    made, secret = webhooks.create_webhook(
        key=key,
        url="https://partner.example.com/hook?token=their-own",
        events=["stock.out"],
        name="Order desk",
    )
    made.secret = secret
    return made


@pytest.fixture
def delivery(webhook):
    entry = {"at": "2026-11-22T04:41:10.412Z", "status": None, "milliseconds": 5000, "error": "timeout"}
    made = Delivery.objects.create(
        webhook=webhook, event_id="evt_77", type="stock.out", status="failed", tries=10, log=[entry]
    )
    made.refresh_from_db()
    return made


@pytest.fixture
def reader(client, db):
    """Somebody of head office who may look, and with `may` do more."""

    def make(*may):
        user = User.objects.create_user("reader", "r@example.pk", "chai-aur-biscuit", is_staff=True)
        names = ["view_webhook", "view_delivery", *may]
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        client.force_login(user)
        return client

    return make


def page(kind, row, act="change"):
    return reverse(f"admin:stores_{kind}_{act}", args=(row.pk,))


def test_the_lists_and_pages_show_all_but_secrets(office, webhook, delivery):
    texts = [office.get(url) for url in (LIST, SENT, page("webhook", webhook), page("delivery", delivery))]
    assert [text.status_code for text in texts] == [200] * 4
    whole = "".join(text.content.decode() for text in texts)
    for shown in (
        "Order desk",
        "https://partner.example.com/hook",
        "Foodpanda",
        "evt_77",
        "timeout",
        "stock.out",
    ):
        assert shown in whole
    for hidden in (
        webhook.secret,
        webhook.secret.removeprefix("whsec_"),
        webhook.salt,
        webhook.fingerprint,
        "their-own",
    ):
        assert hidden not in whole


def test_a_webhook_without_a_name_goes_by_its_address_without_parameters(office, webhook):
    Webhook.objects.update(name="", failing_since=timezone.now())
    whole = "".join(
        office.get(url).content.decode()
        for url in (
            LIST,
            page("webhook", webhook),
            page("webhook", webhook, "switch-off"),
            reverse("admin:index"),
        )
    )
    assert "partner.example.com/hook" in whole
    assert "their-own" not in whole


def test_the_lists_are_filtered(office, webhook, delivery):
    Webhook.objects.update(failing_since=timezone.now())
    assert "Order desk" in office.get(LIST, {"state": "failing"}).content.decode()
    assert "Order desk" not in office.get(LIST, {"state": "off"}).content.decode()
    assert "Order desk" in office.get(LIST, {"key": webhook.key.public_id}).content.decode()
    for query in (
        {"webhook": str(webhook.pk)},
        {"webhook": "Order desk"},
        {"status": "failed"},
        {"q": "evt_77"},
    ):
        assert "evt_77" in office.get(SENT, query).content.decode()
    for query in (
        {"webhook": str(webhook.pk + 1)},
        {"webhook": "9" * 30},
        {"status": "delivered"},
        {"q": "evt_7"},
    ):
        assert "evt_77" not in office.get(SENT, query).content.decode()


def test_switched_off_and_on(office, webhook, delivery):
    waiting = webhooks.send_test(webhook=webhook)
    off, on = page("webhook", webhook, "switch-off"), page("webhook", webhook, "switch-on")
    assert office.get(off).status_code == 200
    assert Webhook.objects.get().ended == ""  # looking changes nothing
    assert office.post(off).status_code == 302
    waiting.refresh_from_db()
    assert (Webhook.objects.get().ended, waiting.status) == ("by_hand", "cancelled")
    assert "Switch on" in office.get(page("webhook", webhook)).content.decode()
    assert office.post(on).status_code == 302
    assert Webhook.objects.get().ended == ""
    assert [entry.change_message for entry in LogEntry.objects.order_by("pk")] == [
        "Switched off.",
        "Switched on.",
    ]


def test_a_webhook_whose_key_has_ended_stays_off(office, webhook):
    webhooks.switch_off(webhook=webhook)
    revoke_key(key=webhook.key)
    refused = office.post(page("webhook", webhook, "switch-on"))
    assert refused.status_code == 409
    assert "Its key no longer works." in refused.content.decode()
    assert (Webhook.objects.get().ended, LogEntry.objects.count()) == ("by_hand", 0)


def test_a_message_is_sent_again(office, webhook, delivery):
    again = page("delivery", delivery, "retry")
    assert office.get(again).status_code == 200
    assert Delivery.objects.get().status == "failed"
    assert office.post(again).status_code == 302
    delivery.refresh_from_db()
    assert (delivery.status, delivery.tries, delivery.event_id) == ("waiting", 0, "evt_77")
    webhooks.switch_off(webhook=webhook)
    assert office.post(again).status_code == 409


def test_who_may_only_look_changes_nothing(reader, webhook, delivery):
    client = reader()
    assert "Switch off" not in client.get(page("webhook", webhook)).content.decode()
    for url in (
        page("webhook", webhook, "switch-off"),
        page("webhook", webhook, "switch-on"),
        page("delivery", delivery, "retry"),
    ):
        assert [client.get(url).status_code, client.post(url).status_code] == [403, 403]
    assert (Webhook.objects.get().ended, Delivery.objects.get().status) == ("", "failed")


def test_the_right_to_change_is_enough(reader, webhook, delivery):
    client = reader("change_webhook")
    assert client.post(page("webhook", webhook, "switch-off")).status_code == 302
    assert client.post(page("delivery", delivery, "retry")).status_code == 403


@pytest.mark.parametrize("kind", ["webhook", "delivery"])
def test_nothing_is_made_edited_or_deleted_by_hand(office, webhook, delivery, kind):
    row = {"webhook": webhook, "delivery": delivery}[kind]
    before = [*Webhook.objects.values(), *Delivery.objects.values()]
    assert office.get(reverse(f"admin:stores_{kind}_add")).status_code == 403
    assert office.post(page(kind, row, "delete"), {"post": "yes"}).status_code == 403
    assert (
        office.post(
            page(kind, row), {"url": "https://evil.example.com/", "name": "x", "status": "delivered"}
        ).status_code
        == 403
    )
    assert [*Webhook.objects.values(), *Delivery.objects.values()] == before


def test_failing_webhooks_wait_on_the_first_page(office, webhook):
    home = reverse("admin:index")
    assert "Order desk" not in office.get(home).content.decode()
    Webhook.objects.update(failing_since=timezone.now() - timedelta(hours=2))
    text = office.get(home).content.decode()
    assert "Webhooks that fail" in text
    assert "Order desk" in text
    assert f"{LIST}?state=failing" in text
    webhooks.switch_off(webhook=webhook)
    assert "Order desk" not in office.get(home).content.decode()
