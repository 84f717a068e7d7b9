"""gunicorn's settings for tests with a replica: it is waited for as long as a busy machine needs, and soon asked again."""

from kiryana.serve import *  # noqa: F403


def post_worker_init(worker):
    from reports.queries import replica

    replica.PATIENCE = 1.5
    replica.BEHIND = replica.AWAY = 0.05
