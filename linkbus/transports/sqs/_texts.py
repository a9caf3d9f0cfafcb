"""What SQS takes as text: characters of bodies and values, names of attributes, groups."""

from __future__ import annotations

import re
from hashlib import sha256

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NAME = re.compile(r"(?!aws\.|amazon\.)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", re.ASCII | re.IGNORECASE)
_MAX_NAME_CHARS = 256
_GROUP = re.compile("[!-~]{1,128}")


def is_text(value: str) -> bool:
    """Whether SQS takes this as a body or a value: it is not empty, and XML may have it."""
    return bool(value) and _FORBIDDEN.search(value) is None


def is_name(name: str) -> bool:
    """Whether SQS takes this as the name of an attribute."""
    return len(name) <= _MAX_NAME_CHARS and _NAME.fullmatch(name) is not None


def group_of(key: str) -> str:
    """Return the message group of a key: the key itself, or its hash where SQS refuses it."""
    if _GROUP.fullmatch(key):
        return key
    return sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
