"""The key that signs service account tokens: a new one for each control plane, made with the standard library alone."""

from __future__ import annotations

import base64
import secrets

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the curve P-256 (FIPS 186-4, D.1.2.3)."""
_P256 = bytes.fromhex("06082a8648ce3d030107")
"""The curve's object identifier 1.2.840.10045.3.1.7 in DER."""


def signing_key() -> str:
    """A private key for ES256 as PEM (RFC 5915). The public point may be left out: who reads it works it out."""
    number = secrets.randbelow(_ORDER - 1) + 1
    version = b"\x02\x01\x01"
    key = _der(0x30, version + _der(0x04, number.to_bytes(32, "big")) + _der(0xA0, _P256))
    text = base64.encodebytes(key).decode("ascii")
    return f"-----BEGIN EC PRIVATE KEY-----\n{text}-----END EC PRIVATE KEY-----\n"


def _der(tag: int, content: bytes) -> bytes:
    """One element of less than 128 bytes."""
    return bytes([tag, len(content)]) + content
