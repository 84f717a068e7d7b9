"""The coded reasons that changes by hand and reversals give."""

from django.contrib import admin

from inventory.models import Reason
from stores.admin.lists import HouseAdmin


@admin.register(Reason)
class ReasonAdmin(HouseAdmin):
    """Coded answers to "why". One that was used stays: switch it off instead."""

    keyset = "code"
    list_display = ["code", "name", "name_ur", "use", "active"]
    list_filter = ["use", "active"]
    search_fields = ["code", "name", "name_ur"]

    def get_readonly_fields(self, request, obj=None):
        return ["code", "use"] if obj else []
