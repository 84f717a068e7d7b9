"""Whose key this is, and the stores it may see."""

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import mixins, serializers
from rest_framework.response import Response

from stores.api.base import KeyViews, Listed
from stores.api.fields import Shown
from stores.authentication.keys import rate_of
from stores.filters import StoreFilter
from stores.models import ApiKey, Store

STORE = {
    "id": 1,
    "code": "LHE-0001",
    "name": "Madina Kiryana",
    "name_ur": "مدینہ کریانہ",
    "address": "12 Main Bazaar",
    "area": "Ichhra",
    "city": "Lahore",
    "phone": "042-35000001",
    "timezone": "Asia/Karachi",
    "oversell_policy": "warn",
    "status": "open",
    "business_date": "2026-11-22",
    "updated_at": "2026-11-01T06:00:00Z",
}
ME = {
    "id": "4Fq0Zb7TkA",
    "name": "Till of Madina Kiryana",
    "scopes": ["inventory:read", "movements:write"],
    "all_stores": False,
    "stores": ["LHE-0001"],
    "limits": {"rate": "600/m", "body_bytes": 1048576, "lines": 500, "documents": 200, "page": 500},
    "created_at": "2026-11-01T06:00:00Z",
    "expires_at": None,
}


class LimitsSerializer(serializers.Serializer):
    """How much this key may send."""

    rate = serializers.CharField(help_text="Requests in a time: 600/m is 600 a minute.")
    body_bytes = serializers.IntegerField()
    lines = serializers.IntegerField(help_text="Lines of one document.")
    documents = serializers.IntegerField(help_text="Documents of one batch.")
    page = serializers.IntegerField(help_text="Rows of one page of a list.")


class MeSerializer(serializers.Serializer):
    """A key, as far as its holder may know it."""

    id = serializers.CharField(source="public_id")
    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.ChoiceField(ApiKey.Scope.choices))
    all_stores = serializers.BooleanField()
    stores = serializers.SerializerMethodField(help_text="Codes of the stores it may see.")
    limits = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)

    def get_stores(self, key) -> list[str]:
        return list(Store.objects.for_key(key).order_by("code").values_list("code", flat=True))

    @extend_schema_field(LimitsSerializer)
    def get_limits(self, key) -> dict:
        return {"rate": rate_of(key), **settings.API_LIMITS}


class StoreSerializer(Shown):
    """One shop."""

    business_date = serializers.DateField(
        source="today", read_only=True, help_text="The day there is now, in the store's own time zone."
    )

    class Meta:
        model = Store
        fields = [
            "id", "code", "name", "name_ur", "address", "area", "city", "phone", "timezone", "oversell_policy", "status",
            "business_date", "updated_at",
        ]  # fmt: skip
        read_only_fields = fields


class MeView(KeyViews):
    scopes = {"retrieve": None}
    serializer_class = MeSerializer

    @extend_schema(
        tags=["key"], summary="My key", examples=[OpenApiExample("A till's key", ME, response_only=True)]
    )
    def retrieve(self, request):
        """The key's name, scopes, stores and limits."""
        return Response(self.get_serializer(request.auth).data)


@extend_schema(tags=["stores"], examples=[OpenApiExample("A store", STORE, response_only=True)])
class StoreViews(Listed, mixins.RetrieveModelMixin, KeyViews):
    scopes = {"list": ApiKey.Scope.STORES_READ, "retrieve": ApiKey.Scope.STORES_READ}
    queryset = Store.objects.none()
    serializer_class = StoreSerializer
    filterset_class = StoreFilter
    orderings = ("code", "-code", "id", "-id")
    lookup_field = lookup_url_kwarg = "code"

    def get_queryset(self):
        return self.my_stores()

    @extend_schema(summary="List stores")
    def list(self, request, *args, **kwargs):
        """The stores that this key may see."""
        return super().list(request, *args, **kwargs)

    @extend_schema(summary="One store")
    def retrieve(self, request, *args, **kwargs):
        """One store that this key may see; any other is not found."""
        return super().retrieve(request, *args, **kwargs)
