"""House-keeping, once a night."""

from django.core.management import call_command
from django.db import close_old_connections
from procrastinate import builtin_tasks, job_context
from procrastinate.contrib.django import app


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
