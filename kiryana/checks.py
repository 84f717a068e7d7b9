"""System checks of our own: what must not reach production."""

from django.conf import settings
from django.core.checks import Error, Tags, Warning, register
from django.db import DatabaseError

from stores.services.feed import moved


@register(Tags.security, deploy=True)
def head_office_has_a_second_factor(app_configs, **kwargs):
    """Production without a second factor for head office is refused."""
    if settings.ADMIN_REQUIRES_OTP:
        return []
    return [
        Error("Head office signs in without a second factor: set ADMIN_REQUIRES_OTP=1.", id="kiryana.E001")
    ]


@register(Tags.database)
def the_feed_has_settled_in(app_configs, databases=None, **kwargs):
    """A database that was restored on another server goes on only after `prepare`. A warning: prepare itself comes by here."""
    try:
        if not databases or not moved():
            return []
    except DatabaseError:
        return []  # nothing there yet: migrate comes first
    return [
        Warning(
            "The data came from another server, and the feed of changes is closed until it has settled in: run"
            " manage.py prepare.",
            id="kiryana.W001",
        )
    ]
