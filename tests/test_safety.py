"""docs/dev/safety.md, held: no code in data, no remote code, pinned versions, and no name that leads out of a folder.

What a name in a path may do is tested where the path is made (tests/core/test_files.py, tests/reproductions/
test_store.py), what is downloaded in tests/core/test_packaged.py.
"""

import ast
import re
import tomllib
from importlib.metadata import PackageNotFoundError, requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from reproductions import cli
from tests.project import ROOT, imported, modules, tox

PACKAGES = ("fastbert_core", "reproductions", "plots", "bench")
FORBIDDEN_MODULES = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "imp", "code"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "pd.read_pickle"}
REQUIRED = {  # call -> what it must be told
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "np.lib.format.read_array": ("allow_pickle", False),
    "AutoConfig.from_pretrained": ("trust_remote_code", False),
    "AutoTokenizer.from_pretrained": ("trust_remote_code", False),
    "AutoModel.from_pretrained": ("trust_remote_code", False),
}
NETWORK = {*"urllib http socket requests httpx httpx2 ftplib aiohttp huggingface_hub datasets".split()}


def faults(tree):
    """What a module does that none may do, as texts."""
    yield from (f"imports {name}" for name in imported(tree) if name.split(".")[0] in FORBIDDEN_MODULES)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            told = {keyword.arg: getattr(keyword.value, "value", None) for keyword in node.keywords}
            if called in FORBIDDEN_CALLS:
                yield f"calls {called}"
            if called in REQUIRED and told.get(REQUIRED[called][0]) is not REQUIRED[called][1]:
                yield f"calls {called} without {REQUIRED[called][0]}={REQUIRED[called][1]}"
            if told.get("shell", False) is not False or told.get("trust_remote_code", False) is not False:
                yield f"calls {called} with a shell or remote code"
            if told.get("allow_pickle", False) is not False or told.get("weights_only", True) is not True:
                yield f"calls {called} with pickles"


def test_no_module_loads_code_with_data_or_hands_text_to_a_shell():
    found = modules(*PACKAGES)
    assert len(found) > 80
    assert {path: said for path, tree in found.items() if (said := list(faults(tree)))} == {}


@pytest.mark.parametrize(
    "line",
    [
        *("import pickle", "from joblib import load", "eval('1')", "exec(text)", "__import__(name)", "os.system('x')"),
        *("torch.load(path)", "torch.load(path, weights_only=False)", "load(file, weights_only=given)"),
        *("np.load(path)", "np.load(path, allow_pickle=True)", "np.save(file, array, allow_pickle=True)"),
        *("AutoModel.from_pretrained(name)", "AutoConfig.from_pretrained(name, trust_remote_code=True)"),
        *("subprocess.run(text, shell=True)", "subprocess.run(text, shell=given)"),
        "load_dataset(x, trust_remote_code=True)",
    ],
)
def test_each_of_these_would_be_found(line):
    assert list(faults(ast.parse(line)))


@pytest.mark.parametrize("line", ["model.eval()", "np.load(path, allow_pickle=False)", "re.compile('x')", "run(['x'])"])
def test_and_none_of_these(line):
    assert not list(faults(ast.parse(line)))


def test_who_speaks_with_the_network_is_known():
    """Of these only `packaged` keeps a file that it fetched, by a pip in another process, and checks its SHA-256."""
    speak = {path for path, tree in modules(*PACKAGES).items() if NETWORK & {n.split(".")[0] for n in imported(tree)}}
    ours = {"cluster", "encoder_folder", "hub", "serving"}  # of which the last answers, on loopback unless told
    assert speak == {f"fastbert_core/{name}.py" for name in ours}
    pip = {path for path, tree in modules(*PACKAGES).items() if '"pip"' in ast.unparse(tree).replace("'", '"')}
    assert pip == {"fastbert_core/packaged.py"}


@pytest.mark.parametrize("word", ["../dbpedia", "/etc", "dbpedia/..", "dbpedia\n", ".", ""])
@pytest.mark.parametrize("command", ["run", "grid"])
def test_no_task_word_is_a_path(command, word, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main([command, word, "--profile", "smoke"]) == 2
    assert "error: task: found" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def pins():
    """The versions of constraints.txt by canonical name."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if line and not line.startswith("#")]
    matches = [re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.+]*)", line) for line in lines]
    assert all(matches), [line for line, match in zip(lines, matches, strict=True) if not match]
    found = {canonicalize_name(match[1]): match[2] for match in matches}
    assert len(found) == len(lines)
    return found


def project():
    """Every requirement of pyproject.toml, of the build and the extras too."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = table["project"]["optional-dependencies"].values()
    lines = [
        *table["build-system"]["requires"],
        *table["project"]["dependencies"],
        *(line for e in extras for line in e),
    ]
    found = [Requirement(line) for line in lines]
    return [requirement for requirement in found if requirement.name != table["project"]["name"]]  # an extra of ours


def test_every_dependency_is_pinned_to_a_version_that_it_allows():
    pinned = pins()
    for requirement in project():
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_what_dependencies_depend_on_is_pinned_too():
    """But for what its parent pins itself, as torch does with its CUDA libraries."""
    pinned, seen, todo = pins(), set(), [r for r in project() if r.name != "setuptools"]
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        if name in seen or any(clause.operator == "==" and name not in pinned for clause in requirement.specifier):
            continue
        seen.add(name)
        assert requirement.specifier.contains(pinned[name], prereleases=True), requirement
        try:
            found = [Requirement(line) for line in requires(requirement.name) or []]
        except PackageNotFoundError:
            assert name == "ray"  # of an extra that tox -e scale has, where this test runs too
            continue
        extras = [{"extra": extra} for extra in requirement.extras] or [{"extra": ""}]
        todo += [r for r in found if not r.marker or any(r.marker.evaluate(extra) for extra in extras)]


def test_what_tox_installs_beside_the_suite_is_pinned_or_allowed():
    assert "constraints.txt" in tox()["testenv:suite"]["set_env"]
    deps = [line for section in tox().values() for line in section.get("deps", "").split("\n") if line]
    rivals = (ROOT / "bench" / "rivals" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert "-e .[dev]" in deps  # whose requirements are those of pyproject.toml
    for line in [*(line for line in deps if line != "-e .[dev]"), *(line for line in rivals if line[0] != "#")]:
        requirement = Requirement(line)
        exact = all(clause.operator == "==" for clause in requirement.specifier) and requirement.specifier
        assert exact or canonicalize_name(requirement.name) in pins(), line


def test_the_audit_reads_what_is_installed():
    command = tox()["testenv:audit"]["commands"].split()
    assert command[0] == "pip-audit"
    assert {"--strict", "constraints.txt"} <= set(command)  # strict: what could not be asked about is no success
