"""Signing in and out, languages, the store list, the profile, and the pages that say what went wrong."""

import pytest
from django.conf import settings
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from stores.models import Membership, Store, User

pytestmark = pytest.mark.django_db
PASSWORD = "chai-aur-biscuit"


@pytest.fixture(autouse=True)
def empty_cache():
    cache.clear()
    yield
    cache.clear()


def sign_in(client, username, password=PASSWORD, **extra):
    return client.post(reverse("login"), {"username": username, "password": password, **extra})


def test_the_right_password_leads_home_and_on_to_the_only_store(client, cashier, store):
    answer = sign_in(client, cashier.username)
    assert answer.status_code == 302
    assert answer["Location"] == "/"
    assert client.get("/")["Location"] == f"/s/{store.code}/"


def test_a_wrong_password_is_told_beside_the_form_and_the_name_is_kept(client, cashier):
    answer = sign_in(client, cashier.username, "wrong")
    assert answer.status_code == 200
    assert "do not fit together" in answer.text
    assert f'value="{cashier.username}"' in answer.text
    assert "wrong" not in answer.text.replace("wrongly", "")


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example",
        "https://evil.example/",
        "javascript:alert(1)",
        "/x\0y",
        "nowhere",
        "logout",
        "@evil.example",
        "?x",
        "#",
        "چینی",
    ],
)
def test_next_never_leads_out_and_never_breaks(client, cashier, target):
    assert sign_in(client, cashier.username, next=target)["Location"] == "/"
    assert client.get(reverse("login"), {"next": target})["Location"] == "/"
    assert client.post(reverse("language"), {"language": "en", "next": target})["Location"] == "/"


def test_next_leads_to_the_page_that_was_asked_for(client, cashier, store):
    page = reverse("inventory", args=[store.code])
    answer = client.get(page)
    assert answer.status_code == 302
    assert answer["Location"] == f"/login/?next={page}"
    assert sign_in(client, cashier.username, next=page)["Location"] == page


def test_too_many_attempts_from_one_address_have_to_wait(client, cashier, settings):
    settings.LOGIN_RATE = "3/m"
    for number in range(3):
        assert sign_in(client, f"nobody-{number}", "x").status_code == 200
    answer = sign_in(client, cashier.username)
    assert answer.status_code == 429
    assert "try again in" in answer.text
    assert 1 <= int(answer["Retry-After"]) <= 60
    assert f'value="{cashier.username}"' in answer.text
    assert "_auth_user_id" not in client.session


def test_too_many_attempts_for_one_name_have_to_wait_from_anywhere(cashier, settings):
    settings.LOGIN_RATE = "3/m"
    for number in range(3):
        sign_in(Client(REMOTE_ADDR=f"10.0.0.{number}"), cashier.username.upper(), "x")
    assert sign_in(Client(REMOTE_ADDR="10.0.0.9"), cashier.username).status_code == 429
    assert sign_in(Client(REMOTE_ADDR="10.0.0.9"), "somebody-else").status_code == 200


def test_a_name_in_other_letters_of_the_same_meaning_counts_as_that_name(cashier, settings):
    settings.LOGIN_RATE = "3/m"
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in cashier.username)
    assert sign_in(Client(REMOTE_ADDR="10.0.0.1"), wide).status_code == 302  # it does sign in
    for number in range(2):
        sign_in(Client(REMOTE_ADDR=f"10.0.1.{number}"), wide, "x")
    assert sign_in(Client(REMOTE_ADDR="10.0.0.9"), cashier.username).status_code == 429


def test_a_forged_forwarded_address_does_not_escape_the_limit(client, settings):
    settings.LOGIN_RATE = "2/m"
    for number in range(2):
        client.post(
            reverse("login"),
            {"username": f"a{number}", "password": "x"},
            headers={"x-forwarded-for": f"1.1.1.{number}"},
        )
    answer = client.post(
        reverse("login"), {"username": "b", "password": "x"}, headers={"x-forwarded-for": "9.9.9.9"}
    )
    assert answer.status_code == 429


def test_signing_out_needs_a_post(client, cashier):
    client.force_login(cashier)
    assert client.get(reverse("logout")).status_code == 405
    assert client.post(reverse("logout"))["Location"] == "/login/"
    assert client.get("/profile/").status_code == 302


def test_a_form_from_elsewhere_is_refused_in_plain_words(cashier):
    answer = Client(enforce_csrf_checks=True).post(
        reverse("login"), {"username": cashier.username, "password": PASSWORD}
    )
    assert answer.status_code == 403
    assert "This form is too old" in answer.text


def test_somebody_unknown_switches_the_language_by_post_only(client):
    assert client.get(reverse("language")).status_code == 405
    answer = client.post(reverse("language"), {"language": "ur", "next": "/login/"})
    assert answer["Location"] == "/login/"
    assert answer.cookies[settings.LANGUAGE_COOKIE_NAME].value == "ur"
    page = client.get("/login/").text
    assert '<html lang="ur" dir="rtl">' in page
    client.post(reverse("language"), {"language": "xx"})
    assert '<html lang="ur"' in client.get("/login/").text


def test_the_profile_changes_language_and_password(client, cashier):
    client.force_login(cashier)
    assert client.post(reverse("profile"), {"act": "language", "language": "ur"}).status_code == 302
    assert 'dir="rtl"' in client.get(reverse("profile")).text
    wrong = client.post(
        reverse("profile"),
        {"act": "password", "old_password": "x", "new_password1": "a", "new_password2": "a"},
    )
    assert wrong.status_code == 200
    cashier.refresh_from_db()
    assert cashier.language == "ur"
    assert cashier.check_password(PASSWORD)
    new = {
        "act": "password",
        "old_password": PASSWORD,
        "new_password1": "nihari-aur-naan",
        "new_password2": "nihari-aur-naan",
    }
    assert client.post(reverse("profile"), new).status_code == 302
    cashier.refresh_from_db()
    assert cashier.check_password("nihari-aur-naan")
    assert client.get(reverse("profile")).status_code == 200, "still signed in here"


def test_the_store_list_shows_only_my_stores_and_searches_when_there_are_many(
    client, owner, store, other_store
):
    client.force_login(owner)
    page = client.get(reverse("store_list")).text
    assert "Madina Kiryana" in page
    assert "Saddar Kiryana" not in page
    assert 'name="search"' not in page
    for number in range(9):
        Membership.objects.create(
            user=owner,
            store=Store.objects.create(code=f"MUL-{number}", name=f"Shop {number}", name_ur="دکان"),
            role="owner",
        )
    page = client.get(reverse("store_list") + "?search=mul-٧")
    assert 'name="search"' in page.text
    assert "Shop 7" in page.text
    assert "Shop 6" not in page.text
    assert "No store fits" in client.get(reverse("store_list") + "?search=zzz").text


@pytest.mark.parametrize(
    "page", ["0", "-1", "2", "x", "1.5", "9" * 31, "%00", "%DB%B1", "9" * 2000], ids=lambda text: text[:9]
)
def test_a_page_of_stores_that_does_not_exist_is_not_found(client, owner, page):
    client.force_login(owner)
    assert client.get(f"{reverse('store_list')}?page=1").status_code == 200
    assert client.get(f"{reverse('store_list')}?page={page}").status_code == 404


def test_choosing_a_store_makes_it_home_but_never_a_foreign_one(client, owner, store, other_store, staff):
    second = Store.objects.create(code="LHE-0002", name="Second")
    Membership.objects.create(user=owner, store=second, role="owner")
    client.force_login(owner)
    assert client.get("/")["Location"] == "/stores/"
    assert client.post("/stores/", {"store": "LHE-0002"})["Location"] == "/s/LHE-0002/"
    assert client.get("/")["Location"] == "/s/LHE-0002/"
    assert client.post("/stores/", {"store": "KHI-0001"})["Location"] == "/stores/"
    Membership.objects.filter(user=owner, store=second).delete()
    assert client.get("/")["Location"] == "/s/LHE-0001/"


def test_somebody_without_a_store_is_told_what_to_do(client, head_office):
    client.force_login(head_office)
    assert "No store yet" in client.get("/stores/").text


def test_the_store_list_costs_the_same_for_one_store_and_for_many(
    client, owner, store, django_assert_num_queries
):
    for number in range(20):
        Membership.objects.create(
            user=owner, store=Store.objects.create(code=f"MUL-{number}", name=f"Shop {number}"), role="owner"
        )
    client.force_login(owner)
    with django_assert_num_queries(5):  # session, user, how many, page's count, rows
        client.get("/stores/")


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere/",
        "/s/NO-STORE/",
        "/s/KHI-0001/",
        "/s/KHI-0001/inventory/",
        "/s/LHE%00/",
        "/s/LHE-0001/documents/99999999999999999999/",
    ],
)
def test_what_is_absent_and_what_is_foreign_look_alike(client, cashier, other_store, path):
    client.force_login(cashier)
    answer = client.get(path)
    assert answer.status_code == 404
    assert "This page is not here, or it is not for you" in answer.text


def test_pages_carry_no_inline_script_or_style(client, manager, stocked):
    client.force_login(manager)
    for name in ("products", "inventory", "movements", "sale", "receipt", "adjustment", "sales_today"):
        page = client.get(reverse(name, args=["LHE-0001"])).text
        assert " style=" not in page
        assert "<style" not in page
        assert "<script>" not in page
        assert " onclick=" not in page


def test_a_broken_database_is_told_apart_from_a_broken_page(client, manager, store, monkeypatch):
    from django.db import OperationalError

    client.force_login(manager)
    client.raise_request_exception = False

    def broken(error):
        def view(*args, **options):
            raise error

        return view

    monkeypatch.setattr("inventory.views.acts.fresh_lines", broken(ZeroDivisionError()))
    answer = client.get(reverse("sale", args=[store.code]))
    assert answer.status_code == 500
    assert "was not recorded" in answer.text
    assert answer["X-Request-Id"][:12] in answer.text
    monkeypatch.setattr("inventory.views.acts.post_document", broken(OperationalError()))
    monkeypatch.setattr("inventory.forms.lines.BaseLines.resolve", broken(OperationalError()))
    data = {
        "act": "save",
        "reference": "abc",
        "lines-TOTAL_FORMS": "1",
        "lines-INITIAL_FORMS": "0",
        "lines-0-item": "<آٹا>",
    }
    answer = client.post(reverse("sale", args=[store.code]), data)
    assert answer.status_code == 503
    assert answer["Retry-After"]
    assert '<input type="hidden" name="lines-0-item" value="&lt;آٹا&gt;">' in answer.text


def test_a_form_that_is_too_large_is_told_so(client, cashier):
    client.force_login(cashier)
    assert client.post(reverse("profile"), {"x": "x" * 3_000_000}).status_code == 413
    assert client.post(reverse("profile"), {f"f{n}": "" for n in range(2100)}).status_code == 400


def test_an_unavailable_sign_in_never_gives_a_password_back(client, monkeypatch):
    from django.db import OperationalError

    client.raise_request_exception = False

    def away(request):
        raise OperationalError

    monkeypatch.setattr("stores.views.people.attempts_left", away)
    answer = client.post("/login/", {"username": "x", "password": "s3cret-word"})
    assert answer.status_code == 503
    assert "s3cret-word" not in answer.text


def test_an_address_behind_our_proxy_is_the_one_it_saw(rf, settings):
    from stores.access import client_address

    def asked(forwarded, peer="10.9.9.9"):
        return client_address(rf.get("/", REMOTE_ADDR=peer, HTTP_X_FORWARDED_FOR=forwarded))

    assert asked("1.2.3.4") == "10.9.9.9"
    settings.TRUSTED_PROXY_COUNT = 1
    assert asked("6.6.6.6, 1.2.3.4") == "1.2.3.4"
    assert asked("2001:db8:1:2:3:4:5:6") == "2001:db8:1:2::"
    assert asked("::ffff:1.2.3.4") == "1.2.3.4"
    assert asked("rubbish") == "unknown"


def test_roles_are_shown_in_words(client, owner, store):
    client.force_login(owner)
    assert "Owner" in client.get("/stores/").text
    assert User.objects.get(pk=owner.pk).language == "en"
