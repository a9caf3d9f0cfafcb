"""Bodies: text goes as it is; what SQS does not take as text is encoded.

How it was encoded travels in the header `linkbus`, so a message from elsewhere that merely
looks encoded is left alone.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping

from linkbus.transports.sqs._service import Attribute
from linkbus.transports.sqs._texts import is_text

BASE64 = "base64"
EMPTY = "empty"
ATTRIBUTE = "attribute"

PLACEHOLDER = "-"
"""The text in place of a body that is empty, or an attribute: SQS wants one."""

BODY = "linkbus-body"
"""The attribute that has a body too large for base64."""


def to_text(body: bytes) -> tuple[str, str | None]:
    """Return the text for a body, and its coding if it was encoded."""
    if not body:
        return PLACEHOLDER, EMPTY
    try:
        text = body.decode()
    except UnicodeDecodeError:
        text = ""
    if is_text(text):
        return text, None
    return b64encode(body).decode("ascii"), BASE64


def to_body(text: str, coding: object, attributes: Mapping[str, Attribute]) -> bytes:
    """Return the body that a text stands for; what is not as its coding says is taken as it is."""
    if coding == EMPTY and text == PLACEHOLDER:
        return b""
    if coding == BASE64:
        try:
            return b64decode(text, validate=True)
        except (NotBase64, ValueError):
            pass
    elif coding == ATTRIBUTE and BODY in attributes:
        return attributes[BODY].get("BinaryValue", b"")
    return text.encode("utf-8", "surrogatepass")
