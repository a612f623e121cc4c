"""What the tests of the report share: a reader of the page."""

import json
import re
from html.parser import HTMLParser

from reproductions.figure3_speed_accuracy import MODELS

NAMES = sorted(MODELS.values())  # as speed_accuracy.csv has them
SLIDER = "standard-slider"


class Page(HTMLParser):
    """The page's ids, links, sources, alternative texts, and texts outside style and script; `data`: its JSON."""

    def __init__(self, html):
        super().__init__()
        self.html, self._inside = html, ""
        self.ids, self.links, self.sources, self.alts, self.texts, self.tags = [], [], [], [], [], []
        self.feed(html)
        self.data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)[1])

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.tags.append(tag)
        self.ids += [named["id"]] if "id" in named else []
        self.links += [named["href"]] if "href" in named else []
        self.sources += [named["src"]] if "src" in named else []
        self.alts += [named["alt"]] if "alt" in named else []
        self._inside = tag

    def handle_data(self, text):
        if self._inside not in ("style", "script"):
            self.texts.append(text)

    def models(self, task="book-review"):
        """What the slider of profile standard has of a task."""
        return self.data["sliders"]["standard"][task]

    @property
    def text(self):
        return "\n".join(self.texts)


def edit(path, change):
    """Replace a file's text by what `change` makes of it."""
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
