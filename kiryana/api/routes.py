"""Every address under /api/v1/."""

from django.urls import path, re_path
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.views import APIView

from catalog.api.views import ProductViews
from inventory.api.changes import ChangeViews
from inventory.api.views import DocumentViews, LevelViews, MovementViews
from kiryana.api.schema import SchemaView
from reports.api.views import ReportViews
from stores.api.base import OneForm
from stores.api.views import MeView, StoreViews
from stores.api.webhooks import DeliveryViews, WebhookViews
from stores.authentication.problems import fault

LIST = {"get": "list"}
ONE = {"get": "retrieve"}
ADD = {"post": "create"}
CHANGE = {"patch": "partial_update"}
STORE = r"(?P<store>[A-Z0-9][A-Z0-9-]{0,19})"
SKU = r"(?P<sku>[A-Za-z0-9][A-Za-z0-9._/-]{0,39})"
ID = r"(?P<id>[0-9]{1,18})"


class Nowhere(APIView):
    """Whatever is not an address of the API: nothing, in the API's words."""

    permission_classes = [AllowAny]
    content_negotiation_class = OneForm
    http_method_names = []
    default_response_headers = {}
    schema = None

    def http_method_not_allowed(self, request, *args, **kwargs):
        if "\0" in request.path:
            raise fault("", "null_character", _("An address holds no null character."))
        raise NotFound


app_name = "api"
urlpatterns = [
    path("documents/", DocumentViews.as_view(LIST | ADD), name="documents"),
    path("documents/batch/", DocumentViews.as_view({"post": "batch"}), name="document_batch"),
    path("me/", MeView.as_view(ONE), name="me"),
    path("products/", ProductViews.as_view(LIST | ADD), name="products"),
    path("products/lookup/", ProductViews.as_view({"get": "lookup"}), name="product_lookup"),
    path("products/batch/", ProductViews.as_view({"post": "batch"}), name="product_batch"),
    re_path(rf"^products/{SKU}/\Z", ProductViews.as_view(ONE | CHANGE), name="product"),
    path("stores/", StoreViews.as_view(LIST), name="stores"),
    re_path(r"^stores/(?P<code>[A-Z0-9][A-Z0-9-]{0,19})/\Z", StoreViews.as_view(ONE), name="store"),
    path("inventory/", LevelViews.as_view(LIST), name="inventory"),
    re_path(rf"^inventory/{STORE}/{SKU}/\Z", LevelViews.as_view(ONE | CHANGE), name="level"),
    path("movements/", MovementViews.as_view(LIST | ADD), name="movements"),
    re_path(rf"^movements/{ID}/\Z", MovementViews.as_view(ONE), name="movement"),
    re_path(rf"^documents/{ID}/\Z", DocumentViews.as_view(ONE), name="document"),
    re_path(
        rf"^documents/{ID}/reverse/\Z", DocumentViews.as_view({"post": "reverse"}), name="document_reverse"
    ),
    path(
        "reports/inventory-summary/",
        ReportViews.as_view({"get": "inventory_summary"}),
        name="report_inventory_summary",
    ),
    path("reports/daily-sales/", ReportViews.as_view({"get": "daily_sales"}), name="report_daily_sales"),
    path("reports/low-stock/", ReportViews.as_view({"get": "low_stock"}), name="report_low_stock"),
    path("reports/top-products/", ReportViews.as_view({"get": "top_products"}), name="report_top_products"),
    path("changes/", ChangeViews.as_view({"get": "changes"}), name="changes"),
    path("webhooks/", WebhookViews.as_view(LIST | ADD), name="webhooks"),
    re_path(
        rf"^webhooks/{ID}/\Z", WebhookViews.as_view(ONE | CHANGE | {"delete": "destroy"}), name="webhook"
    ),
    re_path(rf"^webhooks/{ID}/test/\Z", WebhookViews.as_view({"post": "test"}), name="webhook_test"),
    re_path(rf"^webhooks/{ID}/rotate/\Z", WebhookViews.as_view({"post": "rotate"}), name="webhook_rotate"),
    re_path(rf"^webhooks/{ID}/deliveries/\Z", DeliveryViews.as_view(LIST), name="webhook_deliveries"),
    re_path(rf"^webhooks/{ID}/retry/\Z", WebhookViews.as_view({"post": "retry"}), name="webhook_retry"),
    path("reports/stock-value/", ReportViews.as_view({"get": "stock_value"}), name="report_stock_value"),
    path("reports/dead-stock/", ReportViews.as_view({"get": "dead_stock"}), name="report_dead_stock"),
    path(
        "reports/movement-summary/",
        ReportViews.as_view({"get": "movement_summary"}),
        name="report_movement_summary",
    ),
    path("reports/shrinkage/", ReportViews.as_view({"get": "shrinkage"}), name="report_shrinkage"),
    path("schema/", SchemaView.as_view(), name="schema"),
]
# Beneath all others, outside of the version too.
nowhere = re_path(r"^api/", Nowhere.as_view(), name="api_nowhere")
