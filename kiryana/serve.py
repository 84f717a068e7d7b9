"""gunicorn's settings, for bin/up and for the container: gunicorn --config python:kiryana.serve"""

import os

from kiryana.cluster import die_with_parent
from kiryana.worker import HELD

wsgi_app = "kiryana.wsgi:application"
worker_class = "kiryana.worker.Worker"
logger_class = "kiryana.worker.Log"
workers = int(os.environ.get("WEB_WORKERS") or 2)
threads = 4
graceful_timeout = 10
# More than any browser, proxy or till sends is refused: 414 and 431.
limit_request_line = 4096
limit_request_fields = 60
limit_request_field_size = 8192
# Which methods there are is decided once, further in: 405.
permit_unconventional_http_method = True
# The control socket would lie at one fixed place for everybody who starts one on this machine.
control_socket_disable = True
# The worker reads requests as this parser does.
http_parser = "python"


def post_fork(server, worker):
    # Workers whose gunicorn was killed would keep the port for a while, in the way of the next start.
    die_with_parent(worker.ppid)


def child_exit(server, worker):
    # It holds no connections any more, however it ended.
    HELD[worker.place] = 0
