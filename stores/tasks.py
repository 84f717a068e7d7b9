"""House-keeping of the feed."""

from django.db import close_old_connections
from procrastinate.contrib.django import app

from stores.services.feed import forget_changes, settle_in


@app.periodic(cron="37 * * * *")
@app.task(queueing_lock="forget_old_changes")
def forget_old_changes(timestamp: int = 0) -> None:
    """Deletes changes older than CHANGES_DAYS, batch by batch. Killed or run twice, it goes on from where it was."""
    close_old_connections()
    try:
        while forget_changes():
            pass
    finally:
        close_old_connections()


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="settle_in_feed")
def settle_in_feed(timestamp: int = 0) -> None:
    """Lets the feed go on after the database was set back or taken over; partners wait for it meanwhile."""
    close_old_connections()
    try:
        settle_in()
    finally:
        close_old_connections()
