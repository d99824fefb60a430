"""A person at the pages of a running platform: signed in or not, dark or light, at a desk or on a phone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from tests.support.browser import OVERFLOW
from tests.support.e2e.platform import Platform

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

ADMIN, PASSWORD = "keeper", "only for tests"
SERIOUS = ("serious", "critical")
ONLY_VIOLATIONS = {"resultTypes": ["violations"]}  # it need not tell of each place where all is well


def make_administrator(platform: Platform) -> None:
    """Make the user who signs in; `admin` was made when the folder was prepared."""
    platform.env["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
    made = platform.manage("createsuperuser", "--noinput", "--username", ADMIN, "--email", "keeper@example.com")
    assert made.returncode == 0, made.stderr


class Visitor:
    """A page of a browser, and what it complains about."""

    def __init__(self, page: Page, base: str) -> None:
        self.page, self.base = page, base
        self.complaints: list[str] = []
        self._examines = False  # axe-core writes styles into the page, which it may not
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: ConsoleMessage) -> None:
        # A picture of a canvas is taken by tests alone.
        is_ours = "willReadFrequently" in message.text
        if message.type in ("error", "warning") and not (self._examines or is_ours):
            self.complaints.append(f"{message.text} ({message.location.get('url')}) at {self.page.url}")

    def open(self, path: str) -> Page:
        """Go to a page; it must answer with 200."""
        answer = self.page.goto(self.base + path)
        assert answer is not None and answer.status == 200, (path, answer and answer.status)
        return self.page

    def sign_in(self) -> None:
        """Sign in as the administrator."""
        self.open("/sign-in")
        self.page.fill("[name=username]", ADMIN)
        self.page.fill("[name=password]", PASSWORD)
        self.page.click("button.primary")
        self.page.wait_for_url(lambda url: "sign-in" not in url)

    def until(self, what: str, look: Callable[[], Any], seconds: float = 30) -> Any:
        """Look again and again, while the page goes on, until what is seen is true."""
        for _ in range(int(seconds * 10)):
            if found := look():
                return found
            self.page.wait_for_timeout(100)
        raise AssertionError(f"not within {seconds} s: {what}")

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the screen."""
        return int(self.page.evaluate(OVERFLOW))

    def barriers(self) -> list[str]:
        """Return what keeps people with a screen reader or weak eyes from using the page, as axe-core finds it."""
        from axe_playwright_python.sync_playwright import Axe

        self._examines = True
        found = Axe().run(self.page, options=ONLY_VIOLATIONS).response["violations"]
        self.page.wait_for_timeout(50)  # what it said has arrived by then
        self._examines = False
        return [
            f"{one['id']} ({one['impact']}): {one['nodes'][0]['html'][:200]}"
            for one in found
            if one["impact"] in SERIOUS
        ]


@contextmanager
def visitor(
    browser: Browser, base: str, width: int = 1280, scheme: Literal["dark", "light"] = "light"
) -> Iterator[Visitor]:
    """Open a window of a person who has never been here."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    yield Visitor(context.new_page(), base)
    context.close()
