"""The administrators' JSON API: users and memberships, under the same rules as the pages."""

from __future__ import annotations

from flask import Blueprint, jsonify, request
from flask.typing import ResponseReturnValue

from authsvc.console import base
from authsvc.console.pagination import unpack
from authsvc.console.users import queries
from authsvc.web.errors import problem
from authsvc.web.json_reader import json_body
from kerauno.accounts import departments, users
from kerauno.accounts import queries as accounts
from kerauno.base.errors import NotFound

bp = Blueprint("console_api", __name__, url_prefix="/api/v1")
bp.before_request(base.administrators_only)


@bp.get("/users")
def all_users() -> ResponseReturnValue:
    """Users by name, a page at a time; `next` is the cursor of the page after."""
    cursor = request.args.get("after", "")
    if cursor and unpack(cursor, (str, str, int)) is None:
        return problem(400, "This cursor is not one of ours.")
    with base.reading() as s:
        page = queries.page(s, text=request.args.get("q", ""), cursor=cursor)
    return jsonify(
        users=[accounts.as_data(line) for line in page.rows],
        total=page.total,
        next=page.after or None,
    )


@bp.get("/users/<int:user_id>")
def one_user(user_id: int) -> ResponseReturnValue:
    """One user."""
    with base.reading() as s:
        line = accounts.user(s, user_id)
    if line is None:
        raise NotFound("There is no such user.")
    return jsonify(accounts.as_data(line))


@bp.patch("/users/<int:user_id>")
def change_user(user_id: int) -> ResponseReturnValue:
    """Change some fields; one that the directory owns is refused with 409."""
    body = json_body()
    known = users.FIELDS | {"role"}
    if not isinstance(body, dict) or not body or not body.keys() <= known:
        return problem(400, f"Send a JSON object with some of: {', '.join(sorted(known))}.")
    if not all(isinstance(value, str) for value in body.values()):
        return problem(400, "Every value must be a text.")
    role = body.pop("role", None)
    with base.writing() as s:
        users.change(s, user_id, body, base.now())
        if role is not None:
            users.set_role(s, user_id, role, base.now())
        changed = {"fields": sorted(body) + (["role"] if role is not None else [])}
        base.note(s, "user-updated", outcome="ok", user_id=user_id, detail=changed)
        line = accounts.user(s, user_id)
    assert line is not None
    return jsonify(accounts.as_data(line))


@bp.get("/departments/<int:department_id>/members")
def members(department_id: int) -> ResponseReturnValue:
    """Return who is in a department; `static` members are the directory's."""
    with base.reading() as s:
        departments.get(s, department_id)
        members = departments.members(s, department_id)
    return jsonify(
        [
            {"id": member.user_id, "username": member.username, "static": member.static}
            for member in members
        ]
    )


@bp.delete("/departments/<int:department_id>/members/<int:user_id>")
def remove_member(department_id: int, user_id: int) -> ResponseReturnValue:
    """Take somebody out by hand: 409 for a member that Active Directory put there."""
    with base.writing() as s:
        departments.remove_member(s, department_id, user_id)
        detail = {"department": department_id}
        base.note(s, "member-removed", outcome="ok", user_id=user_id, detail=detail)
    return "", 204
