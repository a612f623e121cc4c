"""The report in a real browser: `tox -e browser`. No default test: its name keeps pytest from collecting it.

The environment variable REPORT names the page, which was built from results/; screenshots are written beside it.
"""

import csv
import json
import os
import shutil
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

REPORT = Path(os.environ["REPORT"]).resolve()
RESULTS = Path(__file__).parents[2] / "results"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
# Whatever a browser does of its own accord would be mistaken for the page's doing. Chromium has no sandbox for root.
ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1280,1400",
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium with the report open, logging its console and its network."""
    if not (CHROMIUM and DRIVER):
        pytest.fail(
            "no Chromium with its driver was found: on Debian, apt-get install chromium chromium-driver", pytrace=False
        )
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.get("about:blank")
    driver.get_log("performance")  # what the page that a browser starts with has asked for
    driver.get(REPORT.as_uri())
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def curves():
    """Rows of the committed speed_accuracy.csv as its texts: by task and model, a row for each of 101 speeds."""
    found = {}
    with (RESULTS / "standard" / "speed_accuracy.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            found.setdefault(row["task"], {}).setdefault(row["model"], []).append(row)
    return found


def slider(browser, task):
    """The parts of a task's slider."""
    place = browser.find_element(By.ID, f"standard-{task}-slider")
    return place, place.find_element(By.CSS_SELECTOR, "input[type=range]"), place.find_element(By.TAG_NAME, "output")


def shown(place, output):
    """The numbers that stand there, as texts: speed, accuracy, interval's ends, speedup, mean layers."""
    accuracy, speedup, layers = (value.text.split()[0] for value in output.find_elements(By.TAG_NAME, "strong"))
    interval = output.find_element(By.CSS_SELECTOR, "strong + small").text.split(";")[0].split()
    speed = place.find_element(By.CSS_SELECTOR, ".speed label span").text
    return speed, accuracy, interval[-3], interval[-1], speedup, layers


def stored(row):
    """The same from a row of speed_accuracy.csv."""
    columns = ("speed", "accuracy", "accuracy_low", "accuracy_high", "speedup", "mean_layers")
    return tuple(row[column] for column in columns)


def test_every_speed_shows_its_row_by_keyboard_alone(browser, curves):
    for task, models in curves.items():
        place, speed, output = slider(browser, task)
        chooser = place.find_elements(By.TAG_NAME, "select")
        for model, rows in models.items():
            if chooser:
                Select(chooser[0]).select_by_visible_text(model)
            speed.send_keys(Keys.HOME)
            seen = [shown(place, output)]
            for _ in range(100):
                speed.send_keys(Keys.ARROW_RIGHT)
                seen.append(shown(place, output))
            assert seen == [stored(row) for row in rows], f"{task}, {model}"
            assert len(set(seen)) > 10, f"{task}, {model}: the numbers hardly change"


def test_the_histogram_holds_every_sample_and_the_mean(browser, curves):
    for task, models in curves.items():
        place, speed, _ = slider(browser, task)
        model = next(iter(models))
        for chooser in place.find_elements(By.TAG_NAME, "select"):
            Select(chooser).select_by_visible_text(model)
        speed.send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 10)
        titles = [bar.get_attribute("title") for bar in place.find_elements(By.TAG_NAME, "li")]
        counts = [int(title.split(": ")[1].split()[0]) for title in titles]  # "layer 1: 12 of 7600 samples"
        mean = sum(layer * count for layer, count in enumerate(counts, start=1)) / sum(counts)
        assert f"{sum(counts)} samples" in titles[0]
        assert mean == pytest.approx(float(models[model][10]["mean_layers"]), abs=0.00051)


def test_the_slider_is_labelled_and_announced(browser, curves):
    place, speed, output = slider(browser, next(iter(curves)))
    assert speed.accessible_name.startswith("Speed ")
    assert speed.aria_role == "slider"
    assert output.get_attribute("aria-live") == "polite"
    assert [mark.text for mark in place.find_elements(By.CLASS_NAME, "tick")] == ["0.1", "0.5", "0.8"]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 480)])
def test_nothing_sticks_out_and_every_image_loads(browser, curves, scheme, width):
    task = next(iter(curves))
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 1400, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_script("document.getElementById(arguments[0]).scrollIntoView()", f"standard-{task}")
    browser.save_screenshot(str(REPORT.with_name(f"{task}-{scheme}-{width}.png")))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script("return [...document.images].every((image) => image.naturalWidth > 100)")


def test_the_console_is_silent_and_nothing_is_asked_of_a_network(browser):
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert REPORT.as_uri() in asked
    assert [url for url in asked if url != REPORT.as_uri() and not url.startswith("data:")] == []
