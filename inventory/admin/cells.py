"""What several lists show alike: which store, and which product."""

from stores.admin.lists import code, two_lines
from stores.templatetags.shop import shop_name

# What lists read of a store and of a product: these cells, times by the store's clock, quantities with their unit.
STORE = ("store__code", "store__name", "store__name_ur", "store__timezone")
PRODUCT = ("product__sku", "product__name", "product__name_ur", "product__unit")


def store_cell(row) -> str:
    return two_lines(code(row.store.code), shop_name(row.store))


def product_cell(row) -> str:
    return two_lines(row.product.label, code(row.product.sku))
