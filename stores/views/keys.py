"""An owner's keys: made, looked at, rotated and revoked by himself, with what was asked with them and told to their webhooks.

A secret is shown on the page that answers the form, that one time; no other page, log or table has it.
"""

from zoneinfo import ZoneInfo

from django.contrib import messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.db import transaction
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from stores.access import get_own_key, get_own_webhook, owned_stores
from stores.forms import OwnKeyForm, ReferenceForm, RequestFilter, RotateForm, SentBefore, once
from stores.models import ApiKey, Change, Store
from stores.queries import InvalidCursor, KeysetPage, TooLong, briefly, keyset_page, usage
from stores.services import KeyRefused, create_own_key, create_test_key, revoke_key, rotate_own_key
from stores.services.webhooks import WebhookRefused, retry_delivery
from stores.views.people import signed_in

ROWS = 50
NEWEST = 10


def page_of(request, queryset, *, name: str) -> KeysetPage:
    """The page that `?cursor=` names, newest first; 404 for a cursor that this list did not give this reader."""
    filters = request.GET.copy()
    cursor = filters.pop("cursor", [""])[-1]
    scope = f"developers:{name}:{request.user.pk}:{filters.urlencode()}:"
    try:
        return keyset_page(queryset, order="-id", limit=ROWS, cursor=cursor, scope=scope)
    except InvalidCursor:
        raise Http404 from None


def pressed(request) -> bool:
    """Whether the page's own button sent this form. After signing in again it comes back unpressed, to be looked over."""
    return request.method == "POST" and request.POST.get("act") == "do"


def note(request, key: ApiKey, flag: int, words: str) -> None:
    """Tells the head office's log of changes who did what to `key`."""
    LogEntry.objects.log_actions(request.user.pk, [key], flag, change_message=words, single_object=True)


def show(request, template: str, context: dict, **options):
    return render(request, f"stores/{template}.html", {"clock": request.clock, **context}, **options)


def show_secret(request, key: ApiKey, secret: str, old: ApiKey | None = None):
    """The one page that has the secret."""
    context = {
        "key": key,
        "secret": secret,
        "old": old,
        "address": request.build_absolute_uri(reverse("api:me")),
        "sandboxes": not key.is_test or Store.objects.filter(sandbox=True).exists(),
    }
    return show(request, "developers_secret", context)


@signed_in
@require_safe
def developers(request):
    """The owner's keys; how to begin, for who has none."""
    stores = owned_stores(request)
    mine = ApiKey.objects.for_owner(request.user).prefetch_related("stores")
    context = {
        "page": page_of(request, mine, name="keys"),
        "form": ReferenceForm(),
        "trades": stores.filter(sandbox=False).exists(),
        "address": request.build_absolute_uri(reverse("api:me")),
    }
    return show(request, "developers", context)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def developers_key_new(request):
    """A live key for some of the owner's stores."""
    stores = owned_stores(request).filter(sandbox=False)
    if not stores:
        raise Http404
    form = OwnKeyForm(request.POST if request.method == "POST" else None, stores=stores)
    if pressed(request) and form.is_valid():
        data = form.cleaned_data
        try:
            with once(data["reference"]), transaction.atomic():
                key, secret = create_own_key(
                    owner=request.user,
                    name=data["name"],
                    scopes=data["scopes"],
                    stores=data["stores"],
                    expires_at=form.expires_at,
                )
                note(request, key, ADDITION, "Made by an owner.")
        except (KeyRefused, SentBefore) as refusal:
            form.add_error(None, refusal)
        else:
            return show_secret(request, key, secret)
    return show(request, "developers_key_new", {"form": form})


@signed_in
@require_POST
def developers_key_test(request):
    """A key for all practice stores, in one tap."""
    owned_stores(request)
    form = ReferenceForm(request.POST)
    if not pressed(request):
        return redirect("developers")
    if not form.is_valid():
        messages.error(request, " ".join(form.torn()))
        return redirect("developers")
    try:
        with once(form.cleaned_data["reference"]), transaction.atomic():
            key, secret = create_test_key(owner=request.user, name=_("Test key"))
            note(request, key, ADDITION, "Made by an owner.")
    except (KeyRefused, SentBefore) as refusal:
        messages.error(request, " ".join(refusal.messages))
        return redirect("developers")
    return show_secret(request, key, secret)


@signed_in
@require_safe
def developers_key(request, public_id):
    """One key: its rights, how it stands, what it was used for, and its webhooks."""
    key = get_own_key(request, public_id)
    days = usage(key, ZoneInfo(request.clock.timezone))
    context = {
        "key": key,
        "scopes": [ApiKey.Scope(scope).label for scope in key.scopes],
        "stores": list(key.stores.order_by("code")),
        "days": days,
        "most": max((row["requests"] for row in days), default=0) if days else 0,
        "requests": list(key.requests.order_by("-id")[:NEWEST]),
        "webhooks": list(key.webhooks.order_by("pk")[:ROWS]),
        "may_rotate": not ApiKey.HEAD_OFFICE_ONLY & set(key.scopes),
    }
    return show(request, "developers_key", context)


@signed_in
@require_safe
def developers_requests(request, public_id):
    """What was asked with a key, newest first."""
    key = get_own_key(request, public_id)
    form = RequestFilter(request.GET)
    too_long = False
    try:
        with briefly():
            page = page_of(request, form.narrowed(key.requests.all()), name=f"requests:{key.pk}")
    except TooLong:
        page, too_long = KeysetPage([], None, None), True
    context = {
        "key": key,
        "form": form,
        "page": page,
        "too_long": too_long,
        "endings": [("", _("All")), ("2xx", _("Taken")), ("4xx", _("Refused")), ("5xx", _("Failed"))],
    }
    return show(request, "developers_requests", context)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def developers_rotate(request, public_id):
    """A successor with the same rights; its secret is shown once, and the old key ends after a while."""
    key = get_own_key(request, public_id)
    if not key.is_usable or ApiKey.HEAD_OFFICE_ONLY & set(key.scopes):
        raise Http404
    form = RotateForm(request.POST if request.method == "POST" else None)
    if pressed(request) and form.is_valid():
        try:
            with once(form.cleaned_data["reference"]), transaction.atomic():
                successor, secret = rotate_own_key(key=key, grace=form.overlap, owner=request.user)
                note(request, key, CHANGE, f"Rotated by an owner: {successor.public_id} follows.")
                note(request, successor, ADDITION, f"Follows {key.public_id}.")
        except (KeyRefused, SentBefore) as refusal:
            form.add_error(None, refusal)
        else:
            key.refresh_from_db()
            return show_secret(request, successor, secret, key)
    return show(request, "developers_rotate", {"key": key, "form": form})


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def developers_revoke(request, public_id):
    """Asks, and then the key opens nothing from the next request on. Twice is the same as once."""
    key = get_own_key(request, public_id)
    if pressed(request):
        if key.revoked_at is None:
            with transaction.atomic():
                revoke_key(key=key)
                note(request, key, CHANGE, "Revoked by an owner.")
        messages.success(request, _("The key “%(name)s” no longer works.") % {"name": key.name})
        return redirect("developers_key", key.public_id)
    if not key.is_usable:
        raise Http404
    return show(request, "developers_revoke", {"key": key})


@signed_in
@require_safe
def developers_webhook(request, pk):
    """One webhook and what was sent there, newest first."""
    webhook = get_own_webhook(request, pk)
    page = page_of(request, webhook.deliveries.all(), name=f"webhook:{webhook.pk}")
    for delivery in page.rows:
        delivery.last = delivery.log[-1] if delivery.log else None
    context = {
        "webhook": webhook,
        "events": [Change.Type(event).label for event in webhook.events],
        "page": page,
    }
    return show(request, "developers_webhook", context)


@signed_in
@require_POST
def developers_retry(request, pk, delivery):
    """Sends one message to a webhook again, under the id it has. Pressed twice it is sent again once."""
    webhook = get_own_webhook(request, pk)
    found = get_object_or_404(webhook.deliveries.all(), pk=delivery)
    if pressed(request):
        try:
            retry_delivery(delivery=found)
        except WebhookRefused as refusal:
            messages.error(request, " ".join(refusal.messages))
        else:
            messages.success(request, _("The message will be sent again in a moment."))
    return redirect("developers_webhook", webhook.pk)
