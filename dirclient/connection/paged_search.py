"""Searches of a whole subtree: every entry to the proven end, or `Incomplete`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dirclient.connection import result_codes
from dirclient.connection.ldap_connection import Connection, SearchResult
from dirclient.model.errors import Incomplete, Unavailable
from dirclient.wire import decode, encode
from dirclient.wire.decode import Control, Entry, Malformed
from dirclient.wire.filters import Filter

_EMPTY_PAGES = 1000  # in a row, after which a server is not believed to be searching


class TooLarge(Incomplete):
    """The server gave only a part: it limits what one answer may hold. Pages get beyond that."""


def paged(
    connection: Connection,
    base: str,
    filter: Filter,
    attributes: Iterable[str] = (),
    controls: Sequence[Control] = (),
    page_size: int = 1000,
    *,
    ahead: bool = False,
) -> Iterator[list[Entry]]:
    """Every page, up to the empty cookie that proves the end (RFC 2696).

    `ahead`: the server is asked for the next page before this one is given, and works while the
    caller does; nothing else can be asked on this connection before the end.

    Raises `Incomplete` for anything else: another result code, a torn connection, a server that
    does not page, that repeats a page, or that hands out empty ones for ever.
    """
    names = tuple(attributes)
    cookie, read = b"", 0
    before, empty = "", 0
    entries: list[Entry] = []
    while True:
        paging = (encode.paged_control(page_size, cookie), *controls)
        try:
            with connection.asked(base, filter, names, paging) as pending:
                if entries:
                    yield entries
                pending.read()
            page = pending.answer
            _mind_code(connection, base, page, read)
            read += len(page.entries)
            cookie = decode.paged_cookie(page.controls.get(decode.PAGED_RESULTS))
        except Unavailable as gone:
            raise Incomplete(f"The read of {base!r} was cut short. {gone}", read=read) from gone
        except Malformed as odd:
            raise Incomplete(
                f"{connection.server} does not answer in pages: {odd}.", read=read
            ) from odd
        first = page.entries[0].dn if page.entries else ""
        empty = 0 if first else empty + 1  # AD sends some while it searches on
        if cookie and ((first and first == before) or empty > _EMPTY_PAGES):
            raise Incomplete(f"{connection.server} sends pages without end.", read=read)
        before = first
        entries = page.entries if ahead and cookie else []
        if not entries:
            yield page.entries
        if not cookie:
            return


def whole(
    connection: Connection,
    base: str,
    filter: Filter,
    attributes: Iterable[str] = (),
    controls: Sequence[Control] = (),
    portion: int = 1000,
) -> Iterator[list[Entry]]:
    """The subtree in one answer without pages, in portions of about this size as it arrives.

    Nothing else can be asked on this connection before its end. Raises `TooLarge` where the
    server's size limit was reached, `Incomplete` for any other end than success.
    """
    read = 0
    try:
        with connection.asked(base, filter, attributes, controls) as pending:
            answer = pending.answer
            while not pending.read(portion):
                read += len(answer.entries)
                yield answer.entries
                answer.entries = []
    except Unavailable as gone:
        raise Incomplete(f"The read of {base!r} was cut short. {gone}", read=read) from gone
    _mind_code(connection, base, answer, read)
    yield answer.entries


def _mind_code(connection: Connection, base: str, answer: SearchResult, read: int) -> None:
    if answer.code != result_codes.SUCCESS:
        kind = TooLarge if answer.code == result_codes.SIZE_LIMIT else Incomplete
        why = connection.unanswered(answer)
        raise kind(_code_sentence(base, answer.code, answer.message), read=read) from why


def _code_sentence(base: str, code: int, message: str) -> str:
    names = {
        result_codes.TIME_LIMIT: "the server's time limit was reached",
        result_codes.SIZE_LIMIT: "the server's size limit was reached",
        result_codes.REFERRAL: "the server referred to another one",
        result_codes.ADMIN_LIMIT: "an administrative limit was reached",
        result_codes.NO_SUCH_OBJECT: "there is no such object",
        result_codes.INSUFFICIENT_ACCESS: "the service account may not read it",
        result_codes.BUSY: "the server is busy",
        result_codes.UNAVAILABLE: "the server is unavailable",
    }
    what = names.get(code, f"result code {code}")
    return f"The read of {base!r} did not finish: {what}. {message}".rstrip()
