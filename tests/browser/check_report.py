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
    """The slider with a task chosen: its place, its speed, its numbers, and the models that can be chosen."""
    place = browser.find_element(By.ID, "standard-slider")
    tasks, models = map(Select, place.find_elements(By.TAG_NAME, "select"))
    tasks.select_by_visible_text(task)
    speed, output = place.find_element(By.CSS_SELECTOR, "input[type=range]"), place.find_element(By.TAG_NAME, "output")
    return place, speed, output, models


def shown(place):
    """The numbers that stand there, as texts: speed, accuracy, interval's ends, speedup, mean layers; points lost."""
    script = """const texts = (css) => [...arguments[0].querySelectorAll(css)].map((each) => each.innerText);
        return [texts('.speed label span')[0], texts('output > span:not([hidden])')]"""
    speed, tiles = place.parent.execute_script(script, place)  # as they are seen, all at once
    tiles = {name: (value.partition(" ")[0], more) for name, value, more in (tile.split("\n") for tile in tiles)}
    interval = tiles["Accuracy"][1].split(";")[0].split()
    of_row = [tiles["Accuracy"][0], interval[-3], interval[-1], tiles["FLOPs speedup"][0], tiles["Mean layers"][0]]
    return (speed, *of_row), float(tiles["Points lost"][0].replace("−", "-"))


def stored(row):
    """The same from a row of speed_accuracy.csv, without points lost."""
    columns = ("speed", "accuracy", "accuracy_low", "accuracy_high", "speedup", "mean_layers")
    return tuple(row[column] for column in columns)


def look(browser, scheme, width):
    """Show the page in a colour scheme, on a screen of that width."""
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def test_every_speed_shows_its_row_by_keyboard_alone(browser, curves):
    for task, models in curves.items():
        place, speed, _, chooser = slider(browser, task)
        bert = float(models["FastBERT"][0]["accuracy"])  # which leaves nowhere early at speed 0
        for model, rows in models.items():
            if len(models) > 1:
                chooser.select_by_visible_text(model)
            speed.send_keys(Keys.HOME)
            seen = [shown(place)]
            for _ in range(100):
                speed.send_keys(Keys.ARROW_RIGHT)
                seen.append(shown(place))
            assert [row for row, _ in seen] == [stored(row) for row in rows], f"{task}, {model}"
            lost = [bert - float(row["accuracy"]) for row in rows]
            assert [lost for _, lost in seen] == pytest.approx(lost, abs=0.0051), f"{task}, {model}"
            assert len(set(seen)) > 10, f"{task}, {model}: the numbers hardly change"


def test_the_histogram_holds_every_sample_and_the_mean(browser, curves):
    for task, models in curves.items():
        place, speed, _, chooser = slider(browser, task)
        model = next(iter(models))
        if len(models) > 1:
            chooser.select_by_visible_text(model)
        speed.send_keys(Keys.HOME, *[Keys.ARROW_RIGHT] * 10)
        titles = [bar.get_attribute("title") for bar in place.find_elements(By.TAG_NAME, "li")]
        counts = [int(title.split(": ")[1].split()[0]) for title in titles]  # "layer 1: 12 of 7600 samples"
        mean = sum(layer * count for layer, count in enumerate(counts, start=1)) / sum(counts)
        assert f"{sum(counts)} samples" in titles[0]
        assert mean == pytest.approx(float(models[model][10]["mean_layers"]), abs=0.00051)


def test_the_slider_is_labelled_and_announced_and_starts_at_the_chosen_speed(browser, curves):
    place, speed, output, _ = slider(browser, next(iter(curves)))
    assert speed.accessible_name.startswith("Speed ")
    assert speed.aria_role == "slider"
    assert output.get_attribute("aria-live") == "polite"
    assert [mark.text for mark in place.find_elements(By.CLASS_NAME, "tick")] == ["0.1", "0.5", "0.8"]
    rule = place.find_element(By.CLASS_NAME, "rule").text
    assert rule.startswith(
        f"★ {float(speed.get_attribute('value')):g}, chosen on dev: fastest within 0.5 points of BERT"
    )
    (picture,) = place.find_elements(By.TAG_NAME, "svg")
    assert "Points lost" in picture.accessible_name


def test_the_first_screen_has_verdict_table_and_slider(browser):
    look(browser, "light", 1280)
    browser.execute_script("scrollTo(0, 0)")
    for css in (".lead", "#standard table", "#standard-slider"):
        assert browser.find_element(By.CSS_SELECTOR, css).rect["y"] < 300
    slider = browser.find_element(By.ID, "standard-slider").rect
    assert slider["y"] + slider["height"] < 1000


def test_tab_stops_are_few_and_arrows_lead_through_headings(browser):
    stops = """return [...document.querySelectorAll('a[href], input, select, button, summary, [tabindex]')].filter(
        (each) => each.tabIndex >= 0 && each.checkVisibility()).length"""
    assert browser.execute_script(stops) < 40
    first, second, *_ = browser.find_elements(By.CSS_SELECTOR, "#standard th button")
    browser.execute_script("arguments[0].focus()", first)
    first.send_keys(Keys.ARROW_RIGHT)
    assert browser.switch_to.active_element == second


def test_a_table_is_sorted_by_number_and_filtered_by_words(browser):
    table = browser.find_element(By.CSS_SELECTOR, "#standard .first table")
    heading = table.find_elements(By.TAG_NAME, "th")[1]

    def column():
        return [float(cell.text.rstrip("×")) for cell in table.find_elements(By.CSS_SELECTOR, "td:nth-child(2)")]

    heading.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert column() == sorted(column())
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.find_element(By.TAG_NAME, "button").send_keys(Keys.ENTER)
    assert column() == sorted(column(), reverse=True)
    browser.execute_script("document.getElementById('standard-all').open = true")
    words = browser.find_element(By.CSS_SELECTOR, "#standard-all input[type=search]")
    words.send_keys("FastBERT dbpedia")
    rows = browser.find_elements(By.CSS_SELECTOR, "#standard-all .table:nth-of-type(1) tbody tr")
    left = [row.text.split()[:2] for row in rows if row.is_displayed()]
    assert left
    assert {tuple(words) for words in left} == {("dbpedia", "FastBERT")}
    words.clear()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_sticks_out_and_what_is_asked_for_is_seen(browser, curves, scheme, width):
    task = next(iter(curves))
    look(browser, scheme, width)
    browser.execute_script("scrollTo(0, 0)")
    browser.save_screenshot(str(REPORT.with_name(f"first-{scheme}-{width}.png")))
    opened = browser.find_element(By.ID, f"standard-{task}")
    browser.execute_script("arguments[0].open = true; arguments[0].scrollIntoView()", opened)
    browser.save_screenshot(str(REPORT.with_name(f"{task}-{scheme}-{width}.png")))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    above = "const box = arguments[0].getBoundingClientRect(); return document.elementFromPoint(box.x + 2, box.y + 9)"
    assert browser.execute_script(f"{above}.tagName", opened.find_element(By.TAG_NAME, "h3")) == "H3"
    images = opened.find_elements(By.TAG_NAME, "img")
    assert images
    for image in images:
        assert image.size["width"] >= 640  # the figure's letters of 8 points stay readable
        assert len(image.get_attribute("alt")) > 20
    assert browser.execute_script("return [...document.images].every((image) => image.naturalWidth > 100)")


def test_what_is_written_stands_out_from_its_ground_in_both_schemes(browser):
    script = """
        const shade = (color) => { const context = document.createElement('canvas').getContext('2d');
            context.fillStyle = color; context.fillRect(0, 0, 1, 1);
            const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
            const part = (x) => (x / 255 <= 0.03928 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4);
            return 0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b); };
        const [one, two] = [getComputedStyle(arguments[0])[arguments[2]],
            getComputedStyle(arguments[1]).backgroundColor].map(shade);
        return (Math.max(one, two) + 0.05) / (Math.min(one, two) + 0.05)"""
    body, card = browser.find_element(By.TAG_NAME, "body"), browser.find_element(By.ID, "standard-slider")
    texts = {
        body: (".lead", "nav a", "#standard th", "summary span", "#reading p"),
        card: (".slider small", ".marks .star"),
    }
    for scheme in ("light", "dark"):
        look(browser, scheme, 1280)
        for ground, found in texts.items():
            for css in found:
                text = browser.find_element(By.CSS_SELECTOR, css)
                assert browser.execute_script(script, text, ground, "color") >= 4.5, f"{css}, {scheme}"
        assert browser.execute_script(script, card.find_element(By.CSS_SELECTOR, ".curve"), card, "stroke") >= 3


def test_the_console_is_silent_and_nothing_is_asked_of_a_network(browser):
    assert browser.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert REPORT.as_uri() in asked
    assert [url for url in asked if url != REPORT.as_uri() and not url.startswith("data:")] == []
