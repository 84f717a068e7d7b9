"""Signing in and out, my stores, my profile."""

import json
import math
import unicodedata
from datetime import timedelta
from functools import wraps

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login as sign_in
from django.contrib.auth import logout as sign_out
from django.contrib.auth import update_session_auth_hash
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.core.paginator import InvalidPage, Paginator
from django.db.models import F, Q
from django.http import Http404
from django.shortcuts import redirect, render
from django.utils import translation
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST, require_safe
from django_ratelimit.core import get_usage

from stores.access import client_address
from stores.forms import LanguageForm, PasswordForm, SignInForm, western_digits
from stores.models import Membership, Store, User

STORES_PER_PAGE = 50
SEARCH_FROM = 8


def signed_in(view):
    """Leads who is not signed in to the sign-in page.

    A form that was sent (the session had run out) is not lost: that page carries it, and gives it back after the password.
    """

    @wraps(view)
    def wrapped(request, *args, **options):
        if request.user.is_authenticated:
            return view(request, *args, **options)
        if request.method != "POST":
            return redirect_to_login(request.get_full_path())
        sent = [
            [name, value]
            for name, values in request.POST.lists()
            for value in values
            if name != "csrfmiddlewaretoken"
        ]
        context = {"form": SignInForm(request), "next": request.get_full_path(), "kept": json.dumps(sent)}
        return render(request, "stores/login.html", context, status=401)

    return wrapped


def kept_fields(request) -> list[tuple[str, str]]:
    """The fields of a form that the sign-in page carried, less the button that was pressed: nothing is sent by itself."""
    try:
        sent = json.loads(request.POST.get("kept", ""))
        return [(str(name), str(value)) for name, value in sent if name != "act"]
    except (ValueError, TypeError):
        return []


def next_page(request, default: str = "home") -> str:
    """Where `next` leads if that is a page of this site, else `default`."""
    target = request.POST.get("next") or request.GET.get("next") or ""
    # A path only: redirect() would take any other word for the name of a view.
    if (
        target.startswith("/")
        and "\0" not in target
        and url_has_allowed_host_and_scheme(target, {request.get_host()}, request.is_secure())
    ):
        return target
    return default


def attempts_left(request) -> int:
    """Counts one attempt to sign in. 0 if it may go on, else the seconds until the next one may (see LOGIN_RATE)."""
    # The sign-in itself understands a name in wide letters too (NFKC): that is the same name here.
    name = unicodedata.normalize("NFKC", request.POST.get("username", "")[:150]).strip().casefold()
    wait = 0
    for group, key in (("sign-in:address", client_address(request)), ("sign-in:name", name)):
        usage = get_usage(
            request,
            group=group,
            key=lambda _group, _request, key=key: key,
            rate=settings.LOGIN_RATE,
            increment=True,
        )
        if usage and usage["should_limit"]:
            wait = max(wait, usage["time_left"], 1)
    return math.ceil(wait)


def too_many(seconds: int) -> str:
    """How long to wait, in words and with the time of day."""
    if seconds < 120:
        wait = ngettext("%(n)d second", "%(n)d seconds", seconds) % {"n": seconds}
    else:
        wait = ngettext("%(n)d minute", "%(n)d minutes", math.ceil(seconds / 60)) % {
            "n": math.ceil(seconds / 60)
        }
    return _("Too many attempts to sign in. Nothing is lost: try again in %(wait)s.") % {"wait": wait}


@sensitive_post_parameters("password")
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def login(request):
    """User name and password; too many attempts from one address or for one name have to wait."""
    if request.user.is_authenticated:
        return redirect(next_page(request))
    form, status, wait = SignInForm(request), 200, 0
    if request.method == "POST":
        if wait := attempts_left(request):
            form = SignInForm(request, initial={"username": request.POST.get("username", "")[:150]})
            status = 429
        else:
            form = SignInForm(request, request.POST)
            if form.is_valid():
                sign_in(request, form.get_user())
                if (fields := kept_fields(request)) and (target := next_page(request, "")):
                    return render(request, "stores/carry_on.html", {"fields": fields, "target": target})
                return redirect(next_page(request))
    context = {
        "form": form, "next": request.POST.get("next") or request.GET.get("next", ""), "limited": too_many(wait) if wait else "",
        "kept": request.POST.get("kept", ""),
    }  # fmt: skip
    response = render(request, "stores/login.html", context, status=status)
    if wait:
        response["Retry-After"] = str(wait)
    return response


@require_POST
def logout(request):
    """Ends the session; the sign-in page follows in the same language."""
    language = translation.get_language()
    sign_out(request)
    return keep_language(redirect("login"), language)


@require_POST
def language(request):
    """Switches the language: in the profile of who is signed in, in a cookie for everybody else."""
    wanted = request.POST.get("language")
    response = redirect(next_page(request))
    if wanted in User.Language.values:
        if request.user.is_authenticated:
            User.objects.filter(pk=request.user.pk).update(language=wanted)
        keep_language(response, wanted)
    return response


def keep_language(response, language: str):
    """Remembers the language on this phone for a year, for pages without a user."""
    response.set_cookie(
        settings.LANGUAGE_COOKIE_NAME,
        language,
        max_age=timedelta(days=365),
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )
    return response


@login_required
@require_safe
def home(request):
    """The store that was chosen last, the only one, or the choice."""
    mine = Store.objects.for_user(request.user).order_by("code")
    chosen = request.session.get("store")
    codes = list(mine.values_list("code", flat=True)[:2])
    if len(codes) != 1 and chosen and mine.filter(code=chosen).exists():
        return redirect("dashboard", chosen)
    return redirect("dashboard", codes[0]) if len(codes) == 1 else redirect("store_list")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def store_list(request):
    """The stores that the user works in; choosing one makes it his home page."""
    mine = Store.objects.for_user(request.user)
    if request.method == "POST":
        code = request.POST.get("store", "").replace("\0", "")
        if mine.filter(code=code).exists():
            request.session["store"] = code
            return redirect("dashboard", code)
        return redirect("store_list")
    total, search = mine.count(), " ".join(request.GET.get("search", "").replace("\0", "").split())[:100]
    rows = mine.annotate(role=F("memberships__role")).order_by("code")
    for word in western_digits(search).split()[:8]:
        rows = rows.filter(
            Q(code__icontains=word)
            | Q(name__icontains=word)
            | Q(name_ur__icontains=word)
            | Q(area__icontains=word)
            | Q(city__icontains=word)
        )
    number = request.GET.get("page") or "1"
    if not (number.isascii() and number.isdigit()):
        raise Http404
    try:
        page = Paginator(rows, STORES_PER_PAGE).page(number)
    except InvalidPage:
        raise Http404 from None
    for row in page:
        row.role_label = Membership.Role(row.role).label
    context = {"page": page, "search": search, "total": total, "searchable": total > SEARCH_FROM}
    return render(request, "stores/store_list.html", context)


@sensitive_post_parameters()
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request):
    """The user's language and password."""
    data = request.POST if request.method == "POST" else None
    act = request.POST.get("act")
    language_form = LanguageForm(
        data if act == "language" else None, instance=User.objects.get(pk=request.user.pk)
    )
    password_form = PasswordForm(request.user, data if act == "password" else None)
    if act == "language" and language_form.is_valid():
        user = language_form.save()
        with translation.override(user.language):
            messages.success(request, _("The language is changed."))
        return keep_language(redirect("profile"), user.language)
    if act == "password" and password_form.is_valid():
        password_form.save()
        update_session_auth_hash(request, password_form.user)
        messages.success(request, _("The password is changed."))
        return redirect("profile")
    context = {
        "language_form": language_form,
        "password_form": password_form,
        "is_owner": Store.objects.owned_by(request.user).exists(),
    }
    return render(request, "stores/profile.html", context)
