"""gunicorn's settings for tests with a replica: a moment after it was behind or away it is asked again."""

from kiryana.serve import *  # noqa: F403


def post_worker_init(worker):
    from reports.queries import replica

    replica.BEHIND = replica.AWAY = 0.05
