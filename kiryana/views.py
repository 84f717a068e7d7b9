"""Pages of the site as a whole: is it up, and what to say when something went wrong."""

import logging
import sys

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.template import loader
from django.views.decorators.http import require_safe

log = logging.getLogger(__name__)


@require_safe
def healthz(request):
    """The process is up. Says nothing else."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
def readyz(request):
    """The database answers, keeps our limits, and all migrations are applied; 503 otherwise. Says nothing else."""
    try:
        executor = MigrationExecutor(connection)
        ready = limits_hold() and not executor.migration_plan(executor.loader.graph.leaf_nodes())
    except DatabaseError:
        ready = False
    return HttpResponse(
        "ok\n" if ready else "not ready\n", content_type="text/plain", status=200 if ready else 503
    )


def limits_hold() -> bool:
    """Whether statements end when the settings of this process say so. A pooler between may not have passed that on."""
    limits = {
        "statement_timeout": settings.STATEMENT_TIMEOUT,
        "lock_timeout": settings.LOCK_TIMEOUT,
        "idle_in_transaction_session_timeout": settings.IDLE_TIMEOUT,
    }
    columns = ", ".join(["current_setting(%s), set_config(%s, %s, true)"] * len(limits))
    given = [value for name, wanted in limits.items() for value in (name, name, wanted)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns}", given)
        found = cursor.fetchone()
    wrong = [name for place, name in enumerate(limits) if found[2 * place] != found[2 * place + 1]]
    if wrong:
        log.error(
            "Connections of the database come without our %s: behind PgBouncer they are set by connect_query, as in "
            ".docker/pgbouncer.ini.",
            ", ".join(wrong),
        )
    return not wrong


def csrf_failure(request, reason=""):
    """A form that came from elsewhere, or from before the last sign-in."""
    return error_page(request, "csrf", 403)


def bad_request(request, exception):
    """A request that arrived broken, or is larger than a form may be."""
    if isinstance(exception, RequestDataTooBig):
        return bare_page(request, "413", 413)
    return bare_page(request, "400", 400)


def forbidden(request, exception):
    """Something that this reader may not do."""
    return error_page(request, "403", 403)


def not_found(request, exception):
    """What is not there, or is not for this reader: one page for both."""
    return error_page(request, "404", 404)


def server_error(request):
    """A fault of ours. A database that is away is answered 503, with what was typed kept behind a "try again"."""
    if not isinstance(sys.exc_info()[1], OperationalError | InterfaceError):
        return bare_page(request, "500", 500)
    kept, path = [], request.path
    if (
        request.method == "POST"
        and "password" not in request.path
        and not any("password" in name for name in request.POST)
    ):
        path = request.get_full_path()
        kept = [
            (name, value)
            for name, values in request.POST.lists()
            for value in values
            if name != "csrfmiddlewaretoken"
        ]
    response = bare_page(request, "503", 503, kept=kept, path=path)
    response["Retry-After"] = "30"
    return response


def error_page(request, name: str, status: int) -> HttpResponse:
    """An error page with the reader's own frame around it."""
    return render(request, f"errors/{name}.html", {"request_id": getattr(request, "id", "")}, status=status)


def bare_page(request, name: str, status: int, **context) -> HttpResponse:
    """An error page that asks neither database nor session: both may be what is broken."""
    context |= {"request_id": getattr(request, "id", ""), "csrf_token": get_token(request)}
    return HttpResponse(loader.get_template(f"errors/{name}.html").render(context), status=status)
