"""Changes to keys and people that touch several rows."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from stores.models import ApiKey, Membership, Store, User


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
) -> tuple[ApiKey, str]:
    """Makes a key and returns it with its secret, which can never be shown again.

    Refuses no scope, an unknown scope, no store, or an end in the past.
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
    if not stores and not all_stores:
        raise KeyRefused(_("Choose the stores this key may see, or all stores."), code="no_store")
    if expires_at is not None and expires_at <= timezone.now():
        raise KeyRefused(_("The key would have run out already: choose a later time."), code="expired")
    public_id, secret = ApiKey.new_secret()
    key = ApiKey.objects.create(
        public_id=public_id,
        digest=ApiKey.hash(secret),
        name=name,
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
    """Makes a successor with the same rights; the old key keeps working for `grace`, then runs out.

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
    )
    end = timezone.now() + grace
    key.expires_at = min(key.expires_at, end) if key.expires_at else end
    key.save(update_fields=["expires_at"])
    return successor, secret


def revoke_key(*, key: ApiKey) -> None:
    """The key opens nothing from the next request on. Revoking twice changes nothing."""
    ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now())


@transaction.atomic
def create_user(
    *,
    username: str,
    password: str,
    email: str = "",
    language: str = User.Language.ENGLISH,
    store_roles: Iterable[tuple[Store, str]] = (),
    groups: Iterable = (),
    is_staff: bool = False,
    is_superuser: bool = False,
) -> User:
    """Makes a user with his memberships and groups. Refuses a taken name and an unknown role."""
    if User.objects.filter(username=username).exists():
        raise ValidationError(
            _("The user name %(name)s is taken."), code="duplicate_username", params={"name": username}
        )
    user = User(
        username=username, email=email, language=language, is_staff=is_staff, is_superuser=is_superuser
    )
    user.set_password(password)
    user.full_clean(exclude=["password"])
    user.save()
    user.groups.set(groups)
    for store, role in store_roles:
        membership = Membership(user=user, store=store, role=role)
        membership.full_clean()
        membership.save()
    return user
