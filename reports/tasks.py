"""Summing up the days that are over, and how levels stand."""

from django.db import close_old_connections
from procrastinate.contrib.django import app

from reports.services import close_days, restate


@app.periodic(cron="*/10 * * * *")
@app.task(name="reports.tasks.close_days", queueing_lock="close_days")
def close_days_that_are_over(timestamp: int = 0) -> None:
    """Keeps reports over all stores and over long periods quick. Killed or run twice at once, nothing is summed up twice."""
    close_old_connections()
    try:
        close_days()
    finally:
        close_old_connections()


@app.periodic(cron="*/10 * * * *")
@app.task(name="reports.tasks.restate", queueing_lock="restate")
def restate_levels(timestamp: int = 0) -> None:
    """Keeps reports of the stock of all stores quick. Killed or run twice at once, nothing is counted twice."""
    close_old_connections()
    try:
        restate()
    finally:
        close_old_connections()
