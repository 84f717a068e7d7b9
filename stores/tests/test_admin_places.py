"""What of a store head office may still change."""

import pytest
from django.contrib import admin
from django.urls import reverse

from stores.models import Store

pytestmark = pytest.mark.django_db


def test_the_time_zone_stays_once_the_store_has_traded(store, other_store, stocked, rf, head_office):
    page, request = admin.site._registry[Store], rf.get("/")
    request.user = head_office
    assert "timezone" in page.get_readonly_fields(request, store)
    assert "timezone" not in page.get_readonly_fields(request, other_store)
    assert "code" in page.get_readonly_fields(request, other_store)
    assert "code" not in page.get_readonly_fields(request)


def test_a_sandbox_is_chosen_when_a_store_is_made_and_never_again(client, head_office, store):
    client.force_login(head_office)
    listing, add = reverse("admin:stores_store_changelist"), reverse("admin:stores_store_add")
    sent = {
        "code": "TEST-0001", "name": "Practice shop", "status": "open", "oversell_policy": "warn", "timezone": "Asia/Karachi",
        "sandbox": "on", "memberships-TOTAL_FORMS": "0", "memberships-INITIAL_FORMS": "0",
    }  # fmt: skip
    assert client.post(add, sent).status_code == 302
    made = Store.objects.get(code="TEST-0001")
    assert made.sandbox
    for each, wish in ((made, {}), (store, {"sandbox": "on"})):
        page = reverse("admin:stores_store_change", args=(each.pk,))
        assert 'name="sandbox"' not in client.get(page).text
        given = {name: value for name, value in sent.items() if name != "sandbox"} | wish
        assert client.post(page, {**given, "name": "Renamed"}).status_code == 302
        each.refresh_from_db()
        assert (each.name, each.sandbox) == ("Renamed", each == made)
    assert client.get(listing).text.count("Practice store") == 1
    assert "TEST-0001" not in client.get(listing, {"sandbox__exact": "0"}).text
    assert "LHE-0001" not in client.get(listing, {"sandbox__exact": "1"}).text
