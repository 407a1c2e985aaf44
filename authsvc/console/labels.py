"""Labels for codes. Templates hold the texts of pages; texts that depend on a code are here.

The tables hold messages of the catalogue; `label` and `labels` give them in the reader's language.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from authsvc.i18n.translate import N_, gettext, translate_sentence

CONFLICTS: Mapping[str, str] = {
    "name_missing": N_("First or last name is missing"),
    "email_missing": N_("Username/email is missing"),
    "email_invalid": N_("Username/email is not a valid address"),
    "extension_missing": N_("Extension is missing"),
    "extension_invalid": N_("Extension is not 2 to 10 digits"),
    "extension_taken": N_("Extension is already used"),
    "username_taken": N_("Username is already used"),
    "email_taken": N_("Email is already used"),
    "link_ambiguous": N_("Two AD accounts claim one Kerauno user"),
    "account_disabled": N_("Account is disabled in AD"),
    "account_expired": N_("Account has expired in AD"),
    "held_out": N_("Held out by an administrator"),
    "number_missing": N_("No ring group number is free"),
    "number_taken": N_("Ring group number is already used"),
}

REMEDIES: Mapping[str, str] = {
    "name_missing": N_("Fill in First name and Last name of the account in Active Directory."),
    "email_missing": N_("Fill in E-mail of the account in Active Directory."),
    "email_invalid": N_("Correct E-mail in Active Directory; it must look like name@company.com."),
    "extension_missing": N_("Fill in IP phone (or Telephone number) of the account in AD."),
    "extension_invalid": N_(
        "Write the extension in AD as 2 to 10 digits, or as a phone number that ends in x1234."
    ),
    "extension_taken": N_("Give one of the two another extension."),
    "username_taken": N_(
        "Give one of the two another email name, or sync the existing user by hand."
    ),
    "email_taken": N_("Give one of the two another email, or sync the existing user by hand."),
    "link_ambiguous": N_("Correct E-mail of one of the two accounts in Active Directory."),
    "account_disabled": N_(
        "Enable the account in Active Directory if the person should have a phone."
    ),
    "account_expired": N_("Extend or clear the expiry date of the account in Active Directory."),
    "held_out": N_("Press Sync with AD on the user's Active Directory tab."),
    "number_missing": N_("Widen the ring group range on the AD Credentials tab, or type a number."),
    "number_taken": N_("Choose another ring group number."),
}

PERSON_STATES: Mapping[str, str] = {
    "synced": N_("Synced"),
    "ready": N_("Not synced"),
    "conflict": N_("Conflict"),
    "left": N_("Left"),
    "leaving": N_("Leaving, held"),
    "held-out": N_("Held out"),
}

LEAVING: Mapping[str, str] = {
    "disabled": N_("Disabled in AD"),
    "expired": N_("Expired in AD"),
    "deleted": N_("Deleted in AD"),
    "out_of_scope": N_("No longer found in AD below the search DNs"),
}

ACCOUNT_STATES: Mapping[str, str] = {
    "active": N_("Active in AD"),
    "disabled": N_("Disabled in AD"),
    "expired": N_("Expired in AD"),
}

KINDS: Mapping[str, str] = {"group": N_("Security group"), "ou": N_("Organizational unit")}
ROLES: Mapping[str, str] = {
    "user": N_("User"),
    "manager": N_("Department manager"),
    "admin": N_("System administrator"),
}
METHODS: Mapping[str, str] = {
    "directory": N_("company password"),
    "local": N_("Kerauno password"),
    "kerberos": N_("automatic sign-in"),
}
SCOPES: Mapping[str, str] = {
    "full": N_("Built from AD: names, email and extension are AD's"),
    "login": N_("Signs in with AD; names and extension are Kerauno's"),
}
ORIGINS: Mapping[str, str] = {
    "sync": N_("by synchronization"),
    "sign-in": N_("by their first sign-in"),
    "admin": N_("by an administrator"),
    "department": N_("by the import of a department"),
}

STEPS: Mapping[str, str] = {
    "resolve": N_("Name"),
    "tcp": N_("Connection"),
    "tls": N_("Encryption and certificate"),
    "bind": N_("Sign-in of the service account"),
    "level": N_("Version of the directory"),
    "clock": N_("Clock"),
    "lockout": N_("Lockout policy"),
    "user_search_dn": N_("AD User Search DN"),
    "department_search_dn": N_("AD Department Search DN"),
    "people": N_("People"),
    "departments": N_("Departments"),
    "conflicts": N_("Free of conflicts"),
    "rights": N_("Rights of the service account"),
    "settings": N_("Settings"),
}

TRIGGERS: Mapping[str, str] = {
    "timer": N_("Timer"),
    "change": N_("Change in AD"),
    "console": N_("Console"),
    "cli": N_("Command line"),
}
BY_TRIGGER: Mapping[str, str] = {
    "timer": N_("timer"),
    "change": N_("change in AD"),
    "console": N_("console"),
    "cli": N_("command line"),
}
RUN_KINDS: Mapping[str, str] = {
    "keep": N_("Keep true"),
    "build": N_("Synchronize users"),
    "plan": N_("Preview"),
    "import": N_("Import department"),
    "unimport": N_("Unimport department"),
    "undo": N_("Undo"),
    "confirm": N_("Apply a plan"),
    "discard": N_("Discard a plan"),
    "user-sync": N_("Sync one user with AD"),
    "user-desync": N_("De-sync one user"),
    "settings": N_("Preview of new settings"),
}
RUN_STATUSES: Mapping[str, str] = {
    "running": N_("In progress"),
    "planned": N_("Waiting for you"),
    "applied": N_("Applied"),
    "unchanged": N_("Nothing to change"),
    "held": N_("Held for an administrator"),
    "failed": N_("Failed, nothing changed"),
    "discarded": N_("Discarded"),
    "expired": N_("Expired"),
    "undone": N_("Undone"),
}
PHASES: Mapping[str, str] = {
    "": N_("starting"),
    "read": N_("reading Active Directory"),
    "people": N_("reading people"),
    "departments": N_("reading departments"),
    "members": N_("reading memberships"),
    "plan": N_("working out the plan"),
    "mirror": N_("noting what AD holds"),
    "apply": N_("applying changes"),
    "undo": N_("restoring"),
    "done": N_("done"),
}
ACTIONS: Mapping[str, str] = {
    "create": N_("Create"),
    "link": N_("Link"),
    "update": N_("Update"),
    "deactivate": N_("Deactivate"),
    "reactivate": N_("Reactivate"),
    "unlink": N_("De-sync"),
    "desync": N_("De-sync"),
    "import": N_("Import"),
    "unimport": N_("Unimport"),
    "rename": N_("Rename"),
    "members": N_("Change members"),
    "role": N_("Change role"),
    "restore": N_("Restore"),
    "keep": N_("Left out"),
}
FIELDS: Mapping[str, str] = {
    "username": N_("Username"),
    "email": N_("Email"),
    "first_name": N_("First name"),
    "last_name": N_("Last name"),
    "extension": N_("Extension"),
    "number": N_("Ring group number"),
    "active": N_("Active"),
    "blocked": N_("Blocked"),
    "role": N_("Role"),
    "name": N_("Name"),
    "members": N_("Members"),
    "kept_from": N_("Left out of"),
    "departments": N_("Departments"),
    "reserved_until": N_("Number kept until"),
    "scope": N_("What AD owns"),
    "sessions": N_("Sessions"),
    "guid": N_("AD identity"),
    "dn": N_("Place in AD"),
    "link": N_("AD link"),
    "origin": N_("Linked"),
    "after": N_("After"),
    "app": N_("App"),
    "apps": N_("Apps"),
    "attempts": N_("Attempts"),
    "before": N_("Before"),
    "client": N_("Client"),
    "count": N_("Count"),
    "counted": N_("Counted by"),
    "department": N_("Department"),
    "device_address": N_("Device address"),
    "fields": N_("Fields"),
    "grant": N_("Grant"),
    "handle": N_("Handle"),
    "host": N_("Host"),
    "keys": N_("Keys"),
    "kind": N_("Kind"),
    "method": N_("Method"),
    "note": N_("Note"),
    "people": N_("People"),
    "remarks": N_("Remarks"),
    "run": N_("Run"),
    "tries": N_("Tries"),
    "version": N_("Version"),
}


EVENTS: Mapping[str, str] = {
    "sign-in": N_("Sign-in"),
    "sign-out": N_("Sign-out"),
    "link": N_("Linked with AD"),
    "link-proposed": N_("Link proposed, waits for an administrator"),
    "password-change": N_("Password changed in AD"),
    "password-set": N_("Local password set"),
    "session-ended": N_("Session ended"),
    "sessions-ended": N_("Sessions ended by an administrator"),
    "user-created": N_("User added"),
    "user-updated": N_("User updated"),
    "member-removed": N_("Member removed by hand"),
    "user-blocked": N_("Sign-in blocked"),
    "user-unblocked": N_("Sign-in unblocked"),
    "user-deactivated": N_("User deactivated"),
    "user-reactivated": N_("User reactivated"),
    "user-sync": N_("Sync with AD asked for"),
    "user-desync": N_("De-Sync asked for"),
    "user-synced": N_("Synced with AD"),
    "access-ended": N_("Access ended by AD’s word"),
    "user-desynced": N_("De-synced"),
    "number-released": N_("Reserved number released"),
    "settings-saved": N_("AD Credentials saved"),
    "settings-tested": N_("AD Credentials tested"),
    "person-released": N_("Hold of a person ended"),
    "sync-requested": N_("Synchronization asked for"),
    "run-confirmed": N_("Held run confirmed"),
    "run-discarded": N_("Held run discarded"),
    "run-undone": N_("Undo asked for"),
    "department-import": N_("Import of a department asked for"),
    "department-unimport": N_("Unimport of a department asked for"),
    "department-number": N_("Ring group number changed"),
    "phone-access-added": N_("Phone access added"),
    "phone-access-removed": N_("Phone access removed"),
    "audit-exported": N_("Audit exported"),
    "key-rotated": N_("Secret key rotated"),
    "attempts-cleared": N_("Sign-in attempts cleared"),
    "password-changed": N_("Password changed"),
    "app-sign-in": N_("Sign-in to an app"),
    "app-sign-out": N_("App told of a sign-out"),
    "app-consent": N_("Consent to an app"),
    "app-device": N_("Device connected"),
    "client": N_("App registration"),
    "protected-host": N_("Protected site"),
    "signing-keys": N_("Signing keys"),
}

THROTTLES: Mapping[str, str] = {
    "account": N_("Name"),
    "person": N_("All names of a person"),
    "address": N_("Address"),
}

OUTCOMES: Mapping[str, str] = {
    "ok": N_("Done"),
    "seen": N_("Seen in the directory"),
    "failed": N_("Failed"),
    "checked": N_("Password checked for an app"),
    "applied": N_("Applied"),
    "unchanged": N_("Nothing to change"),
    "first-sign-in": N_("At the first sign-in"),
    "requested": N_("Asked for"),
    "waiting": N_("Waiting"),
    "not_a_name": N_("What was typed is no name"),
    "unknown_name": N_("No user has this name"),
    "wrong_password": N_("The password was wrong"),
    "inactive": N_("The user is inactive"),
    "blocked": N_("An administrator blocked the user"),
    "no_password": N_("The user has no way to sign in yet"),
    "not_linked": N_("The user is not synced with AD"),
    "no_match": N_("Nobody in AD matches the user"),
    "ambiguous": N_("Several AD accounts match the user"),
    "held_out": N_("The person is held out after a De-Sync"),
    "administrator_not_linked": N_("An administrator's account is never linked by name alone"),
    "account_locked": N_("The AD account is locked"),
    "account_disabled": N_("The AD account is disabled"),
    "account_deleted": N_("The AD account is deleted"),
    "account_expired": N_("The AD account has expired"),
    "hours_restricted": N_("AD does not allow sign-in at this hour"),
    "workstation_restricted": N_("AD allows sign-in only at named workstations"),
    "logon_type_denied": N_("AD does not allow this kind of sign-in"),
    "password_expired": N_("The AD password has expired"),
    "must_change_password": N_("The AD password must be changed first"),
    "directory_unavailable": N_("No AD server could be asked"),
    "directory_misconfigured": N_("AD Credentials do not work"),
    "throttled": N_("Too many attempts"),
    "attempts_used_up": N_("Too many attempts under other names of the same person"),
    "signed-in": N_("Signed in"),
    "refused": N_("Not a member of the site's departments"),
    "refused replayed": N_(
        "A code or token was used a second time: everything that came of it ended"
    ),
    "refused other-client": N_("A code or token of another app"),
    "refused redirect-changed": N_("The redirect address was changed on the way"),
    "refused verifier-wrong": N_("The PKCE verifier was wrong"),
    "refused person-gone": N_("The person had signed out or may no longer sign in"),
    "delivered": N_("The app was told"),
    "retrying": N_("The app did not answer; it is tried again"),
    "given-up": N_("The app did not answer for a day"),
    "secret-rotated": N_("New secret"),
    "connected": N_("Connected"),
    "granted": N_("Granted"),
    "denied": N_("Denied"),
    "withdrawn": N_("Withdrawn"),
    "added": N_("Added"),
    "changed": N_("Changed"),
    "removed": N_("Removed"),
    "saved": N_("Saved"),
    "plan": N_("Plan"),
    "apply": N_("Apply"),
}

OUTCOME_REMEDIES: Mapping[str, str] = {
    "not_a_name": N_("Ask them to type their full email address."),
    "unknown_name": N_(
        "Check the spelling; look on the AD Users tab whether the person is synced."
    ),
    "wrong_password": N_("If they have forgotten it, reset the password in Active Directory."),
    "inactive": N_("Look at the user's timeline: AD or an administrator deactivated them."),
    "blocked": N_("Unblock them on the user's page, if that is right."),
    "no_password": N_("Press Sync with AD on the user's Active Directory tab, or set a password."),
    "not_linked": N_("Press Sync with AD on the user's Active Directory tab."),
    "no_match": N_("Correct username or email in AD or here until they are the same."),
    "ambiguous": N_("Give the two AD accounts different emails."),
    "held_out": N_("Press Sync with AD on the user's Active Directory tab."),
    "administrator_not_linked": N_("Confirm the link on the user's Active Directory tab."),
    "account_locked": N_("Unlock the account in AD, or wait until AD does."),
    "account_disabled": N_("Enable the account in AD if they should have access."),
    "account_expired": N_("Extend or clear the expiry date in AD."),
    "hours_restricted": N_("Change Logon Hours of the account in AD."),
    "workstation_restricted": N_("Change Log On To of the account in AD."),
    "logon_type_denied": N_("Look at the account's policies in AD."),
    "password_expired": N_("They were led to the page that changes it."),
    "must_change_password": N_("They were led to the page that changes it."),
    "directory_unavailable": N_("Press Test AD Credentials: it says which step fails."),
    "directory_misconfigured": N_("Press Test AD Credentials: it says what to change."),
    "throttled": N_("Wait, or press Clear under Security › Throttle."),
    "attempts_used_up": N_("Wait, or press Clear under Security › Throttle."),
}


def label(table: Mapping[str, str], code: object) -> str:
    """The words for a code; a code nobody knows yet reads as itself, with blanks."""
    text = str(code or "")
    known = table.get(text)
    if known:
        return gettext(known)
    return text.replace("_", " ").replace("-", " ").strip().capitalize()


def labels(table: Mapping[str, str]) -> dict[str, str]:
    """A whole table in the reader's language, for a choice."""
    return {code: gettext(words) for code, words in table.items()}


def conflict_sentence(conflict: Mapping[str, Any]) -> str:
    """One line on a conflict: what is wrong, the value at fault, and who the other party is."""
    code = conflict.get("code")
    what, value, other = label(CONFLICTS, code), conflict.get("value"), conflict.get("other")
    if value and code not in ("account_disabled", "account_expired", "held_out"):
        what = gettext("%(what)s: %(value)s", what=what, value=str(value))
    if not other:
        return what
    if sentence_takes_by(conflict):
        return gettext("%(what)s, by %(other)s", what=what, other=translate_sentence(str(other)))
    return gettext("%(what)s (%(other)s)", what=what, other=translate_sentence(str(other)))


def sentence_takes_by(conflict: Mapping[str, Any]) -> bool:
    """Return whether the other party of this conflict is a holder (used *by* them)."""
    return str(conflict.get("code", "")).endswith("_taken")


def remedy_of(conflict: Mapping[str, Any]) -> str:
    """The remedy that the plan stored with the conflict, else the general one for its code."""
    stored = conflict.get("remedy")
    if stored:
        return translate_sentence(str(stored))
    general = REMEDIES.get(str(conflict.get("code")))
    return gettext(general) if general else ""
