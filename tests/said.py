"""The texts of the sign-in pages, in English, as people read them."""

SKIP = "Skip to the page"
MENU = "Menu"
MAIN_NAVIGATION = "Main"
PHONE_BOOK = "Phone book"
SIGN_OUT = "Sign out"
REFERENCE = "If you ask for help, give this code:"
USERNAME_OR_EMAIL = "Username or email"
REFUSED_TITLE = "You could not be signed in"
REFUSED = "The name or the password is wrong, or this account has no access to Kerauno."
DOMAIN_NEEDED_TITLE = "Please type your full email address"
DOMAIN_NEEDED = "Sign in with your email address, such as john.doe@company.com."
UNAVAILABLE_TITLE = "Sign-in is not possible just now"
UNAVAILABLE = (
    "The company directory cannot be reached, so nobody's password can be checked. "
    "You did nothing wrong. Please try again in a minute."
)
THROTTLED_TITLE = "Too many attempts"
SIGNED_OUT = "You are signed out."
CHANGE_EXPIRED = (
    "Your password has expired",
    "It was right, but it is too old. Choose a new one to sign in.",
)
CHANGE_REQUIRED = (
    "Your password must be changed",
    "It was right, but it must be changed before you sign in. Choose a new one.",
)
NEW_PASSWORD_AGAIN = "New password again"
PASSWORDS_DIFFER = "The two new passwords are not the same."
NEW_PASSWORD_MISSING = "Type a new password."
NEW_PASSWORD_SAME = "The new password is the same as the current one."
POLICY_REFUSED = (
    "Your company's password rules do not allow this password: it may be too short, too simple, "
    "used before, or the last change may be too recent."
)
END_SESSION = "End session"
SESSION_WAS_ENDED = "The session was ended."
UNKNOWN_BROWSER = "Unknown browser"
PHONE_BOOK_NO_MATCH = "Nobody matches your search."
