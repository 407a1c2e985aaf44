"""The phone book as files: CSV, vCard, and the XML that desk phones read.

Names are anyone's text. Each format therefore escapes at its leaf, where signs that nobody sees are
marked: with them goes all that a format cannot hold. The formats are those that the phones' makers
document for remote phone books.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from authsvc.web.csv_cells import csv_line
from kerauno.base.visible_text import visible

_COLUMNS = ("Name", "First name", "Last name", "Extension", "Email", "Departments")

CISCO_PAGE = 32  # a CiscoIPPhoneDirectory holds at most 32 entries


@dataclass(frozen=True, slots=True)
class PhonebookEntry:
    """One line of the phone book: a person, or a department's ring group (`group`)."""

    key: str  # stable: "user-7" or "department-3"
    name: str
    number: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    departments: tuple[str, ...] = ()
    group: bool = False


def as_csv(entries: Iterable[PhonebookEntry]) -> str:
    """RFC 4180 with a byte order mark, so that spreadsheets take it for UTF-8.

    A cell that a spreadsheet would run as a formula is led by an apostrophe.
    """
    lines = ["\ufeff", csv_line(_COLUMNS)]
    for entry in entries:
        row = (entry.name, entry.first_name, entry.last_name, entry.number, entry.email)
        lines.append(csv_line((*row, ", ".join(entry.departments)), telephones=(3,)))
    return "".join(lines)


def as_vcards(entries: Iterable[PhonebookEntry]) -> str:
    """vCard 4.0 (RFC 6350), one card each; lines folded at 75 octets."""
    lines: list[str] = []
    for entry in entries:
        kind = "group" if entry.group else "individual"
        lines += ["BEGIN:VCARD", "VERSION:4.0", f"KIND:{kind}", f"UID:kerauno-{entry.key}"]
        lines += [f"FN:{_vcard(entry.name)}"]
        if not entry.group:
            lines.append(f"N:{_vcard(entry.last_name)};{_vcard(entry.first_name)};;;")
        lines.append(f"TEL;TYPE=work,voice:{_vcard(entry.number)}")
        if entry.email:
            lines.append(f"EMAIL;TYPE=work:{_vcard(entry.email)}")
        if entry.departments:
            lines.append("ORG:;" + ";".join(_vcard(name) for name in entry.departments))
        lines.append("END:VCARD")
    return "".join(_folded(line) + "\r\n" for line in lines)


def _vcard(text: str) -> str:
    return visible(text).replace("\\", "\\\\").replace(",", "\\,").replace(";", "\\;")


def _folded(line: str) -> str:
    """RFC 6350 3.2: at most 75 octets a line, never inside a character."""
    parts, size = [""], 0
    for c in line:
        width = len(c.encode("utf-8", "replace"))
        if size + width > 75:
            parts.append(" ")
            size = 1
        parts[-1] += c
        size += width
    return "\r\n".join(parts)


def _child(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
    node = ET.SubElement(parent, tag, attributes)
    if text:
        node.text = visible(text)
    return node


def _document(root: ET.Element) -> bytes:
    body: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return body


def as_yealink(entries: Iterable[PhonebookEntry], title: str) -> bytes:
    """`YealinkIPPhoneDirectory`, for a remote phone book URL."""
    root = ET.Element("YealinkIPPhoneDirectory")
    _child(root, "Title", title)
    for entry in entries:
        element = _child(root, "DirectoryEntry")
        _child(element, "Name", entry.name)
        _child(element, "Telephone", entry.number)
    return _document(root)


def as_grandstream(entries: Iterable[PhonebookEntry]) -> bytes:
    """`AddressBook`, which the phone asks for as `phonebook.xml` below the path it was given."""
    root = ET.Element("AddressBook")
    _child(root, "version", "1")
    for index, entry in enumerate(entries, start=1):
        contact = _child(root, "Contact")
        _child(contact, "id", str(index))
        _child(contact, "FirstName", "" if entry.group else entry.first_name)
        _child(contact, "LastName", entry.name if entry.group else entry.last_name)
        if entry.departments:
            _child(contact, "Department", ", ".join(entry.departments))
        phone = _child(contact, "Phone", type="Work")
        _child(phone, "phonenumber", entry.number)
        _child(phone, "accountindex", "1")
        if entry.email:
            _child(contact, "Mail", entry.email, type="Work")
    return _document(root)


def as_cisco(entries: Sequence[PhonebookEntry], title: str, start: int, next_url: str) -> bytes:
    """`CiscoIPPhoneDirectory`: one page from `start`; a Next key leads to `next_url` while more."""
    page = entries[start : start + CISCO_PAGE]
    last = start + len(page)
    root = ET.Element("CiscoIPPhoneDirectory")
    _child(root, "Title", title)
    _child(root, "Prompt", f"{start + 1 if page else 0} to {last} of {len(entries)}")
    for entry in page:
        element = _child(root, "DirectoryEntry")
        _child(element, "Name", entry.name)
        _child(element, "Telephone", entry.number)
    keys = [("Dial", "SoftKey:Dial"), ("Exit", "SoftKey:Exit")]
    if last < len(entries):
        keys.append(("Next", next_url))
    for position, (name, url) in enumerate(keys, start=1):
        key = _child(root, "SoftKeyItem")
        _child(key, "Name", name)
        _child(key, "URL", url)
        _child(key, "Position", str(position))
    return _document(root)
