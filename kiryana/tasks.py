"""House-keeping: once a night, or once an hour where much gathers."""

from datetime import timedelta

from django.conf import settings
from django.core.management import call_command
from django.db import close_old_connections
from django.utils import timezone
from procrastinate import builtin_tasks, job_context
from procrastinate.contrib.django import app

from stores.models import ApiRequest

FORGET_AT_ONCE = 5000  # rows


@app.periodic(cron="17 22 * * *")  # 3:17 in Karachi
@app.task(queueing_lock="forget_sessions")
def forget_sessions(timestamp: int = 0) -> None:
    """Deletes the sessions that have run out."""
    close_old_connections()
    try:
        call_command("clearsessions")
    finally:
        close_old_connections()


@app.periodic(cron="27 22 * * *")
@app.task(queueing_lock="forget_jobs", pass_context=True)
async def forget_jobs(context: job_context.JobContext, timestamp: int = 0) -> None:
    """Deletes jobs that ended more than a week ago, failed ones too."""
    await builtin_tasks.remove_old_jobs(
        context, max_hours=24 * 7, remove_failed=True, remove_cancelled=True, remove_aborted=True
    )


@app.periodic(cron="37 * * * *")
@app.task(queueing_lock="forget_requests")
def forget_requests(timestamp: int = 0) -> None:
    """Deletes what is older than API_LOG_DAYS from the request log: some rows at a time, so that nobody waits for it."""
    close_old_connections()
    oldest = timezone.now() - timedelta(days=settings.API_LOG_DAYS)
    try:
        deleted = FORGET_AT_ONCE
        while deleted == FORGET_AT_ONCE:
            old = ApiRequest.objects.filter(at__lt=oldest).values("pk")[:FORGET_AT_ONCE]
            deleted, _of_each = ApiRequest.objects.filter(pk__in=old).delete()
    finally:
        close_old_connections()
