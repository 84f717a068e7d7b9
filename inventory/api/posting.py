"""From what a partner sent to a document in the ledger: the same road for one line, one document and a batch."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db import DatabaseError
from django.utils import timezone
from django.utils.translation import gettext as _

from catalog.queries import Scan, forms_of
from inventory.filters import OLD_KINDS
from inventory.models import COSTED, PRICED, Document, Kind, Reason
from inventory.queries import Named, meant_by
from inventory.services import (
    Actor,
    AlreadyReversed,
    InsufficientStock,
    InvalidDocument,
    Line,
    Posted,
    ReferenceReused,
    Refused,
    StoreNotOpen,
    know,
    post_document,
    post_documents,
)
from stores.api.base import no_such_store
from stores.authentication.problems import Fault, Invalid, Problem, fault
from stores.models import ApiKey, Store, holds_secret

AS_THEY_ARE = (AlreadyReversed, ReferenceReused, StoreNotOpen)
REASON_FOR = {use.value: use for use in Reason.MANUAL}


class Desk:
    """What the documents of one request name, asked for at once: their stores, products with their prices, reasons.

    One query, whatever the number of documents and lines.
    """

    def __init__(self, key: ApiKey, documents: Iterable[dict]):
        self.key, self.now, self.actor = key, timezone.now(), Actor.by_key(key)
        self.found = meant_by(key, {one for given in documents for one in self.named_by(given)})
        self.stores = {named.store: meant.store for named, meant in self.found.items()}
        self.reasons = {named.reason: meant.reason for named, meant in self.found.items() if meant.reason}

    def named_by(self, given: dict) -> Iterator[Named]:
        """Everything that a document names, each form of each barcode."""
        at = given.get("occurred_at") or self.now
        head = Named(given["store"], at, None, None, given.get("reason"))
        for line in given.get("lines", (given,)):
            if "barcode" in line:
                for form, _kg in forms_of(line["barcode"]):
                    yield head._replace(barcode=form)
            else:
                yield head._replace(sku=line["sku"])

    def scan(self, given: dict, line: dict) -> Scan | None:
        """The product, pack and weight of one line of a document; None where there is no such product."""
        at = given.get("occurred_at") or self.now
        head = Named(given["store"], at, None, None, given.get("reason"))
        if "barcode" not in line:
            product = self.found[head._replace(sku=line["sku"])].product
            return Scan(product) if product else None
        for form, kg in forms_of(line["barcode"]):
            meant = self.found[head._replace(barcode=form)]
            if meant.product:
                return Scan(meant.product, meant.pack, kg)
        return None


def reason_for(code: str | None, use: str | None, found: Reason | None) -> Reason | None:
    """The active reason `code` for this use; refuses any other."""
    if code is None:
        return None
    if use is None:
        raise fault("/reason", "not_allowed", _("This kind of document has no reason."))
    if found is None or found.use != use:
        known = Reason.objects.filter(use=use, active=True).order_by("code").values_list("code", flat=True)
        raise fault("/reason", "invalid_choice", _("Choose one of %(codes)s.") % {"codes": ", ".join(known)})
    return found


def reference_of(request, given: str | None, required: bool) -> str | None:
    """The reference from the body or from Idempotency-Key; refuses two different ones, or none where one is required."""
    header = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if header is not None and not (
        1 <= len(header) <= 100 and header.isascii() and header.isprintable() and " " not in header
    ):
        raise fault(
            "/Idempotency-Key",
            "invalid_reference",
            _("A reference has 1 to 100 letters, digits or signs, without spaces."),
        )
    if header is not None and holds_secret(header):
        raise fault("", "secret_in_text", _("A secret key stands in the header Idempotency-Key."))
    if header is not None and given is not None and header != given:
        raise fault("/reference", "reference_mismatch", _("Idempotency-Key and reference differ."))
    reference = header or given
    if reference is None and required:
        raise reference_required()
    return reference


def reference_required() -> Invalid:
    words = _(
        "Send your own number for this as reference or in the header Idempotency-Key: sent twice, it is done once."
    )
    return fault("/reference", "reference_required", words)


@dataclass(slots=True)
class Act:
    """What a document of a partner's asks of the ledger, and what its answer will show."""

    store: Store
    said: list[dict]
    one_line: bool
    asked: dict

    def dressed(self, posted: Posted) -> Posted:
        """`posted` with everything its answer shows, taken from what the request has loaded already.

        A repetition has the content of the first time, so its products, packs and reason are those of the first time.
        """
        lines, reason = self.asked["lines"], self.asked["reason"]
        products = {line.product.pk: line.product for line in lines}
        packs = {line.pack.pk: line.pack for line in lines if line.pack}
        know(posted.document, store=self.store, reason=reason)
        for movement in posted.movements:
            know(
                movement, document=posted.document, store=self.store, reason=reason,
                product=products[movement.product_id], entered_pack=packs.get(movement.entered_pack_id),
            )  # fmt: skip
        return posted

    def problem(self, refusal: Refused) -> Problem:
        """The answer to what the ledger refused, in the sender's own words."""
        problem = problem_of(refusal)
        problem.faults = [placed(found, self.said, self.one_line) for found in problem.faults]
        return problem


def act_of(desk: Desk, given: dict, reference: str | None, one_line: bool = False) -> Act:
    """What `given` (a DocumentInput, or a MovementInput with `one_line`) asks of the ledger; refuses with a Problem."""
    store = desk.stores.get(given["store"])
    if store is None:
        raise no_such_store()
    kind = OLD_KINDS.get(given["kind"], given["kind"])
    code = given.get("reason")
    reason = reason_for(code, REASON_FOR.get(kind), desk.reasons.get(code))
    said = [given] if one_line else given["lines"]
    try:
        scans = products_of(desk, given, said)
        asked = {
            "kind": kind,
            "lines": [line_of(index, line, scans[index], kind) for index, line in enumerate(said)],
            "actor": desk.actor,
            "reference": reference,
            "occurred_at": given.get("occurred_at"),
            "reason": reason,
            "notes": given.get("notes", ""),
            "returns": sale_of(store, given["returns"], kind) if "returns" in given else None,
            "confirm_oversell": given.get("confirm_oversell", False),
        }
    except Invalid as problem:
        raise Invalid([placed(found, said, one_line) for found in problem.faults]) from problem
    return Act(store, said, one_line, asked)


def post(desk: Desk, given: dict, reference: str | None, one_line: bool = False) -> Posted:
    """Records what `given` says; refuses with a Problem.

    One more query than the desk's own, whatever the number of lines. Movements come with their product, pack and store.
    """
    act = act_of(desk, given, reference, one_line)
    try:
        return act.dressed(post_document(store=act.store, **act.asked))
    except Refused as refusal:
        raise act.problem(refusal) from refusal


def post_batch(desk: Desk, documents: Sequence[dict]) -> list[Posted | Problem | DatabaseError]:
    """Records each of `documents` or says why not; those of one store together, and in their order."""
    answers: dict[int, Posted | Problem | DatabaseError] = {}
    waiting: dict[str, list[tuple[int, Act]]] = {}

    def record(store: str) -> None:
        acts = waiting.pop(store, [])
        if not acts:
            return
        posted = post_documents(store=acts[0][1].store, acts=[act.asked for _place, act in acts])
        for (place, act), answer in zip(acts, posted, strict=True):
            if isinstance(answer, Posted):
                answers[place] = act.dressed(answer)
            else:
                answers[place] = act.problem(answer) if isinstance(answer, Refused) else answer

    for place, given in enumerate(documents):
        if "returns" in given:
            record(given["store"])  # the sale that comes back may be one of those that wait
        try:
            if "reference" not in given:
                raise reference_required()
            waiting.setdefault(given["store"], []).append((place, act_of(desk, given, given["reference"])))
        except Problem as problem:
            answers[place] = problem
    for store in list(waiting):
        record(store)
    return [answers[place] for place in range(len(documents))]


def products_of(desk: Desk, given: dict, said: list[dict]) -> list[Scan]:
    """The product of each line of `given`. Refuses every line whose product is unknown."""
    found = [desk.scan(given, line) for line in said]
    faults = [
        Fault(
            f"/lines/{index}/{'barcode' if 'barcode' in said[index] else 'sku'}",
            "unknown_product",
            _("There is no such product."),
        )
        for index, scan in enumerate(found)
        if scan is None
    ]
    if faults:
        raise Invalid(faults)
    return found


def line_of(index: int, said: dict, scan: Scan, kind: str) -> Line:
    """One line for the ledger; refuses prices, costs and amounts where they mean nothing."""

    def refuse(field, words):
        raise fault(f"/lines/{index}/{field}", "not_allowed", words)

    for field in ("unit_price", "line_total", "amount"):
        if field in said and kind not in PRICED:
            refuse(
                field,
                _("Only sales and returns have a price. What goods cost is the unit_cost of a receipt."),
            )
    if "unit_cost" in said and kind not in COSTED:
        refuse("unit_cost", _("Only receipts and opening stock have a cost of their own."))
    if scan.pack and "amount" in said:
        refuse("amount", _("A pack is sold by the pack."))
    quantity = said.get("quantity")
    if quantity is None and "amount" not in said:
        quantity = scan.quantity
    return Line(
        product=scan.product,
        pack=scan.pack,
        quantity=None if scan.pack else quantity,
        pack_quantity=quantity if scan.pack else None,
        amount=said.get("amount"),
        unit_price=said.get("unit_price"),
        line_total=said.get("line_total"),
        unit_cost=said.get("unit_cost"),
    )


def sale_of(store: Store, named: int | str, kind: str) -> Document:
    """The document of this store that a return names by its id or reference; refuses an unknown one."""
    if kind != Kind.SALE_RETURN:
        raise fault("/returns", "not_allowed", _("Only a sale_return returns a sale."))
    by = {"pk": named} if isinstance(named, int) else {"reference": named}
    sale = Document.objects.for_store(store).filter(**by).first()
    if sale is None:
        raise fault("/returns", "unknown_document", _("This store has no such document."))
    return sale


def problem_of(refusal: Refused) -> Problem:
    """The answer of the API to what the ledger refused."""
    if isinstance(refusal, InsufficientStock):
        return Problem(
            refusal.code,
            refusal.message,
            [
                Fault(
                    f"/lines/{index}/quantity",
                    refusal.code,
                    _("%(sku)s: %(on_hand)s on hand, %(wanted)s asked for.")
                    % {"sku": product.sku, "on_hand": on_hand, "wanted": wanted},
                )
                for index, product, on_hand, wanted in refusal.short
            ],
        )
    if isinstance(refusal, AS_THEY_ARE):
        return Problem(refusal.code, refusal.message)
    if isinstance(refusal, InvalidDocument) and refusal.lines:
        return Invalid(
            [
                Fault(f"/lines/{index}/{field}", code, str(words))
                for index, field, words, code in refusal.lines
            ]
        )
    field = getattr(refusal, "field", None)
    return Invalid([Fault(f"/{field}" if field else "", refusal.code, refusal.message)])


def placed(found: Fault, said: list[dict], one_line: bool) -> Fault:
    """`found` with its pointer as the sender wrote the body: one line has no `lines`, and a product may stand under `barcode`."""
    steps = found.pointer.split("/")
    if len(steps) >= 3 and steps[1] == "lines":
        line = said[int(steps[2])]
        if steps[3:] == ["sku"] and "sku" not in line:
            steps[3] = "barcode"
        if one_line:
            del steps[1:3]
    elif one_line and steps[1:] == ["lines"]:
        steps = [""]
    return Fault("/".join(steps), found.code, found.detail)
