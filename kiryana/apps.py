from django.apps import AppConfig, apps
from django.contrib.admin.apps import AdminConfig
from django.db.models.signals import post_migrate


class KiryanaConfig(AppConfig):
    """Assembles the apps: it may import all of them, none imports it."""

    name = "kiryana"
    verbose_name = "Kiryana"

    def ready(self):
        from kiryana import checks, ready  # noqa: F401  (checks register themselves)

        # Groups need the permissions that Django makes after migrating; emptied test databases need all of it too.
        # The signal is sent for apps with models only; any one will do, once.
        last = apps.get_app_config("reports")
        post_migrate.connect(ready.create_ready_data, sender=last, dispatch_uid="kiryana.ready")


class KiryanaAdminConfig(AdminConfig):
    default_site = "kiryana.admin.HeadOffice"
