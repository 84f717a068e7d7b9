"""Levels, documents and the ledger. What was written stays: nothing here has PUT or DELETE."""

from django.db import DatabaseError, transaction
from django.db.models import F, OuterRef, Subquery
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.response import Response
from rest_framework.reverse import reverse

from catalog.models import Pack, Product
from inventory.api import examples
from inventory.api.inputs import (
    BatchInput,
    BatchSchema,
    DocumentInput,
    LevelChange,
    MovementInput,
    ReversalInput,
)
from inventory.api.posting import Desk, post, post_batch, problem_of, reason_for, reference_of
from inventory.api.shapes import (
    BatchSerializer,
    DocumentRowSerializer,
    DocumentSerializer,
    LevelSerializer,
    MovementSerializer,
)
from inventory.filters import DocumentFilter, LevelFilter, MovementFilter
from inventory.models import Document, Movement, Reason, StockLevel
from inventory.services import Actor, Posted, Refused, reverse_document
from stores.api.base import KeyViews, Listed, check_match, entity_tag, store_of, taken
from stores.api.fields import kept
from stores.authentication.problems import CODES, Fault, Invalid, Problem, problem_of_database
from stores.models import ApiKey, Store

Scope = ApiKey.Scope
POSTING = ("insufficient_stock", "store_not_open", "idempotency_key_reused")
# What may become of one document of a batch; when the database is away there are no verdicts at all.
VERDICTS = CODES.keys() - {"unavailable", "storage_full"}
IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[!-~]+$"},
    OpenApiParameter.HEADER,
    description="Your own number for this act; the same as `reference` in the body. Sent again, it is done once.",
)
# What a row of a list shows: each column more is read fifty times.
SHOWN_OF_MOVEMENTS = (
    "line_no", "kind", "quantity", "entered_quantity", "unit_price", "line_total", "unit_cost", "cost_estimated", "balance_after",
    "average_cost_after", "seq", "reverses", "returns", "occurred_at", "recorded_at", "business_date", "store__code", "product__sku",
    "document__kind", "document__reverses", "document__reference", "reason__code", "entered_pack__name",
)  # fmt: skip
SHOWN_OF_DOCUMENTS = (
    "kind", "reference", "occurred_at", "recorded_at", "business_date", "total", "notes", "reverses", "returns", "line_count",
    "store__code", "reason__code",
)  # fmt: skip
# A level that is changed is checked whole.
SHOWN_OF_LEVELS = (
    *(field.name for field in StockLevel._meta.concrete_fields),
    "store__code", "product__sku", "product__name", "product__unit",
)  # fmt: skip
STORE_CODE = OpenApiParameter("store", str, OpenApiParameter.PATH, description="The store's code.")
SKU = OpenApiParameter("sku", str, OpenApiParameter.PATH, description="The product's SKU.")


IF_MATCH = OpenApiParameter(
    "If-Match",
    str,
    OpenApiParameter.HEADER,
    description="The ETag of the settings you change. Left out: they are changed whatever they are.",
)


def example(name: str, value, status: int | None = None, request: bool = False) -> OpenApiExample:
    return OpenApiExample(
        name,
        value,
        request_only=request,
        response_only=not request,
        status_codes=[str(status)] if status else None,
    )


class StoreDataViews(Listed, KeyViews):
    """Lists of rows that belong to a store: a `store` that is not the key's is not found.

    `one_store` is the only one that a list is about: it is named, or the key has no other. It is known before the rows are
    asked for, so that they are found by that store's own keys and not by a walk past those of all others.
    """

    one_store: Store | None = None

    def list(self, request, *args, **kwargs):
        self.one_store = store_of(self, request.query_params.get("store")) or self.only_store()
        return super().list(request, *args, **kwargs)

    def only_store(self) -> Store | None:
        """The store of a key that has one store."""
        mine = [] if self.key.all_stores else list(self.my_stores()[:2])
        return mine[0] if len(mine) == 1 else None

    def filter_queryset(self, queryset):
        rows = super().filter_queryset(queryset)
        return rows.filter(store=self.one_store) if self.one_store else rows


@extend_schema(tags=["inventory"])
class LevelViews(StoreDataViews):
    scopes = {
        "list": Scope.INVENTORY_READ,
        "retrieve": Scope.INVENTORY_READ,
        "partial_update": Scope.MOVEMENTS_WRITE,
    }
    problems = {"list": ("not_found",), "partial_update": ("not_found", "version_conflict")}
    tagged = frozenset({"retrieve", "partial_update"})
    queryset = StockLevel.objects.none()
    serializer_class = LevelSerializer
    filterset_class = LevelFilter
    orderings = ("id", "-id", "sku", "-sku", "updated_at", "-updated_at")

    order_fields = {"sku": "product__sku"}

    def filter_queryset(self, queryset):
        rows = super().filter_queryset(queryset)
        if self.one_store:
            # The id, but not as its index knows it: the few levels of one store are sorted. The planner would rather walk
            # all levels by id until enough of them are that store's.
            self.order_fields = {**self.order_fields, "id": "place"}
            rows = rows.annotate(place=F("id") + 0)
        return rows

    def get_queryset(self):
        return StockLevel.objects.for_key(self.key).select_related("store", "product").only(*SHOWN_OF_LEVELS)

    @extend_schema(summary="List stock levels", examples=[example("A level", examples.LEVEL)])
    def list(self, request, *args, **kwargs):
        """How much each of the key's stores has now."""
        return super().list(request, *args, **kwargs)

    @extend_schema(
        summary="One stock level", parameters=[STORE_CODE, SKU], examples=[example("A level", examples.LEVEL)]
    )
    def retrieve(self, request, store, sku):
        """How much of one product one store has now. Its ETag is that of the reorder settings alone."""
        return self.shown(self.level(store, sku))

    def shown(self, level: StockLevel) -> Response:
        """One level with the ETag of its settings."""
        return Response(self.shape.to_representation(level), headers={"ETag": tag_of(level)})

    @extend_schema(
        summary="Change reorder settings",
        parameters=[STORE_CODE, SKU, IF_MATCH],
        request=LevelChange,
        responses=LevelSerializer,
        examples=[
            example(
                "Warn at 20, refill to 100", {"reorder_point": "20", "target_level": "100"}, request=True
            ),
            example("The level", examples.LEVEL),
        ],
    )
    def partial_update(self, request, store, sku):
        """When to warn and how far to refill. What is on hand changes by movements only.

        With If-Match the settings change only if they are still those of that ETag; what is sold meanwhile is no matter.
        """
        self.body()  # read before anything is locked: the sender may be slow
        with transaction.atomic():
            level = self.level(store, sku, lock=True)
            given = self.read(LevelChange, level=level)
            check_match(self.request, tag_of(level), required=False)
            level.set_reorder(
                reorder_point=given.get("reorder_point", level.reorder_point),
                target_level=given.get("target_level", level.target_level),
            )
        return self.shown(level)

    def level(self, store: str, sku: str, lock: bool = False) -> StockLevel:
        levels = self.get_queryset()
        level = get_object_or_404(levels, store__code=store, product__sku=sku)
        if not lock:
            return level
        locked = levels.select_for_update(of=("self",))
        return get_object_or_404(locked, store=level.store_id, product=level.product_id)


@extend_schema(tags=["movements"])
class MovementViews(StoreDataViews):
    scopes = {"list": Scope.MOVEMENTS_READ, "retrieve": Scope.MOVEMENTS_READ, "create": Scope.MOVEMENTS_WRITE}
    problems = {"list": ("not_found",), "create": POSTING}
    append_only = True
    queryset = Movement.objects.none()
    serializer_class = MovementSerializer
    filterset_class = MovementFilter
    orderings = ("-id", "id")
    lookup_field = lookup_url_kwarg = "id"

    def get_queryset(self):
        rows = Movement.objects.for_key(self.key).select_related(
            "store", "product", "document", "reason", "entered_pack"
        )
        return rows.only(*SHOWN_OF_MOVEMENTS)

    @extend_schema(summary="List movements", examples=[example("A movement", examples.MOVEMENT)])
    def list(self, request, *args, **kwargs):
        """Lines of the ledger, the newest first."""
        return super().list(request, *args, **kwargs)

    @extend_schema(summary="One movement", examples=[example("A movement", examples.MOVEMENT)])
    def retrieve(self, request, id):
        """One line of the ledger."""
        return Response(self.shape.to_representation(get_object_or_404(self.get_queryset(), pk=id)))

    @extend_schema(
        summary="Record one movement",
        parameters=[IDEMPOTENCY_KEY],
        request=MovementInput,
        responses={
            201: OpenApiResponse(MovementSerializer, description="Recorded."),
            200: OpenApiResponse(
                MovementSerializer, description="Was recorded before: the first answer again."
            ),
        },
        examples=[
            example("Wastage", examples.ONE_LINE, request=True),
            example("The movement", examples.MOVEMENT),
        ],
    )
    def create(self, request):
        """A document of one line. With a reference it is safe to send it again; without one, it is recorded each time."""
        given = self.read(MovementInput)
        reference = reference_of(request, given.get("reference"), required=False)
        posted = post(Desk(self.key, [given]), given, reference, one_line=True)
        return answer(
            posted,
            kept(MovementSerializer, sees_cost=self.sees_cost).to_representation(posted.movements[0]),
            "api:movement",
            posted.movements[0].pk,
            request,
        )


@extend_schema(tags=["documents"])
class DocumentViews(StoreDataViews):
    scopes = {
        "list": Scope.MOVEMENTS_READ,
        "retrieve": Scope.MOVEMENTS_READ,
        "create": Scope.MOVEMENTS_WRITE,
        "reverse": Scope.MOVEMENTS_WRITE,
        "batch": Scope.MOVEMENTS_WRITE,
    }
    problems = {
        "list": ("not_found",),
        "create": POSTING,
        "reverse": ("not_found", "already_reversed", *POSTING),
    }
    append_only = True
    queryset = Document.objects.none()
    serializer_class = DocumentSerializer
    filterset_class = DocumentFilter
    orderings = ("-id", "id")
    lookup_field = lookup_url_kwarg = "id"

    def get_queryset(self):
        void = Document.objects.filter(store=OuterRef("store"), reverses=OuterRef("pk")).values("pk")[:1]
        return (
            Document.objects.for_key(self.key)
            .select_related("store", "reason")
            .only(*SHOWN_OF_DOCUMENTS)
            .annotate(voided_by=Subquery(void))
        )

    def get_serializer_class(self):
        return DocumentRowSerializer if self.action == "list" else DocumentSerializer

    @extend_schema(summary="List documents", examples=[example("A sale", examples.ROW)])
    def list(self, request, *args, **kwargs):
        """Documents without their lines, the newest first."""
        return super().list(request, *args, **kwargs)

    @extend_schema(summary="One document", examples=[example("A sale", examples.DOCUMENT)])
    def retrieve(self, request, id):
        """One document with its lines."""
        document = get_object_or_404(self.get_queryset(), pk=id)
        movements = Movement.objects.filter(store=document.store, document=document).order_by("line_no")
        movements = list(movements.select_related("product", "entered_pack").defer("product__search_text"))
        return Response(self.shown(Posted(document, movements)))

    def shown(self, posted: Posted) -> dict:
        """A document with its lines."""
        posted.document.lines, posted.document.oversold = posted.movements, posted.flagged
        return kept(DocumentSerializer, sees_cost=self.sees_cost).to_representation(posted.document)

    @extend_schema(
        summary="Record a document",
        parameters=[IDEMPOTENCY_KEY],
        request=DocumentInput,
        responses={
            201: OpenApiResponse(DocumentSerializer, description="Recorded."),
            200: OpenApiResponse(
                DocumentSerializer, description="Was recorded before: the first answer again."
            ),
        },
        examples=[
            example("A sale", examples.SALE, request=True),
            example("A delivery", examples.RECEIPT, request=True),
            example("The document", examples.DOCUMENT),
        ],
    )
    def create(self, request):
        """A sale, a delivery, a correction: all its lines are recorded, or none."""
        given = self.read(DocumentInput)
        reference = reference_of(request, given.get("reference"), required=True)
        posted = post(Desk(self.key, [given]), given, reference)
        return answer(posted, self.shown(posted), "api:document", posted.document.pk, request)

    @extend_schema(
        summary="Void a document",
        parameters=[IDEMPOTENCY_KEY],
        request=ReversalInput,
        responses={
            201: OpenApiResponse(DocumentSerializer, description="Voided: the document that does it."),
            200: OpenApiResponse(
                DocumentSerializer, description="Was voided by this reference before: the first answer again."
            ),
        },
        examples=[
            example("Entered by mistake", examples.REVERSAL, request=True),
            example("The void", examples.VOID),
        ],
    )
    def reverse(self, request, id):
        """Mirrors every line of a document once, at the same price and cost. Nothing is deleted."""
        given = self.read(ReversalInput)
        reference = reference_of(request, given.get("reference"), required=True)
        document = get_object_or_404(Document.objects.for_key(self.key).select_related("store"), pk=id)
        code = given["reason"]
        known = Reason.objects.filter(code=code, active=True).first()
        reason = reason_for(code, Reason.Use.REVERSAL, known)
        try:
            posted = reverse_document(
                document=document,
                actor=Actor.by_key(self.key),
                reference=reference,
                reason=reason,
                notes=given.get("notes", ""),
            )
        except Refused as refusal:
            problem = problem_of(refusal)
            # The lines that are meant are those of the document, not of this body.
            problem.faults = [Fault("", found.code, found.detail) for found in problem.faults]
            raise problem from refusal
        posted.document.store, posted.document.reason = document.store, reason
        products = Product.objects.defer("search_text").in_bulk(
            {movement.product_id for movement in posted.movements}
        )
        packs = Pack.objects.in_bulk({movement.entered_pack_id for movement in posted.movements} - {None})
        for movement in posted.movements:
            movement.product, movement.entered_pack = (
                products[movement.product_id],
                packs.get(movement.entered_pack_id),
            )
        return answer(posted, self.shown(posted), "api:document", posted.document.pk, request)

    @extend_schema(
        summary="Record many documents",
        request=BatchSchema,
        responses={200: BatchSerializer},
        examples=[
            example("A sale and a delivery", examples.BATCH, request=True),
            example("Verdicts", examples.VERDICTS),
        ],
    )
    def batch(self, request):
        """Up to 200 documents, each recorded or rejected by itself: one bad one never blocks the others.

        Send the whole batch again when the answer was lost: what was recorded is answered as replayed.
        """
        sent = self.read(BatchInput)["documents"]
        read = [self.read_one(document) for document in sent]
        good = [given for given in read if not isinstance(given, Invalid)]
        answers = iter(post_batch(Desk(self.key, good), good))
        answers = [given if isinstance(given, Invalid) else next(answers) for given in read]
        return Response({
            "results": [self.verdict(index, raw, answer) for index, (raw, answer) in enumerate(zip(sent, answers, strict=True))]
        })  # fmt: skip

    def read_one(self, raw) -> dict | Invalid:
        """What one document of a batch says, or what is wrong with it."""
        try:
            return taken(kept(DocumentInput), raw)
        except Invalid as problem:
            return problem

    def verdict(self, index: int, raw, answer: Posted | Problem | DatabaseError) -> dict:
        """What became of one document of a batch."""
        reference = raw.get("reference") if isinstance(raw, dict) else None
        verdict = {
            "index": index,
            "status": "rejected",
            "reference": reference if isinstance(reference, str) else None,
        }
        if isinstance(answer, Posted):
            status = "replayed" if answer.replayed else "accepted_with_flag" if answer.flagged else "created"
            return verdict | {"status": status, "document": self.shown(answer)}
        problem = answer if isinstance(answer, Problem) else problem_of_database(answer)
        if problem is None or problem.code not in VERDICTS:
            raise answer
        at = f"/documents/{index}"
        shown = [
            {"pointer": at + found.pointer, "code": found.code, "detail": found.detail}
            for found in problem.faults[:20]
        ]
        return verdict | {"code": problem.code, "detail": problem.sentence, "errors": shown}


def tag_of(level: StockLevel) -> str:
    """The ETag of a level's settings. What is on hand is no part of it: that moves with every sale."""
    settings = {"reorder_point": level.reorder_point, "target_level": level.target_level}
    shown = {name: None if value is None else f"{value.normalize():f}" for name, value in settings.items()}
    return entity_tag({"store": level.store_id, "product": level.product_id} | shown)


def answer(posted: Posted, data: dict, name: str, pk: int, request) -> Response:
    """201 with the place of what was recorded; the first answer again, marked, where it had been recorded before."""
    if posted.replayed:
        return Response(data, status=200, headers={"Idempotent-Replayed": "true"})
    return Response(data, status=201, headers={"Location": reverse(name, [pk], request=request)})
