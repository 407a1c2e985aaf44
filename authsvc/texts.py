"""Every sentence that the sign-in pages and the common layout show, in one place.

Templates reach this module as `t`. A translation is another module with these names.
"""

from __future__ import annotations

from datetime import timedelta

PRODUCT = "Kerauno"

# Layout
skip = "Skip to the page"
menu = "Menu"
main_navigation = "Main"
home = "Home"
phone_book = "Phone book"
sign_out = "Sign out"
change_a_password = "Change password"  # noqa: S105 - a label
signed_in_as = "Signed in as"
optional = "(optional)"
pages = "Pages"
previous = "Previous"
following = "Next"
reference = "If you ask for help, give this code:"
account_menu = "Account:"
back_home = "Go to your home page"
try_again = "Try again"

# Sign-in
sign_in = "Sign in"
sign_in_title = "Sign in to Kerauno"
sign_in_lead = "Use the password of your company account."
username_or_email = "Username or email"
email = "Email"
back_to_sign_in = "Back to sign-in"
email_example = "such as john.doe@company.com"
password = "Password"  # noqa: S105 - a label
sign_in_help = "Forgotten your password? Your company's help desk can reset it."

refused_title = "You could not be signed in"
refused = "The name or the password is wrong, or this account has no access to Kerauno."
domain_needed_title = "Please type your full email address"
domain_needed = "Sign in with your email address, such as john.doe@company.com."
unavailable_title = "Sign-in is not possible just now"
unavailable = (
    "The company directory cannot be reached, so nobody's password can be checked. "
    "You did nothing wrong. Please try again in a minute."
)
records_unavailable = (
    "Kerauno's own records cannot be reached. You did nothing wrong. Please try again in a minute."
)
throttled_title = "Too many attempts"
signed_out = "You are signed out."
session_ended = "Please sign in to go on."


def throttled(seconds: int) -> str:
    """How long to wait before the next attempt."""
    return f"To protect your account, please wait {duration(seconds)} and then try again."


# Changing a password
change_title = "Choose a new password"
change_expired = (
    "Your password has expired",
    "It was right, but it is too old. Choose a new one to sign in.",
)
change_required = (
    "Your password must be changed",
    "It was right, but it must be changed before you sign in. Choose a new one.",
)
change_lead = "The new password replaces your company password everywhere, not only in Kerauno."
current_password = "Current password"  # noqa: S105 - a label
new_password = "New password"  # noqa: S105 - a label
new_password_again = "New password again"  # noqa: S105 - a label
change_password = "Change password and sign in"  # noqa: S105 - a label
passwords_differ = "The two new passwords are not the same."
new_password_missing = "Type a new password."  # noqa: S105 - a sentence
new_password_same = "The new password is the same as the current one."  # noqa: S105 - a sentence
policy_refused = (
    "Your company's password rules do not allow this password: it may be too short, too simple, "
    "used before, or the last change may be too recent."
)
change_insecure = (
    "The password cannot be changed here, because the connection to the directory is not "
    "encrypted. Please ask your company's help desk."
)
change_failed = "The directory did not change the password. Please ask your company's help desk."
changed_title = "Your password is changed"
changed = "Sign in with the new password."

# Home
extension = "Extension"
no_extension = "You have no extension yet."
departments = "Departments"
no_departments = "You are in no department."
sessions = "Where you are signed in"
sessions_lead = "End a session that you do not recognize, then change your password."
this_session = "This browser"
end_session = "End session"
end_other_sessions = "End all others"
session_was_ended = "The session was ended."
sessions_were_ended = "All other sessions were ended."
your_details = "Your details"
name = "Name"
username = "Username"
role = "Role"
roles = {"user": "User", "manager": "Department manager", "admin": "System administrator"}
managed_by_directory = "From your company's directory"
unknown_browser = "Unknown browser"
last_used = "Last used"
signed_in_at = "Signed in"
methods = {
    "directory": "company password",
    "local": "Kerauno password",
    "kerberos": "automatic sign-in",
}

# Phone book
phone_book_lead = "Everyone with an extension, and the ring groups of departments."
phone_book_vcards = "For address books (vCard)"
phone_book_csv = "For spreadsheets (CSV)"
phone_book_search = "Search by name, number or department"
search = "Search"
phone_book_empty = "Nobody is in the phone book yet."
phone_book_no_match = "Nobody matches your search."
ring_group = "Ring group"
number = "Number"
phone_book_more = "There are more. Search to find them."
clear_search = "Clear the search"

# Errors
errors = {
    400: ("This request cannot be understood", "Go back, check what you typed, and try again."),
    401: ("Please sign in", "This page is for people who are signed in."),
    403: ("This is not yours to open", "Your role does not include this page."),
    404: ("This page does not exist", "It may have been moved, or the address may be mistyped."),
    405: ("This cannot be done here", "The address exists, but not for this kind of request."),
    409: (
        "This has changed in the meantime",
        "Someone else changed it, or it belongs to the directory. Load the page again.",
    ),
    413: ("This is too large", "Send less at once."),
    415: ("This kind of content is not accepted", "Send what the page asks for."),
    429: ("Too many requests", "Please wait a little and then try again."),
    500: (
        "Something went wrong on our side",
        "It has been written down for the administrators. Please try again.",
    ),
    503: (
        "Kerauno cannot answer just now",
        "You did nothing wrong. Please try again in a minute.",
    ),
}
cross_site = (
    "This request came from another site",
    "It was not carried out. Open Kerauno itself and try again from there.",
)


def duration(seconds: int) -> str:
    """A waiting time in words, rounded up: "1 minute", "40 seconds"."""
    if seconds < 90:
        return "1 second" if seconds == 1 else f"{max(seconds, 1)} seconds"
    minutes = -(-seconds // 60)
    return f"{minutes} minutes" if minutes < 120 else f"{-(-minutes // 60)} hours"


def ago(span: timedelta) -> str:
    """How long since, roughly."""
    minutes = int(span.total_seconds() // 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return "1 minute ago" if minutes == 1 else f"{minutes} minutes ago"
    hours = minutes // 60
    if hours < 48:
        return "1 hour ago" if hours == 1 else f"{hours} hours ago"
    return f"{hours // 24} days ago"
