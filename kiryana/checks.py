"""System checks of our own: what must not reach production."""

from django.conf import settings
from django.core.checks import Error, Tags, register


@register(Tags.security, deploy=True)
def head_office_has_a_second_factor(app_configs, **kwargs):
    """Production without a second factor for head office is refused."""
    if settings.ADMIN_REQUIRES_OTP:
        return []
    return [
        Error("Head office signs in without a second factor: set ADMIN_REQUIRES_OTP=1.", id="kiryana.E001")
    ]
