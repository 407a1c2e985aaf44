"""Acts of an administrator, as data: each with the moment its cause is over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.chaos.console import CREDENTIALS
from tests.chaos.world import World
from tests.servers.pki import CertificateAuthority
from tests.servers.process import wait_until


@dataclass(frozen=True, slots=True)
class Step:
    """One act or fault; when `do` returns, its cause is over. `lasts`: it can be drawn out.

    `deafens`: while it lasts nothing can be followed. `because`: why the cause ends later than one
    would think. `only`: the kind of database that it is for.
    """

    name: str
    do: Callable[[World, float], None]
    lasts: bool = False
    deafens: bool = False
    because: str = ""
    only: str = ""


def look_and_leave(world: World, _: float) -> None:
    """Change User Search DN, see the effect, keep the present settings."""
    form = world.console.form(CREDENTIALS, CREDENTIALS)
    location = world.console.post(CREDENTIALS, form | {"user_search_dn": world.departments_dn})
    page = world.console.follow(location)
    assert "would no longer be recognized" in page, page
    world.console.get(CREDENTIALS)


def look_at_pages(world: World, _: float) -> None:
    """Open every page of the console that asks the directory or the sync service."""
    pages = ("", "/servers", "/directory/credentials", "/directory/users")
    for page in (*pages, "/directory/departments", "/runs"):
        world.console.get(f"/console{page}")


def try_draft(world: World, _: float) -> None:
    """Test settings that are not stored: another search DN, then a wrong password."""
    assert world.console.test(user_search_dn=world.top)
    assert not world.console.test(password="Wrong!Pass1")


def try_stored(world: World, _: float) -> None:
    """Test the stored settings."""
    assert world.console.test()


def try_by_command(world: World, _: float) -> None:
    """Test the stored settings on the command line."""
    done = world.command("authsvc", "directory", "test")
    assert done.returncode == 0, done.stdout + done.stderr


def save_the_same(world: World, _: float) -> None:
    """Save AD Credentials as they are."""
    world.console.save()


def save_changed(world: World, _: float) -> None:
    """Save another timer and a wider User Search DN, which recognizes the same people."""
    minutes = str(world.chance.randrange(30, 90))
    wide = world.chance.choice([world.people_dn, world.top])
    world.console.save(sync_minutes=minutes, user_search_dn=wide)


def change_password(world: World, seconds: float) -> None:
    """Give the service account another password in AD, and then in Kerauno."""
    new = f"Chaos!{world.next_number()}"
    for password in (f"{new}-between", new):  # AD takes the last but one for an hour
        world.dc.set_password(world.dc.tracker.dn, password)
    world.proxy.cut()
    world.rest(seconds)
    world.service_password = new
    world.console.save(password=new)


def password_right_again_in_ad(world: World, seconds: float) -> None:
    """Another password in AD, and the old one again; an administrator tests the settings."""
    for password in ("Chaos!first-1", "Chaos!second-2"):
        world.dc.set_password(world.dc.tracker.dn, password)
    world.proxy.cut()
    world.rest(seconds)
    world.dc.set_password(world.dc.tracker.dn, world.service_password)
    if world.chance.random() < 0.5:
        wait_until(world.console.test, "the test of the stored settings", 10)
    else:
        try_by_command(world, 0)


def wrong_password_saved(world: World, seconds: float) -> None:
    """Save a wrong password, and then the right one."""
    world.console.save(password="Wrong!Pass1")
    world.rest(seconds)
    world.console.save(password=world.service_password)


def plan(world: World, _: float) -> None:
    """`syncsvc plan`."""
    done = world.command("syncsvc", "plan")
    assert done.returncode == 0, done.stderr


def once(world: World, _: float) -> None:
    """`syncsvc once` beside the service."""
    done = world.command("syncsvc", "once")
    assert done.returncode == 0, done.stderr


def build_some(world: World, _: float) -> None:
    """Synchronize Users with some people selected."""
    staff = sorted(set(world.truth()) - world.apart)
    chosen = world.chance.choice(staff)
    form = {"only": "selected", "guid": chosen}
    location = world.console.post("/console/directory/users/synchronize", form)
    page = world.console.follow(location)
    if "/apply" in page:
        world.console.do(f"{location}/apply", world.console.form(location, f"{location}/apply"))


def run_now(world: World, _: float) -> None:
    """Runs › Run now."""
    world.console.do("/console/runs")


def failed_import(world: World, _: float) -> None:
    """Import a department with a number that somebody has."""
    taken = next(known.extension for known in world.users().values() if known.active)
    arguments = ("department", "import", world.group, "--number", taken)
    done = world.command("syncsvc", *arguments)
    assert done.returncode == 1, done.stdout + done.stderr


def import_and_unimport(world: World, _: float) -> None:
    """Import the department, or unimport it when it is imported."""
    here = f"/console/directory/departments/{world.dc.guid(world.group)}"
    if "/unimport" in world.console.get(here):
        world.console.do(f"{here}/unimport")
    else:
        world.console.do(f"{here}/import", {"number": f"6{world.chance.randrange(10, 99)}"})


def hold(world: World) -> tuple[str, str]:
    """Let one disabled person be too many; gives the held run's page and the person's DN."""
    world.console.save(guard_count="0", guard_percent="0")
    person = world.chance.choice(world.staff())
    world.dc.disable(person)
    wait_until(lambda: bool(world.asked(lambda: world.runs("held"))), "a held run", 20)
    return f"/console/runs/{world.runs('held')[0].id}", person


def confirm_held(world: World, _: float) -> None:
    """A run is held; an administrator confirms it, and the guard is as before."""
    page, person = hold(world)
    form = world.console.form(page, f"{page}/confirm") | {"typed": "CONFIRM"}
    world.console.do(f"{page}/confirm", form)
    world.dc.enable(person)
    world.console.save(guard_count="1000", guard_percent="100")


def discard_held(world: World, _: float) -> None:
    """A run is held; the person is enabled again, and an administrator discards it."""
    page, person = hold(world)
    world.dc.enable(person)
    world.console.follow(world.console.post(f"{page}/discard"))
    world.console.save(guard_count="1000", guard_percent="100")


def undo(world: World, _: float) -> None:
    """Undo the last run, and have AD's state built again: else the next run would be held."""
    applied = next((run for run in world.runs("applied") if run.kind != "undo"), None)
    if applied is not None:
        world.console.do(f"/console/runs/{applied.id}/undo")
        world.console.do("/console/runs")


def desync_and_sync(world: World, _: float) -> None:
    """De-Sync a user, and sync them again for sign-in alone: AD owns their name no more."""
    guids = {dn: guid for guid, (dn, _) in world.truth().items()}
    guid = guids[world.chance.choice(world.staff())]
    world.apart.add(guid)
    here = f"/console/users/{world.user_id(guid)}/directory"
    world.console.do(f"{here}/desync")
    world.console.do(f"{here}/sync")
    world.hire()  # so that there is always somebody left


def toggle(world: World, _: float) -> None:
    """Auto-Synchronization to No and back, or to No for a while."""
    world.auto_sync = not world.auto_sync
    world.console.save(auto_sync="yes" if world.auto_sync else "no")


def rotate_keys(world: World, _: float) -> None:
    """`authsvc key rotate`, without a restart."""
    done = world.command("authsvc", "key", "rotate")
    assert done.returncode == 0, done.stderr


def replace_authority(world: World, seconds: float) -> None:
    """The server gets a certificate of another authority; the administrator uploads that one's."""
    dc = world.dc
    dc.stop()
    dc.authority = CertificateAuthority()
    pki = dc.folder / "pki"
    dc.authority.issue(pki, [dc.dns_name], [dc.host])
    dc.authority.write(pki)
    dc.start()
    world.rest(seconds)
    world.console.save(ca_file=dc.ca_pem)


def replace_certificate(world: World, _: float) -> None:
    """The server gets another certificate of the same authority, and is started again."""
    dc = world.dc
    dc.stop()
    dc.use_certificate([dc.dns_name], [dc.host])
    dc.start()


def step(
    do: Callable[[World, float], None],
    *,
    lasts: bool = False,
    deafens: bool = False,
    because: str = "",
    only: str = "",
) -> Step:
    """A step named after what does it."""
    name = do.__name__.replace("_", " ")
    return Step(name, do, lasts or deafens, deafens, because, only)


ELSEWHERE = (
    "The service account may see deleted objects: for one that may not, deletions are found by a "
    "sweep, within a minute.",
    "PostgreSQL's own clock is not moved: it stands for another host.",
)
"""What the ten seconds are not asked of, besides each step's `because`."""

ACTS = (
    *map(step, (look_and_leave, look_at_pages, try_draft, try_stored, try_by_command)),
    *map(step, (save_the_same, save_changed, plan, once, build_some, run_now, failed_import)),
    *map(step, (import_and_unimport, confirm_held, discard_held, toggle, rotate_keys)),
    *map(step, (desync_and_sync, replace_certificate)),
    step(replace_authority, deafens=True),
    step(change_password, deafens=True),
    step(wrong_password_saved, deafens=True),
    step(
        password_right_again_in_ad,
        deafens=True,
        because="After a wrong password no further bind is tried for five minutes, so that the "
        "account is not locked: Kerauno cannot know that it was put right in AD. A test that "
        "succeeds with the stored settings says so.",
    ),
    step(
        undo,
        because="What was undone is not built again by itself: the next run would be held for an "
        "administrator, who presses Run now.",
    ),
)
