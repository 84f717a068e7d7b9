"""gunicorn's settings for tests that wait for a deadline: kiryana.serve with less patience."""

import gc

from kiryana import worker
from kiryana.serve import *  # noqa: F403

worker.ARRIVES_WITHIN = worker.SILENT_FOR = 1.5
worker.MOST_OF_ALL = 8 * 1024 * 1024


def post_worker_init(started):
    # After the code was loaded, before the first request.
    print(f"set apart: {gc.get_freeze_count()}, left: {len(gc.get_objects())}", flush=True)
