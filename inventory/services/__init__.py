"""The one door to the ledger, for pages, admin, partners, imports and jobs alike (R1).

A caller describes what happened (`Line`s, a kind, who, when). `drafts` checks it, `posting` sends it to the database in one
statement, `refusals` are what a caller may be told. All or nothing.
"""

from inventory.services.drafts import (
    BACKDATE,
    CLOCK_SLACK,
    GRAM,
    MAX_LINES,
    OLDEST_IMPORT,
    PAISA,
    Actor,
    Draft,
    Line,
    draft_document,
)
from inventory.services.posting import (
    Posted,
    find,
    insert_documents,
    know,
    open_levels,
    post_document,
    post_documents,
    reverse_document,
)
from inventory.services.refusals import (
    AlreadyReversed,
    InsufficientStock,
    InvalidDocument,
    ReferenceReused,
    Refused,
    StoreNotOpen,
)

__all__ = [
    "BACKDATE",
    "CLOCK_SLACK",
    "GRAM",
    "MAX_LINES",
    "OLDEST_IMPORT",
    "PAISA",
    "Actor",
    "AlreadyReversed",
    "Draft",
    "InsufficientStock",
    "InvalidDocument",
    "Line",
    "Posted",
    "ReferenceReused",
    "Refused",
    "StoreNotOpen",
    "draft_document",
    "find",
    "insert_documents",
    "know",
    "open_levels",
    "post_document",
    "post_documents",
    "reverse_document",
]
