"""Why each leaver leaves, and since when: asked of AD at the moment of planning.

| reason | since, by AD's own time | else |
|---|---|---|
| `disabled` | `whenChanged` of the account: not later than that | when the sync first saw it |
| `expired` | `accountExpires` | when the sync first saw it |
| `deleted` | `whenChanged` of the tombstone, where the service account may see it | the same |
| `out_of_scope` | AD keeps no time of it | when the sync first saw it |

Where AD does not say whether somebody is still there, they are `out_of_scope`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog

from dirclient.config.ports import Locator
from dirclient.model.directory_objects import Guid, Snapshot, Whereabouts
from dirclient.model.errors import DirectoryError
from provisioning.actions import ActionKind, PersonAction, Plan

_log = structlog.get_logger(__name__)
BY_AD, BY_SYNC = "ad", "sync"


def explained(plan: Plan, snapshot: Snapshot, directory: Locator) -> Plan:
    """Return the plan with reason and time of each leaver; one request for a hundred of them."""
    unclear = [a.guid for a in plan.actions if a.reason in ("out_of_scope", "expired")]
    known = _whereabouts(directory, unclear)
    if not any(action.reason for action in plan.actions):
        return plan
    actions = tuple(
        _explained(action, snapshot, known.get(action.guid)) if action.reason else action
        for action in plan.actions
    )
    return replace(plan, actions=actions)


def _whereabouts(directory: Locator, guids: Collection[Guid]) -> Mapping[Guid, Whereabouts]:
    if not guids:
        return {}
    try:
        return directory.locate(guids)
    except DirectoryError as error:
        _log.warning("nobody tells whether leavers were deleted", error=str(error))
        return {}


def _explained(
    action: PersonAction, snapshot: Snapshot, whereabouts: Whereabouts | None
) -> PersonAction:
    person = snapshot.people.get(action.guid)
    reason, since = action.reason, None
    if reason == "disabled" and person is not None:
        since = person.changed
    elif whereabouts is not None and reason == "expired":
        since = whereabouts.expires
    elif whereabouts is not None and whereabouts.deleted:
        reason, since = "deleted", whereabouts.changed
    return replace(action, reason=reason, since=since)


def note_first_seen(
    actions: Collection[dict[str, Any]],
    refused: Mapping[str, datetime],
    held_before: Collection[Mapping[str, Any]],
    now: datetime,
) -> None:
    """Add to stored leavers without a time of AD's own when the sync first saw that they left.

    `refused` says so of disabled and expired people; `held_before` are the actions of runs that
    were held before this one.
    """
    before = {
        (action["guid"], action.get("reason")): action["since"]
        for action in held_before
        if action.get("since_by") == BY_SYNC
    }
    for action in actions:
        if action["action"] == ActionKind.DEACTIVATE and "since" not in action:
            guid = action["guid"]
            first = before.get((guid, action["reason"]))
            seen = refused.get(guid, now).isoformat(timespec="seconds")
            action |= {"since": first or seen, "since_by": BY_SYNC}
