"""What a caller is told when nothing was recorded."""

from django.core.exceptions import ValidationError


class Refused(ValidationError):
    """Something a caller asked for that was not done; nothing was recorded. `code` is stable, the message a sentence."""


class InvalidDocument(Refused):
    """What was sent is wrong in itself. `lines` holds (line index, field, message, code) for each wrong line."""

    def __init__(self, message, code="validation_error", field=None, lines=()):
        super().__init__(message, code=code)
        self.field, self.lines = field, list(lines)


class InsufficientStock(Refused):
    """Not enough on hand. `short` holds (line index, product, on hand, wanted) for every line that lacks stock."""

    def __init__(self, message, short):
        super().__init__(message, code="insufficient_stock")
        self.short = short


class ReferenceReused(Refused):
    """The reference already belongs to a document of this store with other content."""


class AlreadyReversed(Refused):
    """The document was voided before, is itself a void, or was returned in part."""


class StoreNotOpen(Refused):
    """The store's status does not let this act through (R14)."""
