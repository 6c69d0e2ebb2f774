"""Splits by a hash of the text, which are disjoint whatever is drawn. Imports no torch."""

import zlib


def bucket(text: str) -> int:
    """The bucket of a problem or template among 100: the crc32 of its text modulo 100."""
    return zlib.crc32(text.encode()) % 100
