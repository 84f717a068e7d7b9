"""gunicorn's settings, for bin/up and for the container: gunicorn --config python:kiryana.serve"""

import os

from kiryana.cluster import die_with_parent

wsgi_app = "kiryana.wsgi:application"
worker_class = "gthread"
workers = int(os.environ.get("WEB_WORKERS") or 2)
threads = 4
graceful_timeout = 10
# More headers than any browser or proxy sends are answered 431.
limit_request_fields = 60
# The control socket would lie at one fixed place for everybody who starts one on this machine.
control_socket_disable = True


def post_fork(server, worker):
    # Workers whose gunicorn was killed would keep the port for a while, in the way of the next start.
    die_with_parent(worker.ppid)
