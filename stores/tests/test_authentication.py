"""Which key opens the API, how often, and what it may do."""

from datetime import timedelta

import pytest
from django.core.cache import cache
from django.utils import timezone

from stores.models import ApiKey
from stores.services import revoke_key, rotate_key

pytestmark = pytest.mark.django_db
ME = "/api/v1/me/"


@pytest.fixture(autouse=True)
def fresh_counters():
    cache.clear()


def changed(key: str) -> str:
    """`key` with another letter in its secret, and so with a wrong checksum."""
    return key[:30] + ("A" if key[30] != "A" else "B") + key[31:]


def test_a_key_opens_by_either_header(api_client, client):
    secret = api_client().secret
    assert client.get(ME, headers={"x-api-key": secret}).status_code == 200
    assert client.get(ME, headers={"authorization": f"Bearer {secret}"}).status_code == 200
    assert (
        client.get(ME, headers={"authorization": f"bearer {secret}", "x-api-key": secret}).status_code == 200
    )


def test_every_key_that_opens_nothing_gets_one_and_the_same_answer(api_client, client):
    good = api_client()
    revoked, expired = api_client(), api_client()
    revoke_key(key=revoked.key)
    ApiKey.objects.filter(pk=expired.key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    _id, never_saved = ApiKey.new_secret()
    tries = [
        {},
        {"x-api-key": ""},
        {"x-api-key": "x"},
        {"x-api-key": changed(good.secret)},
        {"x-api-key": never_saved},
        {"x-api-key": revoked.secret},
        {"x-api-key": expired.secret},
        {"x-api-key": "ключ"},
        {"x-api-key": good.secret + " "},
        {"authorization": ""},
        {"authorization": "Bearer"},
        {"authorization": f"Basic {good.secret}"},
        {"authorization": f"Bearer {never_saved}"},
        {"authorization": "Bearer " + "a" * 10_000},
        {"x-api-key": good.secret, "authorization": f"Bearer {never_saved}"},
    ]
    bodies = set()
    for headers in tries:
        answer = client.get(ME, headers=headers | {"x-request-id": "one-request-id"})
        assert answer.status_code == 401, headers
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="kiryana"'
        assert "RateLimit" not in answer.headers
        bodies.add(answer.content)
    assert len(bodies) == 1
    assert client.get(ME, headers={"x-api-key": good.secret}).status_code == 200


def test_a_revoked_key_is_shut_out_at_once_and_a_rotated_one_at_the_end_of_its_grace(api_client):
    partner, other = api_client(), api_client()
    assert partner.get(ME).status_code == 200
    revoke_key(key=partner.key)
    assert partner.get(ME).status_code == 401
    rotate_key(key=other.key, grace=timedelta(hours=1))
    assert other.get(ME).status_code == 200
    rotate_key(key=other.key, grace=timedelta(0))
    assert other.get(ME).status_code == 401


@pytest.mark.parametrize("query", ["api_key=1", "key=x", "X-API-Key=x", "access_token=x", "q=kir_live_abc"])
def test_a_key_in_the_address_is_refused(api_client, query):
    answer = api_client().get(f"{ME}?{query}")
    assert answer.status_code == 400
    assert answer.json()["code"] == "key_in_url"


def test_looking_a_key_up_is_one_query_and_a_malformed_one_is_none(
    api_client, client, django_assert_num_queries
):
    partner = api_client(scopes=["catalog:read"])
    partner.get(ME)
    with django_assert_num_queries(1):
        assert partner.get("/api/v1/stores/").status_code == 403
    with django_assert_num_queries(0):
        client.get(ME, headers={"x-api-key": changed(partner.secret)})


def test_last_used_is_written_at_most_once_a_minute(api_client, time_machine):
    partner = api_client()
    time_machine.move_to("2026-11-22T10:00:00Z", tick=False)
    for second in (0, 30, 59):
        time_machine.move_to(f"2026-11-22T10:00:{second:02}Z", tick=False)
        partner.get(ME)
        partner.key.refresh_from_db()
        assert partner.key.last_used_at.second == 0
    time_machine.move_to("2026-11-22T10:01:01Z", tick=False)
    partner.get(ME)
    partner.key.refresh_from_db()
    assert (partner.key.last_used_at.minute, partner.key.last_used_at.second) == (1, 1)


def test_a_scope_that_is_missing_is_named(api_client):
    answer = api_client(scopes=["catalog:read"]).get("/api/v1/stores/")
    assert (answer.status_code, answer.json()["code"]) == (403, "insufficient_scope")
    assert "stores:read" in answer.json()["detail"]


EVERYTHING = [
    ("get", "stores/", "stores:read"),
    ("get", "stores/LHE-0001/", "stores:read"),
    ("get", "products/", "catalog:read"),
    ("get", "products/GHE-0001/", "catalog:read"),
    ("get", "products/lookup/?barcode=8964000123456", "catalog:read"),
    ("post", "products/", "catalog:write"),
    ("patch", "products/GHE-0001/", "catalog:write"),
    ("get", "inventory/", "inventory:read"),
    ("get", "inventory/LHE-0001/GHE-0001/", "inventory:read"),
    ("patch", "inventory/LHE-0001/GHE-0001/", "movements:write"),
    ("get", "movements/", "movements:read"),
    ("get", "movements/1/", "movements:read"),
    ("post", "movements/", "movements:write"),
    ("get", "documents/", "movements:read"),
    ("get", "documents/1/", "movements:read"),
    ("post", "documents/", "movements:write"),
    ("post", "documents/batch/", "movements:write"),
    ("post", "documents/1/reverse/", "movements:write"),
    ("get", "reports/inventory-summary/", "reports:read"),
    ("get", "reports/daily-sales/", "reports:read"),
    ("get", "reports/low-stock/", "reports:read"),
    ("get", "reports/top-products/", "reports:read"),
]


@pytest.mark.parametrize(("method", "path", "scope"), EVERYTHING)
def test_each_address_opens_with_its_scope_and_with_no_other(api_client, stocked, method, path, scope):
    others = [name for name in ApiKey.Scope.values if name != scope]
    refused = getattr(api_client(scopes=others), method)("/api/v1/" + path)
    assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_scope")
    assert getattr(api_client(scopes=[scope]), method)("/api/v1/" + path).status_code != 403


def test_the_rate_is_told_and_then_enforced_also_for_requests_that_fail(api_client):
    partner = api_client(rate=3, scopes=["stores:read"])
    left = [partner.get(path) for path in ("/api/v1/me/", "/api/v1/products/", "/api/v1/nothing/")]
    assert [answer.status_code for answer in left] == [200, 403, 404]
    assert [answer.headers["RateLimit"].split(";")[1] for answer in left] == ["r=2", "r=1", "r=0"]
    assert {answer.headers["RateLimit-Policy"] for answer in left} == {'"key";q=3;w=60'}
    refused = partner.get("/api/v1/me/")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["RateLimit"].startswith('"key";r=0;t=')


def test_who_waits_as_long_as_he_is_told_gets_through(api_client, time_machine):
    partner = api_client(rate=1)
    time_machine.move_to("2026-11-22T10:00:00Z", tick=False)
    partner.get(ME)
    wait = int(partner.get(ME).headers["Retry-After"])
    time_machine.shift(wait + 1)
    assert partner.get(ME).status_code == 200


def test_the_usual_rate_is_the_setting(api_client, settings):
    settings.API_RATE = "7/h"
    answer = api_client().get(ME)
    assert answer.headers["RateLimit-Policy"] == '"key";q=7;w=3600'
    assert answer.json()["limits"]["rate"] == "7/h"


def test_one_key_does_not_use_up_the_rate_of_another(api_client):
    first, second = api_client(rate=1), api_client(rate=1)
    first.get(ME)
    assert first.get(ME).status_code == 429
    assert second.get(ME).status_code == 200


def test_wrong_keys_of_one_address_have_to_wait_and_right_ones_do_not(api_client, client, settings):
    settings.API_GUESS_RATE = "2/m"
    good = api_client()
    _id, wrong = ApiKey.new_secret()
    answers = [client.get(ME, headers={"x-api-key": wrong}).status_code for _try in range(3)]
    assert answers == [401, 401, 429]
    refused = client.get(ME, headers={"x-api-key": wrong})
    assert int(refused.headers["Retry-After"]) >= 1
    assert client.get(ME, headers={"x-api-key": wrong}, REMOTE_ADDR="10.0.0.9").status_code == 401
    assert good.get(ME).status_code == 200


def test_a_forwarded_address_counts_only_behind_our_own_proxies(client, settings):
    settings.API_GUESS_RATE = "1/m"
    _id, wrong = ApiKey.new_secret()

    def ask(forwarded):
        return client.get(ME, headers={"x-api-key": wrong, "x-forwarded-for": forwarded}).status_code

    assert [ask("1.1.1.1"), ask("2.2.2.2")] == [401, 429]
    settings.TRUSTED_PROXY_COUNT = 1
    assert [ask("9.9.9.9, 1.1.1.1"), ask("8.8.8.8, 2.2.2.2"), ask("2.2.2.2, 1.1.1.1")] == [401, 401, 429]


def test_a_cookie_opens_nothing(client, head_office):
    client.force_login(head_office)
    assert client.get(ME).status_code == 401
