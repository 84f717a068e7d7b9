"""Users and their groups, and what head office changed."""

from django import forms
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm, UserCreationForm
from django.contrib.auth.models import Group, Permission
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django_otp import devices_for_user

from stores import access
from stores.admin.fields import RowsInline
from stores.admin.lists import HouseAdmin, ReadOnlyAdmin, moment, two_lines
from stores.models import Membership, User

# Permissions that mean something in the admin; the rest belongs to tables that nobody edits.
OWN_APPS = ["stores", "catalog", "inventory", "reports", "admin", "auth"]


def has_device(user: User) -> bool:
    """Whether a second factor is set up; looked up once for each page that shows it."""
    if not hasattr(user, "second_factor_set_up"):
        user.second_factor_set_up = access.has_device(user)
    return user.second_factor_set_up


class Boxes(forms.CheckboxSelectMultiple):
    """Boxes to tick; what is wrong is told of each, for there is no fieldset around them to bear it."""

    use_fieldset = False


class StoresInline(RowsInline):
    """Where somebody works. A role is changed on the page of the store; here one is given or taken."""

    model = Membership
    fk_name = "user"
    fields = ["store", "role"]
    autocomplete_fields = ["store"]
    verbose_name = gettext_lazy("store")
    verbose_name_plural = gettext_lazy("stores")

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("store").order_by("store__code")

    def has_change_permission(self, request, obj=None):
        return False


class NewUserForm(UserCreationForm):
    class Meta(UserCreationForm.Meta):
        model = User
        fields = ["username", "language"]


class PasswordForm(AdminPasswordChangeForm):
    """A new password for somebody; he is never left without one."""

    usable_password = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)
        for name in ("password1", "password2"):
            self.fields[name].required = True


@admin.register(User)
class UserAdmin(HouseAdmin, DjangoUserAdmin):
    """Everybody who signs in. Nobody is deleted, documents bear his name: he is made inactive.

    Who is no superuser sees and changes store staff only, and can give nobody rights in the admin.
    """

    keyset = "username"
    list_display = ["username", "full_name", "works", "active", "seen"]
    list_filter = ["is_active", "is_staff"]
    search_fields = ["username", "first_name", "last_name", "email", "phone"]
    search_help_text = gettext_lazy("User name, name, e-mail or phone")
    ordering = ["username"]
    filter_horizontal = []
    inlines = [StoresInline]
    add_form = NewUserForm
    change_password_form = PasswordForm
    change_user_password_template = "admin/password.html"  # noqa: S105  a file name
    readonly_fields = ["password_cell", "seen", "joined", "second_factor"]
    fieldsets = [
        (None, {"fields": ["username", "password_cell", "is_active"]}),
        (gettext_lazy("Person"), {"fields": ["first_name", "last_name", "email", "phone", "language"]}),
        (gettext_lazy("Head office"), {"fields": ["is_staff", "is_superuser", "groups", "second_factor"]}),
        (gettext_lazy("Dates"), {"fields": ["seen", "joined"]}),
    ]
    add_fieldsets = [(None, {"fields": ["username", "language", "password1", "password2"]})]

    def get_queryset(self, request):
        users = super().get_queryset(request)
        return users if request.user.is_superuser else users.filter(is_staff=False, is_superuser=False)

    def get_fieldsets(self, request, obj=None):
        fieldsets = super().get_fieldsets(request, obj)
        if obj and not request.user.is_superuser:
            return [fieldset for fieldset in fieldsets if "is_superuser" not in fieldset[1]["fields"]]
        return fieldsets

    def formfield_for_manytomany(self, db_field, request, **kwargs):
        if db_field.name == "groups":
            kwargs["widget"] = Boxes()
            kwargs["help_text"] = ""
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def acts(self):
        return [("second-factor", "forget_devices")]

    def tools(self, request, obj):
        links = []
        if request.user.has_perm("inventory.view_document"):
            links.append(
                (f"{reverse('admin:inventory_document_changelist')}?user={obj.username}", _("Documents"), "")
            )
        if request.user.is_superuser and has_device(obj):
            links.append(
                (self.act_url("second-factor", obj), _("Take the second factor off"), "button-danger")
            )
        return links

    def forget_devices(self, request, object_id):
        """For somebody who lost his phone and his recovery codes: he sets up a new one when he next signs in."""
        if not request.user.is_superuser:
            raise PermissionDenied
        user = self.object_or_404(request, object_id)
        if request.method == "POST":
            with transaction.atomic():
                for device in list(devices_for_user(user, confirmed=None)):
                    device.delete()
                self.log_change(request, user, "Second factor taken off.")
            return self.done(
                request,
                user,
                _("%(user)s sets up a new second factor when signing in next.") % {"user": user},
            )
        return self.act_page(
            request,
            user,
            title=_("Take the second factor off"),
            button=_("Take it off"),
            danger=True,
            text=_(
                "All devices and recovery codes of %(user)s stop working. Do this only when you are sure who is asking: "
                "until a new device is set up, the password alone opens this account."
            )
            % {"user": user},
        )

    @admin.display(description=gettext_lazy("password"))
    def password_cell(self, user):
        words = _("Set a new password") if user.has_usable_password() else _("None yet: set one")
        return format_html('<a href="{}">{}</a>', self.act_url("password", user), words)

    @admin.display(description=gettext_lazy("last signed in"))
    def seen(self, user):
        return moment(user.last_login)

    @admin.display(description=gettext_lazy("since"))
    def joined(self, user):
        return moment(user.date_joined)

    @admin.display(description=gettext_lazy("second factor"))
    def second_factor(self, user):
        return _("Set up") if has_device(user) else _("Not set up")

    @admin.display(description=gettext_lazy("name"))
    def full_name(self, user):
        return two_lines(user.get_full_name(), user.email) if user.email else user.get_full_name() or "–"

    @admin.display(description=gettext_lazy("works in"))
    def works(self, user):
        return _("Head office") if user.is_staff else _("Stores")

    @admin.display(description=gettext_lazy("active"), boolean=True)
    def active(self, user):
        return user.is_active


class Rights(forms.ModelMultipleChoiceField):
    """Permissions of the product's own tables, as boxes to tick: those that some page of the admin asks for. Nobody adds movements
    or deletes stores here."""

    widget = Boxes

    def offer(self):
        """Looks up what there is to tick."""
        known = Permission.objects.filter(content_type__app_label__in=OWN_APPS)
        order = "content_type__app_label", "content_type__model", "codename"
        words = {"add": _("add"), "change": _("change"), "delete": _("delete"), "view": _("see")}
        shown = filter(admin.site.is_registered, apps.get_models())
        pages = {model._meta.label_lower: admin.site.get_model_admin(model) for model in shown}
        offered = []
        for key, app, model, codename in known.order_by(*order).values_list("pk", *order):
            page, action = pages.get(f"{app}.{model}"), codename.split("_")[0]
            if page and action in page.actions_asked_for:
                named = page.words_for_actions.get(action, words.get(action))
                offered.append((key, f"{page.heading}: {named}"))
        self.queryset = Permission.objects.filter(pk__in=[key for key, _label in offered])
        self.choices = offered


class GroupForm(forms.ModelForm):
    permissions = Rights(
        queryset=Permission.objects.none(), required=False, label=gettext_lazy("Permissions")
    )

    class Meta:
        model = Group
        fields = ["name", "permissions"]

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        if "permissions" in self.fields:
            self.fields["permissions"].offer()


admin.site.unregister(Group)


@admin.register(Group)
class GroupAdmin(HouseAdmin, DjangoGroupAdmin):
    """What head-office people may do, by groups."""

    keyset = "name"
    deletable = True
    actions_asked_for = ("view", "add", "change", "delete")
    form = GroupForm
    list_display = ["name"]
    search_fields = ["name"]
    filter_horizontal = []

    def get_deleted_objects(self, objs, request):
        """The groups alone: the rows that tie them to permissions and people have no names to show."""
        deleted, *others = super().get_deleted_objects(objs, request)
        return [entry for entry in deleted if not isinstance(entry, list)], *others


@admin.register(LogEntry)
class ChangeAdmin(ReadOnlyAdmin):
    """What head office did, newest first."""

    listed_as = gettext_lazy("Changes by head office")
    list_display = ["when", "user_cell", "what", "object_cell"]
    list_display_links = None
    list_filter = ["action_flag"]
    list_select_related = ["user", "content_type"]

    def has_view_permission(self, request, obj=None):
        """The list only: an entry says no more on a page of its own."""
        return obj is None and super().has_view_permission(request, obj)

    @admin.display(description=gettext_lazy("time"))
    def when(self, entry):
        return moment(entry.action_time)

    @admin.display(description=gettext_lazy("user"))
    def user_cell(self, entry):
        return entry.user.get_username()

    @admin.display(description=gettext_lazy("what"))
    def what(self, entry):
        return two_lines(entry.get_action_flag_display(), entry.get_change_message())

    @admin.display(description=gettext_lazy("of"))
    def object_cell(self, entry):
        kind = entry.content_type.name if entry.content_type else ""
        url = None if entry.is_deletion() else entry.get_admin_url()
        name = format_html('<a href="{}">{}</a>', url, entry.object_repr) if url else entry.object_repr
        return two_lines(name, kind)
