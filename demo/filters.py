"""Search filters (RFC 4511 4.5.1.7), as AD weighs them: an absent attribute is simply no match."""

from __future__ import annotations

from collections.abc import Callable

from demo import ber, names
from demo.names import BadName, fold
from demo.protocol import PROTOCOL_ERROR, Failure
from demo.store import Entry, Tree
from demo.view import DN_VALUED, View

AND, OR, NOT, EQUAL, SUBSTRING, AT_LEAST, AT_MOST, PRESENT, APPROXIMATE, EXTENSIBLE = (
    *(0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0x87, 0xA8, 0xA9),
)
ALL_BITS, ANY_BIT = "1.2.840.113556.1.4.803", "1.2.840.113556.1.4.804"
IN_CHAIN = "1.2.840.113556.1.4.1941"
_OCTETS = frozenset(("objectguid", "objectsid", "invocationid", "parentguid", "tokengroups"))

Test = Callable[[Entry], bool]


class Filters:
    """Turns filters into tests on entries of one tree."""

    def __init__(self, tree: Tree, view: View) -> None:
        self._tree = tree
        self._view = view

    def compile(self, element: tuple[int, bytes], depth: int = 0) -> Test:
        """The test for a filter element. Raises `Failure` for one that makes no sense."""
        tag, content = element
        if depth > 50:
            raise Failure(PROTOCOL_ERROR, "the filter is nested too deeply")
        if tag in (AND, OR):
            tests = [self.compile(one, depth + 1) for one in ber.children(content)]
            weigh = all if tag == AND else any
            return lambda entry: weigh(test(entry) for test in tests)
        if tag == NOT:
            inner = self.compile(ber.children(content)[0], depth + 1)
            return lambda entry: not inner(entry)
        if tag == PRESENT:
            attribute = content.decode()
            return lambda entry: bool(self._view.values(entry, attribute))
        parts = ber.children(content)
        if tag in (EQUAL, APPROXIMATE):
            return self.equal(parts[0][1].decode(), parts[1][1])
        if tag in (AT_LEAST, AT_MOST):
            return self._ordered(parts[0][1].decode(), parts[1][1], tag == AT_LEAST)
        if tag == SUBSTRING:
            return self._substring(parts[0][1].decode(), ber.children(parts[1][1]))
        if tag == EXTENSIBLE:
            return self._extensible(dict(parts))
        raise Failure(PROTOCOL_ERROR, "an unknown kind of filter")

    def equal(self, attribute: str, wanted: bytes) -> Test:
        """Equality, by the attribute's own rule."""
        lower = attribute.lower()
        if lower in _OCTETS:
            return lambda entry: wanted in self._view.values(entry, attribute)
        if lower in DN_VALUED:
            return self._same_name(lower, wanted.decode(errors="replace"))
        text = fold(wanted.decode(errors="replace"))
        return lambda entry: any(
            fold(one.decode(errors="replace")) == text for one in self._view.values(entry, lower)
        )

    def _same_name(self, attribute: str, text: str) -> Test:
        if attribute == "objectcategory" and "=" not in text:
            text = {"user": "person"}.get(text.lower(), text)
            start = f"cn={text},cn=schema,".lower().replace(
                "organizationalunit", "organizational-unit"
            )
            return lambda entry: any(
                one.decode().lower().startswith(start)
                for one in self._view.values(entry, attribute)
            )
        try:
            wanted = self._tree.resolve(text).key
        except Failure:
            try:
                wanted = names.key(names.parse(text))
            except BadName:
                return lambda _: False
        return lambda entry: any(
            names.key(names.parse(one.decode())) == wanted
            for one in self._view.values(entry, attribute)
        )

    def _ordered(self, attribute: str, wanted: bytes, at_least: bool) -> Test:
        try:
            limit = int(wanted)
        except ValueError:  # times and text order as they are written

            def test_text(entry: Entry) -> bool:
                values = self._view.values(entry, attribute)
                return any(one >= wanted if at_least else one <= wanted for one in values)

            return test_text

        def test(entry: Entry) -> bool:
            values = [one for one in self._view.values(entry, attribute) if _is_number(one)]
            return any(int(one) >= limit if at_least else int(one) <= limit for one in values)

        return test

    def _substring(self, attribute: str, parts: list[tuple[int, bytes]]) -> Test:
        pieces = [(kind & 3, fold(value.decode(errors="replace"))) for kind, value in parts]

        def test(entry: Entry) -> bool:
            return any(
                _contains(fold(one.decode(errors="replace")), pieces)
                for one in self._view.values(entry, attribute)
            )

        return test

    def _extensible(self, parts: dict[int, bytes]) -> Test:
        rule = parts.get(0x81, b"").decode()
        attribute = parts.get(0x82, b"").decode()
        value = parts.get(0x83, b"")
        if rule in (ALL_BITS, ANY_BIT):
            mask = int(value or b"0") & 0xFFFFFFFF
            wanted = mask if rule == ALL_BITS else None

            def bits(entry: Entry) -> bool:
                found = [int(one) & mask for one in self._view.values(entry, attribute)]
                return any(one == wanted if wanted is not None else one for one in found)

            return bits
        if rule == IN_CHAIN:
            return self._chain(attribute.lower(), value.decode(errors="replace"))
        return self.equal(attribute, value)

    def _chain(self, attribute: str, text: str) -> Test:
        try:
            end = self._tree.resolve(text).guid
        except Failure:
            return lambda _: False
        if attribute == "memberof":
            return lambda entry: end in self._tree.chain_up(entry.guid)
        if attribute == "member":
            above = self._tree.chain_up(end)
            return lambda entry: entry.guid in above
        return lambda _: False


def _is_number(value: bytes) -> bool:
    return value.lstrip(b"-").isdigit()


def _contains(text: str, pieces: list[tuple[int, str]]) -> bool:
    at = 0
    for kind, piece in pieces:  # 0 initial, 1 any, 2 final
        if kind == 0:
            if not text.startswith(piece):
                return False
            at = len(piece)
        elif kind == 1:
            found = text.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        elif len(text) - at < len(piece) or not text.endswith(piece):
            return False
    return True
