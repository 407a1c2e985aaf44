"""The phone book as files: what is written can be read back, whatever a name holds."""

import csv
import io
from xml.etree import ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from authsvc.portal import phonebook_formats
from authsvc.portal.phonebook_formats import PhonebookEntry
from kerauno.base.visible_text import visible, visible_lines

ANNA = PhonebookEntry(
    "user-1", "Anna O'Berg, Dr.", "201", "Anna", "O'Berg, Dr.", "a@b.de", ("Sales",)
)
SALES = PhonebookEntry("department-2", "Sales & <b>Support</b>", "600", group=True)
EVIL = PhonebookEntry("user-3", "=1+1", "203", "\x00=1+1", "\ud800]]>", "x@y.de")


def test_csv_is_read_back_and_no_cell_is_a_formula() -> None:
    rows = list(csv.reader(io.StringIO(phonebook_formats.as_csv([ANNA, SALES, EVIL])[1:])))
    assert rows[1] == ["Anna O'Berg, Dr.", "Anna", "O'Berg, Dr.", "201", "a@b.de", "Sales"]
    assert rows[2][0] == "Sales & <b>Support</b>"
    assert rows[3][0] == "'=1+1"


def test_a_vcard_escapes_what_separates() -> None:
    text = phonebook_formats.as_vcards([ANNA])
    assert "FN:Anna O'Berg\\, Dr.\r\n" in text
    assert "N:O'Berg\\, Dr.;Anna;;;\r\n" in text
    assert "TEL;TYPE=work,voice:201\r\n" in text
    assert text.startswith("BEGIN:VCARD\r\nVERSION:4.0\r\nKIND:individual\r\n")


@given(st.text(max_size=300))
def test_no_name_adds_a_vcard_property_or_a_long_line(name: str) -> None:
    text = phonebook_formats.as_vcards([PhonebookEntry("user-1", name, "201", name, name)])
    unfolded = text.replace("\r\n ", "")
    assert unfolded.count("\r\n") == unfolded.count("\n") == 8
    assert all(len(line.encode("utf-8", "replace")) <= 75 for line in text.split("\r\n"))


@given(st.text(max_size=100))
def test_every_xml_form_is_well_formed_whatever_the_name(name: str) -> None:
    entries = [PhonebookEntry("user-1", name, "201", name, name, name, (name,))]
    for body in (
        phonebook_formats.as_yealink(entries, name),
        phonebook_formats.as_grandstream(entries),
        phonebook_formats.as_cisco(entries, name, 0, "http://k/?start=32"),
    ):
        assert "201" in "".join(ET.fromstring(body).itertext())


SIGNS = "\x1b[31m\u202eAnna\u200b\x85\u2028Berg\U000e0041\ud800\0\r\n"


def test_every_format_marks_signs_that_nobody_sees() -> None:
    entries = [PhonebookEntry("user-1", SIGNS, SIGNS, SIGNS, SIGNS, SIGNS, (SIGNS,))]
    cards = phonebook_formats.as_vcards(entries).replace("\r\n ", "")
    bodies = [phonebook_formats.as_csv(entries)[1:], cards]
    for document in (
        phonebook_formats.as_yealink(entries, "Kerauno"),
        phonebook_formats.as_grandstream(entries),
        phonebook_formats.as_cisco(entries, "Kerauno", 0, "http://k/?start=32"),
    ):
        bodies.append("".join(ET.fromstring(document).itertext()))
    for body in bodies:
        assert visible(SIGNS) in body
        assert visible_lines(body) == body


def test_yealink_names_and_numbers() -> None:
    root = ET.fromstring(phonebook_formats.as_yealink([ANNA, SALES], "Kerauno"))
    assert root.tag == "YealinkIPPhoneDirectory"
    found = [(e.findtext("Name"), e.findtext("Telephone")) for e in root.iter("DirectoryEntry")]
    assert found == [("Anna O'Berg, Dr.", "201"), ("Sales & <b>Support</b>", "600")]


def test_grandstream_contacts() -> None:
    root = ET.fromstring(phonebook_formats.as_grandstream([ANNA, SALES]))
    contact = root.findall("Contact")[0]
    assert root.tag == "AddressBook"
    assert contact.findtext("FirstName") == "Anna"
    assert contact.findtext("Phone/phonenumber") == "201"
    assert root.findall("Contact")[1].findtext("LastName") == "Sales & <b>Support</b>"


def test_cisco_pages_by_32_with_a_next_key_until_the_end() -> None:
    many = [PhonebookEntry(f"user-{i}", f"P{i}", str(1000 + i)) for i in range(40)]
    first = ET.fromstring(phonebook_formats.as_cisco(many, "Kerauno", 0, "http://k/?start=32"))
    last = ET.fromstring(phonebook_formats.as_cisco(many, "Kerauno", 32, "http://k/?start=64"))
    assert len(first.findall("DirectoryEntry")) == 32
    assert first.findtext("Prompt") == "1 to 32 of 40"
    assert [k.findtext("Name") for k in first.iter("SoftKeyItem")] == ["Dial", "Exit", "Next"]
    assert len(last.findall("DirectoryEntry")) == 8
    assert [k.findtext("Name") for k in last.iter("SoftKeyItem")] == ["Dial", "Exit"]
