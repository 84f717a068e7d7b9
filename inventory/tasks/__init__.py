"""Work beside the requests: mails about low stock (`mails`), messages to partners (`webhooks`)."""

from inventory.tasks import mails, webhooks

__all__ = ["mails", "webhooks"]
