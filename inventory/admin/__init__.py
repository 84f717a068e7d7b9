"""Head office: levels, the ledger and alerts, to look at. What changes stock goes through the services, like everywhere."""

from inventory.admin import alerts, ledger, levels, reasons  # noqa: F401  (they register their models)
