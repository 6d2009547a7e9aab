"""The page served on loopback over the embedded model, and a headless Chromium to visit it with."""

import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.tiny_models import saved_gpt2

# A time limit for what takes a moment, on machines with other things to do.
SECONDS = 60
# All that the regions for those who hear the page have said.
HEARD = """() => {
    window.heard = [];
    for (const each of document.querySelectorAll("[role=status]"))
        new MutationObserver(() => each.textContent.trim() && heard.push(each.textContent.trim()))
            .observe(each, { childList: true, characterData: true, subtree: true });
}"""
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def served(engine, log=None, port: int | None = None, **variables):
    """The page's address while it is served."""
    from chat.page.about import corpora_of
    from chat.page.layout import build_page
    from chat.page.server import launch
    from chat.page.variables import PageVariables

    page = build_page(engine, log, corpora=corpora_of(engine.name))
    given = PageVariables(**{"model": engine.name, "mcp_server": False} | variables)
    try:
        options = {"quiet": True, "inbrowser": False, "server_name": "127.0.0.1", "server_port": port}
        yield launch(page, engine, given, **options).rstrip("/")
    finally:
        page.close()


@pytest.fixture(scope="session")
def pocket():
    """The embedded model under the engine that CPUs get."""
    from chat.engine import load_engine

    engine = load_engine(os.path.relpath(ROOT / "models" / "pocket"), engine="openvino")
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def slow_engine(tokenizer, tmp_path_factory):
    """Replies that take seconds: a tiny model that takes its time for each token, and never ends its turn."""
    import torch

    from chat.engine import load_engine

    folder = saved_gpt2(tokenizer, tmp_path_factory.mktemp("slow"), n_positions=512)
    engine = load_engine(str(folder), engine="torch")
    # Of random letters some spell what it blocks.
    engine.guard = None
    # Nor what is another text once it was kept: control characters, which bytes of several tokens spell, too.
    pieces = [tokenizer.decode([token]) for token in range(len(tokenizer))]
    unsaid = [token for token, piece in enumerate(pieces) if not (piece.isascii() and piece.isprintable())]
    transformer = engine.model.transformer
    with torch.no_grad():
        transformer.ln_f.bias.fill_(1.0)
        transformer.wte.weight[[*unsaid, tokenizer.eos_token_id]] = -1.0
    # In the model: what computes on for nobody, after its reader went, then takes its time, too.
    engine.model.register_forward_pre_hook(lambda *_: time.sleep(0.05))
    return engine


@pytest.fixture(scope="session")
def address(pocket):
    with served(pocket) as found:
        yield found


@pytest.fixture(scope="session")
def slow_address(slow_engine):
    with served(slow_engine) as found:
        yield found


@pytest.fixture(scope="session")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not (path := next(filter(None, map(shutil.which, BROWSERS)), None)):
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing("no Chromium on this machine: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def blank_page(chromium):
    context = chromium.new_context()
    page = context.new_page()
    page.route("**", lambda each: each.fulfill(body="<p>", content_type="text/html"))
    yield page
    context.close()


@pytest.fixture
def script_page(blank_page):
    """A page of our scripts alone, without a server, where nothing was kept before."""
    blank_page.goto("http://localhost/nowhere")
    blank_page.evaluate("localStorage.clear(), sessionStorage.clear()")
    load(blank_page)
    return blank_page


def load(page) -> None:
    """Loads a page of our scripts alone, which keeps what was stored."""
    page.goto("http://localhost")
    for script in ("conversations.js", "page.js"):
        page.add_script_tag(path=ROOT / "chat" / "page" / script)


class Visitor:
    """Somebody at the page, in a browser profile of their own."""

    def __init__(self, chromium, address: str, **options):
        self.context = chromium.new_context(viewport={"width": 1280, "height": 900}, **options)
        self.context.set_default_timeout(SECONDS * 1000)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.dialogs: list[str] = []
        self.page.on("dialog", self._answer)
        self.address = address
        self.open()

    def _answer(self, dialog) -> None:
        self.dialogs.append(dialog.message)
        dialog.accept() if dialog.message.startswith("Delete") else dialog.dismiss()

    def begin(self) -> None:
        """Comes as if for the first time, with the program files that this browser already has."""
        self.page.unroute_all()
        # Another page of the same site: what is on its way out writes, too.
        self.page.goto(f"{self.address}/nowhere")
        self.page.evaluate("localStorage.clear(), sessionStorage.clear()")
        self.errors.clear(), self.dialogs.clear()
        self.open()

    def open(self) -> None:
        self.page.goto(self.address)
        self.page.wait_for_selector("#message textarea")
        self.page.wait_for_selector("#chatbot")

    @contextmanager
    def another_tab(self):
        """This visitor in a second tab of the same browser."""
        first, self.page = self.page, self.context.new_page()
        self.open()
        yield self
        self.page.close()
        self.page = first

    def messages(self) -> list[tuple[str, str]]:
        """Who said what, as it is shown."""
        found = self.page.eval_on_selector_all(
            "#chatbot [data-testid=user], #chatbot [data-testid=bot]",
            "all => all.map(each => [each.dataset.testid, each.innerText])",
        )
        return [(who, text.strip().replace("\u2060", "")) for who, text in found]

    def type(self, text: str) -> None:
        box = self.page.locator("#message textarea")
        box.fill(text)
        box.press("Enter")

    def say(self, text: str) -> str:
        """Sends a message; the whole reply."""
        before = len(self.messages())
        self.type(text)
        return self.reply_after(before + 1)

    def reply_after(self, before: int) -> str:
        self.until(
            lambda: len(self.messages()) > before and self.messages()[-1][0] == "bot" and self.is_idle()
        )
        return self.messages()[-1][1]

    def is_idle(self) -> bool:
        box = self.page.locator("#message textarea")
        return self.page.locator("#message button.submit-button").is_visible() and box.is_enabled()

    def until(self, holds: Callable[[], bool], seconds: float = SECONDS) -> None:
        for _ in range(int(seconds * 20)):
            if holds():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"not within {seconds} seconds; shown: {self.messages()}")

    def read_toast(self, text: str) -> None:
        """Waits for what the page says, and closes it."""
        toast = self.page.get_by_text(text).first
        toast.wait_for()
        self.page.locator(".toast-close").first.click()
        self.until(lambda: not toast.is_visible())

    def press(self, name: str) -> None:
        self.page.get_by_role("button", name=name, exact=True).last.click()

    def persona(self) -> str:
        return self.page.get_by_label("Who the bot is").input_value()

    def open_side_bar(self) -> None:
        self.page.get_by_label("Conversations", exact=True).first.click()
        self.page.get_by_role("button", name="New conversation").wait_for()

    def import_file(self, path: Path) -> None:
        with self.page.expect_file_chooser() as chooser:
            self.press("Import")
        chooser.value.set_files(path)

    def about(self) -> str:
        """What the page tells of the last reply."""
        about = self.page.get_by_label("About a reply")
        if about.count():
            about.evaluate("each => each.value = ''")
        self.press("About the last reply")
        self.until(lambda: about.count() and about.input_value())
        return about.input_value()

    def set_decoding(self, **values: str) -> None:
        if not self.page.get_by_label("Seed").count():
            self.page.get_by_text("How replies are drawn").click()
        for label, value in values.items():
            label = label.replace("_", " ")
            self.page.get_by_label(label if label == "Seed" else f"number input for {label}").fill(value)
            self.page.keyboard.press("Tab")

    def listen(self) -> None:
        self.page.evaluate(HEARD)

    def heard(self) -> list[str]:
        """What was said, since `listen`, to those who hear the page."""
        return self.page.evaluate("heard")

    def kept(self) -> str:
        """The conversations as the browser keeps them."""
        return self.page.evaluate("localStorage.getItem('gpt2-chat-conversations')") or ""

    def titles(self) -> list[str]:
        found = self.page.eval_on_selector_all(
            "#conversations label", "all => all.map(each => each.innerText)"
        )
        return [text.strip() for text in found]


@pytest.fixture(scope="session")
def somebody(chromium) -> Iterator[Callable[[str, str], Visitor]]:
    """A function: who comes to an address as if for the first time, in a browser profile with this name.

    In a profile of each test's own, the page would take twice as long to load.
    """
    known: dict[tuple[str, str], Visitor] = {}

    def function(profile: str, address: str) -> Visitor:
        if found := known.get((profile, address)):
            found.begin()
        else:
            found = known[profile, address] = Visitor(chromium, address)
        return found

    yield function
    for each in known.values():
        each.context.close()


@pytest.fixture
def visitor(somebody, address):
    """Somebody who was never here."""
    found = somebody("first", address)
    yield found
    assert not found.errors and not found.dialogs


@pytest.fixture
def other(somebody, address):
    """Somebody in another browser, who was never here either."""
    return somebody("second", address)


@pytest.fixture
def waiting(somebody, slow_address):
    """Somebody who was never here, where replies take seconds."""
    return somebody("first", slow_address)


@pytest.fixture
def screenshot() -> Callable[[Visitor, str], Path | None]:
    """A function that keeps a picture where SCREENSHOTS names a folder; for people to look at."""

    def keep(visitor: Visitor, name: str) -> None:
        if folder := os.environ.get("SCREENSHOTS"):
            visitor.page.screenshot(path=Path(folder) / f"{name}.png")

    return keep


@pytest.fixture
def marker() -> str:
    """A word that nobody else says."""
    return f"Zq{uuid.uuid4().hex[:8]}"
