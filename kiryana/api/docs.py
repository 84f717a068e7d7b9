"""/docs: the API to read and to try, and what each error code means."""

from django.shortcuts import render
from django.views.decorators.http import require_safe

from kiryana.middleware import CONTENT_SECURITY_POLICY
from stores.authentication.problems import CODES

# Swagger UI sets styles on its elements; nothing else of the strict policy is loosened.
POLICY = CONTENT_SECURITY_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")


@require_safe
def docs(request):
    """The API's page. Open to everybody, like the schema that it shows."""
    codes = [{"code": code, "status": status, "title": title} for code, (status, title) in CODES.items()]
    response = render(request, "kiryana/docs.html", {"codes": codes})
    response["Content-Security-Policy"] = POLICY
    return response
