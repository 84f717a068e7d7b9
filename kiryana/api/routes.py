"""Every address under /api/v1/."""

from django.urls import path, re_path
from django.utils.translation import gettext as _
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.views import APIView

from catalog.api import ProductViews
from inventory.api.views import DocumentViews, LevelViews, MovementViews
from kiryana.api.schema import SchemaView
from reports.api import ReportViews
from stores.api.base import OneForm
from stores.api.views import MeView, StoreViews
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
    path("me/", MeView.as_view(ONE), name="me"),
    path("products/", ProductViews.as_view(LIST | ADD), name="products"),
    path("products/lookup/", ProductViews.as_view({"get": "lookup"}), name="product_lookup"),
    re_path(rf"^products/{SKU}/\Z", ProductViews.as_view(ONE | CHANGE), name="product"),
    path("stores/", StoreViews.as_view(LIST), name="stores"),
    re_path(r"^stores/(?P<code>[A-Z0-9][A-Z0-9-]{0,19})/\Z", StoreViews.as_view(ONE), name="store"),
    path("inventory/", LevelViews.as_view(LIST), name="inventory"),
    re_path(rf"^inventory/{STORE}/{SKU}/\Z", LevelViews.as_view(ONE | CHANGE), name="level"),
    path("movements/", MovementViews.as_view(LIST | ADD), name="movements"),
    re_path(rf"^movements/{ID}/\Z", MovementViews.as_view(ONE), name="movement"),
    path("documents/", DocumentViews.as_view(LIST | ADD), name="documents"),
    path("documents/batch/", DocumentViews.as_view({"post": "batch"}), name="document_batch"),
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
    path("schema/", SchemaView.as_view(), name="schema"),
]
# Beneath all others, outside of the version too.
nowhere = re_path(r"^api/", Nowhere.as_view(), name="api_nowhere")
