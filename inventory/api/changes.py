"""The feed of changes: what happened, once each and in an order that never changes."""

from django.core import signing
from django.utils.translation import gettext as _
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    PolymorphicProxySerializer,
    extend_schema,
    extend_schema_field,
)
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from catalog.api.shapes import ProductSerializer
from inventory.api import examples
from inventory.api.events import DocumentEventSerializer, LevelEventSerializer, as_fits, tell, types_for
from stores.api.base import KeyViews, store_of
from stores.authentication.problems import Fault, Problem, fault
from stores.models import Change
from stores.queries import LATEST, FeedMoved, FeedPage, PlaceLost, read_feed

SALT = "feed"
AFTER = OpenApiParameter(
    "after",
    {"type": "string"},
    description="`after` of the answer before this one. `latest` gives no changes, only the place to go on from. Without"
    " it: from the oldest change that is kept, at least 30 days back.",
)
LIMIT = OpenApiParameter(
    "limit",
    {"type": "integer", "minimum": 1, "maximum": 500, "default": 50},
    description="The most changes of one answer. There may be fewer although more are there: see `more`.",
)
TYPE = OpenApiParameter(
    "type", {"type": "string", "enum": list(Change.Type.values)}, description="Changes of this type only."
)
STORE = OpenApiParameter("store", str, description="Changes in the store of this code only.")


class EventSerializer(serializers.Serializer):
    """One thing that happened. `id` is the same in every answer and in every webhook that tells of it."""

    id = serializers.CharField()
    type = serializers.ChoiceField(Change.Type.choices)
    timestamp = serializers.DateTimeField()
    store = serializers.CharField(
        allow_null=True, help_text="Its code; null for products, which are the same for all stores."
    )
    data = serializers.SerializerMethodField(
        help_text="movement.created: the document as it was written. stock.low and stock.out: the level as it was then."
        " product.updated: the product as it is now."
    )

    @extend_schema_field(
        PolymorphicProxySerializer(
            component_name=None,
            serializers=[DocumentEventSerializer, LevelEventSerializer, ProductSerializer],
            resource_type_field_name=None,
        )
    )
    def get_data(self, event):
        return event["data"]


class FeedSerializer(serializers.Serializer):
    """Some changes, and where to go on."""

    next = serializers.URLField(help_text="Where to go on, now or later; always there.")
    after = serializers.CharField(help_text="The same place, to keep.")
    more = serializers.BooleanField(help_text="Whether more changes are there already.")
    results = EventSerializer(many=True)


@extend_schema(tags=["changes"])
class ChangeViews(KeyViews):
    # Each of three scopes opens it, for the types of that scope.
    scopes = {"changes": None}
    parameters = {"changes": frozenset({"after", "limit", "type", "store"})}
    problems = {"changes": ("invalid_cursor", "insufficient_scope", "not_found")}
    serializer_class = FeedSerializer

    @extend_schema(
        summary="Follow what changes",
        parameters=[AFTER, LIMIT, TYPE, STORE],
        responses=FeedSerializer,
        examples=[OpenApiExample("A sale and what it led to", examples.FEED, response_only=True)],
    )
    def changes(self, request):
        """Sales and deliveries, stock that ran low or out, products that changed: each once, and none is left out.

        Keep `after` when you have dealt with the results, and send it the next time; ask again at once while `more` is
        true. Read from the same place, the feed is the same. A key hears of the stores and of the types that it may read.
        Places are kept for at least 30 days: an older one is refused with `cursor_expired`. Then read the lists that you
        need again, and go on from `latest`, asked for before you read them.
        """
        types = self.types()
        given = request.query_params
        limit = self.paginator.limit_of(given.get("limit"))
        store = store_of(self, given.get("store"))
        after = place_of(given.get("after"))
        try:
            page = read_feed(self.key, types=types, after=after, limit=limit, store=store)
        except PlaceLost:
            words = _(
                "Changes behind this place are no longer kept. Ask for after=latest, read the lists you need again,"
                " then go on from there."
            )
            raise Problem("invalid_cursor", words, [Fault("/after", "cursor_expired", words)]) from None
        except FeedMoved:
            raise Problem("unavailable", _("The feed cannot be read just now."), wait=60) from None
        page = as_fits(page)
        return Response(self.shown(page))

    def types(self) -> tuple[str, ...]:
        """The types that are asked for and that the key's scopes allow; refuses when none is left."""
        allowed, wanted = types_for(self.key), self.request.query_params.get("type")
        if wanted is not None and wanted not in Change.Type.values:
            words = _("Choose one of %(types)s.") % {"types": ", ".join(Change.Type.values)}
            raise fault("/type", "invalid_choice", words)
        allowed = tuple(one for one in allowed if wanted in (None, one))
        if not allowed:
            words = _("This needs a key with the scope movements:read, inventory:read or catalog:read.")
            raise Problem("insufficient_scope", words)
        return allowed

    def shown(self, page: FeedPage) -> dict:
        """A page with its events, as the key sees them."""
        after = signing.dumps(page.place, salt=SALT)
        return {
            "next": replace_query_param(self.request.build_absolute_uri(), "after", after),
            "after": after,
            "more": page.more,
            "results": tell(page.changes, self.key),
        }


def place_of(after: str | None) -> tuple[int, int] | str | None:
    """The place that the parameter `after` names.

    It says nothing about who reads, so that the successor of a rotated key goes on where the old one was, and nothing
    about types and stores, which may be others the next time.
    """
    if after in (None, LATEST):
        return after
    try:
        moment, change = signing.loads(after, salt=SALT)
    except (signing.BadSignature, ValueError, TypeError):
        raise fault("/after", "invalid_cursor", _("Take after from an answer of this feed.")) from None
    return moment, change
