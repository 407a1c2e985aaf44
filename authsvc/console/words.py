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
    "ready": "Not synced",
    "conflict": "Conflict",
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
    "confirm": "Apply a plan",
    "discard": "Discard a plan",
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


EVENTS: Mapping[str, str] = {
    "sign-in": "Sign-in",
    "sign-out": "Sign-out",
    "link": "Linked with AD",
    "link-proposed": "Link proposed, waits for an administrator",
    "password-change": "Password changed in AD",
    "password-set": "Local password set",
    "session-ended": "Session ended",
    "sessions-ended": "Sessions ended by an administrator",
    "user-created": "User added",
    "user-updated": "User updated",
    "member-removed": "Member removed by hand",
    "user-blocked": "Sign-in blocked",
    "user-unblocked": "Sign-in unblocked",
    "user-deactivated": "User deactivated",
    "user-reactivated": "User reactivated",
    "user-sync": "Sync with AD asked for",
    "user-desync": "De-Sync asked for",
    "user.synced": "Synced with AD",
    "user.desynced": "De-synced",
    "number-released": "Reserved number released",
    "settings-saved": "AD Credentials saved",
    "settings-tested": "AD Credentials tested",
    "person-released": "Hold of a person ended",
    "sync-requested": "Synchronization asked for",
    "run-confirmed": "Held run confirmed",
    "run-discarded": "Held run discarded",
    "run-undone": "Undo asked for",
    "department-import": "Import of a department asked for",
    "department-unimport": "Unimport of a department asked for",
    "department-number": "Ring group number changed",
    "phone-access-added": "Phone access added",
    "phone-access-removed": "Phone access removed",
    "audit-exported": "Audit exported",
    "key-rotated": "Secret key rotated",
    "attempts-cleared": "Sign-in attempts cleared",
    "app.sign-in": "Sign-in to an app",
    "app.sign-out": "App told of a sign-out",
    "app.consent": "Consent to an app",
    "app.device": "Device connected",
    "client": "App registration",
    "protected-host": "Protected site",
    "signing-keys": "Signing keys",
}

OUTCOMES: Mapping[str, str] = {
    "ok": "Done",
    "failed": "Failed",
    "checked": "Password checked for an app",
    "first-sign-in": "At the first sign-in",
    "requested": "Asked for",
    "waiting": "Waiting",
    "not_a_name": "What was typed is no name",
    "unknown_name": "No user has this name",
    "wrong_password": "The password was wrong",
    "inactive": "The user is inactive",
    "blocked": "An administrator blocked the user",
    "no_password": "The user has no way to sign in yet",
    "not_linked": "The user is not synced with AD",
    "no_match": "Nobody in AD matches the user",
    "ambiguous": "Several AD accounts match the user",
    "held_out": "The person is held out after a De-Sync",
    "administrator_not_linked": "An administrator's account is never linked by name alone",
    "account_locked": "The AD account is locked",
    "account_disabled": "The AD account is disabled",
    "account_expired": "The AD account has expired",
    "hours_restricted": "AD does not allow sign-in at this hour",
    "workstation_restricted": "AD allows sign-in only at named workstations",
    "logon_type_denied": "AD does not allow this kind of sign-in",
    "password_expired": "The AD password has expired",
    "must_change_password": "The AD password must be changed first",
    "directory_unavailable": "No AD server could be asked",
    "directory_misconfigured": "AD Credentials do not work",
    "throttled": "Too many attempts",
    "signed-in": "Signed in",
    "refused": "Not a member of the site's departments",
    "refused replayed": "A code or token was used a second time: everything that came of it ended",
    "refused other-client": "A code or token of another app",
    "refused redirect-changed": "The redirect address was changed on the way",
    "refused verifier-wrong": "The PKCE verifier was wrong",
    "refused person-gone": "The person had signed out or may no longer sign in",
    "delivered": "The app was told",
    "retrying": "The app did not answer; it is tried again",
    "given-up": "The app did not answer for a day",
    "secret-rotated": "New secret",
    "connected": "Connected",
    "granted": "Granted",
    "denied": "Denied",
    "withdrawn": "Withdrawn",
}

OUTCOME_REMEDIES: Mapping[str, str] = {
    "not_a_name": "Ask them to type their full email address.",
    "unknown_name": "Check the spelling; look on the AD Users tab whether the person is synced.",
    "wrong_password": "If they have forgotten it, reset the password in Active Directory.",
    "inactive": "Look at the user's timeline: AD or an administrator deactivated them.",
    "blocked": "Unblock them on the user's page, if that is right.",
    "no_password": "Press Sync with AD on the user's Active Directory tab, or set a password.",
    "not_linked": "Press Sync with AD on the user's Active Directory tab.",
    "no_match": "Correct username or email in AD or here until they are the same.",
    "ambiguous": "Give the two AD accounts different emails.",
    "held_out": "Press Sync with AD on the user's Active Directory tab.",
    "administrator_not_linked": "Confirm the link on the user's Active Directory tab.",
    "account_locked": "Unlock the account in AD, or wait until AD does.",
    "account_disabled": "Enable the account in AD if they should have access.",
    "account_expired": "Extend or clear the expiry date in AD.",
    "hours_restricted": "Change Logon Hours of the account in AD.",
    "workstation_restricted": "Change Log On To of the account in AD.",
    "logon_type_denied": "Look at the account's policies in AD.",
    "password_expired": "They were led to the page that changes it.",
    "must_change_password": "They were led to the page that changes it.",
    "directory_unavailable": "Press Test AD Credentials: it says which step fails.",
    "directory_misconfigured": "Press Test AD Credentials: it says what to change.",
    "throttled": "Wait, or run: authsvc attempts clear",
}


def said(table: Mapping[str, str], code: object) -> str:
    """The words for a code; a code nobody knows yet reads as itself, with blanks."""
    text = str(code or "")
    return table.get(text) or text.replace("_", " ").replace("-", " ").strip().capitalize()


def conflict_sentence(conflict: Mapping[str, Any]) -> str:
    """One line on a conflict: what is wrong, the value at fault, and who the other party is."""
    sentence = said(CONFLICTS, conflict.get("code"))
    value, other = conflict.get("value"), conflict.get("other")
    if value and conflict.get("code") not in ("account_disabled", "account_expired", "held_out"):
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
