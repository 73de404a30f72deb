"""Clicks through Locust's page in a real Chromium: python web_browser.py URL FOLDER; what it saw, as JSON.

With a third argument, ``workers``, it only waits for the table of workers on our page.

A process of its own: Playwright's loop and gevent's do not share one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
]
SIZE: Any = {"width": 1280, "height": 900}


def main(url: str, folder: Path) -> dict[str, Any]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        errors: list[str] = []
        page = _open(browser, url, errors)
        seen = {"form": _faulty_start(page, folder)}
        ours = _open(browser, f"{url}triton/", errors)
        seen["before"] = ours.inner_text("main")
        seen["picture_before"] = ours.is_visible("#picture")
        seen |= _run(page, ours, folder)
        seen |= _again(page, ours)
        _wait(ours, "document.getElementById('pill').textContent === 'stopped'")
        seen["colours"] = ours.evaluate(COLOURS)
        _wait(ours, "document.getElementById('picture').naturalWidth > 100")
        ours.mouse.move(400, 300)
        ours.screenshot(path=folder / "6-page-after.png", full_page=True)
        seen["results"] = ours.inner_text("#result")
        browser.close()
        return seen | {"errors": errors}


def workers(url: str, folder: Path) -> dict[str, Any]:
    """The table of workers while a run goes on: its rows, cell by cell."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        errors: list[str] = []
        page = _open(browser, f"{url}triton/", errors)
        _wait(page, "document.querySelectorAll('#workers td').length > 0")
        page.wait_for_selector("#workers h2", state="visible")
        page.screenshot(path=folder / "7-workers.png", full_page=True)
        rows = page.evaluate(CELLS)
        browser.close()
        return {"rows": rows, "errors": errors}


CELLS = """() => [...document.querySelectorAll("#workers tr")].map(
    row => [...row.children].map(cell => cell.textContent))"""
COLOURS = """() => [...document.querySelectorAll("canvas")].map(canvas => {
    const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return new Set(new Uint32Array(image.data.buffer)).size;
})"""


def _open(browser: Browser, url: str, errors: list[str]) -> Page:
    page = browser.new_page(viewport=SIZE)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.goto(url)
    page.wait_for_selector("canvas, button[type=submit]")
    return page


def _wait(page: Page, true: str) -> None:
    """By a timer: a page that another one hides may get no animation frames, Playwright's own way to poll."""
    page.wait_for_function(true, polling=100, timeout=60_000)


def _faulty_start(page: Page, folder: Path) -> str:
    page.click("text=Custom parameters")
    page.fill("input[name=batchSize]", "1,zwei")
    page.fill("input[name=seed]", "-3")
    page.click("button[type=submit]")
    alert = page.wait_for_selector(".MuiAlert-message")
    assert alert is not None
    page.screenshot(path=folder / "1-form.png", full_page=True)
    text: str = alert.inner_text()
    return text


def _run(page: Page, ours: Page, folder: Path) -> dict[str, Any]:
    page.fill("input[name=batchSize]", "")
    page.fill("input[name=seed]", "7")
    page.fill("input[name=concurrencyRange]", "2,8")
    page.click("button[type=submit]")
    _wait(ours, "document.getElementById('pill').textContent === 'running'")  # first: the run is short
    page.click("button[role=tab]:has-text('Triton')", timeout=20_000)
    page.wait_for_selector("td:has-text('Queue, ')", timeout=20_000)
    tab = page.inner_text("table")
    page.screenshot(path=folder / "2-tab.png", full_page=True)
    _wait(ours, "document.getElementById('tiles').textContent.includes('Queue, ')")
    shown = ours.inner_text("#tiles")
    ours.screenshot(path=folder / "3-page.png", full_page=True)
    page.wait_for_selector("header >> text=STOPPED", timeout=30_000)
    page.click("button[role=tab]:has-text('Statistics')")
    page.screenshot(path=folder / "4-statistics.png", full_page=True)
    table = page.inner_text("table")
    page.click("button[role=tab]:has-text('Charts')")
    page.wait_for_timeout(500)
    page.screenshot(path=folder / "5-charts.png", full_page=True)
    return {"tab": tab, "page": shown, "table": table}


def _again(page: Page, ours: Page) -> dict[str, Any]:
    """With the button "New": the form has what was last typed; then the button "Stop"."""
    page.click("button:has-text('New')")
    page.click("text=Custom parameters")
    typed = {
        name: page.input_value(f"input[name={name}]") for name in ("seed", "concurrencyRange", "batchSize")
    }
    page.fill("input[name=measurementInterval]", "60s")
    page.click("button[type=submit]")
    _wait(ours, "document.getElementById('phase').textContent.startsWith('measuring 1 ')")
    page.click("button:has-text('Stop')")
    page.wait_for_selector("header >> text=STOPPED", timeout=30_000)
    page.reload()
    page.wait_for_selector("header >> text=STOPPED")
    return {"typed": typed, "links": page.inner_text("body")}


if __name__ == "__main__":
    see = workers if sys.argv[3:] == ["workers"] else main
    print(json.dumps(see(sys.argv[1], Path(sys.argv[2]))))
