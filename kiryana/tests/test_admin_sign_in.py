"""Who may enter the head office: password, limits, second factor, recovery codes."""

import re
import time
from base64 import b32decode
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.sessions.models import Session
from django.core.cache import cache
from django.urls import reverse
from django_otp import user_has_device
from django_otp.oath import totp
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice
from django_otp.util import random_hex

from stores.access import has_device
from stores.models import User

pytestmark = pytest.mark.django_db
HOME, LOGIN, VERIFY, ENROL = (reverse(f"admin:{name}") for name in ("index", "login", "verify", "enrol"))
PASSWORD = "chai-aur-biscuit"


@pytest.fixture(autouse=True)
def fresh_limits():
    cache.clear()


@pytest.fixture
def required(settings):
    settings.ADMIN_REQUIRES_OTP = True


def sign_in(client, username="head", password=PASSWORD, **data):
    return client.post(LOGIN, {"username": username, "password": password, "next": HOME, **data}, follow=True)


def code(device, drift=0) -> str:
    return f"{totp(device.bin_key, drift=drift):06d}"


def device_of(page) -> TOTPDevice:
    """The device that a setup page offers, read from the link it shows."""
    link = re.search(r'href="(otpauth://[^"]+)"', page)[1].replace("&amp;", "&")
    secret = parse_qs(urlsplit(link).query)["secret"][0]
    return TOTPDevice(key=b32decode(secret).hex())


def sealed(page) -> str:
    return re.search(r'name="sealed" value="([^"]+)"', page)[1]


@pytest.fixture
def enrolled(head_office) -> TOTPDevice:
    return TOTPDevice.objects.create(user=head_office, name="Authenticator")


def test_the_password_alone_is_enough_where_nothing_more_is_required(client, head_office, settings):
    settings.ADMIN_REQUIRES_OTP = False
    answer = sign_in(client)
    assert answer.redirect_chain[-1][0] == HOME
    assert "To do" in answer.content.decode()


def test_a_cashier_is_refused_by_password_and_by_session(client, cashier):
    answer = sign_in(client, cashier.username)
    assert "staff account" in answer.content.decode()
    assert "_auth_user_id" not in client.session
    client.force_login(cashier)
    assert client.get(HOME).status_code == 302
    text = client.get(HOME, follow=True).content.decode()
    assert "does not work in head office" in text
    for page in (VERIFY, ENROL, reverse("admin:second_factor"), reverse("admin:recovery_codes")):
        assert client.get(page).status_code == 302
        assert client.post(page, {"code": "123456"}).status_code == 302


def test_attempts_are_limited_by_name_and_by_address(client, head_office, settings):
    settings.LOGIN_RATE = "3/h"
    for _attempt in range(3):
        assert client.post(LOGIN, {"username": "head", "password": "wrong"}).status_code == 200
    limited = client.post(LOGIN, {"username": "head", "password": PASSWORD})
    assert limited.status_code == 429
    assert int(limited["Retry-After"]) > 0
    assert "Too many attempts" in limited.content.decode()
    assert "_auth_user_id" not in client.session
    assert (
        client.post(LOGIN, {"username": "HEAD ", "password": PASSWORD}, REMOTE_ADDR="203.0.113.9").status_code
        == 429
    )
    assert client.post(LOGIN, {"username": "other", "password": "x"}).status_code == 429
    assert (
        client.post(LOGIN, {"username": "other", "password": "x"}, REMOTE_ADDR="203.0.113.9").status_code
        == 200
    )


def test_first_sign_in_leads_to_setting_up_and_then_to_the_page_asked_for(client, head_office, required):
    wanted = reverse("admin:stores_store_changelist")
    answer = client.post(
        f"{LOGIN}?next={wanted}", {"username": "head", "password": PASSWORD, "next": wanted}, follow=True
    )
    page = answer.content.decode()
    assert answer.redirect_chain[-1][0].startswith(ENROL)
    assert "<svg" in page
    assert "style=" not in re.search(r'<div class="qr".*?</div>', page, re.DOTALL)[0]
    assert not TOTPDevice.objects.exists()
    device = device_of(page)
    assert re.sub(r"\s", "", re.search(r'class="code secret">([^<]+)<', page)[1]) in page
    wrong = client.post(
        ENROL,
        {"sealed": sealed(page), "code": "000000" if code(device) != "000000" else "000001", "next": wanted},
    )
    assert "This code is not right" in wrong.content.decode()
    assert device_of(wrong.content.decode()).key == device.key
    assert not TOTPDevice.objects.exists()
    answer = client.post(ENROL, {"sealed": sealed(page), "code": code(device), "next": wanted})
    codes = re.findall(r'class="code">([a-z2-7]{4} [a-z2-7]{4})<', answer.content.decode())
    assert len(codes) == 10
    assert f'href="{wanted}"' in answer.content.decode()
    assert TOTPDevice.objects.get(user=head_office).key == device.key
    assert client.get(wanted).status_code == 200
    kept = "".join(str(session.get_decoded()) for session in Session.objects.all())
    assert device.key not in kept
    assert codes[0].replace(" ", "") not in kept


def test_no_page_opens_before_the_second_factor(client, head_office, enrolled, required):
    sign_in(client)
    assert client.session["_auth_user_id"] == str(head_office.pk)
    for name in (
        "index",
        "password_change",
        "jsi18n",
        "second_factor",
        "recovery_codes",
        "stores_store_changelist",
        "inventory_document_changelist",
    ):
        assert client.get(reverse(f"admin:{name}")).status_code == 302, name
    assert (
        client.get(
            reverse("admin:autocomplete"),
            {"app_label": "stores", "model_name": "membership", "field_name": "user"},
        ).status_code
        == 302
    )
    assert client.get(ENROL).url.startswith(VERIFY)
    assert client.post(ENROL, {"code": "123456", "sealed": "x"}).url.startswith(VERIFY)
    page = client.get(VERIFY).content.decode()
    assert "rail-link" not in page
    assert "Stock levels" not in page


def test_a_code_opens_once(client, head_office, enrolled, required):
    answer = sign_in(client)
    assert answer.redirect_chain[-1][0].startswith(VERIFY)
    now = code(enrolled)
    assert client.post(VERIFY, {"code": f"{now[:3]} {now[3:]}", "next": "https://evil.example/"}).url == HOME
    assert client.get(HOME).status_code == 200
    client.post(reverse("admin:logout"))
    assert client.get(HOME).status_code == 302
    sign_in(client)
    assert "This code is not right" in client.post(VERIFY, {"code": now}).content.decode()
    assert client.get(HOME).status_code == 302


def test_guessing_codes_is_slowed_and_then_stopped(client, head_office, enrolled, required, settings):
    settings.LOGIN_RATE = "5/h"
    sign_in(client)
    wrong = "000000" if code(enrolled) != "000000" else "000001"
    client.post(VERIFY, {"code": wrong})
    enrolled.refresh_from_db()
    assert enrolled.throttling_failure_count == 1
    # The device waits after a wrong code: even the right one does not open it at once.
    assert client.post(VERIFY, {"code": code(enrolled)}).status_code == 200
    for _attempt in range(3):
        client.post(VERIFY, {"code": wrong})
    TOTPDevice.objects.update(throttling_failure_timestamp=None, throttling_failure_count=0)
    assert "Too many attempts" in client.post(VERIFY, {"code": code(enrolled)}).content.decode()
    assert client.get(HOME).status_code == 302


def test_a_recovery_code_opens_once_and_new_ones_end_the_old(client, head_office, enrolled, required):
    from kiryana.admin import HeadOffice

    codes = HeadOffice.make_codes(head_office)
    sign_in(client)
    assert client.post(VERIFY, {"code": f"{codes[0][:4]} {codes[0][4:].upper()}"}).url == HOME
    assert StaticToken.objects.count() == 9
    assert "9" in client.get(reverse("admin:second_factor")).content.decode()
    answer = client.post(reverse("admin:recovery_codes"), {"code": code(enrolled)})
    assert len(re.findall(r'class="code">[a-z2-7]{4} [a-z2-7]{4}<', answer.content.decode())) == 10
    assert not StaticToken.objects.filter(token__in=codes).exists()
    assert (
        "This code is not right"
        in client.post(reverse("admin:recovery_codes"), {"code": "000000"}).content.decode()
    )


def test_new_phone_replaces_the_old_one(client, head_office, enrolled, required):
    sign_in(client)
    client.post(VERIFY, {"code": code(enrolled)})
    page = client.get(ENROL).content.decode()
    client.post(ENROL, {"sealed": sealed(page), "code": code(device_of(page))})
    assert TOTPDevice.objects.get(user=head_office).key == device_of(page).key
    assert client.get(HOME).status_code == 200


def test_a_setup_page_of_somebody_else_or_of_long_ago_is_not_taken(
    client, head_office, required, monkeypatch
):
    other = User.objects.create_superuser("other", "o@example.pk", PASSWORD)
    sign_in(client, "other")
    page = client.get(ENROL).content.decode()
    client.logout()
    sign_in(client)
    answer = client.post(ENROL, {"sealed": sealed(page), "code": code(device_of(page))})
    assert "open for too long" in answer.content.decode()
    page = answer.content.decode()
    later = time.time() + timedelta(hours=2).total_seconds()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: later)
        assert (
            "open for too long"
            in client.post(ENROL, {"sealed": sealed(page), "code": code(device_of(page))}).content.decode()
        )
    assert not TOTPDevice.objects.filter(user__in=[other, head_office]).exists()


def test_who_has_set_one_up_is_asked_even_where_it_is_not_required(client, head_office, enrolled, settings):
    settings.ADMIN_REQUIRES_OTP = False
    assert sign_in(client).redirect_chain[-1][0].startswith(VERIFY)
    assert client.get(HOME).status_code == 302


def test_signing_out_works_before_the_second_factor(client, head_office, enrolled, required):
    sign_in(client)
    assert client.post(reverse("admin:logout")).url == LOGIN
    assert "_auth_user_id" not in client.session


def test_secrets_of_devices_have_no_page(client, head_office):
    client.force_login(head_office)
    for page in ("otp_totp/totpdevice/", "otp_static/staticdevice/", "procrastinate/procrastinatejob/"):
        assert client.get(f"/admin/{page}").status_code == 404


def test_pages_keep_the_strict_policy(client, head_office):
    client.force_login(head_office)
    pages = [
        HOME,
        ENROL,
        reverse("admin:inventory_stocklevel_changelist"),
        reverse("admin:catalog_product_add"),
        reverse("admin:stores_apikey_add"),
    ]
    for page in pages:
        answer = client.get(page)
        text = answer.content.decode()
        assert "script-src 'self'; style-src 'self'" in answer["Content-Security-Policy"]
        assert "no-store" in answer["Cache-Control"]
        assert "<style" not in text
        assert not re.search(r"<[^>]+\sstyle=", text), page
        assert not re.search(r"<[^>]+\son[a-z]+=", text), page
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), page


def test_a_second_factor_is_known_by_one_statement_whatever_its_kind(django_assert_num_queries):
    user, other = User.objects.create_user("hina"), User.objects.create_user("other")
    TOTPDevice.objects.create(user=other, key=random_hex(20))
    unproven = TOTPDevice.objects.create(user=user, key=random_hex(20), confirmed=False)

    def known() -> bool:
        with django_assert_num_queries(1):
            found = has_device(user)
        assert found == user_has_device(user)
        return found

    assert not known()
    codes = StaticDevice.objects.create(user=user)
    assert known()
    codes.delete()
    assert not known()
    unproven.confirmed = True
    unproven.save()
    assert known()
