"""Pages that record something with several lines: a sale, stock in, an adjustment."""

import uuid
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from catalog.models import Product
from inventory.forms.acts import ActForm, AdjustmentForm, ReceiptForm, SaleForm
from inventory.forms.lines import SELLABLE, LineForm, Lines
from inventory.models import Document, Kind
from inventory.services import Actor, InsufficientStock, Line, Posted, ReferenceReused, Refused, post_document
from stores.access import get_store, may
from stores.models import Store
from stores.templatetags.shop import plain_money
from stores.views import signed_in

SAVE, CONFIRM = "save", "confirm"
# A form that the sign-in page carried comes back with this word: it is shown, not sent.
CARRIED = "check"
PREFIX = "lines"


def fresh_lines(request, store: Store, boxes: Sequence[str]) -> Lines:
    """Empty lines; `?sku=` in the address fills the first ones."""
    skus = [sku for sku in request.GET.getlist("sku")[:20] if "\0" not in sku]
    products = Product.objects.filter(sku__in=skus, status__in=SELLABLE) if skus else []
    data = {f"{PREFIX}-TOTAL_FORMS": str(len(products)), f"{PREFIX}-INITIAL_FORMS": "0"}
    for number, product in enumerate(products):
        data |= {
            f"{PREFIX}-{number}-item": product.label,
            f"{PREFIX}-{number}-asked": product.label,
            f"{PREFIX}-{number}-product": product.sku,
        }
    lines = Lines(data, prefix=PREFIX, store=store, boxes=boxes, lenient=True)
    lines.resolve()
    return completed(lines)


def completed(lines: Lines) -> Lines:
    """The same lines with what is known filled in, and empty ones after them; asks the database nothing."""
    fuller = Lines(lines.completed(), prefix=PREFIX, store=lines.store, boxes=lines.boxes, lenient=True)
    for new, old in zip(fuller.forms, lines.filled, strict=False):
        new.problem, new.options = old.problem, old.options
        if old.found:
            new.settle(old.found)
    return fuller


def entry_page(
    request,
    store: Store,
    *,
    section: str,
    template: str,
    head_class: type[ActForm],
    boxes: Sequence[str],
    record,
    done,
):
    """One page of line entry. `record(head, lines, confirmed)` posts; `done(posted)` gives the page that follows.

    "check" (what Enter and scanners press) looks the items up and adds empty lines; "save" records; "confirm" records a
    sale beyond stock. Whatever is refused comes back with what was typed.
    """
    ask = False
    if request.method != "POST":
        head, lines = head_class(store=store), fresh_lines(request, store, boxes)
    else:
        step = request.POST.get("act")
        saving = step in (SAVE, CONFIRM)
        head = head_class(request.POST, store=store)
        lines = Lines(request.POST, prefix=PREFIX, store=store, boxes=boxes, lenient=not saving)
        head_is_valid = head.is_valid()
        lines.resolve(head.cleaned_data.get("when"))
        if not saving:
            lines = completed(lines)
        elif not lines.filled:
            head.add_error(None, ValidationError(_("Write at least one item."), code="empty"))
            lines = completed(lines)
        elif lines.is_valid() and head_is_valid:
            try:
                with timezone.override(ZoneInfo(store.timezone)):
                    posted = record(head, lines, step == CONFIRM)
            except Refused as refusal:
                ask = show_refusal(refusal, store, head, lines)
            else:
                return done(posted)
    totals = [line.line_total for line in lines.filled]
    has_errors = request.method == "POST" and bool(head.errors or any(line.errors for line in lines.forms))
    if not has_errors and not ask:
        # A scanner types where the eye is not: the next free line waits for it, also without a script.
        for line in [line for line in lines.forms if line.is_blank][:1]:
            line.fields["item"].widget.attrs["autofocus"] = True
    context = {
        "section": section, "head": head, "lines": lines, "ask": ask, "total": sum(total for total in totals if total is not None),
        "boxes": boxes, "columns": 1 + len(boxes) + ("amount" in boxes),
        "has_errors": has_errors,
    }  # fmt: skip
    return render(request, template, context)


def show_refusal(refusal: Refused, store: Store, head: ActForm, lines: Lines) -> bool:
    """Puts a refusal where it belongs; True if the seller may go on all the same (R4)."""
    if isinstance(refusal, ReferenceReused):
        show_reused(head, store)
    elif isinstance(refusal, InsufficientStock):
        lines.refuse(refusal)
        if (
            store.oversell_policy == Store.OversellPolicy.WARN
            and head.prefix is None
            and isinstance(head, SaleForm)
        ):
            return True
        head.add_error(None, refusal)
    else:
        lines.refuse(refusal)
        if not getattr(refusal, "lines", ()):
            head.refuse(refusal)
    return False


def show_reused(head: ActForm, store: Store) -> None:
    """The form was saved before and then changed (Back, and again): it may be saved once more, as another document."""
    first = Document.objects.for_store(store).filter(reference=head.cleaned_data["reference"]).first()
    head.data = {**head.data.dict(), "reference": str(uuid.uuid4())}
    number = first.number if first else ""
    head.add_error(
        None,
        ValidationError(
            _("This form was saved already, as %(number)s. If this is another one, press Save again.")
            % {"number": number},
            code="idempotency_key_reused",
        ),
    )


def may_void(user, store: Store, document: Document) -> bool:
    """Owners and managers any document; a cashier his own sale of the same business day. A void is never voided.

    Whether it was voided already is not asked here.
    """
    if document.reverses_id or store.status in (Store.Status.SUSPENDED, Store.Status.CLOSED):
        return False
    if may(store.role, "reverse"):
        return True
    own = (
        document.kind == Kind.SALE and document.user_id == user.pk and document.business_date == store.today()
    )
    return own and may(store.role, "reverse_own_today")


def tell(request, posted: Posted) -> None:
    """Says what was recorded, with a link to it, and to undoing it where that is allowed."""
    store, document = request.store, posted.document
    page = reverse("document", args=[store.code, document.pk])
    words = (
        _("%(number)s was recorded before: nothing was recorded twice.")
        if posted.replayed
        else _("%(number)s is recorded.")
    )
    text = format_html('{} <a href="{}">{}</a>', words % {"number": document.number}, page, _("Show"))
    if document.total is not None and not posted.replayed:
        text = format_html(
            '<span>{} <bdi dir="ltr">{}</bdi></span> <a href="{}">{}</a>',
            words % {"number": document.number},
            plain_money(document.total),
            page,
            _("Show"),
        )
    if not posted.replayed and may_void(request.user, store, document):
        undo = reverse("reverse", args=[store.code, document.pk])
        text = format_html('{} <a class="message-end" href="{}">{}</a>', text, undo, _("Undo"))
    messages.success(request, text)
    below = [movement for movement in posted.movements if movement.oversold]
    if below and not posted.replayed:
        messages.warning(request, _("Some items are below zero now. Count them when you can."))


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def sale(request, code):
    """Record a sale of any number of items."""
    store = get_store(request, code, "sell")
    boxes = ["amount", "price"] if may(store.role, "set_price") else ["amount"]

    def record(head, lines, confirmed):
        return post_document(
            store=store,
            kind=Kind.SALE,
            lines=[line.as_line() for line in lines.filled],
            confirm_oversell=confirmed,
            **said(request, head),
        )

    def done(posted):
        tell(request, posted)
        return redirect("sale", store.code)

    return entry_page(
        request,
        store,
        section="sell",
        template="inventory/sale.html",
        head_class=SaleForm,
        boxes=boxes,
        record=record,
        done=done,
    )


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def receipt(request, code):
    """Record goods that came in."""
    store = get_store(request, code, "receive")
    boxes = ["pack", "cost"] if may(store.role, "see_cost") else ["pack"]

    def record(head, lines, confirmed):
        return post_document(
            store=store,
            kind=Kind.RECEIPT,
            lines=[line.as_line() for line in lines.filled],
            **said(request, head),
        )

    return entry_page(
        request,
        store,
        section="receive",
        template="inventory/receipt.html",
        head_class=ReceiptForm,
        boxes=boxes,
        record=record,
        done=to_document(request),
    )


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def adjustment(request, code):
    """Correct the stock of several items, or take goods off it without a sale, for one coded reason."""
    store = get_store(request, code, "adjust")

    def record(head, lines, confirmed):
        reason, rows = head.cleaned_data["reason"], [line.as_line() for line in lines.filled]
        if reason.takes_away:
            refuse_more(lines.filled)
            rows = [Line(product=row.product, quantity=-row.quantity) for row in rows]
        return post_document(store=store, kind=reason.kind, lines=rows, reason=reason, **said(request, head))

    return entry_page(
        request, store, section="adjust", template="inventory/adjustment.html", head_class=AdjustmentForm, boxes=["direction"], record=record,
        done=to_document(request),
    )  # fmt: skip


def refuse_more(lines: list[LineForm]) -> None:
    """Goods that are written off, used up or sent back leave the shelf: a line with "more" is a mistake."""
    if wrong := [line for line in lines if line.cleaned_data.get("direction") == LineForm.Direction.MORE]:
        for line in wrong:
            line.add_error("direction", ValidationError(_("This reason takes goods away."), code="invalid"))
        raise Refused(_("This reason takes goods away."), code="invalid")


def said(request, head: ActForm) -> dict:
    """What the head of a form says, for the service."""
    data = head.cleaned_data
    return {
        "actor": Actor.on_page(request.user, request.store.role),
        "reference": data["reference"],
        "occurred_at": data.get("when"),
        "notes": data["notes"],
    }


def to_document(request):
    """What was recorded is shown."""

    def done(posted: Posted):
        tell(request, posted)
        return redirect("document", request.store.code, posted.document.pk)

    return done
