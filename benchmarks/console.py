"""How fast the AD Users table is with 100,000 recognized people.

    python -m benchmarks.console [people]

Asks the real app for whole pages, in process, on SQLite: first page, each sort, each filter,
searches that match many, few and nobody, and a page from the middle.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from pathlib import Path

from flask.testing import FlaskClient
from sqlalchemy import insert

from benchmarks.outcome import ends_loudly, require
from kerauno.base.lookup_keys import lookup_key, sort_key
from kerauno.database.engine import Database
from kerauno.migrations import upgrade
from kerauno.tables.core import SeenPerson
from tests.servers.console import ConsoleSite, guid

TABLE = "/console/directory/users"
ASKED = (
    "",
    "?state=ready",
    "?state=conflict",
    "?sort=-name",
    "?sort=login",
    "?sort=-extension",
    "?q=anna",
    "?q=anna5.last123",
    "?q=nobody-at-all",
    "?q=last99&state=conflict",
)
FIRST = ("Anna", "Bruno", "Carla", "Dmitri", "Elif", "Farah", "Goran", "Hana", "Ines", "Jack")


def fill(site: ConsoleSite, people: int) -> None:
    """So many people in the mirror: most synced, some ready, some with a conflict."""
    directory_id = site.connected()
    dice = random.Random(1)
    conflict = {
        "code": "extension_taken",
        "value": "1",
        "other": "somebody",
        "remedy": "Change it.",
    }
    rows = []
    for number in range(people):
        first, last = f"{dice.choice(FIRST)}{number % 97}", f"Last{number % 9973}"
        login = f"{first}.{last}{number}@goodcompany.local".lower()
        state = dice.choices(("synced", "ready", "conflict"), (80, 15, 5))[0]
        rows.append(
            {
                "directory_id": directory_id,
                "guid": guid(number),
                "dn": f"CN={first} {last},OU=Dept{number % 400},DC=goodcompany,DC=local",
                "first_name": first,
                "last_name": last,
                "login": login,
                "extension": str(100_000 + number),
                "account_name": f"{first}{number}".lower(),
                "state": state,
                "conflicts": [conflict] if state == "conflict" else [],
                "sort_key": sort_key(last, first, login),
                "search_text": lookup_key(f"{first} {last} {login} {100_000 + number}"),
                "digest": "d" * 32,
            }
        )
    with site.database.write() as s:
        s.execute(insert(SeenPerson), rows)


def measure(client: FlaskClient, path: str, times: int = 9) -> tuple[float, float]:
    """Median and best of several whole pages, in seconds."""
    client.get(path)
    took = []
    for _ in range(times):
        began = time.perf_counter()
        answer = client.get(path)
        require(answer.status_code == 200, f"{path}: {answer.status}")
        took.append(time.perf_counter() - began)
    return statistics.median(took), min(took)


def main() -> None:
    """Fill, ask, print."""
    people = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/kerauno.db"
        database = Database(url)
        upgrade(database)
        database.close()
        site = ConsoleSite(Path(folder), url)
        fill(site, people)
        client = site.client()
        print(f"{people:,} people         median      best")
        for query in ASKED:
            median, best = measure(client, TABLE + query)
            print(f"{query or 'first page':28}{median * 1000:7.0f} ms {best * 1000:6.0f} ms")
        page = client.get(TABLE).text
        after = page.partition('rel="next" href="')[2].partition('"')[0].replace("&amp;", "&")
        require(after.startswith(TABLE), "the first page leads to no second one")
        median, best = measure(client, after)
        print(f"{'second page':28}{median * 1000:7.0f} ms {best * 1000:6.0f} ms")
        site.close()


if __name__ == "__main__":
    ends_loudly("benchmarks.console", main)
