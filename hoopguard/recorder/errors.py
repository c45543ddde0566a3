"""What can go wrong with the record, by whose fault it is."""


class StateError(ValueError):
    """The state folder cannot be used as it is; the operator has to look. The text says where and why."""


class RecordError(Exception):
    """The record cannot be written now (full disk, I/O error): what was not recorded must not happen."""
