"""How much, where and why: levels, and the ledger that alone may change them.

The tables of this app belong to one store per row. Their physical keys lead with `store_id` (see sql/keys.sql), so
that the data of a store can be moved to a shard of its own; Django sees `id` as the key.
"""

from inventory.models.alerts import AlertDigest, DigestMail, LowStockAlert, LowStockAlertQuerySet
from inventory.models.ledger import COSTED, PRICED, SIGN, Document, Kind, Movement, Reason
from inventory.models.levels import StockLevel, StockLevelQuerySet, StoreData

__all__ = [
    "COSTED",
    "PRICED",
    "SIGN",
    "AlertDigest",
    "DigestMail",
    "Document",
    "Kind",
    "LowStockAlert",
    "LowStockAlertQuerySet",
    "Movement",
    "Reason",
    "StockLevel",
    "StockLevelQuerySet",
    "StoreData",
]
