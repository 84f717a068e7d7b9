"""The head-office site: who may enter (password, second factor), in which order things stand, and the work queue at home."""

import time
from base64 import b32encode
from datetime import timedelta
from functools import cache, update_wrapper

import segno
from django import forms
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.contrib.auth import get_user_model
from django.contrib.auth.views import LogoutView
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import transaction
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import get_script_prefix, path, reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.utils.safestring import mark_safe
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.debug import sensitive_post_parameters
from django_otp import login as otp_login
from django_otp import user_has_device, verify_token
from django_otp.oath import TOTP
from django_otp.util import random_hex
from django_ratelimit.core import get_usage

# Head office's own order of its tables: what is used daily first.
ORDER = {
    "inventory": ["stocklevel", "document", "movement", "lowstockalert", "reason"],
    "catalog": ["product", "category", "barcode", "pack", "storeprice", "productprice"],
    "stores": ["store", "membership", "user", "apikey", "apirequest", "webhook", "delivery"],
    "auth": ["group"],
    "reports": ["dailystock"],
    "admin": ["logentry"],
}
PLACES = {
    pair: place for place, pair in enumerate((app, name) for app, names in ORDER.items() for name in names)
}
# Small apps of Django's that stand under one of ours.
BESIDE = {"auth": "stores", "admin": "stores"}
MOST = 100
RECOVERY_CODES = 10
# How long a setup page may stay open before its key is no longer taken.
SETUP_AGE = 60 * 60


@cache
def address(name: str, prefix: str, *arguments: str) -> str:
    """Where a page of the admin is. The menu asks for some forty on each page; `prefix` is where the site begins."""
    return reverse(name, args=arguments)


class CodeForm(forms.Form):
    """Six digits of an authenticator app, or a recovery code."""

    code = forms.CharField(
        label=gettext_lazy("Code"),
        max_length=20,
        widget=forms.TextInput({"autocomplete": "one-time-code", "dir": "ltr", "class": "input code-input"}),
    )

    def clean_code(self):
        return self.cleaned_data["code"].replace(" ", "").replace("-", "").lower()


class SetupForm(CodeForm):
    """The first code of a new device, with the key that the page showed, sealed for this user."""

    sealed = forms.CharField(widget=forms.HiddenInput)


class Codes(AutocompleteJsonView):
    """Suggestions of the autocomplete fields, with the code that filters send (a SKU, a store's code, a user name)."""

    def serialize_result(self, obj, to_field_name):
        own = next(
            (getattr(obj, name) for name in ("sku", "code", "username", "name") if hasattr(obj, name)), ""
        )
        return super().serialize_result(obj, to_field_name) | {"code": own}


class HeadOffice(admin.AdminSite):
    """Django's admin under the product's name, behind a second factor."""

    site_title = gettext_lazy("Head office")
    site_header = gettext_lazy("Kiryana head office")
    index_title = gettext_lazy("To do")
    login_form = AdminAuthenticationForm
    password_change_template = "admin/password.html"  # noqa: S105  a file name
    password_change_done_template = "admin/password_done.html"  # noqa: S105  a file name
    enable_nav_sidebar = True

    def register(self, model_or_iterable, admin_class=None, **options):
        """Only the product's own tables: devices and jobs bring admin pages of their own, which would show secrets."""
        given = model_or_iterable if isinstance(model_or_iterable, (list, tuple)) else [model_or_iterable]
        if own := [model for model in given if model._meta.app_label in ORDER]:
            super().register(own, admin_class, **options)

    # -- who may enter --------------------------------------------------------------------------------------------
    def needs_second_factor(self, request) -> bool:
        """Whether this head-office user has still to show a second factor: where it is required, or he has set one up."""
        from stores.access import has_device

        user = request.user
        return not user.is_verified() and (settings.ADMIN_REQUIRES_OTP or has_device(user))

    def is_head_office(self, request) -> bool:
        return request.user.is_active and request.user.is_staff

    def has_permission(self, request):
        if not hasattr(request, "may_enter_head_office"):
            request.may_enter_head_office = self.is_head_office(request) and not self.needs_second_factor(
                request
            )
        return request.may_enter_head_office

    def admin_view(self, view, cacheable=False):
        """Pages run and are drawn on head office's clock. Who has shown his password only may still sign out."""
        guarded = super().admin_view(view, cacheable)

        def inner(request, *args, **kwargs):
            leaving = request.user.is_authenticated and request.path == reverse(
                "admin:logout", current_app=self.name
            )
            with timezone.override(self.clock()):
                response = (view if leaving else guarded)(request, *args, **kwargs)
                if hasattr(response, "render") and not response.is_rendered:
                    response.render()
            return response

        return update_wrapper(inner, view)

    @staticmethod
    def clock() -> str:
        """The time zone of head office: the one that a new store gets."""
        from stores.models import Store

        return Store._meta.get_field("timezone").default

    @method_decorator(sensitive_post_parameters("password"))
    def login(self, request, extra_context=None):
        """The password. Too many attempts from one address or for one name have to wait; the shop's page counts along."""
        from stores.views import attempts_left, too_many

        if request.method != "POST" and self.is_head_office(request) and not self.has_permission(request):
            return self.onward(request, "admin:verify" if user_has_device(request.user) else "admin:enrol")
        if request.method == "HEAD" and self.has_permission(request):
            return redirect("admin:index")  # as a GET is answered
        extra = {"title": _("Sign in"), **(extra_context or {})}
        if request.method == "POST" and (seconds := attempts_left(request)):
            request.method, request.POST = "GET", request.POST.__class__("")
            response = super().login(request, {**extra, "limited": too_many(seconds)})
            response.status_code = 429
            response["Retry-After"] = str(seconds)
            return response
        return super().login(request, extra)

    def logout(self, request, extra_context=None):
        return LogoutView.as_view(next_page=reverse("admin:login", current_app=self.name))(request)

    def onward(self, request, name: str):
        """To another page of the entrance, with the address the reader came for."""
        target = request.POST.get("next") or request.GET.get("next")
        return redirect(f"{reverse(name)}?{urlencode({'next': target})}" if target else name)

    def door(self, view, verified: bool = False):
        """A page of the entrance: for head-office people who are signed in; with `verified`, past the second factor too."""

        def inner(request):
            if not self.is_head_office(request) or (verified and not self.has_permission(request)):
                return redirect(f"{reverse('admin:login')}?{urlencode({'next': request.get_full_path()})}")
            response = view(request)
            add_never_cache_headers(response)
            return response

        return update_wrapper(inner, view)

    def get_urls(self):
        return [
            path("verify/", self.door(self.verify), name="verify"),
            path("second-factor/set-up/", self.door(self.enrol), name="enrol"),
            path("second-factor/codes/", self.door(self.new_codes, verified=True), name="recovery_codes"),
            path("second-factor/", self.door(self.second_factor, verified=True), name="second_factor"),
            *super().get_urls(),
        ]

    def show(self, request, template: str, title: str, status: int = 200, **context):
        from stores.views import next_page

        request.current_app = self.name
        known = {**self.each_context(request), "title": title, "next": next_page(request, "")}
        return TemplateResponse(request, template, {**known, **context}, status=status)

    def matched(self, request, form: CodeForm):
        """The device of this user that knows the code in `form`, used up by it; None with the reason on the form."""
        usage = get_usage(
            request,
            group="second-factor",
            key=lambda *_args: str(request.user.pk),
            rate=settings.LOGIN_RATE,
            increment=True,
        )
        if usage and usage["should_limit"]:
            form.add_error(
                "code",
                _("Too many attempts. Wait %(seconds)d seconds and try again.")
                % {"seconds": max(usage["time_left"], 1)},
            )
            return None
        from django_otp import devices_for_user

        code = form.cleaned_data["code"]
        kind = "totpdevice" if code.isascii() and code.isdigit() and len(code) == 6 else "staticdevice"
        for device in devices_for_user(request.user):
            if device._meta.model_name == kind and verify_token(request.user, device.persistent_id, code):
                return device
        form.add_error(
            "code", _("This code is not right. Take the newest one that the app shows; each works once.")
        )
        return None

    def verify(self, request):
        """The second factor at sign-in."""
        from stores.views import next_page

        if self.has_permission(request):
            return redirect(next_page(request, "admin:index"))
        if not user_has_device(request.user):
            return self.onward(request, "admin:enrol")
        form = CodeForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and (device := self.matched(request, form)):
            otp_login(request, device)
            request.session.cycle_key()
            return redirect(next_page(request, "admin:index"))
        return self.show(request, "admin/verify.html", _("Second step"), form=form)

    def enrol(self, request):
        """Sets up the first device, or another one in the place of the old: the key is kept once its first code was right."""
        from django_otp.plugins.otp_totp.models import TOTPDevice

        if user_has_device(request.user) and not request.user.is_verified():
            return self.onward(request, "admin:verify")
        key, form = random_hex(20), SetupForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                key = signing.loads(form.cleaned_data["sealed"], salt=self.seal(request), max_age=SETUP_AGE)
                device = TOTPDevice(user=request.user, name="Authenticator", key=key)
                self.check_first_code(device, form.cleaned_data["code"])
            except signing.BadSignature:
                form.add_error(None, _("This page was open for too long. Scan the new picture below."))
            except ValidationError as refusal:
                form.add_error("code", refusal)
            else:
                codes = self.keep_device(request, device)
                return self.show_codes(request, codes, _("Your second factor is set up"))
        device = TOTPDevice(user=request.user, key=key)
        # Only the picture's own path and size: no style, no script, nothing asked from outside. To look for the best of the
        # eight masks takes three times as long as all else, and among random letters each is as good as another.
        picture = segno.make(device.config_url, error="m", mask=3).svg_inline(
            border=3, dark="#000", light="#fff", omitsize=True
        )
        secret = b32encode(device.bin_key).decode()
        return self.show(
            request,
            "admin/enrol.html",
            _("Set up your second factor"),
            form=form,
            picture=mark_safe(picture),  # noqa: S308  made here, of a key that was made here
            secret=" ".join(secret[place : place + 4] for place in range(0, len(secret), 4)),
            link=device.config_url,
            sealed=signing.dumps(key, salt=self.seal(request)),
        )

    @staticmethod
    def seal(request) -> str:
        """Ties a key on its way through the page to one user."""
        return f"second-factor:{request.user.pk}"

    @staticmethod
    def check_first_code(device, code: str) -> None:
        """Refuses a code that `device`, not saved yet, would not show now; remembers it as used."""
        totp = TOTP(device.bin_key, device.step, device.t0, device.digits, device.drift)
        totp.time = time.time()
        if not (
            code.isascii() and code.isdigit() and len(code) == 6 and totp.verify(int(code), device.tolerance)
        ):
            raise ValidationError(
                _("This code is not right. Take the newest one that the app shows."), code="invalid_token"
            )
        device.last_t, device.drift = totp.t(), totp.drift

    def keep_device(self, request, device) -> list[str]:
        """Saves `device` as the only one, makes new recovery codes and returns them; this session has passed."""
        from django_otp.plugins.otp_totp.models import TOTPDevice

        with transaction.atomic():
            self.lock(request.user)
            TOTPDevice.objects.filter(user=request.user).delete()
            device.save()
            codes = self.make_codes(request.user)
            self.note(request, "Second factor set up.")
        otp_login(request, device)
        request.session.cycle_key()
        request.may_enter_head_office = True
        return codes

    @staticmethod
    def lock(user) -> None:
        """Two pages of one user that set up or make codes at once come one after the other."""
        list(get_user_model().objects.select_for_update().filter(pk=user.pk).values_list("pk"))

    @staticmethod
    def make_codes(user) -> list[str]:
        """New recovery codes in the place of the old ones."""
        from django_otp.plugins.otp_static.models import StaticDevice, StaticToken

        # The device stays: a session that a recovery code opened goes on.
        device = StaticDevice.objects.filter(user=user).first() or StaticDevice.objects.create(
            user=user, name="Recovery codes"
        )
        device.token_set.all().delete()
        codes = [StaticToken.random_token() for _number in range(RECOVERY_CODES)]
        StaticToken.objects.bulk_create([StaticToken(device=device, token=code) for code in codes])
        return codes

    @staticmethod
    def note(request, words: str) -> None:
        from django.contrib.admin.models import CHANGE, LogEntry

        LogEntry.objects.log_actions(
            request.user.pk, [request.user], CHANGE, change_message=words, single_object=True
        )

    def show_codes(self, request, codes: list[str], title: str):
        return self.show(
            request, "admin/recovery_codes.html", title, codes=[f"{code[:4]} {code[4:]}" for code in codes]
        )

    def second_factor(self, request):
        """What is set up, and how many recovery codes are left."""
        from django_otp.plugins.otp_static.models import StaticToken
        from django_otp.plugins.otp_totp.models import TOTPDevice

        return self.show(
            request,
            "admin/second_factor.html",
            _("Second factor"),
            device=TOTPDevice.objects.filter(user=request.user, confirmed=True).first(),
            left=len(StaticToken.objects.filter(device__user=request.user).values_list("pk")),
            form=CodeForm(),
        )

    def new_codes(self, request):
        """Ten new recovery codes against a code of the device; the old ones end."""
        form = CodeForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and self.matched(request, form):
            with transaction.atomic():
                self.lock(request.user)
                codes = self.make_codes(request.user)
                self.note(request, "New recovery codes made.")
            return self.show_codes(request, codes, _("New recovery codes"))
        return self.show(request, "admin/new_codes.html", _("New recovery codes"), form=form)

    # -- what is shown ----------------------------------------------------------------------------------------------
    def autocomplete_view(self, request):
        return Codes.as_view(admin_site=self)(request)

    def each_context(self, request):
        """Nothing of the house is shown to who has not passed the door."""
        context = super().each_context(request)
        return (
            context
            if context["has_permission"]
            else {**context, "available_apps": [], "is_nav_sidebar_enabled": False}
        )

    def get_app_list(self, request, app_label=None):
        """Head office's own order; what belongs to Django (groups, the log of changes) stands with people."""
        listed = {}
        for model in sorted(
            self._registry, key=lambda model: PLACES[model._meta.app_label, model._meta.model_name]
        ):
            label, own = model._meta.app_label, self.get_model_admin(model)
            if app_label not in (None, label):
                continue
            may = own.get_model_perms(request) if own.has_module_permission(request) else {}
            if not any(may.values()):
                continue
            place = label if app_label else BESIDE.get(label, label)
            app = listed.setdefault(
                place,
                {
                    "name": apps.get_app_config(place).verbose_name,
                    "app_label": place,
                    "app_url": address("admin:app_list", get_script_prefix(), place),
                    "has_module_perms": True,
                    "models": [],
                },
            )
            name = f"admin:{label}_{model._meta.model_name}"
            shown = may["view"] or may["change"]
            app["models"].append(
                {
                    "model": model,
                    "name": own.heading,
                    "object_name": model._meta.object_name,
                    "perms": may,
                    "view_only": not may["change"],
                    "admin_url": own.list_address if shown else None,
                    "add_url": address(f"{name}_add", get_script_prefix()) if may["add"] else None,
                }
            )
        return list(listed.values())

    def index(self, request, extra_context=None):
        return super().index(request, {"queue": self.queue(request), **(extra_context or {})})

    def queue(self, request) -> list[dict]:
        """What waits for head office: a count that stops at 99+, the first rows, and the list behind. Only what he may see."""
        from inventory.models import LowStockAlert, StockLevel
        from stores.models import ApiKey, Webhook
        from stores.templatetags.shop import day, quantity

        now, cards = timezone.now(), []

        def card(perm, rows, order, model, query, words, about):
            if not request.user.has_perm(perm):
                return
            # Never counted: a hundred keys are fetched at most.
            number = len(rows.values_list("pk")[:MOST])
            shown = list(rows.order_by(order)[:3]) if number else []
            url = f"{reverse(f'admin:{model}_changelist')}?{query}"
            more = "99+" if number == MOST else str(number)
            cards.append(
                {
                    "title": words,
                    "number": number,
                    "shown": more,
                    "url": url,
                    "rows": [about(row) for row in shown],
                }
            )

        def goods(row):
            return {
                "url": reverse("admin:inventory_stocklevel_changelist")
                + "?"
                + urlencode({"store": row.store.code, "product": row.product.sku}),
                "title": row.product.label,
                "note": row.store.code,
                "value": quantity(row.on_hand, row.product),
            }

        below_zero = StockLevel.objects.filter(
            oversold_since__isnull=False, store__sandbox=False
        ).select_related("store", "product")
        card(
            "inventory.view_stocklevel",
            below_zero,
            "oversold_since",
            "inventory_stocklevel",
            "state=negative&practice=no",
            _("Below zero"),
            goods,
        )
        alerts = LowStockAlert.objects.open().filter(store__sandbox=False).select_related("store", "product")
        card(
            "inventory.view_lowstockalert",
            alerts,
            "-pk",
            "inventory_lowstockalert",
            "state=open&practice=no",
            _("Low-stock alerts"),
            goods,
        )
        ending = ApiKey.objects.usable().filter(expires_at__lte=now + timedelta(days=14), is_test=False)
        card(
            "stores.view_apikey", ending, "expires_at", "stores_apikey", "state=expiring&is_test__exact=0", _("Keys that run out in 14 days"),
            lambda key: {
                "url": reverse("admin:stores_apikey_change", args=(key.pk,)),
                "title": key.name,
                "note": key.public_id,
                "value": day(timezone.localtime(key.expires_at).date()),
            },
        )  # fmt: skip
        failing = Webhook.objects.filter(ended="", failing_since__isnull=False, key__is_test=False)
        failing = failing.select_related("key")
        card(
            "stores.view_webhook", failing, "failing_since", "stores_webhook", "state=failing", _("Webhooks that fail"),
            lambda webhook: {
                "url": reverse("admin:stores_webhook_change", args=(webhook.pk,)),
                "title": webhook.name or webhook.url.partition("?")[0],
                "note": webhook.key.name,
                "value": day(timezone.localtime(webhook.failing_since).date()),
            },
        )  # fmt: skip
        return cards
