"""Being a caller: where a token comes from, and how any command gets through the gateway with it.

Nothing here knows the gateway's inside: what is said to it is what any client could say.
"""

from typing import Final

TOKEN_VARIABLE: Final = "HOOPGUARD_TOKEN"  # noqa: S105 - the name of a variable
