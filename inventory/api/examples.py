"""Examples for the schema: the same small story everywhere, in the practice store, so that it can be tried with a test key."""

SALE = {
    "store": "TEST-0001",
    "kind": "sale",
    "reference": "0197a4c2-6f1e-7c3b-9d55-2f0b8e6a1c44",
    "lines": [
        {"barcode": "2100050000000", "quantity": "1.250", "unit_price": "165.00"},
        {"sku": "TEA-0001", "quantity": "2", "unit_price": "420.00"},
    ],
}
SUGAR = {
    "id": 5001,
    "line_no": 1,
    "sku": "SGR-0003",
    "quantity": "-1.250",
    "entered_quantity": None,
    "pack": None,
    "unit_price": "165.00",
    "line_total": "206.25",
    "balance_after": "18.750",
    "seq": 42,
    "oversold": False,
    "reverses": None,
    "returns": None,
}
TEA = SUGAR | {
    "id": 5002,
    "line_no": 2,
    "sku": "TEA-0001",
    "quantity": "-2.000",
    "unit_price": "420.00",
    "line_total": "840.00",
    "balance_after": "34.000",
    "seq": 17,
}
ROW = {
    "id": 991,
    "number": "S-000991",
    "store": "TEST-0001",
    "kind": "sale",
    "reference": "0197a4c2-6f1e-7c3b-9d55-2f0b8e6a1c44",
    "occurred_at": "2026-11-22T04:41:07Z",
    "recorded_at": "2026-11-22T04:41:09.120000Z",
    "business_date": "2026-11-22",
    "total": "1046.25",
    "reason": None,
    "notes": "",
    "reverses": None,
    "returns": None,
    "voided_by": None,
    "line_count": 2,
}
DOCUMENT = ROW | {"oversold": False, "lines": [SUGAR, TEA]}
RECEIPT = {
    "store": "TEST-0001",
    "kind": "stock_in",
    "reference": "delivery-7731",
    "lines": [{"sku": "TEA-0001", "quantity": "24", "unit_cost": "385.00"}],
}
REVERSAL = {"reason": "MISTAKE", "reference": "void-of-991"}
VOID = ROW | {
    "id": 992,
    "number": "V-000992",
    "reference": "void-of-991",
    "occurred_at": "2026-11-22T04:50:00Z",
    "recorded_at": "2026-11-22T04:50:00Z",
    "reason": "MISTAKE",
    "reverses": 991,
    "line_count": 1,
    "oversold": False,
    "lines": [
        SUGAR | {"id": 5003, "quantity": "1.250", "balance_after": "20.000", "seq": 43, "reverses": 5001}
    ],
}
ONE_LINE = {
    "store": "TEST-0001",
    "kind": "wastage",
    "sku": "SGR-0003",
    "quantity": "0.500",
    "reason": "DAMAGED",
    "reference": "waste-14",
}
MOVEMENT = {
    **SUGAR,
    "id": 5004,
    "document": 993,
    "number": "W-000993",
    "reference": "waste-14",
    "store": "TEST-0001",
    "kind": "wastage",
    "movement_type": "wastage",
    "quantity": "-0.500",
    "unit_price": None,
    "line_total": None,
    "balance_after": "19.500",
    "seq": 44,
    "reason": "DAMAGED",
    "occurred_at": "2026-11-22T05:00:00Z",
    "recorded_at": "2026-11-22T05:00:00Z",
    "business_date": "2026-11-22",
}
LEVEL = {
    "id": 77,
    "store": "TEST-0001",
    "sku": "SGR-0003",
    "name": "Shakkar (loose)",
    "unit": "kg",
    "on_hand": "18.750",
    "current_quantity": "18.750",
    "reorder_point": "20.000",
    "target_level": "100.000",
    "state": "low",
    "listed": True,
    "oversold_since": None,
    "last_counted_at": None,
    "seq": 42,
    "updated_at": "2026-11-22T04:41:09.120000Z",
}
BATCH = {
    "documents": [
        SALE,
        RECEIPT | {"reference": "delivery-7732", "lines": [{"sku": "NO-SUCH", "quantity": "1"}]},
    ]
}
VERDICTS = {
    "results": [
        {"index": 0, "status": "created", "reference": SALE["reference"], "document": DOCUMENT},
        {
            "index": 1,
            "status": "rejected",
            "reference": "delivery-7732",
            "code": "validation_error",
            "detail": "There is no such product.",
            "errors": [
                {
                    "pointer": "/documents/1/lines/0/sku",
                    "code": "unknown_product",
                    "detail": "There is no such product.",
                }
            ],
        },
    ]
}
EVENT = {
    "id": "evt_20417",
    "type": "movement.created",
    "timestamp": "2026-11-22T04:41:09.120000Z",
    "store": "TEST-0001",
    "data": {name: value for name, value in DOCUMENT.items() if name != "voided_by"},
}
LOW = {
    "id": "evt_20418",
    "type": "stock.low",
    "timestamp": "2026-11-22T04:41:09.120000Z",
    "store": "TEST-0001",
    "data": {
        "store": "TEST-0001",
        "sku": "SGR-0003",
        "name": "Shakkar (loose)",
        "on_hand": "18.750",
        "reorder_point": "20.000",
        "state": "low",
    },
}
FEED = {
    "next": "https://kiryana.example/api/v1/changes/?after=WzIxNDM4MywwXQ%3A1wKfQz%3Adf0",
    "after": "WzIxNDM4MywwXQ:1wKfQz:df0",
    "more": False,
    "results": [EVENT, LOW],
}
