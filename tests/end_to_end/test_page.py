"""The chat page of app.py in a real Chromium: what its visitors see, with the mouse, the keyboard and a telephone."""

from __future__ import annotations

import itertools
import re
import shutil
import signal
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, TypeAlias

import pytest
from playwright.sync_api import Browser, Locator, Page, ViewportSize, expect, sync_playwright

from ..support.program import DEADLINE, wait_for
from ..support.running_app import COMMANDS, Line, RunningApp, running_app

CHROMIUM = shutil.which("chromium")

ARGUMENTS = [
    *["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"],
    *["--disable-background-networking", "--disable-component-update"],
]

PHONE: ViewportSize = {"width": 360, "height": 740}

INJECTION = '<img src=x onerror="document.title=1">'


class Visitor:
    """A browser of its own, looking at the page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.name = ""
        self.faults: list[str] = []
        """What the page would have complained of in the browser's console."""
        page.on(
            "console", lambda message: self.faults.append(message.text) if message.type == "error" else None
        )
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    @property
    def status(self) -> Locator:
        """Whether the page is connected."""
        return self.page.get_by_role("status")

    @property
    def input(self) -> Locator:
        """Where a message is written."""
        return self.page.locator("#text")

    def button(self, name: str) -> Locator:
        """Return a button by what is written on it."""
        return self.page.get_by_role("button", name=name, exact=True)

    def recipient(self, name: str) -> Locator:
        """Somebody to talk to."""
        return self.page.get_by_role("radio", name=name, exact=True)

    def connect(self, name: str) -> None:
        """Give a name and wait for the welcome."""
        self.page.get_by_label("Your name").fill(name)
        self.button("Connect").click()
        expect(self.status).to_have_text(f"Connected as {name}")
        self.name = name

    def hang_up(self) -> None:
        """Leave, if connected, and give the name back: a page that is closed keeps it for a moment."""
        if not self.page.is_closed():
            self.page.evaluate(
                """() => new Promise((done) => {
                    if (!socket || socket.readyState === WebSocket.CLOSED) return done();
                    socket.addEventListener("close", done);
                    leave("Goodbye!");
                })"""
            )

    def say(self, text: str, to: str = "Everyone") -> None:
        """Choose whom to talk to, write, and send."""
        self.recipient(to).check()
        self.input.fill(text)
        self.button("Send").click()
        expect(self.input).to_have_value("")

    def expect_entry(self, who: str, text: str, note: str = "") -> Locator:
        """Wait until the last of the conversation is this, and return it."""
        entry = self.page.get_by_role("log").locator("article").last
        expect(entry.locator(".text")).to_have_text(text)
        expect(entry.locator(".who")).to_have_text(who)
        expect(entry.locator(".note")).to_have_text(note)
        return entry

    def expect_event(self, text: str) -> None:
        """Wait until the last of the conversation is that something happened."""
        expect(self.expect_entry("", text)).to_have_class("event")

    def expect_people(self, *names: str) -> None:
        """Wait until these are the people to talk to."""
        expect(self.page.locator(".choice")).to_have_text(["Everyone", *names, f"{self.name} (you)"])

    def expect_no_sideways_scrolling(self) -> None:
        """Check that the page is no wider than the window."""
        widths = self.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert widths[0] <= widths[1]


@pytest.fixture
def line(app: RunningApp) -> Iterator[Line]:
    """Call without a browser: quicker, where it does not matter what the other one sees."""
    with Line(app) as line:
        yield line


Visit: TypeAlias = Callable[..., Visitor]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium; each visitor has a context of its own."""
    expect.set_options(timeout=DEADLINE * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """One application for most tests of this file."""
    with running_app(tmp_path_factory.mktemp("app")) as running:
        yield running


@pytest.fixture
def visit(browser: Browser, app: RunningApp) -> Iterator[Visit]:
    """Open the page in a browser of its own: `visit()`, or `visit("gordon")` to connect as well."""
    wait_for(lambda: app.people() == 0, "everybody to leave")
    visitors: list[Visitor] = []

    def open_page(
        name: str = "", address: str = app.address, viewport: ViewportSize | None = None
    ) -> Visitor:
        page = browser.new_context(viewport=viewport).new_page()
        page.set_default_timeout(DEADLINE * 1000)
        visitors.append(Visitor(page))
        page.goto(f"http://{address}/")
        if name:
            visitors[-1].connect(name)
        return visitors[-1]

    yield open_page
    for visitor in visitors:
        visitor.hang_up()
        visitor.page.context.close()


def test_what_is_said_to_everyone_is_seen_by_everyone(visit: Visit) -> None:
    batman, robin, alfred = visit("batman"), visit("robin"), visit("alfred")
    batman.say("To the roof.")
    batman.expect_entry("You", "To the roof.")
    robin.expect_entry("batman", "To the roof.")
    robin.say("Coming!")
    batman.expect_entry("robin", "Coming!")
    alfred.expect_entry("robin", "Coming!")
    assert batman.faults == robin.faults == alfred.faults == []


def test_what_is_said_to_one_is_seen_by_the_two_and_nobody_else(visit: Visit) -> None:
    batman, robin, joker = visit("batman"), visit("robin"), visit("joker")
    batman.recipient("robin").check()
    expect(batman.page.get_by_label("Private message to robin")).to_be_visible()
    batman.say("The bike.", to="robin")
    expect(batman.expect_entry("You", "The bike.", "privately to robin")).to_have_class(
        "message mine private"
    )
    expect(robin.expect_entry("batman", "The bike.", "privately to you")).to_have_class("message private")
    robin.say("Understood.", to="Everyone")
    joker.expect_entry("robin", "Understood.")
    expect(joker.page.get_by_text("The bike.")).to_have_count(0)


def test_a_third_is_told_of_two_who_come_talk_and_go(visit: Visit) -> None:
    alfred = visit("alfred")
    batman = visit("batman")
    alfred.expect_event("batman has joined")
    robin = visit("robin")
    alfred.expect_event("robin has joined")
    alfred.expect_people("batman", "robin")
    robin.expect_people("alfred", "batman")
    batman.say("Ready?")
    alfred.expect_entry("batman", "Ready?")
    batman.button("Disconnect").click()
    alfred.expect_event("batman has left")
    robin.page.context.close()
    alfred.expect_event("robin has left")
    alfred.expect_people()


def test_an_announcement_stands_out(visit: Visit, app: RunningApp) -> None:
    batman = visit("batman")
    app.post("/announce", b'{"text": "Curfew at nine."}', "application/json")
    expect(batman.expect_entry("Announcement", "Curfew at nine.")).to_have_class("announcement")


def test_the_query_of_the_page_reaches_the_server(visit: Visit, app: RunningApp) -> None:
    gordon = visit()
    gordon.page.goto(f"http://{app.address}/?name=gordon&desg=commissioner")
    gordon.button("Connect").click()
    gordon.expect_entry("Announcement", "Gordon authorized to login!")


def test_everything_can_be_done_with_the_keyboard_alone(visit: Visit) -> None:
    batman, robin = visit("batman"), visit()
    keys = robin.page.keyboard
    expect(robin.page.get_by_label("Your name")).to_be_focused()
    keys.type("robin")
    keys.press("Enter")
    expect(robin.input).to_be_focused()
    expect(robin.status).to_have_text("Connected as robin")
    expect(robin.button("Send")).to_be_enabled()
    keys.type("Hello, all")
    keys.press("Enter")
    batman.expect_entry("robin", "Hello, all")
    expect(robin.input).to_be_focused()
    for element in (robin.page.get_by_role("log"), robin.recipient("Everyone"), robin.button("Disconnect")):
        keys.press("Shift+Tab")
        expect(element).to_be_focused()
        assert element.evaluate("(e) => getComputedStyle(e.closest('label') ?? e).outlineStyle") == "solid", (
            "the focus can be seen"
        )
    keys.press("Tab")
    keys.press("ArrowDown")
    expect(robin.recipient("batman")).to_be_checked()
    expect(robin.recipient("batman")).to_be_focused()
    keys.press("Tab")
    keys.press("Tab")
    keys.type("Hello, you")
    keys.press("Tab")
    expect(robin.button("Send")).to_be_focused()
    keys.press("Enter")
    batman.expect_entry("robin", "Hello, you", "privately to you")
    robin.button("Disconnect").focus()
    keys.press("Enter")
    batman.expect_event("robin has left")
    expect(robin.page.get_by_label("Your name")).to_be_focused()


def test_the_keyboard_stays_where_it_is_when_others_come_and_go(visit: Visit, line: Line) -> None:
    batman = visit("batman")
    line.connect("?name=robin")
    batman.recipient("robin").focus()
    batman.recipient("robin").check()
    alfred = line.connect("?name=alfred")
    batman.expect_people("robin", "alfred")
    alfred.send("disconnect")
    batman.expect_people("robin")
    expect(batman.recipient("robin")).to_be_focused()
    expect(batman.recipient("robin")).to_be_checked()


def test_what_was_meant_for_one_who_left_goes_to_nobody(visit: Visit, line: Line) -> None:
    batman, robin, joker = visit("batman"), line.connect("?name=robin"), visit("joker")
    batman.recipient("robin").check()
    batman.input.fill("A secret")
    robin.send("disconnect")
    expect(batman.page.get_by_label("robin has left: choose whom to talk to")).to_have_value("A secret")
    expect(batman.button("Send")).to_be_disabled()
    batman.input.press("Enter")
    batman.expect_people("robin", "joker")
    expect(batman.recipient("robin")).to_be_checked()
    batman.say("Nothing secret", to="Everyone")
    batman.expect_people("joker")
    joker.expect_entry("batman", "Nothing secret")
    expect(joker.page.get_by_text("A secret")).to_have_count(0)


def test_who_disconnects_stays_away_until_connecting_again(visit: Visit, app: RunningApp) -> None:
    batman, robin = visit("batman"), visit("robin")
    # A page that reconnected would do so at the first attempt's time, which is made to come at once.
    robin.page.clock.install()
    robin.button("Disconnect").click()
    expect(robin.status).to_have_text("You have hung up. Goodbye!")
    expect(robin.page.get_by_role("log")).to_be_hidden()
    batman.expect_event("robin has left")
    robin.page.clock.run_for(60_000)
    expect(robin.status).to_have_text("You have hung up. Goodbye!")
    assert app.people() == 1
    robin.connect("robin")
    batman.expect_event("robin has joined")
    robin.say("Here I am again")
    batman.expect_entry("robin", "Here I am again")
    expect(robin.page.get_by_text("You are on the line")).to_have_count(2)


def test_a_lost_connection_comes_back_with_the_server(visit: Visit, tmp_path: Path) -> None:
    with running_app(tmp_path) as app:
        batman = visit("batman", app.address)
        robin = visit("robin", app.address)
        batman.recipient("robin").check()
        app.tell()
        assert app.wait() == 0
    expect(batman.status).to_have_text("Reconnecting…")
    batman.expect_event("The connection is lost")
    batman.input.fill("Not yet")
    expect(batman.button("Send")).to_be_disabled()
    with running_app(tmp_path, port=app.port) as app:
        for visitor, name in ((batman, "batman"), (robin, "robin")):
            expect(visitor.status).to_have_text(f"Connected as {name}")
        wait_for(lambda: app.people() == 2, "both to be back")
        # robin is still the same person, so what was begun for him can be sent.
        expect(batman.page.get_by_label("Private message to robin")).to_have_value("Not yet")
        expect(batman.button("Send")).to_be_enabled()
        batman.input.press("Enter")
        robin.expect_entry("batman", "Not yet", "privately to you")


def test_attempts_to_reconnect_become_rarer(visit: Visit, tmp_path: Path) -> None:
    with running_app(tmp_path) as app:
        batman = visit("batman", app.address)
        batman.page.evaluate(
            """() => {
                window.delays = [];
                const setTimer = window.setTimeout;
                window.setTimeout = (callback, delay) => { window.delays.push(delay); return setTimer(callback, 0); };
            }"""
        )
        app.tell()
        assert app.wait() == 0
    # Not `wait_for_function`, which the page's policy lets look only once.
    wait_for(lambda: batman.page.evaluate("window.delays.length >= 8"), "eight attempts")
    delays = batman.page.evaluate("window.delays.slice(0, 8)")
    for delay, at_most in zip(delays, (500, 1000, 2000, 4000, 8000, 15000, 15000, 15000), strict=True):
        assert 0.75 * at_most <= delay <= at_most
    batman.button("Disconnect").click()
    expect(batman.status).to_have_text("You have hung up. Goodbye!")


def test_html_in_names_and_messages_stays_text(visit: Visit, app: RunningApp) -> None:
    batman, mallory = visit("batman"), visit("<img src=x onerror=a()>")
    batman.expect_event("<img src=x onerror=a()> has joined")
    batman.expect_people("<img src=x onerror=a()>")
    mallory.say(INJECTION)
    batman.expect_entry("<img src=x onerror=a()>", INJECTION)
    batman.say(INJECTION, to="<img src=x onerror=a()>")
    batman.expect_entry("You", INJECTION, "privately to <img src=x onerror=a()>")
    app.post(
        "/announce", b"text=" + urllib.parse.quote(INJECTION).encode(), "application/x-www-form-urlencoded"
    )
    batman.expect_entry("Announcement", INJECTION)
    for visitor in (batman, mallory):
        expect(visitor.page.locator("main img[onerror]")).to_have_count(0)
        expect(visitor.page).to_have_title("Gotham Line")
        assert visitor.faults == []


def test_scripts_and_styles_of_others_are_refused(visit: Visit) -> None:
    batman = visit()
    batman.page.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {text: 'ran = 1'}))"
    )
    assert batman.page.evaluate("typeof ran") == "undefined"
    assert re.search("Content Security Policy", batman.faults[0])


def test_a_telephone_never_scrolls_sideways(visit: Visit, line: Line) -> None:
    batman = visit(viewport=PHONE)
    batman.expect_no_sideways_scrolling()
    batman.connect("W" * 24)
    others = [line.connect(f"?name={name}") for name in ("M" * 24, "robin", "alfred")]
    others[0].send("x" * 500)
    batman.expect_entry("M" * 24, "x" * 500)
    batman.recipient("M" * 24).check()
    batman.expect_no_sideways_scrolling()
    for element in (batman.button("Disconnect"), batman.button("Send"), batman.input, batman.status):
        expect(element).to_be_in_viewport(ratio=1)


def test_nothing_moves_when_people_come_and_talk(visit: Visit, line: Line) -> None:
    batman = visit("batman", viewport=PHONE)
    before = [batman.page.locator(part).bounding_box() for part in ("header", "#people", "#log", "#say-form")]
    line.connect("?name=robin").send("Hello " * 300)
    batman.recipient("robin").check()
    expect(batman.page.locator("article.message")).to_be_visible()
    after = [batman.page.locator(part).bounding_box() for part in ("header", "#people", "#log", "#say-form")]
    assert after == before


def test_the_newest_entry_is_in_view_unless_the_visitor_reads_older_ones(
    visit: Visit, app: RunningApp
) -> None:
    batman = visit("batman")
    app.post("/announce", b"text=" + b"Ha!%0A" * 100, "application/x-www-form-urlencoded")
    app.post("/announce", b"text=Enough.", "application/x-www-form-urlencoded")
    expect(batman.expect_entry("Announcement", "Enough.")).to_be_in_viewport()
    batman.page.get_by_role("log").evaluate("(log) => { log.scrollTop = 0; }")
    app.post("/announce", b"text=Or+not.", "application/x-www-form-urlencoded")
    expect(batman.expect_entry("Announcement", "Or not.")).not_to_be_in_viewport()


def test_what_is_said_is_read_out_to_those_who_cannot_see(visit: Visit) -> None:
    batman = visit("batman")
    expect(batman.page.get_by_role("log", name="Conversation")).to_be_visible()
    expect(batman.page.get_by_role("group", name="Talk to").get_by_role("radio")).to_have_count(2)
    expect(batman.recipient("Everyone")).to_be_checked()
    expect(batman.recipient("batman (you)")).to_be_disabled()
    expect(batman.page.get_by_role("textbox", name="Message to everyone")).to_be_visible()


# Whose name is whose


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_after_a_restart_everybody_has_the_name_they_had(
    visit: Visit, tmp_path: Path, number: signal.Signals
) -> None:
    with running_app(tmp_path) as app:
        batman = visit("batman", app.address)
        other = visit(address=app.address)
        other.page.get_by_label("Your name").fill("batman")
        other.button("Connect").click()
        expect(other.status).to_have_text("Connected as batman 2")
        # The one who had the name is the last to call again.
        batman.page.clock.install()
        batman.page.clock.pause_at(2_000_000_000)
        app.tell(number)
        app.wait()
    expect(batman.status).to_have_text("Reconnecting…")
    with running_app(tmp_path, port=app.port) as app, Line(app) as line:
        expect(other.status).to_have_text("Connected as batman 2")
        assert line.connect("?name=batman").name == "batman 3"
        batman.page.clock.run_for(60_000)
        expect(batman.status).to_have_text("Connected as batman")
        batman.expect_event("You are back on the line")


@pytest.mark.parametrize("way", COMMANDS)
def test_each_way_to_run_it_gives_a_page_its_name_again(visit: Visit, tmp_path: Path, way: str) -> None:
    with running_app(tmp_path, way) as app:
        batman = visit("batman", app.address)
        batman.page.reload()
        expect(batman.status).to_have_text("Connected as batman")
        batman.expect_event("You are on the line")


def test_a_page_that_is_loaded_again_goes_on_by_its_name(visit: Visit, app: RunningApp) -> None:
    batman, robin = visit("batman"), visit("robin")
    for _ in range(3):
        batman.page.reload()
        expect(batman.status).to_have_text("Connected as batman")
        batman.expect_people("robin")
    robin.expect_people("batman")
    assert app.people() == 2


def test_a_page_whose_old_connection_has_not_ended_takes_over_its_name(visit: Visit, line: Line) -> None:
    batman, robin = visit("batman"), visit("robin")
    robin.recipient("batman").check()
    said = robin.page.locator("article").count()
    # What a page does that was loaded again before the server has noticed that it was gone.
    (cookie,) = batman.page.context.cookies()
    page = batman.page.evaluate("page")
    assert line.connect(f"?name=batman&page={page}", cookie["value"]).name == "batman"
    expect(batman.status).to_have_text("You are on the line in another window")
    batman.button("Connect").click()
    expect(batman.status).to_have_text("Connected as batman")
    batman.say("It is me")
    robin.expect_entry("batman", "It is me")
    robin.expect_people("batman")
    expect(robin.recipient("batman")).to_be_checked()
    assert robin.page.locator("article").count() == said + 1, "nobody has left or joined for the others"


def test_two_tabs_of_a_browser_are_two_people_even_if_one_is_a_copy(visit: Visit) -> None:
    batman = visit("batman")
    batman.page.reload()
    expect(batman.status).to_have_text("Connected as batman")
    with batman.page.expect_popup() as popup:
        batman.page.evaluate(
            "open('/')"
        )  # which copies what the browser keeps for a tab, as duplicating it does
    copy = Visitor(popup.value)
    copy.page.get_by_label("Your name").fill("batman")
    copy.button("Connect").click()
    expect(copy.status).to_have_text("Connected as batman 2")
    batman.expect_event("batman 2 has joined")
    expect(batman.status).to_have_text("Connected as batman")
    copy.hang_up()


def test_who_hangs_up_gives_the_name_back(visit: Visit) -> None:
    batman = visit("batman")
    batman.button("Disconnect").click()
    visit("batman")


def test_a_browser_that_keeps_nothing_can_chat_all_the_same(visit: Visit) -> None:
    vicki = visit()
    refuse = "Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('refused'); } })"
    vicki.page.add_init_script(refuse)
    vicki.page.reload()
    vicki.connect("vicki")
    # Nobody else is called vicki: her name waits for her for a moment after this.
    vicki.page.reload()
    expect(vicki.page.get_by_label("Your name")).to_be_visible()
    assert vicki.faults == []


# New messages, and nobody to write them


def test_who_reads_older_messages_is_told_of_new_ones_and_brought_to_them(visit: Visit, line: Line) -> None:
    batman = visit("batman", viewport=PHONE)
    robin = line.connect("?name=robin")
    log, button = batman.page.get_by_role("log"), batman.page.get_by_role("button", name="new message")
    robin.send("Holy smoke! \n" * 40)
    robin.send("At the end, it follows.")
    expect(batman.expect_entry("robin", "At the end, it follows.")).to_be_in_viewport()
    expect(button).to_be_hidden()
    log.evaluate("(log) => { log.scrollTop = 0; }")
    line.connect("?name=alfred")
    batman.expect_people("robin", "alfred")
    expect(button).to_be_hidden()
    robin.send("One")
    expect(button).to_have_text("1 new message")
    robin.send("Two")
    expect(button).to_have_text("2 new messages")
    expect(button).to_be_in_viewport(ratio=1)
    button.click()
    expect(batman.expect_entry("robin", "Two")).to_be_in_viewport(ratio=1)
    expect(button).to_be_hidden()
    expect(log).to_be_focused()
    robin.send("Three")
    expect(batman.expect_entry("robin", "Three")).to_be_in_viewport(ratio=1)
    expect(button).to_be_hidden()


def test_the_hint_at_new_messages_goes_when_they_are_reached_without_it(visit: Visit, line: Line) -> None:
    batman = visit("batman", viewport=PHONE)
    robin = line.connect("?name=robin")
    log, button = batman.page.get_by_role("log"), batman.page.get_by_role("button", name="new message")
    robin.send("Holy smoke! \n" * 40)
    ways: list[Callable[[], None]] = [
        lambda: batman.page.keyboard.press("End"),
        lambda: batman.say("My own words are always in view"),
        lambda: button.press("Enter"),
    ]
    for scroll_down in ways:
        log.focus()
        batman.page.keyboard.press("Home")
        wait_for(lambda: log.evaluate("(log) => log.scrollTop === 0"), "the first entry to be in view")
        robin.send("Look!")
        expect(button).to_have_text("1 new message")
        scroll_down()
        expect(button).to_be_hidden()
        expect(batman.page.locator("article").last).to_be_in_viewport(ratio=1)


def test_a_telephones_keyboard_does_not_hide_the_newest_message(visit: Visit, line: Line) -> None:
    batman = visit("batman", viewport=PHONE)
    line.connect("?name=robin").send("Holy smoke! \n" * 40)
    expect(batman.page.locator("article.message")).to_be_visible()
    batman.page.set_viewport_size({"width": PHONE["width"], "height": 400})
    at_end = "(log) => log.scrollTop + log.clientHeight >= log.scrollHeight - 1"
    wait_for(lambda: batman.page.get_by_role("log").evaluate(at_end), "the end to be in view")


def test_an_empty_room_invites_to_open_a_second_window(visit: Visit) -> None:
    batman = visit()
    invitation = batman.page.get_by_role("link", name="Open a second window")
    expect(invitation).to_be_hidden()
    batman.connect("batman")
    expect(invitation).to_be_in_viewport(ratio=1)
    batman.input.press("Shift+Tab")
    expect(invitation).to_be_focused()
    with batman.page.context.expect_page() as opened:
        batman.page.keyboard.press("Enter")
    second = Visitor(opened.value)
    expect(second.page.get_by_label("Your name")).to_have_value("gordon")
    second.page.keyboard.press("Enter")
    expect(second.status).to_have_text("Connected as gordon")
    for visitor in (batman, second):
        expect(visitor.page.get_by_role("link")).to_have_count(0)
    batman.say("Two windows")
    second.expect_entry("batman", "Two windows")
    second.hang_up()
    expect(invitation).to_be_in_viewport(ratio=1)
    batman.button("Disconnect").click()
    batman.connect("Gordon")
    expect(invitation).to_have_attribute("href", "?name=batman")


# Goodbye


def test_a_lost_connection_says_nothing_of_goodbye(visit: Visit, tmp_path: Path) -> None:
    with running_app(tmp_path) as app:
        batman = visit("batman", app.address)
        app.tell()
        app.wait()
    batman.expect_event("The connection is lost")
    expect(batman.page.get_by_text("goodbye")).to_have_count(0)


def test_a_connection_that_the_server_closes_says_goodbye(visit: Visit) -> None:
    batman, robin = visit("batman"), visit("robin")
    batman.page.evaluate("""socket.send('{"type": "disconnect"}')""")
    expect(batman.status).to_have_text("The server has hung up. Goodbye!")
    robin.expect_event("batman has left")
    batman.connect("batman")


# How it looks

WIDTHS = (320, 375, 768, 1280)

TEXTS = """() => {
    // Every visible element with a text of its own: what it says, its color, and what it may stand on.
    const found = [];
    for (const element of document.querySelectorAll("body *")) {
        const text = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE)
            .map((node) => node.textContent.trim()).join("");
        if (!text || !element.checkVisibility()) continue;
        let ground = element;
        while (ground && getComputedStyle(ground).backgroundColor === "rgba(0, 0, 0, 0)") ground = ground.parentElement;
        const { color } = getComputedStyle(element);
        const { backgroundColor, backgroundImage } = getComputedStyle(ground);
        // The page's own background runs from one color to another.
        const grounds = [backgroundColor, ...(backgroundImage.match(/rgb\\([^)]*\\)/g) ?? [])];
        found.push([text, color, grounds]);
    }
    return found;
}"""


def _channels(color: str) -> list[float]:
    """Read `rgb(1, 2, 3)`, which is not transparent."""
    assert re.fullmatch(r"rgb\(\d+, \d+, \d+\)", color), color
    return [int(channel) / 255 for channel in re.findall(r"\d+", color)]


def _luminance(color: str) -> float:
    """Return the relative luminance of WCAG 2.2."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(color)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    """Return the contrast ratio of WCAG 2.2, 1 to 21."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _show_everything(batman: Visitor, app: RunningApp, line: Line) -> None:
    """Fill the conversation with an entry of each kind, a private one last."""
    robin = line.connect("?name=robin")
    robin.send("To everyone")
    batman.say("Mine")
    batman.expect_entry("You", "Mine")
    app.post("/announce", b"text=An+announcement", "application/x-www-form-urlencoded")
    batman.page.evaluate("socket.send('{')")
    batman.expect_entry("Not understood", "this is not a JSON object")
    batman.say("Mine, privately", to="robin")
    batman.expect_entry("You", "Mine, privately", "privately to robin")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read_on_its_background(
    visit: Visit, app: RunningApp, line: Line, scheme: Literal["light", "dark"]
) -> None:
    batman = visit()
    batman.page.emulate_media(color_scheme=scheme)
    texts = batman.page.evaluate(TEXTS)
    batman.connect("batman")
    expect(batman.page.get_by_role("link")).to_be_visible()
    texts += batman.page.evaluate(TEXTS)
    _show_everything(batman, app, line)
    batman.page.evaluate("showUnread(1)")
    texts += batman.page.evaluate(TEXTS)
    said = {text for text, _, _ in texts}
    assert said > {"Connect", "Your name", "It is quiet in Gotham", "Open a second window", "1 new message"}
    assert said > {"Mine", "An announcement", "Announcement", "privately to robin", "Connected as batman"}
    for text, color, grounds in texts:
        for ground in grounds:
            assert _contrast(color, ground) >= 4.5, f"{text!r} is {color} on {ground}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_kind_of_entry_has_a_color_of_its_own(
    visit: Visit, app: RunningApp, line: Line, scheme: Literal["light", "dark"]
) -> None:
    batman = visit("batman")
    batman.page.emulate_media(color_scheme=scheme)
    _show_everything(batman, app, line)
    colors = {
        kind: _channels(
            batman.page.locator(kind).first.evaluate("(entry) => getComputedStyle(entry).backgroundColor")
        )
        for kind in (".message:not(.mine)", ".mine", ".announcement", ".private")
    }
    for (one, first), (other, second) in itertools.combinations(colors.items(), 2):
        assert sum(abs(a - b) for a, b in zip(first, second, strict=True)) > 0.05, f"{one} is as {other}"
    own, announcement = colors[".mine"], colors[".announcement"]
    assert own[2] > own[0], "one's own words are on blue"
    assert announcement[2] < announcement[0], "announcements are on yellow"


@pytest.mark.parametrize("width", WIDTHS)
def test_the_head_fits_at_any_width(visit: Visit, line: Line, width: int) -> None:
    batman = visit(viewport={"width": width, "height": 640})
    batman.expect_no_sideways_scrolling()
    expect(batman.page.get_by_role("heading", name="Gotham Line")).to_be_in_viewport(ratio=1)
    batman.connect("batman")
    line.connect("?name=robin").send("Hello")
    batman.expect_no_sideways_scrolling()
    head = batman.page.locator("header")
    parts = {part: head.locator(part) for part in ("img", "h1", ".dot", "#status", "#disconnect")}
    boxes = {}
    for name, part in parts.items():
        expect(part).to_be_in_viewport(ratio=1)
        assert part.evaluate("(e) => e.scrollWidth <= e.clientWidth"), f"{name} is cut"
        found = part.bounding_box()
        assert found is not None
        boxes[name] = found
    for text in ("h1", "#status"):
        lines = parts[text].evaluate(
            "(e) => { const r = document.createRange(); r.selectNodeContents(e); return r.getClientRects().length; }"
        )
        assert lines == 1, f"{text} is broken into {lines} lines"
    assert boxes[".dot"]["width"] == boxes[".dot"]["height"] >= 8
    assert parts[".dot"].evaluate("(dot) => getComputedStyle(dot).borderRadius") == "50%"
    for (one, a), (other, b) in itertools.combinations(boxes.items(), 2):
        beside = a["x"] + a["width"] <= b["x"] or b["x"] + b["width"] <= a["x"]
        below = a["y"] + a["height"] <= b["y"] or b["y"] + b["height"] <= a["y"]
        assert beside or below, f"{one} and {other} overlap"


def test_the_longest_name_is_not_cut_from_the_status(visit: Visit) -> None:
    batman = visit("W" * 24, viewport={"width": 320, "height": 640})
    assert (
        batman.status.evaluate("(e) => e.scrollWidth <= e.clientWidth && getComputedStyle(e).overflow")
        == "visible"
    )
    batman.expect_no_sideways_scrolling()
    for part in (batman.status, batman.button("Disconnect"), batman.button("Send")):
        expect(part).to_be_in_viewport(ratio=1)


def test_nothing_moves_for_those_who_wish_for_no_motion(visit: Visit) -> None:
    batman = visit("batman")
    batman.page.evaluate("setState('waiting', 'Reconnecting…')")
    moving = "document.getAnimations().length"
    assert batman.page.evaluate(moving) == 1
    batman.page.emulate_media(reduced_motion="reduce")
    assert batman.page.evaluate(moving) == 0
    batman.page.evaluate("setState('online', 'Connected as batman')")
