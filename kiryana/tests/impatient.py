"""gunicorn's settings for tests that wait for a deadline: kiryana.serve with less patience."""

from kiryana import worker
from kiryana.serve import *  # noqa: F403

worker.ARRIVES_WITHIN = worker.SILENT_FOR = 1.5
worker.MOST_OF_ALL = 8 * 1024 * 1024
