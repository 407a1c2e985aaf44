"""The audit: filters, the look-up of a refusal's code, and export."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response, request, stream_with_context
from flask.typing import ResponseReturnValue

from authsvc.console import base
from authsvc.console.audit import queries
from authsvc.services import current_services

bp = base.blueprint("audit")


@bp.get("/audit")
def table() -> ResponseReturnValue:
    """Return what happened, newest first."""
    filter_ = _wanted()
    with base.reading() as s:
        events, outcomes = queries.kinds(s)
        rows = queries.page(s, filter_, cursor=request.args.get("after", ""))
    query = {name: text for name, text in request.args.items() if name != "after" and text}
    return base.page(
        "audit.html", rows=rows, wanted=filter_, events=events, outcomes=outcomes, query=query
    )


@bp.get("/audit/code")
def code() -> ResponseReturnValue:
    """Return what the code means that a person read out."""
    text = request.args.get("code", "").strip()[:20]
    with base.reading() as s:
        events = queries.by_code(s, text)
    return base.page("code.html", text=text, found=events)


@bp.get("/audit.csv")
def export() -> ResponseReturnValue:
    """Everything that the filter lets through, as CSV."""
    filter_ = _wanted()
    database = current_services().database

    def lines() -> Iterator[str]:
        with database.read() as s:
            yield from queries.export(s, filter_)

    with base.writing() as s:
        base.note(s, "audit-exported", outcome="ok")
    answer = Response(stream_with_context(lines()), mimetype="text/csv")
    name = f"kerauno-audit-{base.now():%Y-%m-%d}.csv"
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


def _wanted() -> queries.Filter:
    args = request.args
    return queries.Filter(
        event=args.get("event", "")[:48],
        outcome=args.get("outcome", "")[:32],
        text=args.get("q", "").strip()[:200],
        code=args.get("code", "")[:20],
        since=args.get("since", "")[:10],
        until=args.get("until", "")[:10],
    )
