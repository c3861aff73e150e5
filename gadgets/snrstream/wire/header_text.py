"""The bytes of a header as text that an XML parser takes: names of people and places have letters of all kinds."""

import re

# What XML 1.0 does not allow, as it is or as a reference to its number.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_REFERENCE = re.compile(r"&#(?:x([0-9a-fA-F]{1,6})|([0-9]{1,7}));")
_LONE_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});)")
_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*?\?>")
# Encodings of people's names: Python has others, for other ends.
_ENCODING = re.compile(
    rb"<\?xml\b[^>]*?\bencoding\s*=\s*[\"']"
    rb"((?:iso-?8859-\d+|windows-\d+|cp\d+|koi8-[ru]|shift_?jis|euc-(?:jp|kr)|gb2312|gbk|gb18030|big5))[\"']",
    re.IGNORECASE,
)


def allowed(text: str) -> str:
    """The text without characters that XML does not allow."""
    return _FORBIDDEN.sub("", text)


def readable_text(data: bytes | str) -> tuple[str, list[str]]:
    """Decode a header, and take out what its writer should have.

    Bytes are UTF-8 where they can be, whatever they declare: the package `ismrmrd` declares ascii for all it writes.

    Parameters
    ----------
    data : bytes or str
        The XML.

    Returns
    -------
    text : str
        Without an XML declaration; plain ampersands are escaped, and characters that XML does not allow left out.
    warnings : list of str
        Lines for a person, where another encoding was guessed or something was changed.
    """
    warnings = []
    text = data if isinstance(data, str) else ""
    if isinstance(data, bytes):
        data = data.rstrip(b"\0")
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text, encoding = _decoded(data)
            warnings.append(f"header is not UTF-8: read as {encoding}")
    text = _DECLARATION.sub("", text.rstrip("\0"), count=1)
    if "\0" in text:  # of another encoding, which the parser refuses
        return text, warnings
    plain = _LONE_AMPERSAND.sub("&amp;", allowed(_REFERENCE.sub(_allowed_reference, text)))
    if plain != text:
        warnings.append("header holds characters that XML does not allow: left out or escaped")
    return plain, warnings


def _decoded(data: bytes) -> tuple[str, str]:
    declared = _ENCODING.match(data.lstrip())
    for encoding in (declared[1].decode(),) if declared else ():
        try:
            return data.decode(encoding), encoding
        except (UnicodeDecodeError, LookupError):
            pass
    return data.decode("latin-1"), "ISO-8859-1"


def _allowed_reference(found: re.Match[str]) -> str:
    number = int(found[1], 16) if found[1] else int(found[2])
    return found[0] if number <= 0x10FFFF and allowed(chr(number)) else ""
