"""Keys: made, followed by another, ended."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from stores.models import ApiKey, Store, User, Webhook

# Keys of one maker that work at a time: each has its own rate, so their number is what limits him.
MOST_OWN = 50


class KeyRefused(ValidationError):
    """A key that would open nothing or cannot be kept; nothing was saved."""


@transaction.atomic
def create_key(
    *,
    name: str,
    scopes: Iterable[str],
    stores: Iterable[Store] = (),
    all_stores: bool = False,
    rate: int | None = None,
    expires_at: datetime | None = None,
    created_by: User | None = None,
    is_test: bool = False,
) -> tuple[ApiKey, str]:
    """Makes a key and returns it with its secret, which can never be shown again.

    Refuses no scope, an unknown scope, one that a test key cannot have, no store, a store on the other side of the
    sandbox's wall, or an end in the past.
    """
    scopes, stores = sorted(set(scopes)), list(stores)
    unknown = set(scopes) - set(ApiKey.Scope.values)
    if unknown:
        raise KeyRefused(
            _("Unknown scope: %(scopes)s."),
            code="unknown_scope",
            params={"scopes": ", ".join(sorted(unknown))},
        )
    if not scopes:
        raise KeyRefused(_("Choose at least one scope."), code="no_scope")
    check_side(is_test=is_test, scopes=scopes, stores=stores)
    if not stores and not all_stores:
        raise KeyRefused(_("Choose the stores this key may see, or all stores."), code="no_store")
    if expires_at is not None and expires_at <= timezone.now():
        raise KeyRefused(_("The key would have run out already: choose a later time."), code="expired")
    public_id, secret = ApiKey.new_secret(is_test)
    key = ApiKey.objects.create(
        public_id=public_id,
        digest=ApiKey.hash(secret),
        name=name,
        is_test=is_test,
        scopes=scopes,
        all_stores=all_stores,
        rate=rate,
        expires_at=expires_at,
        created_by=created_by,
    )
    key.stores.set([] if all_stores else stores)
    return key, secret


def check_side(*, is_test: bool, scopes: Iterable[str], stores: Iterable[Store]) -> None:
    """Refuses what would reach over the wall between test keys and live ones."""
    if is_test and ApiKey.LIVE_ONLY & set(scopes):
        raise KeyRefused(
            _("A test key cannot change the catalogue: it is the same for all stores."), code="live_only"
        )
    if any(store.sandbox != is_test for store in stores):
        raise KeyRefused(
            _("A test key sees sandbox stores only, and a live key none of them."), code="wrong_side"
        )


@transaction.atomic
def rotate_key(
    *, key: ApiKey, grace: timedelta = timedelta(days=1), by: User | None = None
) -> tuple[ApiKey, str]:
    """Makes a successor with the same rights and webhooks; the old key keeps working for `grace`, then runs out.

    Refuses a key that no longer works.
    """
    key = ApiKey.objects.select_for_update().get(pk=key.pk)
    if not key.is_usable:
        raise KeyRefused(_("This key no longer works. Create a new one."), code="unusable")
    successor, secret = create_key(
        name=key.name,
        scopes=key.scopes,
        stores=key.stores.all(),
        all_stores=key.all_stores,
        rate=key.rate,
        expires_at=key.expires_at,
        # A test key stays on the page of who made it.
        created_by=key.created_by if key.is_test and key.created_by else by,
        is_test=key.is_test,
    )
    Webhook.objects.filter(key=key).update(key=successor)
    end = timezone.now() + grace
    key.expires_at = min(key.expires_at, end) if key.expires_at else end
    key.save(update_fields=["expires_at"])
    return successor, secret


def revoke_key(*, key: ApiKey) -> None:
    """The key opens nothing from the next request on. Revoking twice changes nothing."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())


@transaction.atomic
def create_own_key(
    *,
    owner: User,
    name: str,
    scopes: Iterable[str],
    stores: Iterable[Store],
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Makes a live key for stores that `owner` owns and returns it with its secret.

    Refuses what `create_key` refuses, a store that is not his, a right that head office alone gives, and more than
    MOST_OWN keys that work.
    """
    check_room(owner)
    scopes, stores = set(scopes), list(stores)
    check_rights(scopes)
    mine = set(Store.objects.owned_by(owner).values_list("pk", flat=True))
    if any(store.pk not in mine for store in stores):
        raise KeyRefused(_("Choose among the stores that you own."), code="foreign_store")
    return create_key(name=name, scopes=scopes, stores=stores, expires_at=expires_at, created_by=owner)


@transaction.atomic
def create_test_key(*, owner: User, name: str) -> tuple[ApiKey, str]:
    """Makes a key that may do in all sandbox stores whatever a test key may, and returns it with its secret.

    Refuses more than MOST_OWN keys that work.
    """
    check_room(owner)
    scopes = set(ApiKey.Scope.values) - ApiKey.LIVE_ONLY
    return create_key(name=name, scopes=scopes, all_stores=True, is_test=True, created_by=owner)


@transaction.atomic
def rotate_own_key(*, key: ApiKey, grace: timedelta, owner: User) -> tuple[ApiKey, str]:
    """`rotate_key` by an owner: whoever rotates a key holds its successor, so he must be one who could have made it."""
    check_room(owner)
    # As it is now, held until the end: head office may have given it more meanwhile.
    held = ApiKey.objects.for_owner(owner).select_for_update().filter(pk=key.pk).first()
    if held is None:
        raise KeyRefused(_("This key no longer works. Create a new one."), code="unusable")
    check_rights(held.scopes)
    return rotate_key(key=held, grace=grace, by=owner)


def check_rights(scopes: Iterable[str]) -> None:
    """Refuses scopes that head office alone gives."""
    if ApiKey.HEAD_OFFICE_ONLY & set(scopes):
        raise KeyRefused(
            _("Only head office gives the right to change the catalogue: ask there."), code="head_office_only"
        )


def check_room(owner: User) -> None:
    """Refuses one key too many. Two at once come one after the other."""
    list(User.objects.select_for_update(no_key=True).filter(pk=owner.pk).values_list("pk"))
    if len(ApiKey.objects.usable().filter(created_by=owner).values_list("pk")[:MOST_OWN]) >= MOST_OWN:
        raise KeyRefused(
            _("You have %(most)d keys that work. Revoke those you no longer need."),
            code="too_many_keys",
            params={"most": MOST_OWN},
        )
