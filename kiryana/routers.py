"""Which database is asked: the primary, but for reports where there is a replica (`reports.queries.replica`)."""

from django.db import DEFAULT_DB_ALIAS

from reports.queries.replica import REPLICA, reading
from stores.models import Store

APPS = frozenset({"catalog", "inventory", "reports"})


class Reports:
    """In a report, goods, ledger and figures are read from the replica, and the stores that it is about.

    Who is asking, what he may do, and how often he asked is known by the primary alone. Objects that came from the replica are
    objects like others: what is asked through them later, or saved, goes to the primary.
    """

    def db_for_read(self, model, **hints):
        if reading() and (model._meta.app_label in APPS or model is Store):
            return REPLICA
        return DEFAULT_DB_ALIAS

    def db_for_write(self, model, **hints):
        if reading():
            raise RuntimeError(f"A report reads, it does not write or lock: {model._meta.label}.")
        return DEFAULT_DB_ALIAS

    def allow_relation(self, first, second, **hints):
        return True  # the same rows on both

    def allow_migrate(self, db, app_label, **hints):
        return db == DEFAULT_DB_ALIAS
