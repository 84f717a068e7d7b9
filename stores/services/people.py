"""People, with where they work and what they may do."""

from collections.abc import Iterable

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from stores.models import Membership, Store, User


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
