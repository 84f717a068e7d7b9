"""Keys of partners: made, rotated and revoked by services; a secret is shown once, on the page that answers."""

import uuid

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from stores.admin.fields import LocalDateTime
from stores.admin.lists import HouseAdmin, code, moment, two_lines
from stores.forms import RotateForm, SentBefore, claim, once
from stores.models import ApiKey
from stores.models.keys import without_prefix
from stores.queries import usage
from stores.services import KeyRefused, check_side, create_key, revoke_key, rotate_key
from stores.templatetags.shop import KEY_ENDS_SOON, count, day, key_state

SOON = KEY_ENDS_SOON


class KeyForm(forms.ModelForm):
    """The rights of a key. Whether it is live or a test key is chosen once, when it is made."""

    kind = forms.ChoiceField(
        label=gettext_lazy("Kind"),
        required=False,
        initial="live",
        widget=forms.RadioSelect,
        choices=[
            ("live", gettext_lazy("Live: real stores")),
            ("test", gettext_lazy("Test: sandbox stores only")),
        ],
    )
    scopes = forms.MultipleChoiceField(
        label=pgettext_lazy("what a key may do", "May"),
        choices=ApiKey.Scope.choices,
        widget=forms.CheckboxSelectMultiple,
    )
    reference = forms.UUIDField(
        label=gettext_lazy("reference"), widget=forms.HiddenInput, initial=uuid.uuid4, required=False
    )

    class Meta:
        model = ApiKey
        fields = ["name", "scopes", "all_stores", "stores", "rate", "expires_at"]
        widgets = {"expires_at": LocalDateTime}

    def clean(self):
        cleaned = super().clean()
        if not cleaned.get("all_stores") and not cleaned.get("stores"):
            self.add_error("stores", _("Choose the stores this key may see, or all stores."))
        if cleaned.get("all_stores"):
            cleaned["stores"] = []
        cleaned["is_test"] = (
            cleaned.get("kind") == "test" if self.instance.pk is None else self.instance.is_test
        )
        try:
            check_side(
                is_test=cleaned["is_test"],
                scopes=cleaned.get("scopes", ()),
                stores=cleaned.get("stores") or (),
            )
        except KeyRefused as refusal:
            self.add_error("scopes" if refusal.code == "live_only" else "stores", refusal)
        expires = cleaned.get("expires_at")
        if expires and "expires_at" in self.changed_data and expires <= timezone.now():
            self.add_error("expires_at", _("The key would have run out already: choose a later time."))
        if self.instance.pk is None:
            if not cleaned.get("reference"):
                raise forms.ValidationError(
                    _("This form is torn: load the page again."), code="reference_required"
                )
            if not self.errors:
                claim(cleaned["reference"])
        return cleaned


class UsableFilter(admin.SimpleListFilter):
    title = gettext_lazy("state")
    parameter_name = "state"

    def lookups(self, request, model_admin):
        return [("usable", _("Works")), ("expiring", _("Runs out in 14 days")), ("ended", _("Ended"))]

    def queryset(self, request, queryset):
        if self.value() == "usable":
            return queryset.usable()
        if self.value() == "expiring":
            return queryset.usable().filter(expires_at__lte=timezone.now() + SOON)
        if self.value() == "ended":
            return queryset.exclude(pk__in=ApiKey.objects.usable().values("pk"))
        return queryset


@admin.register(ApiKey)
class ApiKeyAdmin(HouseAdmin):
    form = KeyForm
    list_display = ["name_cell", "sees", "state", "expires", "last_used"]
    list_filter = [UsableFilter, "is_test"]
    search_fields = ["name", "public_id"]
    search_help_text = gettext_lazy("Name, or the ten letters after kir_live_ or kir_test_")
    autocomplete_fields = ["stores"]
    readonly_fields = ["key_cell", "state", "created", "last_used", "revoked", "week"]
    change_form_template = "admin/key_form.html"

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("created_by").prefetch_related("stores")

    def get_search_results(self, request, queryset, search_term):
        """By name, or by what is shown of a key."""
        return super().get_search_results(request, queryset, without_prefix(search_term).removesuffix("_…"))

    def get_fieldsets(self, request, obj=None):
        rights = (None, {"fields": ["name", "scopes", "all_stores", "stores", "rate", "expires_at"]})
        if obj is None:
            return [(None, {"fields": ["kind", *rights[1]["fields"], "reference"]})]
        facts = [
            "key_cell",
            "state",
            "last_used",
            "created",
            *(["revoked"] if obj.revoked_at else []),
            "week",
        ]
        return [(gettext_lazy("Key"), {"fields": facts}), (gettext_lazy("Rights"), rights[1])]

    def has_change_permission(self, request, obj=None):
        """A key that has ended opens nothing: there is nothing left to change."""
        return super().has_change_permission(request, obj) and (obj is None or obj.revoked_at is None)

    def save_model(self, request, obj, form, change):
        if change:
            super().save_model(request, obj, form, change)
            return
        data = form.cleaned_data
        key, secret = create_key(
            name=data["name"],
            scopes=data["scopes"],
            stores=data["stores"],
            all_stores=data["all_stores"],
            rate=data["rate"],
            expires_at=data["expires_at"],
            created_by=request.user,
            is_test=data["is_test"],
        )
        for field in ApiKey._meta.concrete_fields:
            setattr(obj, field.attname, getattr(key, field.attname))
        obj._state.adding, obj._state.db = False, key._state.db
        # Held for the answer to this request only; it is neither stored nor logged.
        request.new_secret = secret

    def response_add(self, request, obj, post_url_continue=None):
        return self.show_secret(request, obj, request.new_secret)

    def show_secret(self, request, key: ApiKey, secret: str, old: ApiKey | None = None):
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": _("Copy the key now"),
            "key": key,
            "old": old,
            "secret": secret,
            "address": self.address(key),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/key_secret.html", context)

    def acts(self):
        return [("rotate", "rotate"), ("revoke", "revoke")]

    def tools(self, request, obj):
        logs = []
        if request.user.has_perm("stores.view_apirequest"):
            logs = [
                (f"{reverse('admin:stores_apirequest_changelist')}?key={obj.public_id}", _("Requests"), "")
            ]
        if not self.has_change_permission(request, obj) or not obj.is_usable:
            return logs
        return [
            *logs,
            (self.act_url("rotate", obj), _("Rotate"), ""),
            (self.act_url("revoke", obj), _("Revoke"), "button-danger"),
        ]

    def key_to_change(self, request, object_id) -> ApiKey:
        if not self.has_change_permission(request):
            raise PermissionDenied
        key = self.object_or_404(request, object_id)
        if not self.has_change_permission(request, key):
            raise PermissionDenied
        return key

    def rotate(self, request, object_id):
        """A successor with the same rights; its secret is shown once."""
        key = self.key_to_change(request, object_id)
        form = RotateForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                with once(form.cleaned_data["reference"]), transaction.atomic():
                    successor, secret = rotate_key(key=key, grace=form.overlap, by=request.user)
                    self.log_change(request, key, f"Rotated: {successor.public_id} follows.")
                    self.log_addition(request, successor, f"Follows {key.public_id}.")
            except (KeyRefused, SentBefore) as refusal:
                form.add_error(None, refusal)
            else:
                key.refresh_from_db()
                return self.show_secret(request, successor, secret, key)
        return self.act_page(
            request,
            key,
            title=_("Rotate the key “%(name)s”") % {"name": key.name},
            form=form,
            button=_("Make the new key"),
            text=_(
                "A new key with the same rights is made and shown once. Give it to the partner before the old one ends."
            ),
        )

    def revoke(self, request, object_id):
        """The key opens nothing from the next request on."""
        key = self.key_to_change(request, object_id)
        if request.method == "POST":
            with transaction.atomic():
                revoke_key(key=key)
                self.log_change(request, key, "Revoked.")
            return self.done(request, key, _("The key “%(name)s” no longer works.") % {"name": key.name})
        return self.act_page(
            request,
            key,
            title=_("Revoke the key “%(name)s”") % {"name": key.name},
            button=_("Revoke"),
            danger=True,
            text=_("Every request with this key is refused from now on. This cannot be undone."),
            facts=[(_("Last used"), moment(key.last_used_at) if key.last_used_at else _("never"))],
        )

    @admin.display(description=gettext_lazy("name"))
    def name_cell(self, key):
        return two_lines(key.name, code(key.shown))

    @admin.display(description=gettext_lazy("key"))
    def key_cell(self, key):
        return code(key.shown)

    @admin.display(description=gettext_lazy("stores"))
    def sees(self, key):
        if key.all_stores:
            return _("All sandbox stores") if key.is_test else _("All stores")
        codes = [store.code for store in key.stores.all()]
        return code(", ".join(codes[:3]) + (f" +{len(codes) - 3}" if len(codes) > 3 else ""))

    @admin.display(description=gettext_lazy("expires"))
    def expires(self, key):
        return moment(key.expires_at)

    @admin.display(description=gettext_lazy("last used"))
    def last_used(self, key):
        return moment(key.last_used_at)

    @admin.display(description=gettext_lazy("made"))
    def created(self, key):
        return two_lines(moment(key.created_at), key.created_by or "")

    @admin.display(description=gettext_lazy("revoked"))
    def revoked(self, key):
        return moment(key.revoked_at)

    @admin.display(description=gettext_lazy("state"))
    def state(self, key):
        return key_state(key)

    @admin.display(description=gettext_lazy("requests in 7 days"))
    def week(self, key):
        """How many each day; of those, how many were refused (4xx) and failed (5xx)."""
        days = usage(key, timezone.get_current_timezone())
        if days is None:
            return _("Too many to count here.")
        return format_html(
            '<table class="list list-plain"><thead><tr><th scope="col">{}</th><th scope="col" class="number">{}</th>'
            '<th scope="col" class="number">4xx</th><th scope="col" class="number">5xx</th></tr></thead>'
            "<tbody>{}</tbody></table>",
            _("Day"),
            _("Requests"),
            format_html_join(
                "",
                '<tr><td class="no-break">{}</td><td class="number">{}</td><td class="number">{}</td><td class="number">{}</td></tr>',
                (
                    (day(row["day"]), count(row["requests"]), count(row["refused"]), count(row["failed"]))
                    for row in days
                ),
            ),
        )
