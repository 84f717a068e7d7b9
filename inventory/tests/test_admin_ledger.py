"""The ledger in the head office: looked at, never written; adjusted and reversed through the services, once."""

import re
import uuid
from decimal import Decimal

import pytest
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.models import Group
from django.urls import reverse

from inventory.models import Document, Kind, Movement
from stores.models import User

pytestmark = pytest.mark.django_db
READ_ONLY = [
    "inventory_document",
    "inventory_movement",
    "inventory_lowstockalert",
    "reports_dailystock",
    "catalog_productprice",
    "admin_logentry",
]


@pytest.fixture
def office(client, head_office):
    client.force_login(head_office)
    return client


@pytest.fixture
def sale(stocked, post, ghee, atta):
    return post(Kind.SALE, (ghee, 2), (atta, "1.250")).document


def level_page(level, name="change"):
    return reverse(f"admin:inventory_stocklevel_{name}", args=(level.pk,))


def document_page(document, name="change"):
    return reverse(f"admin:inventory_document_{name}", args=(document.pk,))


def shown(office, page) -> dict:
    """The hidden fields of the form on a page."""
    text = office.get(page).content.decode()
    return dict(re.findall(r'<input type="hidden" name="(reference|seen)" value="([^"]*)"', text))


# -- read only --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", READ_ONLY)
def test_not_even_a_superuser_adds_changes_or_deletes(office, sale, name):
    pk = {"inventory_document": sale.pk, "inventory_movement": Movement.objects.first().pk}.get(name, 1)
    assert office.get(reverse(f"admin:{name}_add")).status_code == 403
    assert office.post(reverse(f"admin:{name}_add"), {}).status_code == 403
    assert office.post(reverse(f"admin:{name}_change", args=(pk,)), {"notes": "x"}).status_code == 403
    assert office.get(reverse(f"admin:{name}_delete", args=(pk,))).status_code == 403
    assert office.post(reverse(f"admin:{name}_delete", args=(pk,)), {"post": "yes"}).status_code == 403
    assert office.get(reverse(f"admin:{name}_changelist")).status_code == 200


def test_a_level_is_neither_made_nor_deleted_here(office, stocked, ghee):
    level = stocked(ghee)
    assert office.get(reverse("admin:inventory_stocklevel_add")).status_code == 403
    assert office.post(level_page(level, "delete"), {"post": "yes"}).status_code == 403


def test_a_document_shows_its_lines_and_its_void(office, sale, post):
    text = office.get(document_page(sale)).content.decode()
    assert "Dalda Ghee 1 kg" in text
    assert "Rs 1,282.50" in text
    assert document_page(sale, "reverse") in text
    assert "<form" in text


# -- reorder ----------------------------------------------------------------------------------------------------------
def test_reorder_settings_are_changed_and_nothing_else(office, stocked, ghee):
    level = stocked(ghee)
    sent = {"reorder_point": "30", "target_level": "60", "on_hand": "999", "average_cost": "1", "listed": ""}
    assert office.post(level_page(level), sent).status_code == 302
    level = stocked(ghee)
    assert (level.reorder_point, level.target_level, level.on_hand, level.listed) == (30, 60, 24, True)
    assert level.product.alerts.open().count() == 1
    assert LogEntry.objects.get().object_id == str(level.pk)


def test_a_target_below_the_reorder_point_is_refused_on_the_form(office, stocked, ghee):
    answer = office.post(level_page(stocked(ghee)), {"reorder_point": "30", "target_level": "10"})
    assert answer.status_code == 200
    assert 'class="errorlist' in answer.content.decode()
    assert stocked(ghee).reorder_point == 0


# -- adjust -----------------------------------------------------------------------------------------------------------
def test_adjusting_posts_one_document_however_often_it_is_sent(office, stocked, ghee, reason):
    page = level_page(stocked(ghee), "adjust")
    sent = {**shown(office, page), "change": "-3", "reason": reason("MISSING").pk, "notes": "shelf check"}
    assert stocked(ghee).on_hand == 24
    for _click in range(3):
        assert office.post(page, sent).status_code == 302
    assert stocked(ghee).on_hand == 21
    document = Document.objects.get(kind=Kind.ADJUSTMENT)
    assert (document.source, document.user.username, document.reason.code, document.notes) == (
        "admin",
        "head",
        "MISSING",
        "shelf check",
    )
    entries = [(entry.action_flag, entry.content_type.model) for entry in LogEntry.objects.order_by("pk")]
    assert entries == [(CHANGE, "stocklevel"), (ADDITION, "document")]
    assert document.number in LogEntry.objects.first().change_message


def test_a_count_posts_the_difference_once(office, stocked, ghee, reason):
    page = level_page(stocked(ghee), "adjust")
    sent = {**shown(office, page), "counted": "20", "reason": reason("COUNTED").pk}
    for _click in range(2):
        assert office.post(page, sent).status_code == 302
    assert stocked(ghee).on_hand == 20
    assert Document.objects.filter(kind=Kind.ADJUSTMENT).count() == 1
    assert office.post(page, {**sent, "counted": "19"}).status_code == 422
    assert stocked(ghee).on_hand == 20


def test_a_count_against_a_figure_that_has_moved_is_refused(office, stocked, post, ghee, reason):
    page = level_page(stocked(ghee), "adjust")
    sent = {**shown(office, page), "counted": "20", "reason": reason("COUNTED").pk}
    post(Kind.SALE, (ghee, 1))
    answer = office.post(page, sent)
    assert answer.status_code == 422
    assert "24 then, 23 now" in answer.content.decode()
    assert stocked(ghee).on_hand == 23
    assert 'name="seen" value="23' in answer.content.decode()


@pytest.mark.parametrize(
    ("why", "kind"), [("SPILLED", "wastage"), ("OWN_USE", "own_use"), ("TO_SUPPLIER", "supplier_return")]
)
def test_a_reason_tells_the_kind_which_only_takes_away(office, stocked, atta, reason, why, kind):
    page = level_page(stocked(atta), "adjust")
    sent = {**shown(office, page), "change": "1.5", "reason": reason(why).pk}
    assert "only become less" in office.post(page, sent).content.decode()
    assert office.post(page, {**sent, "change": "-1.5"}).status_code == 302
    assert Movement.objects.get(kind=kind).quantity == Decimal("-1.5")
    assert Document.objects.get(kind=kind).reason.code == why


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"change": "-25"}, "Not enough stock"),
        ({"change": "0.5"}, "steps of 1"),
        ({"change": "1", "counted": "3"}, "Give one of the two"),
        ({}, "Give one of the two"),
        ({"change": "NaN"}, "Enter a number"),
        ({"counted": "24"}, "changes nothing"),
    ],
)
def test_what_cannot_be_posted_comes_back_on_the_form(office, stocked, ghee, reason, fields, words):
    page = level_page(stocked(ghee), "adjust")
    answer = office.post(page, {**shown(office, page), "reason": reason("MISSING").pk, **fields})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert stocked(ghee).seq == 1
    assert not LogEntry.objects.exists()


def test_a_reason_is_required_and_must_be_one_for_adjusting(office, stocked, ghee, reason):
    page = level_page(stocked(ghee), "adjust")
    for wrong in ("", reason("MISTAKE").pk):
        assert office.post(page, {**shown(office, page), "change": "-1", "reason": wrong}).status_code == 422
    assert stocked(ghee).on_hand == 24


# -- reverse ----------------------------------------------------------------------------------------------------------
def test_reversing_asks_first_and_voids_once(office, sale, stocked, ghee, atta, reason):
    page = document_page(sale, "reverse")
    text = office.get(page).content.decode()
    assert "+2 pc" in re.sub(r"<[^>]+>", "", text)
    assert not Document.objects.filter(reverses=sale).exists()
    sent = {**shown(office, page), "reason": reason("MISTAKE").pk, "notes": "wrong customer"}
    for _click in range(2):
        assert office.post(page, sent).status_code == 302
    void = Document.objects.get(reverses=sale)
    assert (void.source, void.user.username, void.notes) == ("admin", "head", "wrong customer")
    assert (stocked(ghee).on_hand, stocked(atta).on_hand) == (24, 100)
    assert [(entry.action_flag, entry.object_id) for entry in LogEntry.objects.order_by("pk")] == [
        (CHANGE, str(sale.pk)),
        (ADDITION, str(void.pk)),
    ]
    again = office.post(page, {"reference": str(uuid.uuid4()), "reason": reason("MISTAKE").pk})
    assert again.status_code == 422
    assert "voided before" in again.content.decode()
    assert 'name="reference"' not in office.get(page).content.decode()
    assert document_page(sale, "reverse") not in office.get(document_page(sale)).content.decode()
    assert 'name="reference"' not in office.get(document_page(void, "reverse")).content.decode()


def test_a_post_without_a_reference_does_nothing(office, sale, reason):
    assert office.post(document_page(sale, "reverse"), {"reason": reason("MISTAKE").pk}).status_code == 422
    assert not Document.objects.filter(reverses=sale).exists()


def test_who_may_only_look_neither_adjusts_nor_reverses(client, sale, stocked, ghee, reason):
    auditor = User.objects.create_user("auditor", password="x", is_staff=True)
    auditor.groups.set(Group.objects.filter(name="Auditor"))
    client.force_login(auditor)
    level = stocked(ghee)
    for page in (level_page(level, "adjust"), document_page(sale, "reverse")):
        assert client.get(page).status_code == 403
        assert (
            client.post(
                page, {"reference": str(uuid.uuid4()), "change": "-1", "reason": reason("MISSING").pk}
            ).status_code
            == 403
        )
    assert client.post(level_page(level), {"reorder_point": "5"}).status_code == 403
    assert level_page(level, "adjust") not in client.get(level_page(level)).content.decode()


@pytest.mark.parametrize("address", ["0", "1-1", "x", "999999999999999999999", "٣"])
def test_an_address_that_names_nothing_leads_nowhere(office, stocked, address):
    for name in ("stocklevel", "document"):
        assert office.get(f"/admin/inventory/{name}/{address}/change/").status_code == 302
    assert office.get(f"/admin/inventory/stocklevel/{address}/adjust/").status_code == 404
    assert office.get(f"/admin/inventory/document/{address}/reverse/").status_code == 404
