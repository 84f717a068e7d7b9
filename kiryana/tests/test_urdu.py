"""Urdu is whole: every text that is marked has its translation, what is compiled is what is written, and no page leaks English."""

import ast
import re
import struct
import uuid
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.formats import date_format
from django.utils.translation.template import templatize

from catalog.models import Category, Product
from inventory.models import Document, Kind, Reason
from inventory.services import Actor, reverse_document
from kiryana.urls import store_pages
from stores.models import ApiKey, ApiRequest, Change, Delivery, User, Webhook
from stores.services import MOST_OWN, create_key, create_own_key, create_test_key, revoke_key

ROOT = Path(__file__).resolve().parent.parent.parent
OWN = ROOT / "locale" / "ur" / "LC_MESSAGES"
LIBRARIES = ROOT / "locale" / "libraries" / "ur" / "LC_MESSAGES"
APPS = ["stores", "catalog", "inventory", "reports", "kiryana"]
# How gettext's files tie a context to its text, and the forms of a plural to each other.
CONTEXT, FORM = "\x04", "\0"
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[sdr]|\{\w*(?::\w+)?\}|</?\w[^>]*>")
# The functions that mark a text: how many leading arguments are a context, and how many are texts.
MARKS = {"gettext": (0, 1), "ngettext": (0, 2), "pgettext": (1, 1), "npgettext": (1, 2)}


def plain_name(function: str) -> str:
    return function.removesuffix("_lazy").removesuffix("_noop")


# -- what is marked -------------------------------------------------------------------------------------------
def marked_in(tree: ast.AST, names: dict[str, str], where: str) -> list[str]:
    """The texts, in the form of a catalogue's ids, of all calls in `tree` to the functions that `names` knows."""
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        function = names.get(getattr(node.func, "id", getattr(node.func, "attr", "")))
        if function is None:
            continue
        contexts, texts = MARKS[function]
        given = node.args[: contexts + texts]
        assert all(isinstance(one, ast.Constant) for one in given), (
            f"{where}:{node.lineno} marks a text that is not written there"
        )
        words = [one.value for one in given]
        found.append(CONTEXT.join([*words[:contexts], FORM.join(words[contexts:])]))
    return found


def texts_of_python(file: Path) -> list[str]:
    tree = ast.parse(file.read_text())
    names = {
        alias.asname or alias.name: plain_name(alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        for alias in node.names
        if plain_name(alias.name) in MARKS
    }
    return marked_in(tree, names, str(file))


CALL = re.compile(
    r"""\b(?:_|n?p?gettext)\((?:u?(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?:,\s*)?)+(?:\w[\w.]*)?\)""",
    re.DOTALL,
)


def texts_of_template(file: Path) -> list[str]:
    """Django turns the template into something like Python, in which the calls are found."""
    calls = CALL.findall(templatize(file.read_text(), origin=str(file)))
    names = {**{name: name for name in MARKS}, "_": "gettext"}
    return [text for call in calls for text in marked_in(ast.parse(call.strip()), names, str(file))]


def marked() -> dict[str, str]:
    """{id: a file that marks it} of the whole product."""
    python = [
        file for app in APPS for file in sorted((ROOT / app).rglob("*.py")) if "tests" not in file.parts
    ]
    templates = [file for file in sorted((ROOT / "templates").rglob("*")) if file.is_file()]
    texts = {}
    for files, read in ((python, texts_of_python), (templates, texts_of_template)):
        texts |= {text: str(file.relative_to(ROOT)) for file in files for text in read(file)}
    return texts


# -- what is translated ---------------------------------------------------------------------------------------
def read_po(file: Path) -> tuple[dict[str, str], list[str]]:
    """({id: translation}, the ids that are marked fuzzy) of a catalogue as it is written."""
    entries, fuzzy = {}, []
    for block in re.split(r"\n\s*\n", file.read_text("utf-8")):
        parts, part = {}, ""
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            word, _quote, quoted = line.partition('"')
            part = word.strip() or part
            parts[part] = parts.get(part, "") + ast.literal_eval('"' + quoted)
        if "msgid" not in parts:
            continue
        text = FORM.join(parts[name] for name in ("msgid", "msgid_plural") if name in parts)
        text = parts["msgctxt"] + CONTEXT + text if "msgctxt" in parts else text
        assert text not in entries, f"{file.name} has {text!r} twice"
        entries[text] = FORM.join(parts[name] for name in sorted(parts) if name.startswith("msgstr"))
        if re.search(r"^#,.*\bfuzzy\b", block, re.MULTILINE):
            fuzzy.append(text)
    return entries, fuzzy


def read_mo(file: Path) -> dict[str, str]:
    """{id: translation} of a compiled catalogue."""
    data = file.read_bytes()
    magic, _version, number, ids, texts = struct.unpack_from("<5I", data)
    assert magic == 0x950412DE, f"{file} is not a compiled catalogue"

    def string(table: int, place: int) -> str:
        length, offset = struct.unpack_from("<2I", data, table + 8 * place)
        return data[offset : offset + length].decode()

    return {string(ids, place): string(texts, place) for place in range(number)}


def test_the_texts_of_python_and_templates_are_found():
    texts = marked()

    assert texts["Runs out in 14 days"] == "stores/admin/keys.py"
    assert texts["what a key may do\x04May"] == "stores/forms.py"
    assert texts["(optional)"] == "templates/components/field.html"
    assert texts["... and one more.\0... and %(number)s more."] == "templates/emails/low_stock.txt"
    assert len(texts) > 800


def test_every_text_that_is_marked_has_its_urdu():
    entries, _fuzzy = read_po(OWN / "django.po")

    missing = {text: file for text, file in marked().items() if not all(entries.get(text, "").split(FORM))}
    assert not missing, "run makemessages and translate these"


def test_nothing_is_translated_that_no_longer_exists():
    entries, _fuzzy = read_po(OWN / "django.po")

    assert set(entries) - {""} - set(marked()) == set()


@pytest.mark.parametrize("folder", [OWN, LIBRARIES], ids=["own", "libraries"])
class TestCatalogue:
    def test_no_translation_is_a_guess(self, folder):
        entries, fuzzy = read_po(folder / "django.po")

        assert fuzzy == []
        assert [text for text, urdu in entries.items() if not all(urdu.split(FORM))] == []

    def test_placeholders_and_tags_are_kept(self, folder):
        entries, _fuzzy = read_po(folder / "django.po")

        for text, urdu in entries.items():
            forms = text.rpartition(CONTEXT)[2].split(FORM)
            assert len(forms) == len(urdu.split(FORM)), text
            for english, translated in zip(forms, urdu.split(FORM), strict=True):
                assert sorted(PLACEHOLDER.findall(english)) == sorted(PLACEHOLDER.findall(translated)), (
                    english
                )

    def test_what_is_compiled_is_what_is_written(self, folder):
        entries, _fuzzy = read_po(folder / "django.po")

        assert read_mo(folder / "django.mo") == entries, "run compilemessages"

    def test_it_tells_singular_and_plural_as_gettext_expects(self, folder):
        entries, _fuzzy = read_po(folder / "django.po")

        assert "Plural-Forms: nplurals=2; plural=(n != 1);\n" in entries[""]

    def test_it_is_written_in_urdu_letters(self, folder):
        """Arabic yeh and kaf look almost right and are found by no search; figures are 0-9 everywhere."""
        entries, _fuzzy = read_po(folder / "django.po")

        wrong = [
            text
            for text, urdu in entries.items()
            if re.search("[\u064a\u0643\u0629\u0649\u0660-\u0669\u06f0-\u06f9]", urdu)
        ]
        assert wrong == []


# -- what is seen ---------------------------------------------------------------------------------------------
HIDDEN = {"script", "style"}
SPOKEN = {
    "aria-label",
    "title",
    "placeholder",
    "alt",
    "data-words",
    "data-unknown",
    "data-stock",
    "data-hide-text",
}
# Words that stay as they are in Urdu, and numbers of requests and forms.
LATIN = re.compile(r"[A-Za-z]{2,}")
NUMBER = re.compile(r"\b[0-9a-f]{12,32}\b")
ALLOWED = {"Rs", "SKU", "API", "CSV", "Excel", "English"}


class Seen(HTMLParser):
    """What a page shows or says aloud, and the language that it claims. Parts that say they are English are left out."""

    def __init__(self, html: str):
        super().__init__()
        self.words, self.inside, self.page = [], [], {}
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "html":
            self.page = {"lang": attrs.get("lang"), "dir": attrs.get("dir")}
        if tag in HIDDEN or (tag != "html" and attrs.get("lang") == "en") or tag in self.inside[-1:]:
            self.inside.append(tag)
        if self.inside:
            return
        self.words += [value for name, value in attrs.items() if name in SPOKEN and value]

    def handle_endtag(self, tag):
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data):
        if not self.inside and data.strip():
            self.words.append(data)


def leaks(html: str, known=()) -> list[str]:
    """The pieces of text on a page with Latin words in them, other than `known` data and the words that stay."""
    found = []
    for words in Seen(html).words:
        rest = words
        for one in sorted(known, key=len, reverse=True):
            rest = rest.replace(one, " ")
        if set(LATIN.findall(NUMBER.sub(" ", rest))) - ALLOWED:
            found.append(" ".join(words.split()))
    return found


def check(response, known=(), status=200):
    """The answer is a page in Urdu and only in Urdu."""
    where = response.wsgi_request.path
    assert response.status_code == status, where
    html = response.content.decode()
    assert Seen(html).page == {"lang": "ur", "dir": "rtl"}, where
    assert leaks(html, known) == [], where


@pytest.fixture
def traded(stocked, post, manager, atta, ghee, reason):
    """A store in which everything has happened once: sold, returned, voided, lost, sold beyond stock."""
    sold = post(Kind.SALE, (ghee, 2), (atta, "1.250"))
    post(Kind.SALE_RETURN, (ghee, 1), returns=sold.document)
    post(Kind.WASTAGE, (ghee, 1), reason=reason("DAMAGED"), notes="ٹوٹ گیا")
    wrong = post(Kind.SALE, (ghee, 3))
    reverse_document(
        document=wrong.document,
        actor=Actor.on_page(manager, "manager"),
        reference="void-1",
        reason=reason("MISTAKE"),
    )
    post(Kind.SALE, (atta, 120), confirm_oversell=True)
    return sold


@pytest.fixture
def data(traded, manager, store, other_store, atta, ghee):
    """What people and partners have written in Latin letters: no words of ours."""
    named = [
        store.code,
        other_store.code,
        atta.sku,
        ghee.sku,
        "Dalda",
        "Case of 12",
        "Lahore",
        "Karachi",
        manager.username,
    ]
    return [
        *named,
        *(document.number for document in Document.objects.all()),
        *Document.objects.values_list("reference", flat=True),
    ]


@pytest.fixture
def speaks(staff, client):
    """speaks("manager") signs in somebody with that role who reads Urdu."""

    def sign_in(role: str):
        user = staff(role, language="ur", first_name="طارق")
        client.force_login(user)
        return user

    return sign_in


def addresses(store, product, document) -> dict[str, str]:
    """{name: address} of all pages of one store."""
    given = {"<path:sku>": {"sku": product.sku}, "<int:pk>": {"pk": document.pk}}
    pages = {}
    for one in store_pages:
        extra = next((values for part, values in given.items() if part in str(one.pattern)), {})
        pages[one.name] = reverse(one.name, kwargs={"code": store.code, **extra})
    return pages


# Answers to what a page's form or script sends: no pages themselves.
NO_PAGES = {"item_adjust", "item_reorder", "find", "movements_file"}
PAGES = [one.name for one in store_pages if one.name not in NO_PAGES]


@pytest.mark.parametrize("page", PAGES)
def test_a_manager_reads_no_english(page, speaks, client, store, ghee, traded, data):
    speaks("manager")

    check(client.get(addresses(store, ghee, traded.document)[page]), data)


@pytest.mark.parametrize("page", PAGES)
def test_a_cashier_reads_no_english(page, speaks, client, store, ghee, traded, data):
    """Also where a page is not for him."""
    speaks("cashier")

    response = client.get(addresses(store, ghee, traded.document)[page])
    check(response, data, response.status_code)
    assert response.status_code in (200, 404)


@pytest.mark.parametrize(
    "page",
    [
        "sale",
        "receipt",
        "adjustment",
        "movements",
        "inventory",
        "products",
        "daily_sales",
        "top_products",
        "sales_today",
    ],
)
def test_an_empty_store_speaks_urdu(page, speaks, client, store):
    speaks("owner")

    check(client.get(reverse(page, args=[store.code])), [store.code])


@pytest.mark.parametrize("name", ["store_list", "profile"])
def test_pages_of_the_reader_speak_urdu(name, speaks, client, store):
    user = speaks("manager")

    check(client.get(reverse(name)), [store.code, "Lahore", user.username, user.email])


def form_of(boxes: dict, *lines: dict) -> dict:
    """What an entry page sends."""
    counts = {"lines-TOTAL_FORMS": len(lines), "lines-INITIAL_FORMS": 0}
    return {
        **boxes,
        **counts,
        **{
            f"lines-{number}-{name}": value
            for number, line in enumerate(lines)
            for name, value in line.items()
        },
    }


@pytest.mark.parametrize(
    ("page", "sent"),
    [
        ("sale", form_of({"act": "save"})),
        ("sale", form_of({"act": "save", "when": "gestern"}, {"item": "nothing-like-it", "quantity": "two"})),
        (
            "sale",
            form_of(
                {"act": "save", "when": "2020-01-01T10:00"},
                {"item": "GHE-0001", "quantity": "1.5", "amount": "5"},
            ),
        ),
        ("sale", form_of({"act": "save"}, {"item": "GHE-0001", "quantity": "9999"})),
        ("sale", form_of({"act": "save"}, {"item": "GHE-0001", "quantity": "0.5"})),
        ("receipt", form_of({"act": "save"}, {"item": "GHE-0001", "quantity": "-1", "cost": "NaN"})),
        (
            "adjustment",
            form_of({"act": "save"}, {"item": "GHE-0001", "quantity": "1", "direction": "sideways"}),
        ),
        ("item_adjust", {"how": "more", "quantity": "x", "seen": "1"}),
        ("item_reorder", {"reorder_point": "9", "target_level": "1"}),
        ("reverse", {"notes": ""}),
        ("customer_return", {"notes": ""}),
    ],
)
def test_what_is_refused_is_refused_in_urdu(page, sent, speaks, client, store, ghee, traded, data):
    speaks("manager")

    response = client.post(addresses(store, ghee, traded.document)[page], sent)
    check(response, [*data, "nothing-like-it", "gestern", "sideways"], response.status_code)
    assert response.status_code in (200, 422)
    assert (
        b'class="error"' in response.content
        or b"message-error" in response.content
        or b"message-warning" in response.content
    )


@pytest.mark.parametrize(
    "query", ["from=yesterday", "from=2026-02-01&to=2026-01-01", "from=1066-10-14", "category=999", "limit=3"]
)
def test_a_wrong_filter_is_refused_in_urdu(query, speaks, client, store, traded, data):
    speaks("manager")

    response = client.get(reverse("top_products", args=[store.code]) + "?" + query)
    check(response, data, response.status_code)
    assert b'class="error"' in response.content


def test_the_door_speaks_urdu_to_who_asks_for_it(client, db):
    asked = {"accept-language": "ur"}

    check(client.get(reverse("login"), headers=asked))
    check(client.post(reverse("login"), {"username": "", "password": ""}, headers=asked))
    check(client.post(reverse("login"), {"username": "nobody", "password": "wrong"}, headers=asked))
    check(client.get("/nowhere/", headers=asked), status=404)


def test_a_weak_password_is_refused_in_urdu(speaks, client, store):
    user = speaks("cashier")

    for new in ("123", "password", "98765432109876", user.username):
        response = client.post(
            reverse("profile"),
            {"act": "password", "old_password": "no", "new_password1": new, "new_password2": new + "x"},
        )
        check(response, [store.code, user.username, user.email], response.status_code)
        assert b'class="error"' in response.content


def test_months_and_days_keep_their_names():
    """A word of ours must not stand in for one of Django's: May is a month."""
    with translation.override("ur"):
        may = date(2026, 5, 1)
        assert [date_format(may, form) for form in ("F", "M", "N", "l", "D")] == [
            "مئی",
            "مئی",
            "مئی",
            "جمعہ",
            "جمعہ",
        ]
        names = [date_format(date(2026, month, month), "F M l") for month in range(1, 13)]
    assert not [name for name in names if LATIN.search(name)]


# -- partners -------------------------------------------------------------------------------------------------
# What programs say to each other is the same in every language.
PROGRAMS = [
    *ApiKey.Scope.values,
    *Change.Type.values,
    "curl -H",
    "X-API-Key",
    "kir_live_",
    "kir_test_",
    "http://testserver/api/v1/me/",
    "POST",
    "/api/v1/movements/",
    "insufficient_stock",
    "server_error",
    "timeout",
    "https://till.example/hook",
    " ms",
    # How requests end, by their first figure.
    "2xx",
    "4xx",
    "5xx",
]
# And what the documentation names as it is written.
DOCUMENTED = [
    "OpenAPI",
    "Authorize",
    "JavaScript",
    "schema",
    "/api/v1/schema/",
    "application/problem+json",
    "Accept-Language",
    # In what errors are called.
    "null",
    "JSON",
    "UTF-8",
    "If-Match",
    "cursor",
]


@pytest.fixture
def partner(store):
    """A key whose pages have everything to show: requests of all endings, webhooks in all states, messages of all fates."""
    rights = set(ApiKey.Scope.values) - ApiKey.HEAD_OFFICE_ONLY
    key, _secret = create_key(name="Till", scopes=rights, stores=[store])
    answers = [(201, ""), (409, "insufficient_stock"), (500, "server_error")]
    for number, (status, code) in enumerate(answers):
        ApiRequest.objects.create(
            key=key,
            request_id=f"{number:032x}",
            method="POST",
            path="/api/v1/movements/",
            status=status,
            code=code,
            milliseconds=9,
            address="192.0.2.7",
        )
    log = [{"at": "2026-11-22T09:41:07+05:00", "status": None, "milliseconds": 40, "error": "timeout"}]
    for number, ended in enumerate(Webhook.Ended.values):
        webhook = Webhook.objects.create(
            key=key,
            url=f"https://till.example/hook{number}",
            events=Change.Type.values,
            since=0,
            salt="x",
            fingerprint="x",
            ended=ended,
            failing_since=timezone.now(),
        )
        for tries, status in enumerate(Delivery.Status.values, start=1):
            Delivery.objects.create(
                webhook=webhook,
                event_id=f"{number}{tries}".zfill(32),
                type="stock.out",
                status=status,
                tries=tries,
                log=log,
            )
    return key


@pytest.fixture
def told(partner, store):
    """What those pages show that is nobody's language."""
    return [*PROGRAMS, partner.public_id, partner.name, store.code, "Lahore"]


@pytest.mark.parametrize("page", ["key", "requests", "rotate", "revoke"])
def test_the_pages_of_a_key_speak_urdu(page, speaks, client, partner, told):
    speaks("owner")

    check(client.get(reverse(f"developers_{page}", args=[partner.public_id])), told)


def test_the_pages_of_all_keys_and_of_a_webhook_speak_urdu(speaks, client, partner, told):
    speaks("owner")

    check(client.get(reverse("developers")), told)
    check(client.get(reverse("developers_key_new")), told)
    for webhook in partner.webhooks.all():
        check(client.get(reverse("developers_webhook", args=[webhook.pk])), told)


def test_who_has_no_key_yet_is_shown_the_way_in_urdu(speaks, client, store):
    speaks("owner")

    check(client.get(reverse("developers")), PROGRAMS)


def test_a_key_that_did_nothing_speaks_urdu(speaks, client, store):
    """Also a test key that has ended."""
    owner = speaks("owner")
    keys = [
        create_own_key(owner=owner, name="Till", scopes=["stores:read"], stores=[store])[0],
        create_test_key(owner=owner, name="Till")[0],
    ]
    revoke_key(key=keys[1])

    for key in keys:
        told = [*PROGRAMS, key.name, key.public_id, store.code, "Lahore"]
        check(client.get(reverse("developers_key", args=[key.public_id])), told)
        requests = reverse("developers_requests", args=[key.public_id])
        for query in ("", "?status=4xx", "?request_id=none-like-it"):
            check(client.get(requests + query), told)
    check(
        client.get(reverse("developers")), [*PROGRAMS, "Till", *(key.public_id for key in keys), store.code]
    )


def sent(**fields) -> dict:
    """What the button of an owner's form sends."""
    return {"act": "do", "reference": str(uuid.uuid4()), **fields}


def test_a_new_key_is_shown_in_urdu(speaks, client, partner, told):
    """Its secret and what followed it, too; twice is refused in Urdu."""
    speaks("owner")
    rotate = reverse("developers_rotate", args=[partner.public_id])

    for address, form in ((reverse("developers_key_test"), sent()), (rotate, sent(grace="0"))):
        answer = client.post(address, form)
        check(answer, [*told, answer.context["secret"], answer.context["key"].shown])
        check(
            client.post(address, form, follow=True),
            [*told, answer.context["key"].public_id],
            404 if address == rotate else 200,
        )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"name": "Till", "scopes": ["catalog:write"], "stores": ["NOWHERE"], "life": "7"},
        {"name": "x" * 101},
        {"reference": "torn"},
    ],
)
def test_a_key_is_refused_in_urdu(fields, speaks, client, store):
    speaks("owner")

    answer = client.post(reverse("developers_key_new"), sent(**fields))
    check(answer, [*PROGRAMS, store.code, "Lahore", "NOWHERE"])
    assert b'class="error"' in answer.content or b"message-error" in answer.content


def test_one_key_too_many_is_refused_in_urdu(speaks, client, store):
    owner = speaks("owner")
    for _time in range(MOST_OWN):
        create_test_key(owner=owner, name="کلید")

    answer = client.post(reverse("developers_key_test"), sent(), follow=True)
    check(answer, [*PROGRAMS, *ApiKey.objects.values_list("public_id", flat=True)])
    assert str(MOST_OWN) in answer.text
    assert b"message-error" in answer.content


def test_the_frame_of_the_documentation_is_urdu(client, db):
    """The guide itself is English, and says so."""
    answer = client.get(reverse("docs"), headers={"accept-language": "ur"})
    rows = [word for row in answer.context["addresses"] for word in (row["method"], row["path"])]
    codes = [row["code"] for row in answer.context["codes"]]

    check(answer, [*rows, *codes, *DOCUMENTED])


def office_pages() -> list[str]:
    """All lists of the head office, and the pages on which something is added."""
    names = [f"{model._meta.app_label}_{model._meta.model_name}" for model in admin.site._registry]
    return ["index", *(f"{name}_{page}" for name in sorted(names) for page in ("changelist", "add"))]


@pytest.mark.parametrize("page", office_pages())
def test_head_office_reads_no_english(page, client, head_office, api_client, data):
    head_office.language = "ur"
    head_office.save()
    client.force_login(head_office)
    key = api_client().key
    names = [str(one) for model in (Category, Group) for one in model.objects.all()]
    products = Product.objects.values_list("name", "name_ur", "aliases")
    reasons = Reason.objects.values_list("code", "name")
    words = [word for row in [*products, *reasons] for word in row if word]
    # What Django says for a tick, and the example that is Roman Urdu on purpose.
    kept = [
        "True",
        "False",
        "cheeni chini shakar",
        "kir_live_",
        "kir_test_",
        "Madina Kiryana",
        "Saddar Kiryana",
    ]
    people = [
        head_office.username,
        head_office.email,
        *User.objects.values_list("email", flat=True),
        key.name,
        key.public_id,
    ]

    response = client.get(reverse(f"admin:{page}"))
    check(response, [*data, *names, *words, *kept, *people], 403 if response.status_code == 403 else 200)


@pytest.mark.parametrize("model", [ApiKey, ApiRequest, Webhook, Delivery])
def test_head_office_reads_no_english_about_partners(model, client, head_office, partner, told, store):
    """The list with something in it, each row's own page, and what asks before something is done."""
    head_office.language = "ur"
    head_office.save()
    client.force_login(head_office)
    office = admin.site.get_model_admin(model)
    known = [*told, str(store), head_office.username, head_office.email, "True", "False"]
    asking = [name for name, _method in getattr(office, "acts", list)()]

    check(client.get(reverse(f"admin:stores_{model._meta.model_name}_changelist")), known)
    rows = list(model.objects.all())
    assert rows
    for row in rows:
        own = reverse(f"admin:stores_{model._meta.model_name}_change", args=[row.pk])
        check(client.get(own), known)
        for name in asking:
            check(client.get(own.removesuffix("change/") + f"{name}/"), known)
