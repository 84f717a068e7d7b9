"""Summing up the days that are over."""

from django.db import close_old_connections
from procrastinate.contrib.django import app

from reports.services import close_days


@app.periodic(cron="*/10 * * * *")
@app.task(name="reports.tasks.close_days", queueing_lock="close_days")
def close_days_that_are_over(timestamp: int = 0) -> None:
    """Keeps reports over all stores and over long periods quick. Killed or run twice at once, nothing is summed up twice."""
    close_old_connections()
    try:
        close_days()
    finally:
        close_old_connections()
