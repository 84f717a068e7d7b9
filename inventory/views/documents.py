"""One document: looked at, printed, returned in part, voided."""

from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from inventory.forms.acts import ReturnForm, VoidForm
from inventory.models import Document, Kind
from inventory.queries import lines_of
from inventory.services import Actor, Line, ReferenceReused, Refused, post_document, reverse_document
from inventory.views.acts import CARRIED, may_void, show_reused, tell
from stores.access import get_store, may
from stores.models import Store
from stores.views import signed_in


def find_document(store: Store, pk: int) -> Document:
    """The document `pk` of this store, with what led to it and `voided_by`; 404 for any other."""
    people = ("user", "api_key", "reason", "reverses", "returns")
    document = get_object_or_404(Document.objects.for_store(store).select_related(*people), pk=pk)
    document.voided_by = Document.objects.for_store(store).filter(reverses=document.pk).first()
    document.store = store
    return document


def may_return(store: Store, document: Document) -> bool:
    """Whether goods of this sale may be taken back by this role."""
    return (
        document.kind == Kind.SALE
        and not document.reverses_id
        and not document.voided_by
        and may(store.role, "sell")
    )


@signed_in
@require_safe
def document(request, code, pk):
    """One document as a receipt, with what became of it."""
    store = get_store(request, code)
    document = find_document(store, pk)
    lines = lines_of(document)
    returned = (
        list(Document.objects.for_store(store).filter(returns=document.pk, reverses=None))
        if document.kind == Kind.SALE
        else []
    )
    came_back = any(line.returned for line in lines)
    context = {
        "document": document, "lines": lines, "returned": returned, "section": "movements",
        "may_void": not (document.voided_by or came_back) and may_void(request.user, store, document),
        "may_return": may_return(store, document) and any(line.returnable > 0 for line in lines),
    }  # fmt: skip
    return render(request, "inventory/document.html", context)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def reverse(request, code, pk):
    """Void a whole document, for a coded reason."""
    store = get_store(request, code)
    document = find_document(store, pk)
    form = VoidForm(request.POST or None, store=store)
    if document.voided_by or not may_void(request.user, store, document):
        # The same void sent twice is told its first answer; everybody else finds nothing here.
        sent = form.is_bound and form.is_valid() and document.voided_by
        if sent and document.voided_by.reference == form.cleaned_data["reference"]:
            return redirect("document", store.code, document.voided_by.pk)
        if document.voided_by and may(store.role, "sell"):
            return redirect("document", store.code, document.pk)
        raise Http404
    if form.is_bound and form.is_valid() and request.POST.get("act") != CARRIED:
        data = form.cleaned_data
        try:
            posted = reverse_document(
                document=document,
                actor=Actor.on_page(request.user, store.role),
                reference=data["reference"],
                reason=data["reason"],
                notes=data["notes"],
            )
        except ReferenceReused:
            show_reused(form, store)
        except Refused as refusal:
            form.refuse(refusal)
        else:
            tell(request, posted)
            return redirect("document", store.code, posted.document.pk)
    context = {"document": document, "form": form, "lines": lines_of(document), "section": "movements"}
    return render(request, "inventory/reverse.html", context)


@signed_in
@require_http_methods(["GET", "HEAD", "POST"])
def customer_return(request, code, pk):
    """A customer brings goods of a sale back: which lines, and how much of each."""
    store = get_store(request, code, "sell")
    document = find_document(store, pk)
    if not may_return(store, document):
        raise Http404
    sold = lines_of(document)
    form = ReturnForm(request.POST or None, store=store, sold=sold)
    if form.is_bound and form.is_valid() and request.POST.get("act") != CARRIED:
        data = form.cleaned_data
        lines = [
            Line(product=movement.product, quantity=quantity, returns=movement)
            for movement, quantity in data["back"]
        ]
        try:
            posted = post_document(
                store=store, kind=Kind.SALE_RETURN, lines=lines, actor=Actor.on_page(request.user, store.role),
                reference=data["reference"], notes=data["notes"], returns=document,
            )  # fmt: skip
        except ReferenceReused:
            show_reused(form, store)
        except Refused as refusal:
            form.refuse(refusal)
        else:
            tell(request, posted)
            return redirect("document", store.code, posted.document.pk)
    return render(
        request, "inventory/return.html", {"document": document, "form": form, "section": "movements"}
    )
