"""Keys and users made on the command line."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper

from stores.models import ApiKey, Store, User

pytestmark = pytest.mark.django_db


def run(*arguments, **options):
    out, told = io.StringIO(), io.StringIO()
    call_command(*arguments, stdout=out, stderr=OutputWrapper(told), **options)
    return out.getvalue()


def test_a_key_for_some_stores_is_all_that_is_printed(store, other_store):
    printed = run(
        "create_key",
        "--name",
        "Till",
        "--stores",
        "LHE-0001,KHI-0001",
        "--scopes",
        "movements:write,inventory:read",
    )
    secret = printed.removesuffix("\n")
    key = ApiKey.objects.get(public_id=ApiKey.public_id_of(secret))
    assert key.digest == ApiKey.hash(secret)
    assert (key.name, key.all_stores, key.scopes) == ("Till", False, ["inventory:read", "movements:write"])
    assert set(key.stores.all()) == {store, other_store}


def test_a_key_for_all_stores_and_all_that_reads(store):
    secret = run(
        "create_key", "--name", "Head", "--stores", "all", "--scopes", "read", "catalog:write", "--rate", "30"
    ).strip()
    key = ApiKey.objects.get(public_id=ApiKey.public_id_of(secret))
    assert (key.all_stores, key.rate, key.stores.count()) == (True, 30, 0)
    assert "catalog:write" in key.scopes
    assert "movements:write" not in key.scopes
    assert "reports:read" in key.scopes


def test_a_test_key_stays_behind_its_wall(store):
    sandbox = Store.objects.create(code="TEST-0001", name="Practice shop", sandbox=True)
    command = ["create_key", "--name", "Till", "--scopes", "all", "--test", "--stores"]
    secret = run(*command, "TEST-0001").strip()
    key = ApiKey.objects.get(public_id=ApiKey.public_id_of(secret))
    assert (secret[:9], key.is_test, list(key.stores.all())) == ("kir_test_", True, [sandbox])
    assert set(key.scopes) == set(ApiKey.Scope.values) - {"catalog:write"}
    assert run(*command, "all").startswith("kir_test_")
    for wrong in (
        [*command, "LHE-0001"],
        ["create_key", "--name", "Till", "--scopes", "all", "--stores", "TEST-0001"],
        ["create_key", "--name", "Till", "--scopes", "catalog:write", "--test", "--stores", "all"],
    ):
        with pytest.raises(CommandError):
            run(*wrong)
    assert ApiKey.objects.count() == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--stores", "LHE-9999", "--scopes", "all"], "There is no store LHE-9999."),
        (["--stores", "LHE-0001", "--scopes", "fly:high"], "Unknown scope: fly:high."),
        (["--stores", "", "--scopes", "all"], "Choose the stores"),
        (["--stores", "all", "--scopes", "all", "--expires", "2020-01-01T00:00+05:00"], "run out already"),
        (["--stores", "all", "--scopes", "all", "--expires", "2099-01-01T00:00"], "needs an offset"),
        (["--stores", "all", "--scopes", "all", "--rate", "0"], "at least 1"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(store, arguments, words):
    with pytest.raises(CommandError, match=words):
        run("create_key", "--name", "X", *arguments)
    assert not ApiKey.objects.exists()


def test_a_user_with_stores_group_and_language(store, other_store, monkeypatch):
    monkeypatch.setenv("KIRYANA_PASSWORD", "chai-aur-biscuit-7")
    assert (
        run(
            "create_user",
            "amna",
            "--store",
            "LHE-0001:manager",
            "--store",
            "KHI-0001:cashier",
            "--group",
            "Operations",
            "--language",
            "ur",
            "--email",
            "amna@example.pk",
        )
        == ""
    )
    user = User.objects.get(username="amna")
    assert user.check_password("chai-aur-biscuit-7")
    assert (user.language, user.email, user.is_staff, user.is_superuser) == (
        "ur",
        "amna@example.pk",
        True,
        False,
    )
    assert {(each.store.code, each.role) for each in user.memberships.all()} == {
        ("LHE-0001", "manager"),
        ("KHI-0001", "cashier"),
    }
    assert [group.name for group in user.groups.all()] == ["Operations"]


def test_a_generated_password_is_all_that_is_printed(store):
    password = run("create_user", "adeel", "--store", "LHE-0001:cashier", "--generate").removesuffix("\n")
    user = User.objects.get(username="adeel")
    assert user.check_password(password)
    assert not user.is_staff


def test_the_password_comes_from_standard_input(store, monkeypatch):
    monkeypatch.delenv("KIRYANA_PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO("doodh-patti-chai\nnothing more\n"))
    run("create_user", "head-2", "--superuser")
    user = User.objects.get(username="head-2")
    assert user.check_password("doodh-patti-chai")
    assert (user.is_staff, user.is_superuser) == (True, True)


@pytest.mark.parametrize(
    ("arguments", "password", "words"),
    [
        (["--store", "LHE-0001"], "chai-aur-biscuit", "is not CODE:ROLE"),
        (["--store", "LHE-0001:king"], "chai-aur-biscuit", "is not CODE:ROLE"),
        (["--store", "XXX-0001:cashier"], "chai-aur-biscuit", "There is no store XXX-0001"),
        (["--group", "Pirates"], "chai-aur-biscuit", "There is no group Pirates"),
        ([], "12345678", "password"),
        ([], "", "No password was given"),
        (["--email", "nowhere"], "chai-aur-biscuit", "email"),
        (
            ["--store", "LHE-0001:cashier", "--store", "LHE-0001:manager"],
            "chai-aur-biscuit",
            "already exists",
        ),
    ],
)
def test_a_user_that_makes_no_sense_is_refused_whole(store, monkeypatch, arguments, password, words):
    monkeypatch.delenv("KIRYANA_PASSWORD", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO(password + "\n"))
    with pytest.raises(CommandError, match=words):
        run("create_user", "nobody", *arguments)
    assert not User.objects.filter(username="nobody").exists()


def test_a_taken_name_is_refused(cashier):
    with pytest.raises(CommandError, match="is taken"):
        run("create_user", cashier.username, "--generate")
