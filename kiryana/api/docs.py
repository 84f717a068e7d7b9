"""/docs: the guide of docs/ beside the reference to read and to try, what each error code means, what changes."""

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings
from django.shortcuts import render
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe
from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name

from kiryana.api.schema import schema
from kiryana.middleware import CONTENT_SECURITY_POLICY
from stores.authentication.problems import CODES

DOCS = settings.BASE_DIR / "docs"
# Swagger UI sets styles on its elements; nothing else of the strict policy is loosened.
POLICY = CONTENT_SECURITY_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
# Examples of one thing in these languages stand behind tabs.
LANGUAGES = {"sh": "curl", "python": "Python", "js": "JavaScript"}
COLOURS = HtmlFormatter(nowrap=True)
# What a link in the files of docs/ is on this page.
FILES = {"api.md": "", "api-errors.md": "error-codes", "api-changelog.md": "what-changes"}
METHODS = ("get", "post", "patch", "delete")


@dataclass
class Heading:
    """One heading, with those beneath it."""

    id: str
    words: str
    level: int
    inner: list["Heading"] = field(default_factory=list)


class Guide:
    """One file of docs/ as HTML, with its headings. Its title and what stands directly under it are left to the page."""

    def __init__(self, file: Path):
        self.file, self.headings, self.groups = file, [], 0
        self.markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
        self.markdown.add_render_rule("table_open", lambda *_: '<div class="doc-table" tabindex="0"><table>')
        self.markdown.add_render_rule("table_close", lambda *_: "</table></div>")
        tokens = self.markdown.parse(file.read_text(encoding="utf-8"))[6:]
        self.html = mark_safe("".join(self.parts(tokens)))  # noqa: S308  (our own files, without HTML in them)

    def parts(self, tokens: list[Token]):
        """The page piece by piece: code in its frames, headings with anchors, the rest as Markdown has it."""
        place = 0
        while place < len(tokens):
            token = tokens[place]
            if token.type == "fence":
                end = place + 1
                if token.info in LANGUAGES:
                    while end < len(tokens) and tokens[end].type == "fence" and tokens[end].info in LANGUAGES:
                        # Twice the same language is not one example in several, but the next example.
                        if tokens[end].info in [one.info for one in tokens[place:end]]:
                            break
                        end += 1
                yield self.code(tokens[place:end])
            elif token.type == "heading_open":
                end = place + 3
                yield self.heading(int(token.tag[1]), tokens[place + 1])
            elif (example := self.named_file(tokens[place : place + 3])) is not None:
                end = place + 3
                yield example
            else:
                end = place + 1
                if token.type == "inline":
                    self.mend_links(token)
                yield self.markdown.renderer.render([token], self.markdown.options, {})
            place = end

    def heading(self, level: int, inline: Token) -> SafeString:
        words = "".join(child.content for child in inline.children)
        made = Heading(anchor(words), words, level)
        if level == 2:
            self.headings.append(made)
        elif self.headings:
            self.headings[-1].inner.append(made)
        shown = format_html("<code>{}</code>", words) if words in CODES else words
        status = format_html('<span class="doc-status">{}</span>', CODES[words][0]) if words in CODES else ""
        return format_html(
            '<h{} id="{}"><a class="doc-anchor" href="#{}">{}</a>{}</h{}>',
            level,
            made.id,
            made.id,
            shown,
            status,
            level,
        )

    def code(self, fences: list[Token]) -> SafeString:
        """An example in one language or several, or what the server answers."""
        if len(fences) == 1:
            language = fences[0].info.split()[0]
            answer = "Message" if fences[0].content.startswith("POST ") else "Answer"
            shell = "curl" if "curl " in fences[0].content else "Shell"
            label = shell if language == "sh" else LANGUAGES.get(language, answer)
            return format_html(
                '<figure class="doc-code doc-{}"><figcaption>{}</figcaption>{}</figure>',
                language,
                label,
                block(fences[0]),
            )
        self.groups += 1
        name = f"{self.file.stem}-{self.groups}"
        return format_html(
            '<div class="doc-code doc-tabs">{}{}</div>',
            format_html_join(
                "",
                '<input type="radio" name="{}" id="{}-{}" value="{}"{}><label for="{}-{}">{}</label>',
                (
                    (
                        name,
                        name,
                        one.info,
                        one.info,
                        SafeString("" if number else " checked"),
                        name,
                        one.info,
                        LANGUAGES[one.info],
                    )
                    for number, one in enumerate(fences)
                ),
            ),
            format_html_join("", '<div class="doc-panel">{}</div>', ((block(one),) for one in fences)),
        )

    def named_file(self, tokens: list[Token]) -> SafeString | None:
        """A paragraph that is nothing but a link to a file of docs/examples/ is that file, folded up."""
        if len(tokens) < 3 or tokens[0].type != "paragraph_open":
            return None
        children = tokens[1].children
        if [child.type for child in children] != ["link_open", "text", "link_close"]:
            return None
        named = re.fullmatch(r"examples/([a-z_]+\.(py|mjs|sh))", children[0].attrs["href"])
        if named is None:
            return None
        text = (DOCS / named[0]).read_text(encoding="utf-8")
        language = {"py": "python", "mjs": "js", "sh": "sh"}[named[2]]
        return format_html(
            '<details class="doc-file" id="{}"><summary><code>{}</code> <span>{} lines</span></summary>'
            '<div class="doc-code">{}</div></details>',
            anchor(named[1]),
            named[1],
            len(text.splitlines()),
            coloured(text, language),
        )

    def mend_links(self, inline: Token) -> None:
        """Links between the files of docs/ become places on this page."""
        for child in inline.children:
            if child.type == "link_open":
                file, _hash, place = child.attrs["href"].partition("#")
                if file in FILES:
                    child.attrs["href"] = f"#{place or FILES[file]}"


def anchor(words: str) -> str:
    """The id of a heading: as GitHub makes it, so that the same links work there; codes stay as they are."""
    return words if words in CODES else re.sub(r"[^a-z0-9 _-]", "", words.lower()).replace(" ", "-")


def block(fence: Token) -> SafeString:
    return coloured(fence.content, fence.info.split()[0])


def coloured(text: str, language: str) -> SafeString:
    """Code with its words marked up for the stylesheet."""
    try:
        made = highlight(text, get_lexer_by_name(language, stripnl=False), COLOURS)
    except ValueError:
        made = escape(text)
    return format_html('<pre tabindex="0"><code>{}</code></pre>', SafeString(made))


@functools.cache
def guides() -> dict[str, Guide]:
    """All files of the guide, read once."""
    return {name: Guide(DOCS / f"{name}.md") for name in ("api", "api-errors", "api-changelog")}


@functools.cache
def addresses() -> list[dict]:
    """Every operation of the schema: method, path, summary, where Swagger UI has it."""
    return [
        {
            "method": method.upper(),
            "path": path,
            "summary": operation["summary"],
            "place": f"/{operation['tags'][0]}/{operation['operationId']}",
        }
        for path, methods in schema()["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]


@require_safe
def docs(request):
    """The API's page. Open to everybody, like the schema that it shows."""
    codes = [{"code": code, "status": status, "title": title} for code, (status, title) in CODES.items()]
    context = {
        "codes": codes,
        "addresses": addresses(),
        **{name.replace("-", "_"): made for name, made in guides().items()},
    }
    response = render(request, "kiryana/docs.html", context)
    response["Content-Security-Policy"] = POLICY
    return response
