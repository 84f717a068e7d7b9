"""Stores and who works in them."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from stores.admin.fields import RowsInline
from stores.admin.lists import CodeFilter, HouseAdmin, StoreFilter, code, linked, moment, two_lines
from stores.models import Membership, Store, User


def has_traded(store: Store) -> bool:
    """Whether it has documents; looked up once for each page that asks."""
    if not hasattr(store, "documents_seen"):
        store.documents_seen = store.documents.exists()
    return store.documents_seen


class StaffInline(RowsInline):
    """Who works in a store."""

    model = Membership
    fields = ["user", "role"]
    autocomplete_fields = ["user"]
    verbose_name = gettext_lazy("member of staff")
    verbose_name_plural = gettext_lazy("staff")

    def get_queryset(self, request):
        return super().get_queryset(request).select_related("user")


@admin.register(Store)
class StoreAdmin(HouseAdmin):
    """Stores. None is deleted, its history stays: it is closed."""

    keyset = "code"
    list_display = ["code_cell", "name_cell", "place", "status_cell", "policy"]
    list_filter = ["status", "oversell_policy", "sandbox"]
    search_fields = ["code", "name", "name_ur", "area", "city", "phone"]
    search_help_text = gettext_lazy("Code, name, area, city or phone")
    readonly_fields = ["created", "changed"]
    inlines = [StaffInline]
    fieldsets = [
        (None, {"fields": ["code", "name", "name_ur", "status", "oversell_policy", "sandbox"]}),
        (gettext_lazy("Place"), {"fields": ["address", "area", "city", "phone", "timezone"]}),
        (gettext_lazy("Dates"), {"fields": ["created", "changed"]}),
    ]
    ordering = ["code"]

    def get_readonly_fields(self, request, obj=None):
        """A code is on receipts and in partners' tills: it stays as it was given."""
        # Every business date was told by the zone: it stays once there is one.
        fixed = ["code", "timezone"] if obj and has_traded(obj) else ["code"] if obj else []
        # The database refuses to take a store over the wall of the sandbox, either way.
        fixed += ["sandbox"] if obj else []
        return [*self.readonly_fields, *fixed]

    def tools(self, request, obj):
        links = []
        for perm, name, words in (
            ("inventory.view_stocklevel", "inventory_stocklevel", _("Stock levels")),
            ("inventory.view_document", "inventory_document", _("Documents")),
            ("inventory.view_movement", "inventory_movement", _("Movements")),
        ):
            if request.user.has_perm(perm):
                links.append((f"{reverse(f'admin:{name}_changelist')}?store={obj.code}", words, ""))
        return links

    @admin.display(description=gettext_lazy("created"))
    def created(self, store):
        return moment(store.created_at)

    @admin.display(description=gettext_lazy("changed"))
    def changed(self, store):
        return moment(store.updated_at)

    @admin.display(description=gettext_lazy("code"))
    def code_cell(self, store):
        return code(store.code)

    @admin.display(description=gettext_lazy("name"))
    def name_cell(self, store):
        name = store.name
        if store.sandbox:
            name = format_html('{} <span class="tag tag-note">{}</span>', name, _("Practice store"))
        return two_lines(name, store.name_ur) if store.name_ur else name

    @admin.display(description=gettext_lazy("place"))
    def place(self, store):
        return ", ".join(part for part in (store.area, store.city) if part) or "–"

    @admin.display(description=gettext_lazy("status"))
    def status_cell(self, store):
        return store.get_status_display()

    @admin.display(description=gettext_lazy("sale beyond stock"))
    def policy(self, store):
        return store.get_oversell_policy_display()


class UserFilter(CodeFilter):
    title = gettext_lazy("user")
    field = parameter_name = "user"

    def find(self, text):
        return User.objects.filter(username=text).first()


@admin.register(Membership)
class MembershipAdmin(HouseAdmin):
    """Who may do what in which store."""

    deletable = True
    actions_asked_for = ("view", "add", "change", "delete")
    list_display = ["user_cell", "store_cell", "role"]
    list_display_links = ["role"]
    list_filter = [StoreFilter, UserFilter, "role"]
    list_select_related = ["user", "store"]
    autocomplete_fields = ["user", "store"]
    search_fields = ["user__username", "store__code"]
    search_help_text = gettext_lazy("User name or store code")

    @admin.display(description=gettext_lazy("user"))
    def user_cell(self, membership):
        return linked(self.admin_site, membership.user)

    @admin.display(description=gettext_lazy("store"))
    def store_cell(self, membership):
        return two_lines(
            linked(self.admin_site, membership.store, membership.store.code), membership.store.name
        )
