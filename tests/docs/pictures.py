"""The pictures of the README, taken of the running demo: `python -m tests.docs.pictures`."""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from demo import company
from demo.run import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.servers.chromium import chromium
from tests.servers.demo import RunningDemo
from tests.servers.process import PROJECT

IMAGES = PROJECT / "docs" / "images"
# name, who looks (empty: a stranger), path
PICTURES = (
    ("sign-in.png", "", "/login"),
    ("home.png", "john.doe", "/"),
    ("console.png", ADMIN_EMAIL, "/console/directory/users?state=conflict"),
)


def take(browser: Browser, url: str, folder: Path) -> list[Path]:
    """Take every picture of the demo at this address."""
    taken = []
    for name, who, path in PICTURES:
        context = browser.new_context(viewport={"width": 1360, "height": 850}, locale="en-GB")
        page = context.new_page()
        if who:
            page.goto(f"{url}/login")
            page.get_by_label("Username").fill(who)
            page.get_by_label("Password", exact=True).fill(
                ADMIN_PASSWORD if who == ADMIN_EMAIL else company.PASSWORD
            )
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(f"{url}/")
        answer = page.goto(f"{url}{path}")
        assert answer is not None
        assert answer.status == 200, f"{path}: {answer.status}"
        page.screenshot(path=folder / name)
        taken.append(folder / name)
        context.close()
    return taken


def main() -> None:
    """Take them for the documentation."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, chromium() as browser:
        demo = RunningDemo(Path(scratch) / "var")
        try:
            for one in take(browser, demo.url, IMAGES):
                print(one.relative_to(PROJECT))
        finally:
            demo.server.stop()


if __name__ == "__main__":
    main()
