"""One run in a process of its own, on a directory in memory: `python -m tests.servers.one_run`.

Arguments: address of the database, folder of the key, people in all, how many of them were
removed, what to do (`build` or a trigger). Prints the run's document as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from dirclient.fake.directory import FakeDirectory
from kerauno.database.engine import Database
from kerauno.secrets.encryption import Sealer
from provisioning.plan import Mode
from syncsvc.runs.engine import Engine, RunOptions
from tests.syncing import guid


def main(url: str, folder: str, people: str, removed: str, what: str) -> None:
    """Say what the run came to."""
    fake = FakeDirectory()
    fake.server_id = "the same in every process"
    for number in range(1, int(people) + 1):
        name = f"p{number}.q{number}"
        person = fake.add_person(name, guid=guid(number), extension=str(1000 + number))
        if number <= int(removed):
            fake.remove_person(person.guid)
    sealer = Sealer(Path(folder) / "secret.key", create=True)
    engine = Engine(Database(url), sealer, lambda _profile: fake)
    ask = RunOptions("cli", mode=Mode.BUILD) if what == "build" else RunOptions(what)
    print(json.dumps(engine.run(ask)))


if __name__ == "__main__":
    main(*sys.argv[1:])
