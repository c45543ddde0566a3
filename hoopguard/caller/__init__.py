"""Being a caller: where a token comes from, and how any command gets through the gateway with it.

Nothing here knows the gateway's inside: what is said to it is what any client could say.
"""
