"""What remains: session files that mitmproxy opens, and a ledger that proves nobody changed them."""
