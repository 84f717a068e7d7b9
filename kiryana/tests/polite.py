"""gunicorn's settings for the test of how workers share: kiryana.serve, whose workers give each other much time."""

from kiryana import worker
from kiryana.serve import *  # noqa: F403

worker.GIVES_WAY = 1.0
