"""What of a store head office may still change."""

import pytest
from django.contrib import admin

from stores.models import Store

pytestmark = pytest.mark.django_db


def test_the_time_zone_stays_once_the_store_has_traded(store, other_store, stocked, rf, head_office):
    page, request = admin.site._registry[Store], rf.get("/")
    request.user = head_office
    assert "timezone" in page.get_readonly_fields(request, store)
    assert "timezone" not in page.get_readonly_fields(request, other_store)
    assert "code" in page.get_readonly_fields(request, other_store)
    assert "code" not in page.get_readonly_fields(request)
