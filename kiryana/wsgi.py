"""The web process. Only here do statements have a time limit, and go through a pooler: commands may run for hours."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kiryana.settings")
os.environ.setdefault("STATEMENT_TIMEOUT", "5s")
os.environ.setdefault("LOCK_TIMEOUT", "3s")
os.environ.setdefault("PLAN_CACHE_MODE", "force_generic_plan")
os.environ.setdefault("POOLED", "1")  # where POOLER_URL names a pooler

from django.core.wsgi import get_wsgi_application

from kiryana.request_log import request_log

application = get_wsgi_application()
request_log.begin()
