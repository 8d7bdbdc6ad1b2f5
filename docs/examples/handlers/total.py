#!/usr/bin/env python3
# total.py - adds up an order: {"items": [{"price": 1.5, "count": 2}, ...]}
#
#   ox-worker 'orders=exec:./total.py'
#
# One program for each job. An exception ends it with status 1, and its last line is the reason.
import json
import sys

order = json.load(sys.stdin)
if not order.get("items"):
    print("the order has no items", file=sys.stderr)
    sys.exit(65)  # fails for good
cents = sum(round(item["price"] * 100) * item["count"] for item in order["items"])
print(json.dumps({"total": cents / 100}))
