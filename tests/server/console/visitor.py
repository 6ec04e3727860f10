"""A person in front of the console, and what axe and a camera see with them."""

import re
from pathlib import Path
from typing import Any

import axe_playwright_python
from playwright.async_api import ConsoleMessage, Page, expect

SHOTS = Path(__file__).parents[3] / "results" / "console"
AXE = Path(axe_playwright_python.__file__).parent / "axe.min.js"
SIZES = {390: 844, 1440: 900}
CUT = """() => [
  ...[...document.querySelectorAll('.scroll')].filter((box) => box.scrollWidth > box.clientWidth + 1)
    .map((box) => `${box.getAttribute('aria-label')}: ${box.scrollWidth} in ${box.clientWidth}`),
  ...[...document.querySelectorAll('svg.chart text')].filter((text) => {
    const [inner, outer] = [text.getBoundingClientRect(), text.ownerSVGElement.getBoundingClientRect()];
    return inner.left < outer.left - 1 || inner.right > outer.right + 1 || inner.bottom > outer.bottom + 1;
  }).map((text) => `label ${text.textContent}`),
]"""
"""Tables that one would have to scroll sideways, and labels of charts beyond their edge."""


class Visitor:
    """Drives one page. Errors in the browser's log are complaints, unless their status is `expected`."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.expected: set[int] = set()
        self.offline_is_fine = False
        self._log: list[str] = []
        page.on("console", self._note)
        page.on("pageerror", lambda error: self._log.append(f"pageerror: {error}"))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._log.append(message.text)

    def complaints(self) -> list[str]:
        """What the browser logged, without the failed requests that the test wants."""
        return [line for line in self._log if not self._is_expected(line)]

    def _is_expected(self, line: str) -> bool:
        status = re.search(r"responded with a status of (\d+)", line)
        if status:
            return int(status[1]) in self.expected
        return self.offline_is_fine and "ERR_CONNECTION_REFUSED" in line

    async def sign_in(self, url: str, key: str) -> None:
        await self.page.goto(url)
        await self.page.get_by_label("API key").fill(key)
        await self.page.get_by_role("button", name="Sign in").click()

    async def go_to(self, view: str) -> None:
        await self.page.get_by_role("navigation").get_by_role("link", name=view).click()
        await expect(self.page).to_have_title(f"{view} · frag")

    async def ask(self, question: str) -> None:
        await self.page.get_by_label("Question").fill(question)
        await self.page.get_by_role("button", name="Ask", exact=True).click()

    async def inspect(self, name: str) -> None:
        """Light and dark, narrow and wide: pictures for people, no barrier for anybody, nothing that is cut."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        for theme in ("light", "dark"):
            await self.page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            for width, height in SIZES.items():
                await self.page.set_viewport_size({"width": width, "height": height})
                await self.page.screenshot(path=SHOTS / f"{name}-{theme}-{width}.png", full_page=True)
                assert await self._overflow() <= 0, f"{name} is wider than {width} px"
                assert await self.page.evaluate(CUT) == [], f"{name}, {width} px: parts of it are out of sight"
                if (theme == "dark") == (width == 390):  # colours do not depend on the width: each once is enough
                    assert await self.barriers() == [], f"{name}, {theme}, {width} px"
        await self.page.emulate_media(color_scheme="light")

    async def _overflow(self) -> int:
        script = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        overflow: int = await self.page.evaluate(script)
        return overflow

    async def barriers(self) -> list[str]:
        """Serious and critical violations that axe finds, as `rule: element`."""
        if not await self.page.evaluate("typeof axe === 'object'"):
            await self.page.evaluate(AXE.read_text(encoding="utf-8") + ";undefined")
        found: dict[str, Any] = await self.page.evaluate("axe.run({resultTypes: ['violations']})")
        return [
            f"{rule['id']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
            for rule in found["violations"]
            if rule["impact"] in {"serious", "critical"}
            for node in rule["nodes"]
        ]
