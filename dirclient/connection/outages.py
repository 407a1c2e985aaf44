"""The kinds of `Unavailable`: what one server did, and so who may be asked next.

    Unavailable
    ├── NotSent     the request did not leave whole: safe to repeat
    ├── TimedOut    no answer came in time: whether it was acted on is unknown
    ├── Torn        the connection broke before the answer: likewise
    └── Declined    an answer came, and it says that this server cannot do it now
        └── BindLost    the connection is bound no more

`Unsuited` is a `Misconfigured`: this server does not take a password as it was sent.
"""

from __future__ import annotations

from dirclient.model.errors import DirectoryError, Misconfigured, Unavailable


class NotSent(Unavailable):
    """The request did not leave whole, so the server cannot have acted on it: safe to repeat."""


class TimedOut(Unavailable):
    """The server took the request and did not answer in time. Whether it acted is unknown.

    `seconds` is how long it had.
    """

    def __init__(self, message: str, *, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


class Torn(Unavailable):
    """The connection broke, or its answer made no sense. Whether the server acted is unknown."""


class Declined(Unavailable):
    """The server answered that it cannot do this; it acted on nothing, and another one may.

    `code` is its result code. `unwell` says that the server itself is the reason, whatever was
    asked of it; else it may as well be the question.
    """

    def __init__(self, message: str, *, code: int, unwell: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.unwell = unwell


class BindLost(Declined):
    """The server takes the connection for one that nobody has signed in on."""


class Unsuited(Misconfigured):
    """The server looks at no password that is sent in this way, or only passes it on."""


def outage(error: BaseException | None) -> Unavailable | Unsuited | None:
    """Return what a server did, where that is behind an error: a half read may have ended by it."""
    while error is not None:
        if isinstance(error, (NotSent, TimedOut, Torn, Declined, Unsuited)):
            return error
        error = error.__cause__
    return None


def is_late(why: DirectoryError) -> bool:
    """Return whether it means that no answer came in time."""
    return isinstance(why, TimedOut) or isinstance(why.__cause__, TimeoutError)


def reason(fault: BaseException | None) -> str:
    """A short reason from the system, without numbers or Python's names."""
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror.lower()
    return str(fault) or type(fault).__name__
