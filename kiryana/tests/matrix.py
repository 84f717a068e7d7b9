"""Who may do what at which address: one table for the whole site. `test_matrix.py` walks it.

A line of TABLE names a URL, where it is, and who may use it by which method. What everybody else is answered follows
from the part of the site (`page`, `api`, `model` ... below): nothing is open that a line does not open.

The people: four members of one store, three people of head office who work in no store, and nobody. The keys: one of
the same store, one of another store. The objects of an address:

    own      the object of the store itself
    foreign  the same kind of object in another store
    absent   one that does not exist
    strange  the store itself, but a document (or level) of the other store in it
    missing  the store itself, but a document (or product) in it that does not exist

For the foreign key the other store is its own, and the store of everybody else is foreign.
"""

from dataclasses import dataclass, field

PRINCIPALS = (
    "anonymous", "cashier", "manager", "owner", "auditor", "editor", "support", "superuser", "partner", "foreign"
)  # fmt: skip
MEMBERS = "cashier manager owner auditor"
SELLERS = "cashier manager owner"
MANAGERS = "manager owner"
SEE_COST = "manager owner auditor"
HEAD_OFFICE = "editor support superuser"
PEOPLE = f"{MEMBERS} {HEAD_OFFICE}"
KEYS = "partner foreign"
# A key opens the API and nothing else; a session opens everything but the API.
NOBODY = f"anonymous {KEYS}"
OUTSIDE = f"{NOBODY} {MEMBERS}"
EVERYBODY = " ".join(PRINCIPALS)


@dataclass(frozen=True)
class Answer:
    """What somebody is told: the statuses it may have, and where it leads ({path} is the address that was asked)."""

    word: str
    statuses: tuple[int, ...]
    to: str = ""
    writes: bool = False


SHOWN = Answer("shown", (200,))
DONE = Answer("done", (200, 201, 202, 204, 302), writes=True)
HIDDEN = Answer("hidden", (404,))
FORBIDDEN = Answer("forbidden", (403,))
WITHOUT_KEY = Answer("no valid key", (401,))
NO_SUCH_METHOD = Answer("no such method", (405,))
SIGN_IN = Answer("to the sign-in page", (302,), "/login/?next={path}")
SIGN_IN_FIRST = Answer("sign-in page that keeps the form", (401,))
DOOR = Answer("to head office's sign-in page", (302,), "/admin/login/?next={path}")
BACK = Answer("back home: there is no such object", (302,), "/admin/")
NOT_YOURS = Answer("the body names a store that this key does not have", (400,))


# Answers that are given before any object is looked for.
AT_THE_DOOR = {WITHOUT_KEY, NO_SUCH_METHOD, SIGN_IN, SIGN_IN_FIRST, DOOR}
# A method that HTTP does not know is refused at the door, whoever asks.
UNKNOWN = {"FOO": NO_SUCH_METHOD}


def to(path: str, writes: bool = False) -> Answer:
    return Answer(f"leads to {path}", (302,), path, writes)


@dataclass(frozen=True)
class Act:
    """One method of an address: what each principal is answered for his own object and for all others, and what is sent."""

    own: dict[str, Answer]
    others: dict[str, Answer]
    body: dict | None = None
    # Tables that a request which is let in must have written, and beyond them only what BESIDE allows.
    writes: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    query: str = ""
    scope: str = ""


@dataclass(frozen=True)
class Row:
    """One URL. `acts` has the methods that exist; all others are answered by `wrong`."""

    name: str
    path: str
    acts: dict[str, Act]
    wrong: dict[str, Answer]
    objects: tuple[str, ...] = ("own",)
    json: bool = False
    # Objects that belong to no store are the own ones of both keys.
    shared: bool = False
    part: str = "page"
    # For whom foreign objects are like own ones.
    sees: str = ""


def all_of(groups: dict[str, Answer]) -> dict[str, Answer]:
    """{"cashier owner": SHOWN, ...} for each of them; later entries win."""
    return {who: answer for group, answer in groups.items() for who in group.split()}


ONE = ("own",)
STORE = ("own", "foreign", "absent")
IN_STORE = (*STORE, "strange", "missing")
ITEM = (*STORE, "missing")
# In the admin a foreign user is one of head office: only a superuser sees those.
USERS = STORE
REFUSED_METHOD = all_of({EVERYBODY: NO_SUCH_METHOD})


# -- The parts of the site --------------------------------------------------------------------------------------------
def anyone(name, path, answer=SHOWN, post=NO_SUCH_METHOD, wrong=NO_SUCH_METHOD) -> list[Row]:
    """An address that says the same to everybody."""
    acts = {"GET": Act(all_of({EVERYBODY: answer}), {}), "POST": Act(all_of({EVERYBODY: post}), {}, body={})}
    return [Row(name, path, acts, all_of({EVERYBODY: wrong}))]


def account(name, path, get, post=None, body=None, writes="") -> list[Row]:
    """A page about whoever asks. `get` and `post` say what each is answered; without `post` there is none."""
    everybody = all_of({EVERYBODY: NO_SUCH_METHOD})
    acts = {
        "GET": Act(all_of(get), {}),
        "POST": Act(everybody if post is None else all_of(post), {}, body or {}, writes),
    }
    return [Row(name, path, acts, REFUSED_METHOD)]


def page(
    name, path, get="", post="", body=None, writes="", objects=STORE, get_to=None, door=SIGN_IN_FIRST
) -> list[Row]:
    """A page of one store: `get` and `post` name the roles that it is there for; for all others it is not there."""

    def act(who, answer, at_door, **options):
        refused = {PEOPLE: HIDDEN if who else NO_SUCH_METHOD, NOBODY: at_door}
        return Act(all_of(refused | {who: answer}), all_of(refused), **options)

    acts = {
        "GET": act(get, get_to or SHOWN, SIGN_IN),
        "POST": act(post, DONE, door, body=body or {}, writes=writes),
    }
    return [Row(name, path, acts, REFUSED_METHOD, objects)]


def api(
    name,
    path,
    get="",
    post="",
    patch="",
    delete="",
    body=None,
    writes="",
    objects=ONE,
    query="",
    refused=None,
    shared=False,
    headers=None,
) -> list[Row]:
    """An address of the API. `get`, `post` ... name the scope a key needs ("any" for none).

    `refused` is what a POST is answered that names another's store in its body, where that is not "hidden".
    """
    if objects == ONE:
        shared = True

    def act(scope, answer, other, **options):
        people = {PEOPLE: WITHOUT_KEY, "anonymous": WITHOUT_KEY}
        given = {} if scope == "any" else {"scope": scope}
        return Act(all_of(people | {KEYS: answer}), all_of(people | {KEYS: other}), **options, **given)

    acts = {}
    if get:
        acts["GET"] = act(get, SHOWN, HIDDEN, query=query)
    for method, scope in (("POST", post), ("PATCH", patch), ("DELETE", delete)):
        if scope:
            sent = body if method != "DELETE" else None
            other = refused if method == "POST" and refused else HIDDEN
            acts[method] = act(
                scope, DONE if writes else SHOWN, other, body=sent, writes=writes, headers=headers or {}
            )
    wrong = all_of({KEYS: NO_SUCH_METHOD, PEOPLE: WITHOUT_KEY, "anonymous": WITHOUT_KEY})
    return [Row(name, path, acts, wrong, objects, json=True, shared=shared, part="api")]


def office(
    name,
    path,
    get=None,
    post=None,
    body=None,
    writes="",
    objects=ONE,
    absent=BACK,
    absent_post=None,
    seen=None,
    seen_post=None,
    sees="",
) -> list[Row]:
    """A page of head office: `get` and `post` say what its people are answered; nobody else gets past the door.

    Where the object is absent, who was let in is told `absent`; `seen` names others who are told something else there.
    """

    def act(given, other, seen=None, **options):
        shut = {OUTSIDE: DOOR, HEAD_OFFICE: FORBIDDEN}
        own = all_of(shut | ({HEAD_OFFICE: NO_SUCH_METHOD} if given is None else given))
        others = {who: other if answer in (SHOWN, DONE) else answer for who, answer in own.items()} | all_of(
            seen or {}
        )
        return Act(own, others, **options)

    acts = {
        "GET": act(get, absent, seen),
        "POST": act(post, absent_post or absent, seen_post, body=body or {}, writes=writes),
    }
    return [Row(name, path, acts, REFUSED_METHOD, objects, part="admin", sees=sees)]


def model(
    label,
    editor="",
    support="",
    superuser="",
    add=None,
    change=None,
    writes="",
    objects=("own", "absent"),
    pk="",
    sees="",
) -> list[Row]:
    """The addresses that the admin makes for a model. Letters say who may: (l)ist, (v)iew one, (a)dd, (c)hange, (d)elete."""
    app, word = label.split(".")
    base, name, table = f"/admin/{app}/{word}/", f"admin:{app}_{word}", writes or f"{app}_{word}"
    one = f"{base}{{{pk or word}}}/"
    letters = {"editor": editor, "support": support, "superuser": superuser}

    def may(any_of: str, answer):
        return {who: answer for who in letters if set(letters[who]) & set(any_of)}

    # Some tables are a list and no more. Who sees the list may know that a row is not there.
    listed = {who: BACK for who in letters if "l" in letters[who]}
    return [
        *office(f"{name}_changelist", base, may("l", SHOWN), may("l", SHOWN)),
        *office(f"{name}_add", f"{base}add/", may("a", SHOWN), may("a", DONE), add, table),
        *office(f"{name}_change", f"{one}change/", may("v", SHOWN), may("c", DONE), change, table, objects, seen=listed, sees=sees),
        *office(f"{name}_delete", f"{one}delete/", may("d", SHOWN), may("d", DONE), {"post": "yes"}, table, objects, sees=sees),
        *office(f"{name}_history", f"{one}history/", may("v", SHOWN), may("v", SHOWN), objects=objects, seen=listed, seen_post=listed, sees=sees),
        # The short address of an object only leads on, whether it exists or not.
        *office("admin:", one, {HEAD_OFFICE: to(f"{one}change/")}, {HEAD_OFFICE: to(f"{one}change/")}, objects=objects, sees=sees),
    ]  # fmt: skip


# -- What is sent -------------------------------------------------------------------------------------------------------
def no_rows(*prefixes: str) -> dict:
    """The rows of inlines: none is sent."""
    return {f"{prefix}-{number}_FORMS": "0" for prefix in prefixes for number in ("TOTAL", "INITIAL")}


SALE = {
    "act": "save", "reference": "{uuid}", "lines-TOTAL_FORMS": "1", "lines-INITIAL_FORMS": "0",
    "lines-0-item": "GHE-0001", "lines-0-quantity": "1",
}  # fmt: skip
ADJUSTMENT = {**SALE, "lines-0-direction": "less", "reason": "{missing_goods}"}
COUNT = {"reference": "{uuid}", "how": "less", "quantity": "1", "seen": "1", "reason": "{missing_goods}"}
VOID = {"reference": "{uuid}", "reason": "{mistake}"}
LINE = {"sku": "GHE-0001", "quantity": "1"}
DOCUMENT = {"store": "{store}", "kind": "sale", "reference": "matrix-1", "lines": [LINE]}
POSTING = "inventory_document inventory_movement inventory_stocklevel"
PRODUCT = {
    "sku": "NEW-0001", "name": "Tapal Danedar 190 g", "category": "{category}", "unit": "pc", "quantity_step": "1",
    "selling_price": "420", "cost_price": "385", "status": "active", **no_rows("barcodes", "packs", "store_prices"),
}  # fmt: skip
STORE_FORM = {
    "code": "MUX-0001", "name": "Multan Kiryana", "status": "open", "oversell_policy": "warn", "timezone": "Asia/Karachi",
    **no_rows("memberships"),
}  # fmt: skip
NEW_USER = {
    "username": "nadia", "language": "ur", "password1": "karak-doodh-patti", "password2": "karak-doodh-patti",
    **no_rows("memberships"),
}  # fmt: skip
KEY_FORM = {"name": "Till", "scopes": ["stores:read"], "stores": ["{store_pk}"], "reference": "{uuid}"}

# Tables that belong to an act without being what it is about; triggers, logs and queues write them. Rows of them that
# belong to a store must be the own store's all the same.
BESIDE = {
    "reports_restated": "levels whose settings or store price changed, for the job that counts how levels stand",
    "stores_apikey_stores": "which stores a key sees",
    "stores_change": "the feed of changes, written by triggers",
    "reports_dailystock": "the day's figures, written by a trigger on the ledger",
    "inventory_lowstockalert": "opened and closed by a trigger on the levels",
    "catalog_productprice": "the history of prices, written by a trigger",
    "pghistory_context": "who stands behind a price change",
    "django_admin_log": "what head office did",
    "procrastinate_jobs": "mails and webhooks to send",
    "procrastinate_events": "what became of these",
    "stores_apirequest": "the log of a key's requests",
}

# -- The table ------------------------------------------------------------------------------------------------------------
TABLE: list[Row] = [
    # Open to everybody, and saying the same to everybody.
    *anyone("healthz", "/healthz"),
    *anyone("readyz", "/readyz"),
    *anyone("docs", "/docs"),
    *anyone("api:schema", "/api/v1/schema/"),
    *anyone("", "/static/css/shop.css"),
    *anyone("", "/static/absent.css", HIDDEN, HIDDEN),
    *anyone("", "/absent/", HIDDEN, HIDDEN),
    *anyone("api_nowhere", "/api/v1/absent/", HIDDEN, HIDDEN, HIDDEN),

    # Signing in, and what belongs to whoever is signed in.
    *account("login", "/login/", {NOBODY: SHOWN, PEOPLE: to("/")}, {NOBODY: SHOWN, PEOPLE: to("/")}, {"username": "owner", "password": "wrong"}),
    *account("logout", "/logout/", {EVERYBODY: NO_SUCH_METHOD}, {NOBODY: to("/login/"), PEOPLE: to("/login/", writes=True)}, {}, "django_session"),
    *account("language", "/language/", {EVERYBODY: NO_SUCH_METHOD}, {NOBODY: to("/"), PEOPLE: to("/", writes=True)}, {"language": "ur"}, "stores_user"),
    *account("home", "/", {NOBODY: SIGN_IN, MEMBERS: to("/s/LHE-0001/"), HEAD_OFFICE: to("/stores/")}, {NOBODY: SIGN_IN, PEOPLE: NO_SUCH_METHOD}),
    *account("profile", "/profile/", {NOBODY: SIGN_IN, PEOPLE: SHOWN}, {NOBODY: SIGN_IN, PEOPLE: to("/profile/", writes=True)}, {"act": "language", "language": "ur"}, "stores_user"),
    *account("store_list", "/stores/", {NOBODY: SIGN_IN, PEOPLE: SHOWN}, {NOBODY: SIGN_IN, MEMBERS: to("/s/LHE-0001/", writes=True), HEAD_OFFICE: to("/stores/")}, {"store": "LHE-0001"}, "django_session"),

    # Pages of a store.
    *page("dashboard", "/s/{store}/", MEMBERS, door=SIGN_IN),
    *page("reports", "/s/{store}/reports/", MEMBERS, door=SIGN_IN),
    *page("daily_sales", "/s/{store}/reports/daily-sales/", MEMBERS, door=SIGN_IN),
    *page("inventory_value", "/s/{store}/reports/inventory-value/", SEE_COST, door=SIGN_IN),
    *page("low_stock", "/s/{store}/reports/low-stock/", MEMBERS, door=SIGN_IN),
    *page("top_products", "/s/{store}/reports/top-products/", MEMBERS, door=SIGN_IN),
    *page("products", "/s/{store}/products/", MEMBERS),
    *page("find", "/s/{store}/products/find/?q=ghee", MEMBERS),
    *page("inventory", "/s/{store}/inventory/", MEMBERS),
    *page("item", "/s/{store}/inventory/{sku}/", MEMBERS, objects=ITEM),
    *page("item_adjust", "/s/{store}/inventory/{sku}/adjust/", MANAGERS, MANAGERS, COUNT, POSTING, ITEM, get_to=to("/s/{store}/inventory/{sku}/")),
    *page("item_reorder", "/s/{store}/inventory/{sku}/reorder/", post=MANAGERS, body={"reorder_point": "3", "target_level": "9"}, writes="inventory_stocklevel", objects=ITEM),
    *page("movements", "/s/{store}/movements/", MEMBERS),
    *page("movements_file", "/s/{store}/movements/file/", MEMBERS, door=SIGN_IN),
    *page("movements_file", "/s/{store}/movements/file/?format=xlsx", MEMBERS, door=SIGN_IN),
    *page("sale", "/s/{store}/movements/sale/", SELLERS, SELLERS, SALE, POSTING),
    *page("receipt", "/s/{store}/movements/receipt/", SELLERS, SELLERS, SALE, POSTING),
    *page("adjustment", "/s/{store}/movements/adjustment/", MANAGERS, MANAGERS, ADJUSTMENT, POSTING),
    *page("sales_today", "/s/{store}/sales/", MEMBERS),
    *page("document", "/s/{store}/documents/{document}/", MEMBERS, objects=IN_STORE),
    *page("reverse", "/s/{store}/documents/{document}/reverse/", MANAGERS, MANAGERS, VOID, POSTING, IN_STORE),
    *page("customer_return", "/s/{store}/documents/{document}/return/", SELLERS, SELLERS, {"reference": "{uuid}", "line-1": "1"}, POSTING, IN_STORE),

    # Keys that an owner makes for himself.
    *page("developers", "/developers/", "owner", objects=ONE),
    *page("developers_key_new", "/developers/keys/new/", "owner", "owner", {"act": "do", "reference": "{uuid}", "name": "Till", "stores": "{store}", "scopes": "stores:read", "life": "30"}, "stores_apikey stores_apikey_stores", ONE),
    *page("developers_key_test", "/developers/keys/test/", "", "owner", {"act": "do", "reference": "{uuid}"}, "stores_apikey", ONE),
    *page("developers_key", "/developers/keys/{key}/", "owner"),
    *page("developers_requests", "/developers/keys/{key}/requests/", "owner"),
    *page("developers_rotate", "/developers/keys/{key}/rotate/", "owner", "owner", {"act": "do", "reference": "{uuid}", "grace": "0"}, "stores_apikey stores_apikey_stores"),
    *page("developers_revoke", "/developers/keys/{key}/revoke/", "owner", "owner", {"act": "do"}, "stores_apikey"),
    *page("developers_webhook", "/developers/webhooks/{webhook}/", "owner"),
    *page("developers_retry", "/developers/webhooks/{webhook}/deliveries/{delivery}/retry/", "", "owner", {"act": "do"}, "stores_delivery", IN_STORE),

    # The API.
    *api("api:me", "/api/v1/me/", "any"),
    *api("api:products", "/api/v1/products/", "catalog:read", "catalog:write", body={"sku": "NEW-0001", "name": "Tapal", "category": "Flour & Grains", "selling_price": "420"}, writes="catalog_product"),
    *api("api:product_lookup", "/api/v1/products/lookup/", "catalog:read", query="?barcode=8964000123456"),
    *api("api:product", "/api/v1/products/{sku}/", "catalog:read", patch="catalog:write", body={"name": "Renamed"}, writes="catalog_product", objects=("own", "absent"), shared=True, headers={"If-Match": "*"}),
    *api("api:stores", "/api/v1/stores/", "stores:read"),
    *api("api:store", "/api/v1/stores/{store}/", "stores:read", objects=STORE),
    *api("api:inventory", "/api/v1/inventory/", "inventory:read"),
    *api("api:inventory", "/api/v1/inventory/", "inventory:read", query="?store={store}", objects=STORE),
    *api("api:level", "/api/v1/inventory/{store}/{sku}/", "inventory:read", patch="movements:write", body={"reorder_point": "5"}, writes="inventory_stocklevel", objects=IN_STORE),
    *api("api:movements", "/api/v1/movements/", "movements:read", "movements:write", body={"store": "{store}", "kind": "sale", "reference": "matrix-1", **LINE}, writes=POSTING, objects=STORE, query="?store={store}", refused=NOT_YOURS),
    *api("api:movements", "/api/v1/movements/?limit=500", "movements:read"),
    *api("api:movement", "/api/v1/movements/{movement}/", "movements:read", objects=STORE),
    *api("api:documents", "/api/v1/documents/", "movements:read", "movements:write", body=DOCUMENT, writes=POSTING, objects=STORE, query="?store={store}", refused=NOT_YOURS),
    *api("api:documents", "/api/v1/documents/?limit=500", "movements:read"),
    *api("api:document_batch", "/api/v1/documents/batch/", post="movements:write", body={"documents": [DOCUMENT]}, writes=POSTING, objects=STORE, refused=SHOWN),
    *api("api:document", "/api/v1/documents/{document}/", "movements:read", objects=STORE),
    *api("api:document_reverse", "/api/v1/documents/{document}/reverse/", post="movements:write", body={"reason": "MISTAKE", "reference": "matrix-2"}, writes=POSTING, objects=STORE),
    *api("api:product_batch", "/api/v1/products/batch/", post="catalog:write", body={"products": [{"sku": "NEW-0001", "name": "Tapal", "category": "Flour & Grains", "selling_price": "420"}]}, writes="catalog_product"),
    *api("api:changes", "/api/v1/changes/", "any"),
    *api("api:changes", "/api/v1/changes/", "any", query="?store={store}", objects=STORE),
    *api("api:webhooks", "/api/v1/webhooks/", "webhooks:manage", "webhooks:manage", body={"url": "https://partner.example/new", "events": ["stock.low"]}, writes="stores_webhook"),
    *api("api:webhook", "/api/v1/webhooks/{webhook}/", "webhooks:manage", patch="webhooks:manage", delete="webhooks:manage", body={"name": "Renamed"}, writes="stores_webhook", objects=STORE),
    *api("api:webhook_test", "/api/v1/webhooks/{webhook}/test/", post="webhooks:manage", body={}, writes="stores_delivery", objects=STORE),
    *api("api:webhook_rotate", "/api/v1/webhooks/{webhook}/rotate/", post="webhooks:manage", body={}, writes="stores_webhook", objects=STORE),
    *api("api:webhook_deliveries", "/api/v1/webhooks/{webhook}/deliveries/", "webhooks:manage", objects=STORE),
    *api("api:webhook_retry", "/api/v1/webhooks/{webhook}/retry/", post="webhooks:manage", body={"delivery": "{delivery}"}, writes="stores_delivery", objects=STORE),
    *[
        row
        for name in ("inventory_summary", "daily_sales", "low_stock", "top_products", "stock_value", "dead_stock", "movement_summary", "shrinkage")
        for path in (f"/api/v1/reports/{name.replace('_', '-')}/",)
        for row in (*api(f"api:report_{name}", path, "reports:read"), *api(f"api:report_{name}", path, "reports:read", query="?store={store}", objects=STORE))
    ],

    # Head office: the entrance.
    *account("admin:login", "/admin/login/", {OUTSIDE: SHOWN, HEAD_OFFICE: to("/admin/")}, {EVERYBODY: SHOWN}, {"username": "owner", "password": "wrong"}),
    *account("admin:logout", "/admin/logout/", {NOBODY: to("/admin/"), PEOPLE: NO_SUCH_METHOD}, {NOBODY: to("/admin/"), PEOPLE: to("/admin/login/", writes=True)}, {}, "django_session"),
    *office("admin:verify", "/admin/verify/", {HEAD_OFFICE: to("/admin/")}, {HEAD_OFFICE: to("/admin/")}),
    *office("admin:enrol", "/admin/second-factor/set-up/", {HEAD_OFFICE: SHOWN}, {HEAD_OFFICE: SHOWN}, {"sealed": "torn", "code": "000000"}),
    *office("admin:second_factor", "/admin/second-factor/", {HEAD_OFFICE: SHOWN}, {HEAD_OFFICE: SHOWN}),
    *office("admin:recovery_codes", "/admin/second-factor/codes/", {HEAD_OFFICE: SHOWN}, {HEAD_OFFICE: SHOWN}, {"code": "000000"}),
    *office("admin:password_change", "/admin/password_change/", {HEAD_OFFICE: SHOWN}, {HEAD_OFFICE: DONE}, {"old_password": "chai-aur-biscuit", "new_password1": "karak-doodh-patti", "new_password2": "karak-doodh-patti"}, "stores_user"),
    *office("admin:password_change_done", "/admin/password_change/done/", {HEAD_OFFICE: SHOWN}),
    # Head office: what has no model of its own.
    *office("admin:index", "/admin/", {HEAD_OFFICE: SHOWN}, {HEAD_OFFICE: SHOWN}),
    *office("admin:app_list", "/admin/catalog/", {HEAD_OFFICE: SHOWN}, {HEAD_OFFICE: SHOWN}),
    *office("admin:app_list", "/admin/auth/", {HEAD_OFFICE: HIDDEN, "superuser": SHOWN}, {HEAD_OFFICE: HIDDEN, "superuser": SHOWN}),
    *office("admin:jsi18n", "/admin/jsi18n/", {HEAD_OFFICE: SHOWN}),
    *office("admin:autocomplete", "/admin/autocomplete/?app_label=stores&model_name=membership&field_name=user", {"support superuser": SHOWN}),
    *office("admin:autocomplete", "/admin/autocomplete/?app_label=catalog&model_name=barcode&field_name=product", {HEAD_OFFICE: SHOWN}),
    *office("admin:view_on_site", "/admin/r/{store_type}/{store_pk}/", {HEAD_OFFICE: HIDDEN}, {HEAD_OFFICE: HIDDEN}, objects=("own", "absent")),
    *office("admin:", "/admin/absent/", {HEAD_OFFICE: HIDDEN}, {HEAD_OFFICE: HIDDEN}),

    # Head office: its tables.
    *model("catalog.category", "lvac", "lv", "lvac", {"name": "Spices"}, {"name": "Renamed"}),
    *model("catalog.product", "lvac", "lv", "lvac", PRODUCT, {**PRODUCT, "name": "Renamed"}),
    *model("catalog.barcode", "lvacd", "lv", "lvacd", {"code": "8964000999991", "product": "{product}"}, {"code": "8964000999991", "product": "{product}"}),
    *model("catalog.pack", "lvac", "lv", "lvac", {"product": "{product}", "name": "Case of 6", "units_per_pack": "6"}, {"product": "{product}", "name": "Carton", "units_per_pack": "24"}),
    *model("catalog.storeprice", "lva", "lv", "lva", {"store": "{store_pk}", "product": "{product}", "price": "570", "effective_from": "2026-11-22T09:00"}),
    *model("catalog.productprice", "l", "l", "l"),
    *model("inventory.stocklevel", "", "lv", "lvc", change={"reorder_point": "5", "target_level": "10"}),
    *office("admin:inventory_stocklevel_adjust", "/admin/inventory/stocklevel/{stocklevel}/adjust/", {"superuser": SHOWN}, {"superuser": DONE}, {"reference": "{uuid}", "seen": "1", "change": "-1", "reason": "{missing_goods}"}, POSTING, ("own", "absent"), HIDDEN),
    *model("inventory.document", "", "lv", "lv"),
    *office("admin:inventory_document_reverse", "/admin/inventory/document/{document}/reverse/", {"superuser": SHOWN}, {"superuser": DONE}, VOID, POSTING, ("own", "absent"), HIDDEN),
    *model("inventory.movement", "", "lv", "lv"),
    *model("inventory.lowstockalert", "", "l", "l"),
    *model("inventory.reason", "", "lv", "lvac", {"code": "STOLEN", "name": "Stolen", "name_ur": "چوری", "use": "adjustment", "active": "on"}, {"name": "Renamed", "name_ur": "", "active": "on"}),
    *model("reports.dailystock", "", "", "l"),
    *model("stores.store", "lv", "lv", "lvac", STORE_FORM, {**STORE_FORM, "name": "Renamed"}, pk="store_pk"),
    *model("stores.membership", "", "lv", "lvacd", {"user": "{idle}", "store": "{store_pk}", "role": "auditor"}, {"user": "{user}", "store": "{store_pk}", "role": "auditor"}),
    *model("stores.user", "", "lv", "lvac", NEW_USER, {"username": "renamed", "is_active": "on", "language": "ur", **no_rows("memberships")}, objects=USERS, sees="superuser"),
    *office("admin:auth_user_password_change", "/admin/stores/user/{user}/password/", {"superuser": SHOWN}, {"superuser": DONE}, {"password1": "karak-doodh-patti", "password2": "karak-doodh-patti"}, "stores_user", USERS, HIDDEN, sees="superuser"),
    *office("admin:stores_user_second-factor", "/admin/stores/user/{user}/second-factor/", {"superuser": SHOWN}, {"superuser": DONE}, {}, "otp_totp_totpdevice", USERS, HIDDEN, sees="superuser"),
    *model("stores.apikey", "", "lv", "lvac", KEY_FORM, KEY_FORM, "stores_apikey"),
    *office("admin:stores_apikey_rotate", "/admin/stores/apikey/{apikey}/rotate/", {"superuser": SHOWN}, {"superuser": DONE}, {"reference": "{uuid}", "grace": "0"}, "stores_apikey stores_apikey_stores", ("own", "absent"), HIDDEN),
    *office("admin:stores_apikey_revoke", "/admin/stores/apikey/{apikey}/revoke/", {"superuser": SHOWN}, {"superuser": DONE}, {}, "stores_apikey", ("own", "absent"), HIDDEN),
    *model("stores.apirequest", "", "lv", "lv"),
    *model("stores.webhook", "", "lv", "lv"),
    *office("admin:stores_webhook_switch-off", "/admin/stores/webhook/{webhook}/switch-off/", {"superuser": SHOWN}, {"superuser": DONE}, {}, "stores_webhook", ("own", "absent"), HIDDEN),
    *office("admin:stores_webhook_switch-on", "/admin/stores/webhook/{ended}/switch-on/", {"superuser": SHOWN}, {"superuser": DONE}, {}, "stores_webhook", ("own", "absent"), HIDDEN),
    *model("stores.delivery", "", "lv", "lv"),
    *office("admin:stores_delivery_retry", "/admin/stores/delivery/{delivery}/retry/", {"superuser": SHOWN}, {"superuser": DONE}, {}, "stores_delivery", ("own", "absent"), HIDDEN),
    *model("auth.group", "", "", "lvacd", {"name": "Auditors of Sindh"}, {"name": "Renamed"}),
    *model("admin.logentry", "", "", "l", writes="django_admin_log"),
]  # fmt: skip
