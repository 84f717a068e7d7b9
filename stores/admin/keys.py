"""Keys of partners: made, rotated and revoked by services; a secret is shown once, on the page that answers."""

import uuid
from datetime import timedelta

from django import forms
from django.contrib import admin
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from stores.admin.lists import HouseAdmin, LocalDateTime, code, moment, two_lines
from stores.models import ApiKey
from stores.services import KeyRefused, create_key, revoke_key, rotate_key

SOON = timedelta(days=14)
GRACE = {
    "0": timedelta(0),
    "3600": timedelta(hours=1),
    "86400": timedelta(days=1),
    "604800": timedelta(days=7),
}


def claim(form: forms.Form) -> None:
    """Lets one form through once: a second click, or the page sent again, must not make another key."""
    if form.errors:
        return
    if not cache.add(f"key-form:{form.cleaned_data['reference']}", 1, timeout=24 * 60 * 60):
        raise forms.ValidationError(
            _(
                "This form was sent before, and its key is made: see the list. Its secret cannot be shown again."
            ),
            code="sent_before",
        )


class KeyForm(forms.ModelForm):
    """The rights of a key."""

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
        expires = cleaned.get("expires_at")
        if expires and "expires_at" in self.changed_data and expires <= timezone.now():
            self.add_error("expires_at", _("The key would have run out already: choose a later time."))
        if self.instance.pk is None:
            if not cleaned.get("reference"):
                raise forms.ValidationError(
                    _("This form is torn: load the page again."), code="reference_required"
                )
            claim(self)
        return cleaned


class RotateForm(forms.Form):
    """How long the old key goes on working beside its successor."""

    reference = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    grace = forms.ChoiceField(
        label=gettext_lazy("The old key works for"),
        initial="86400",
        widget=forms.RadioSelect,
        choices=[
            ("0", gettext_lazy("not a moment longer")),
            ("3600", gettext_lazy("one more hour")),
            ("86400", gettext_lazy("one more day")),
            ("604800", gettext_lazy("seven more days")),
        ],
    )

    def clean(self):
        claim(self)
        return super().clean()


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
    list_filter = [UsableFilter]
    search_fields = ["name", "public_id"]
    search_help_text = gettext_lazy("Name, or the ten letters after kir_live_")
    autocomplete_fields = ["stores"]
    readonly_fields = ["key_cell", "state", "created", "last_used", "revoked"]
    change_form_template = "admin/key_form.html"

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("created_by").prefetch_related("stores")

    def get_fieldsets(self, request, obj=None):
        rights = (None, {"fields": ["name", "scopes", "all_stores", "stores", "rate", "expires_at"]})
        if obj is None:
            return [(None, {"fields": [*rights[1]["fields"], "reference"]})]
        facts = ["key_cell", "state", "last_used", "created", *(["revoked"] if obj.revoked_at else [])]
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
        if not self.has_change_permission(request, obj) or not obj.is_usable:
            return []
        return [
            (self.act_url("rotate", obj), _("Rotate"), ""),
            (self.act_url("revoke", obj), _("Revoke"), "button-danger"),
        ]

    def key_to_change(self, request, object_id) -> ApiKey:
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
                with transaction.atomic():
                    successor, secret = rotate_key(
                        key=key, grace=GRACE[form.cleaned_data["grace"]], by=request.user
                    )
                    self.log_change(request, key, f"Rotated: {successor.public_id} follows.")
                    self.log_addition(request, successor, f"Follows {key.public_id}.")
            except KeyRefused as refusal:
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
        return two_lines(key.name, code(key.public_id))

    @admin.display(description=gettext_lazy("key"))
    def key_cell(self, key):
        return code(f"kir_live_{key.public_id}_…")

    @admin.display(description=gettext_lazy("stores"))
    def sees(self, key):
        if key.all_stores:
            return _("All stores")
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
        now = timezone.now()
        if key.revoked_at:
            css, words = "out", _("Revoked")
        elif key.expires_at and key.expires_at <= now:
            css, words = "out", _("Ran out")
        elif key.expires_at and key.expires_at <= now + SOON:
            css, words = "low", _("Runs out soon")
        else:
            css, words = "ok", _("Works")
        return format_html('<span class="state state-{}">{}</span>', css, words)
