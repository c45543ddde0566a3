"""Must a human agree first? Binds a decision to exactly the request it was made about."""
