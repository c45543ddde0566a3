"""State that several processes share: the gateway, the command line, later the console."""

from hoopguard.store.database import Store, StoreError, StoreMissingError, open_store

__all__ = ["Store", "StoreError", "StoreMissingError", "open_store"]
