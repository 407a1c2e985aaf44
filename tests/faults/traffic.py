"""People who sign in with their right passwords while something breaks."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from urllib.parse import urlencode

from demo import company
from tests.servers.process import wait_until
from tests.servers.web import Installation

PAUSE = 0.1  # seconds between one person's sign-ins
NO_ANSWER = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """One sign-in: when it was sent and answered, and how. Status 0: the connection broke."""

    email: str
    began: float
    ended: float
    status: int


def sign_in(kerauno: Installation, email: str, password: str = company.PASSWORD) -> Answer:
    """Sign in from a new browser."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(kerauno.host, kerauno.port, timeout=30)
    form = urlencode({"username": email, "password": password})
    headers = {"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"}
    try:
        connection.request("POST", "/login", form, headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException):
        status = NO_ANSWER
    finally:
        connection.close()
    return Answer(email, began, time.monotonic(), status)


class Traffic:
    """Each person in a thread of their own, from `with` to its end."""

    def __init__(self, kerauno: Installation, emails: Sequence[str]) -> None:
        self.answers: list[Answer] = []
        self._kerauno = kerauno
        self._stop = threading.Event()
        self._emails = emails
        self._threads = [threading.Thread(target=self._work, args=(email,)) for email in emails]

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _work(self, email: str) -> None:
        while not self._stop.wait(PAUSE):
            self.answers.append(sign_in(self._kerauno, email))

    def flows(self, since: float, times: int = 2, seconds: float = 75.0) -> None:
        """Wait until everybody's last answers, sent after `since`, let them in."""

        def flowing() -> bool:
            for email in self._emails:
                own = self._statuses(since, email)[-times:]
                if own != [303] * times:
                    return False
            return True

        try:
            wait_until(flowing, "everybody is let in", seconds)
        except TimeoutError as error:
            answers = {email: Counter(self._statuses(since, email)) for email in self._emails}
            raise TimeoutError(f"{error}: {answers}") from None

    def _statuses(self, since: float, email: str) -> list[int]:
        return [answer.status for answer in self._after(since) if answer.email == email]

    def normal_after(self, end: float) -> float:
        """Seconds from `end` until the last sign-in that was sent after it and failed was over.

        Without one, until everybody's first was answered: it may have waited.
        """
        after = self._after(end)
        failed = [one.ended for one in after if one.status != 303]
        firsts = [next(one.ended for one in after if one.email == email) for email in self._emails]
        return max([*failed, *firsts]) - end

    def counts(self) -> Counter[int]:
        """How many answers there were of each status."""
        return Counter(one.status for one in list(self.answers))

    def let_in(self) -> Counter[str]:
        """How often each person was told that they are in."""
        return Counter(one.email for one in list(self.answers) if one.status == 303)

    def _after(self, moment: float) -> list[Answer]:
        return [one for one in list(self.answers) if one.began >= moment]
