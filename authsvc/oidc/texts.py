"""Every sentence of the provider's pages, in one place. Templates reach this module as `w`."""

from __future__ import annotations

from collections.abc import Iterable

untrusted = "This sign-in link does not work"
took_too_long = "This took too long"
start_again = "The app's request is not waiting any more. Please start again at the app."

# Consent
consent_title = "Share your details?"
allow = "Allow"
deny = "Do not allow"
consent_foot = "You can take this back at any time on your home page, under Connected apps."
wishes = {
    "profile": "Your name and username",
    "email": "Your email address",
    "phone": "Your extension",
    "groups": "The departments you belong to",
    "offline_access": "Access while you are not at your computer, until you take it back",
}
who_you_are = "Who you are"


def consent_lead(app: str) -> str:
    """What is asked."""
    return f"{app} would like to sign you in with your Kerauno account and know:"


def goes_to(host: str) -> str:
    """Where the answer goes."""
    return f"You will be taken to {host}."


# Signing out
sign_out_title = "Sign out?"
sign_out = "Sign out"
stay = "Stay signed in"
signed_out_title = "You are signed out"
signed_out_lead = "You are signed out of Kerauno. The apps you used with it are being told."


def sign_out_lead(app: str) -> str:
    """An app, or nobody in particular, asks to sign the person out."""
    if app:
        return f"{app} asks to sign you out of Kerauno and of every app you use with it."
    return "Do you want to sign out of Kerauno and of every app you use with it?"


# Devices
device_title = "Connect a device"
device_lead = "Type the code that your phone or device shows."
device_code = "Code"
device_example = "such as BCDF-GHJK"
go_on = "Continue"
device_wrong = "This code is not known. Check the device: codes last ten minutes."
device_confirm_title = "Connect this device?"
device_connect = "Connect"
device_refuse = "Not my device"
device_done_title = "Device connected"
device_done = "You can put this page away. The device signs itself in within a few seconds."
device_refused_title = "Device refused"
device_refused = "Nothing was connected. The code is of no more use."
device_warning = (
    "Connect only a device that is in front of you. Nobody from your company will ever send you "
    "a code to type here."
)


def device_asks(app: str, code: str) -> str:
    """What connecting means."""
    return f"{app} on the device that shows {code} will be signed in as you and know:"


def device_from(address: str) -> str:
    """Where the device is."""
    return f"The request came from the address {address}."


# Connected apps
apps_title = "Connected apps"
apps_lead = "Apps that you opened with your Kerauno account."
apps_none = "No app is connected"
apps_none_note = "When you sign in to an app with Kerauno, it is listed here."
company_app = "Company app"
knows = "Knows"
since = "connected"
last_used = "last used"
disconnect = "Disconnect"
disconnected = "The app is disconnected: what it held for you has ended."

_short = {
    "profile": "name",
    "email": "email",
    "phone": "extension",
    "groups": "departments",
}


def known(scopes: Iterable[str]) -> str:
    """What an app knows of the person, in a few words."""
    words = [_short[scope] for scope in scopes if scope in _short]
    return ", ".join(words) or "who you are"
