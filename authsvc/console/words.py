"""What the console says about codes: one place, so that it can be read, corrected and translated.

Page texts stand in the templates; everything that depends on a stored code stands here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CONFLICTS: Mapping[str, str] = {
    "name_missing": "First or last name is missing",
    "email_missing": "Username/email is missing",
    "email_invalid": "Username/email is not a valid address",
    "extension_missing": "Extension is missing",
    "extension_invalid": "Extension is not 2 to 10 digits",
    "extension_taken": "Extension is already used",
    "username_taken": "Username is already used",
    "email_taken": "Email is already used",
    "link_ambiguous": "Two AD accounts claim one Kerauno user",
    "account_disabled": "Account is disabled in AD",
    "account_expired": "Account has expired in AD",
    "held_out": "Held out by an administrator",
    "number_missing": "No ring group number is free",
    "number_taken": "Ring group number is already used",
}

REMEDIES: Mapping[str, str] = {
    "name_missing": "Fill in First name and Last name of the account in Active Directory.",
    "email_missing": "Fill in E-mail of the account in Active Directory.",
    "email_invalid": "Correct E-mail in Active Directory; it must look like name@company.com.",
    "extension_missing": "Fill in IP phone (or Telephone number) of the account in AD.",
    "extension_invalid": "Write the extension in AD as 2 to 10 digits, or as a phone number "
    "that ends in x1234.",
    "extension_taken": "Give one of the two another extension.",
    "username_taken": "Give one of the two another email name, or sync the existing user by hand.",
    "email_taken": "Give one of the two another email, or sync the existing user by hand.",
    "link_ambiguous": "Correct E-mail of one of the two accounts in Active Directory.",
    "account_disabled": "Enable the account in Active Directory if the person should have a phone.",
    "account_expired": "Extend or clear the expiry date of the account in Active Directory.",
    "held_out": "Press Sync with AD on the user's Active Directory tab.",
    "number_missing": "Widen the ring group range on the AD Credentials tab, or type a number.",
    "number_taken": "Choose another ring group number.",
}

PERSON_STATES: Mapping[str, str] = {
    "synced": "Synced",
    "ready": "Not synced yet",
    "conflict": "Import conflict",
    "held-out": "Held out",
}

ACCOUNT_STATES: Mapping[str, str] = {
    "active": "Active in AD",
    "disabled": "Disabled in AD",
    "expired": "Expired in AD",
}

KINDS: Mapping[str, str] = {"group": "Security group", "ou": "Organizational unit"}
ROLES: Mapping[str, str] = {
    "user": "User",
    "manager": "Department manager",
    "admin": "System administrator",
}
SCOPES: Mapping[str, str] = {
    "full": "Built from AD: names, email and extension are AD's",
    "login": "Signs in with AD; names and extension are Kerauno's",
}
ORIGINS: Mapping[str, str] = {
    "sync": "by synchronization",
    "sign-in": "by their first sign-in",
    "admin": "by an administrator",
    "department": "by the import of a department",
}

STEPS: Mapping[str, str] = {
    "resolve": "Name",
    "tcp": "Connection",
    "tls": "Encryption and certificate",
    "bind": "Sign-in of the service account",
    "level": "Version of the directory",
    "clock": "Clock",
    "lockout": "Lockout policy",
    "user_search_dn": "AD User Search DN",
    "department_search_dn": "AD Department Search DN",
    "people": "People",
    "departments": "Departments",
    "conflicts": "Free of conflicts",
    "rights": "Rights of the service account",
    "settings": "Settings",
}

TRIGGERS: Mapping[str, str] = {
    "timer": "Timer",
    "change": "Change in AD",
    "console": "Console",
    "cli": "Command line",
}
RUN_KINDS: Mapping[str, str] = {
    "keep": "Keep true",
    "build": "Synchronize users",
    "plan": "Preview",
    "import": "Import department",
    "unimport": "Unimport department",
    "undo": "Undo",
    "confirm": "Confirm held run",
    "discard": "Discard held run",
    "user-sync": "Sync one user with AD",
    "user-desync": "De-sync one user",
    "settings": "Preview of new settings",
}
RUN_STATUSES: Mapping[str, str] = {
    "running": "In progress",
    "planned": "Waiting for you",
    "applied": "Applied",
    "unchanged": "Nothing to change",
    "held": "Held for an administrator",
    "failed": "Failed, nothing changed",
    "discarded": "Discarded",
    "expired": "Expired",
    "undone": "Undone",
}
PHASES: Mapping[str, str] = {
    "": "Starting",
    "read": "Reading Active Directory",
    "people": "Reading people",
    "departments": "Reading departments",
    "members": "Reading memberships",
    "plan": "Working out the plan",
    "mirror": "Noting what AD holds",
    "apply": "Applying changes",
    "undo": "Restoring",
    "done": "Done",
}
ACTIONS: Mapping[str, str] = {
    "create": "Create",
    "link": "Link",
    "update": "Update",
    "deactivate": "Deactivate",
    "reactivate": "Reactivate",
    "unlink": "De-sync",
    "desync": "De-sync",
    "import": "Import",
    "unimport": "Unimport",
    "rename": "Rename",
    "members": "Change members",
    "role": "Change role",
    "restore": "Restore",
}
FIELDS: Mapping[str, str] = {
    "username": "Username",
    "email": "Email",
    "first_name": "First name",
    "last_name": "Last name",
    "extension": "Extension",
    "number": "Ring group number",
    "active": "Active",
    "blocked": "Blocked",
    "role": "Role",
    "name": "Name",
    "members": "Members",
    "departments": "Departments",
    "reserved_until": "Number kept until",
    "scope": "What AD owns",
    "guid": "AD identity",
    "dn": "Place in AD",
    "link": "AD link",
    "origin": "Linked",
}


def said(table: Mapping[str, str], code: object) -> str:
    """The words for a code; a code nobody knows yet reads as itself, with blanks."""
    text = str(code or "")
    return table.get(text) or text.replace("_", " ").replace("-", " ").strip().capitalize()


def conflict_sentence(conflict: Mapping[str, Any]) -> str:
    """One line on a conflict: what is wrong, the value at fault, and who the other party is."""
    sentence = said(CONFLICTS, conflict.get("code"))
    value, other = conflict.get("value"), conflict.get("other")
    if value:
        sentence += f": {value}"
    if other:
        sentence += f", by {other}" if sentence_takes_by(conflict) else f" ({other})"
    return sentence


def sentence_takes_by(conflict: Mapping[str, Any]) -> bool:
    """Whether the other party of this conflict is a holder (used *by* them)."""
    return str(conflict.get("code", "")).endswith("_taken")


def remedy_of(conflict: Mapping[str, Any]) -> str:
    """The remedy that the plan stored with the conflict, else the general one for its code."""
    return str(conflict.get("remedy") or REMEDIES.get(str(conflict.get("code")), ""))
