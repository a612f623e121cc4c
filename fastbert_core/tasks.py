"""The twelve classification tasks of the paper's table 2."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from fastbert_core.errors import InputError

LANGUAGES = ("en", "zh")
SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")  # names become folder names


@dataclass(frozen=True)
class HubSource:
    """Where a task lives on the Hugging Face Hub, and how its columns and labels read.

    texts: the columns that make up the text, joined in this order with `separator`;
        for a task of pairs the two columns are the two texts.
    names: the hub's name or number of a label -> the suite's class, for those that are not the same.
    dev, test: the name of the hub's split, or the number of rows to carve out of its train split.
    classes: this source's own classes where they are not the task's, in label order.
    """

    path: str
    config: str = "default"
    revision: str | None = None
    label: str = "label"
    texts: tuple[str, ...] = ("text",)
    separator: str = " "
    names: Mapping[str, str] = field(default_factory=dict, hash=False)
    dev: str | int = 2000  # model selection looks at no more rows than that
    test: str | int = "test"
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Task:
    """A classification task: `classes` are named in label order, 0 to N-1."""

    name: str
    language: str
    classes: tuple[str, ...]
    pair: bool = False
    hub: HubSource | None = None

    def __post_init__(self) -> None:
        """Raise InputError for a name that is no safe folder name, an unknown language, or bad class names."""
        if not SAFE_NAME.fullmatch(self.name):
            raise InputError(f"task name {self.name!r}, expected small letters, digits, '-' and '_', at most 64")
        if self.language not in LANGUAGES:
            raise InputError(f"task {self.name}: language {self.language!r}, expected one of {', '.join(LANGUAGES)}")
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise InputError(f"task {self.name}: classes {list(self.classes)}, expected at least two, all different")
        if not all(name.strip() and name.isprintable() for name in self.classes):
            raise InputError(f"task {self.name}: classes {list(self.classes)}, expected printable names, none empty")


SENTIMENT = ("negative", "positive")
SENTIMENT_NUMBERS = {"0": "negative", "1": "positive"}
STARS = ("1 star", "2 stars", "3 stars", "4 stars", "5 stars")

# Classes and label order: the data's own README and TSV files. Hub ids, columns and label names: the dataset cards;
# `revision` is the commit that a card was read at, where its full hash was on record.
_TASKS = (
    Task(
        "chnsenticorp",
        "zh",
        SENTIMENT,
        hub=HubSource(
            "lansinuote/ChnSentiCorp",
            revision="b0c4c119c3fb33b8e735969202ef9ad13d717e5a",
            names=SENTIMENT_NUMBERS,
            dev="validation",
        ),
    ),
    Task("book-review", "zh", SENTIMENT),
    Task(
        "shopping-review",
        "zh",
        ("positive", "negative"),
        hub=HubSource(  # another, smaller split than the paper's: 8000 / - / 1000
            "C-MTEB/OnlineShopping-classification",
            revision="e610f2ebd179a8fda30ae534c3878750a96db120",
            names=SENTIMENT_NUMBERS,
            dev=1000,
        ),
    ),
    Task(
        "lcqmc",
        "zh",
        ("different", "same meaning"),
        pair=True,
        hub=HubSource(
            "C-MTEB/LCQMC",
            revision="17f9b096f80380fce5ed12a9be8be7784b337daf",
            label="score",
            texts=("sentence1", "sentence2"),
            names={"0": "different", "1": "same meaning"},
            dev="validation",
        ),
    ),
    Task(
        "weibo",
        "zh",
        SENTIMENT,
        hub=HubSource(  # one split of 119988 rows; the paper tests on 10k
            "dirtycomputer/weibo_senti_100k",
            texts=("review",),
            names=SENTIMENT_NUMBERS,
            dev=10000,
            test=10000,
        ),
    ),
    Task(
        "thucnews",
        "zh",
        (
            "finance",
            "realty",
            "stocks",
            "education",
            "science",
            "society",
            "politics",
            "sports",
            "game",
            "entertainment",
        ),
        hub=HubSource(  # whole articles, as in the paper; its classes have fashion where the titles have realty
            "oyxy2019/THUCNewsText",
            names={"politic": "politics", "sport": "sports", "stock": "stocks", "technology": "science"},
            dev="validation",
            classes=(
                "finance",
                "fashion",
                "stocks",
                "education",
                "science",
                "society",
                "politics",
                "sports",
                "game",
                "entertainment",
            ),
        ),
    ),
    Task(
        "ag-news",
        "en",
        ("World", "Sports", "Business", "Sci/Tech"),
        hub=HubSource("fancyzhx/ag_news", revision="eb185aade064a813bc0b7f42de02595523103ca4"),
    ),
    Task(
        "amazon-full",
        "en",
        STARS,
        hub=HubSource(  # title and review, joined as the local files are
            "yassiracharki/Amazon_Reviews_for_Sentiment_Analysis_fine_grained_5_classes",
            label="class_index",
            texts=("review_title", "review_text"),
            separator=". ",
            names={"1": "1 star", "2": "2 stars", "3": "3 stars", "4": "4 stars", "5": "5 stars"},
        ),
    ),
    Task(
        "dbpedia",
        "en",
        (
            "Company",
            "EducationalInstitution",
            "Artist",
            "Athlete",
            "OfficeHolder",
            "MeanOfTransportation",
            "Building",
            "NaturalPlace",
            "Village",
            "Animal",
            "Plant",
            "Album",
            "Film",
            "WrittenWork",
        ),
        hub=HubSource(  # title and content, joined as the local test file is
            "fancyzhx/dbpedia_14",
            config="dbpedia_14",
            revision="9abd46cf7fc8b4c64290f26993c540b92aa145ac",
            texts=("title", "content"),
            separator=". ",
        ),
    ),
    Task(
        "yahoo",
        "en",
        (
            "Society & Culture",
            "Science & Mathematics",
            "Health",
            "Education & Reference",
            "Computers & Internet",
            "Sports",
            "Business & Finance",
            "Entertainment & Music",
            "Family & Relationships",
            "Politics & Government",
        ),
        hub=HubSource(
            "community-datasets/yahoo_answers_topics",
            config="yahoo_answers_topics",
            revision="6652a1e7c94f7260a0bfd0c9092dd48e2d536ea1",
            label="topic",
            texts=("question_title", "question_content", "best_answer"),
        ),
    ),
    Task(
        "yelp-full",
        "en",
        STARS,
        hub=HubSource(
            "Yelp/yelp_review_full",
            config="yelp_review_full",
            revision="c1f9ee939b7d05667af864ee1cb066393154bf85",
            names={"2 star": "2 stars"},
        ),
    ),
    Task(
        "yelp-polarity",
        "en",
        SENTIMENT,
        hub=HubSource(
            "fancyzhx/yelp_polarity",
            config="plain_text",
            revision="bbf1c97a1f0cf005e5aded43839fd814654a1557",
            names={"1": "negative", "2": "positive"},
        ),
    ),
)
TASKS: dict[str, Task] = {task.name: task for task in _TASKS}


def get_task(name: str) -> Task:
    """The task called `name`. Raises InputError, listing the names, if there is none."""
    if name not in TASKS:
        raise InputError(f"unknown task {name!r}, expected one of {', '.join(TASKS)}")
    return TASKS[name]
