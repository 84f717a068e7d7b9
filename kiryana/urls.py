"""Every address of the site in one place."""

from django.contrib import admin
from django.urls import include, path

from inventory.views import acts, documents, lists
from kiryana import views
from kiryana.api.docs import docs
from kiryana.api.routes import nowhere
from reports import views as reports
from stores import views as stores

# Pages of one store: /s/<store code>/...
store_pages = [
    path("", reports.dashboard, name="dashboard"),
    path("reports/", reports.index, name="reports"),
    path("reports/daily-sales/", reports.daily_sales, name="daily_sales"),
    path("reports/inventory-value/", reports.inventory_value, name="inventory_value"),
    path("reports/low-stock/", reports.low_stock, name="low_stock"),
    path("reports/top-products/", reports.top_products, name="top_products"),
    path("products/", lists.products, name="products"),
    path("products/find/", lists.find, name="find"),
    path("inventory/", lists.inventory, name="inventory"),
    path("inventory/<path:sku>/adjust/", lists.item_adjust, name="item_adjust"),
    path("inventory/<path:sku>/reorder/", lists.item_reorder, name="item_reorder"),
    path("inventory/<path:sku>/", lists.item, name="item"),
    path("movements/", lists.movements, name="movements"),
    path("movements/file/", reports.movements_file, name="movements_file"),
    path("movements/sale/", acts.sale, name="sale"),
    path("movements/receipt/", acts.receipt, name="receipt"),
    path("movements/adjustment/", acts.adjustment, name="adjustment"),
    path("sales/", lists.sales, name="sales_today"),
    path("documents/<int:pk>/", documents.document, name="document"),
    path("documents/<int:pk>/reverse/", documents.reverse, name="reverse"),
    path("documents/<int:pk>/return/", documents.customer_return, name="customer_return"),
]

# They are tried in this order, so what tills and monitors ask all day stands first.
urlpatterns = [
    path("api/v1/", include("kiryana.api.routes")),
    nowhere,
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("", stores.home, name="home"),
    path("login/", stores.login, name="login"),
    path("logout/", stores.logout, name="logout"),
    path("language/", stores.language, name="language"),
    path("profile/", stores.profile, name="profile"),
    path("stores/", stores.store_list, name="store_list"),
    path("s/<slug:code>/", include(store_pages)),
    path("developers/", stores.developers, name="developers"),
    path("developers/keys/new/", stores.developers_key_new, name="developers_key_new"),
    path("developers/keys/test/", stores.developers_key_test, name="developers_key_test"),
    path("developers/keys/<slug:public_id>/", stores.developers_key, name="developers_key"),
    path(
        "developers/keys/<slug:public_id>/requests/", stores.developers_requests, name="developers_requests"
    ),
    path("developers/keys/<slug:public_id>/rotate/", stores.developers_rotate, name="developers_rotate"),
    path("developers/keys/<slug:public_id>/revoke/", stores.developers_revoke, name="developers_revoke"),
    path("developers/webhooks/<int:pk>/", stores.developers_webhook, name="developers_webhook"),
    path(
        "developers/webhooks/<int:pk>/deliveries/<int:delivery>/retry/",
        stores.developers_retry,
        name="developers_retry",
    ),
    path("docs", docs, name="docs"),
    path("admin/", admin.site.urls),
]

handler400 = "kiryana.views.bad_request"
handler403 = "kiryana.views.forbidden"
handler404 = "kiryana.views.not_found"
handler500 = "kiryana.views.server_error"
