"""Keys: made, followed by another, ended."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from stores.models import ApiKey, Store, User, Webhook


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
    if is_test and ApiKey.LIVE_ONLY & set(scopes):
        raise KeyRefused(
            _("A test key cannot change the catalogue: it is the same for all stores."), code="live_only"
        )
    if any(store.sandbox != is_test for store in stores):
        raise KeyRefused(
            _("A test key sees sandbox stores only, and a live key none of them."), code="wrong_side"
        )
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
        created_by=by,
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
