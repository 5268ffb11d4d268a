"""Headless Chromium for tests of pages, and what its screenshots show."""

import contextlib
import io
import shutil
import time
from pathlib import Path
from typing import Any, Callable, Iterator, List

import numpy as np
import pytest
from PIL import Image

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--window-size=800,560", "--allow-file-access-from-files",
)  # fmt: skip
# No fault of a page: SwiftShader is slow, a page from disk has no icon, viser's camera keeps the mouse to itself.
HARMLESS = (
    "GPU stall", "favicon", "WebGL: too many", "Automatic fallback to software WebGL", "GL Driver Message",
    "preventDefault inside passive event listener",
)  # fmt: skip


@contextlib.contextmanager
def open_browser(folder: Path) -> Iterator[Any]:
    """Start Chromium with an empty profile in `folder`; the test skips where it or its driver is not installed."""
    selenium = pytest.importorskip("selenium.webdriver", reason="pip install selenium")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        pytest.skip("no Chromium here: apt-get install chromium chromium-driver")
    options = selenium.ChromeOptions()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = selenium.Chrome(options=options, service=selenium.ChromeService(executable_path=driver))
    browser.set_page_load_timeout(120)
    browser.set_script_timeout(120)  # beside trainings, a page that is drawn without a GPU is slow to answer
    try:
        yield browser
    finally:
        browser.quit()


def errors_of(browser: Any) -> List[str]:
    """Return what the console has called an error."""
    severe = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    return [message for message in severe if not any(harmless in message for harmless in HARMLESS)]


HIDE_NOTES = "document.querySelectorAll('.mantine-Notifications-root').forEach(notes => notes.style.display = 'none')"


def picture_of(browser: Any) -> np.ndarray:
    """Take a screenshot, (H, W, 3) int, without viser's note on software WebGL: it is orange, too, and fades away."""
    browser.execute_script(HIDE_NOTES)
    return np.asarray(Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")).astype(int)


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 120.0) -> Any:
    """Return what `condition` returns as soon as that is neither False nor None."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        found = condition()
        if found is not None and found is not False:
            return found
        time.sleep(0.3)
    raise AssertionError(f"Waited {timeout_s:g} s for {what}.")


def coloured(picture: np.ndarray) -> np.ndarray:
    """Mark the pixels (H, W) of a warm colour: the humanoid's trunk, also behind a ghost."""
    return picture[..., 0] > picture[..., 2] + 30


def shown(browser: Any, pixels: int = 100) -> Any:
    """Return the picture, if the character's orange is in it."""
    picture = picture_of(browser)
    return picture if coloured(picture).sum() > pixels else None


def changed(browser: Any, before: np.ndarray) -> Any:
    """Return the picture, if it differs from one of before by more than noise."""
    picture = picture_of(browser)
    return picture if (np.abs(picture - before).max(-1) > 40).sum() > 150 else None


def stands(browser: Any) -> Any:
    """Return the picture, if nothing moves."""
    picture = picture_of(browser)
    time.sleep(0.5)
    return None if changed(browser, picture) is not None else picture


def press(browser: Any, label: str) -> None:
    """Press the button with a text."""
    buttons = [b for b in browser.find_elements("css selector", "button") if b.text.strip() == label]
    assert buttons, f"no button {label}"
    browser.execute_script("arguments[0].click()", buttons[0])


def field_of(browser: Any, label: str) -> Any:
    """Return the text field of a slider or a drop-down list."""
    found = "//label[contains(normalize-space(.), '{}')]/ancestor::div[.//input][1]//input[not(@type='hidden')]"
    return browser.find_elements("xpath", found.format(label))[-1]


def enter(browser: Any, label: str, text: str) -> None:
    """Type a value into the field beside a label, as a person does."""
    from selenium.webdriver.common.keys import Keys

    field = field_of(browser, label)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'}); arguments[0].focus()", field)
    field.send_keys(Keys.CONTROL, "a")
    field.send_keys(text)
    field.send_keys(Keys.ENTER)
