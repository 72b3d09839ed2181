#!/usr/bin/env python3
"""Writes the project's site: the documents and the course, the C++ headers and the Python package as reference, the
notebooks. Needs python3-markdown. What scripts/make_site.sh calls:

    scripts/make_site.py DIR [--notebooks DIR]     writes it; pages of executed notebooks are taken from there
    scripts/make_site.py --check DIR               follows every link within it
"""
import ast
import html
import json
import posixpath
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Iterator
from urllib.parse import unquote, urldefrag

ROOT = Path(__file__).resolve().parents[1]
GUIDES = ["README.md", "docs/training.md", "docs/data.md", "docs/models.md", "docs/weights.md", "docs/study.md", "docs/speedrun.md",
          "docs/python.md", "docs/cheatsheet.md"]
INSIDE = ["docs/architecture.md", "docs/operators.md", "docs/extending.md", "docs/api.md", "docs/performance.md", "docs/results.md",
          "CONTRIBUTING.md", "CHANGELOG.md"]


class Page:
    def __init__(self, address: str, title: str, body: str, group: str = "", source: str = "") -> None:
        self.address, self.title, self.body, self.group, self.source = address, title, body, group, source


def address_of(path: str) -> str:
    """Where a file of the sources is in the site."""
    if path == "README.md":
        return "index.html"
    if path.endswith(".md"):
        return re.sub(r"^docs/", "", path)[:-3].replace("README", "index") + ".html"
    if path.endswith(".ipynb"):
        return "notebooks/" + Path(path).stem + ".html"
    return "source/" + path + ".html"


def text_of(markup: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", markup))).strip()


def slug(title: str) -> str:
    return re.sub(r"[^\w]+", "-", title.lower()).strip("-")


# -- Markdown

def markdown_page(path: str, group: str) -> Page:
    import markdown
    # "```cpp ops/add.cpp" says where an excerpt comes from, of which this Markdown knows nothing.
    up = "../" * path.count("/")
    source = re.sub(r"^```cpp ([\w./]+)$", rf"[\1]({up}\1):\n\n```cpp", (ROOT / path).read_text(), flags=re.M)
    source = re.sub(r"^```(sh run|text output).*$", lambda m: "```" + m.group(1).split()[0], source, flags=re.M)
    body = markdown.markdown(source, extensions=["tables", "fenced_code", "sane_lists", "toc"],
                             extension_configs={"toc": {"slugify": lambda value, _: slug(value)}})
    body = re.sub(r'(<h[123] id="([^"]+)">)(.*?)(</h[123]>)',
                  r'\1\3<a class="anchor" href="#\2" aria-label="Link to this section">#</a>\4', body)
    title = re.search(r"<h1[^>]*>(.*?)<a class", body, flags=re.S)
    return Page(address_of(path), text_of(title.group(1)) if title else Path(path).stem, body, group, path)


# -- C++ headers: a comment, and what it is the comment of

def declarations(text: str) -> Iterator[tuple[str, str]]:
    """Pairs of comment and declaration at the level of a namespace, in order. Bodies of functions are left out."""
    lines = text.splitlines()
    comment: list[str] = []
    i = 0
    while i < len(lines):
        line = lines[i]
        if line.startswith("///"):
            comment.append(line[3:].removeprefix(" "))
        elif re.match(r"(#|namespace\b|}|using namespace|extern)", line) or not line.strip():
            comment = [] if not line.strip() else comment
        else:
            first, depth = i, 0
            while True:
                code = re.sub(r"//.*|'.'|\"[^\"]*\"", "", lines[i])
                depth += code.count("{") + code.count("(") - code.count("}") - code.count(")")
                if depth <= 0 and (code.rstrip().endswith((";", "}")) or i + 1 == len(lines)):
                    break
                i += 1
            declared = re.sub(r"\n private:\n.*\n};", "\n};", "\n".join(lines[first:i + 1]), flags=re.S)
            if comment and not re.match(r"(template <>|class \w+;|struct \w+;)", declared):
                yield "\n".join(comment), declared
            comment = []
        i += 1


def name_of(declared: str) -> str:
    found = re.search(r"\b(?:class|struct|enum class|concept|using)\s+([A-Za-z_]\w*)", declared) or re.search(
        r"([A-Za-z_]\w*|operator\S+)\s*\(", declared) or re.search(r"([A-Za-z_]\w*)\s*(?:=|\{|;)", declared)
    return found.group(1) if found else ""


def header_page(path: str) -> tuple[Page, list[tuple[str, str, str]]]:
    text = (ROOT / path).read_text()
    opening = re.match(r"((?:///.*\n)+)", text)
    about = "\n".join(line[3:].removeprefix(" ") for line in (opening.group(1) if opening else "").splitlines())
    body = f"<h1>{path}</h1><pre>{html.escape(about)}</pre><p><code>#include &lt;exciton/{path}&gt;</code></p>"
    entries, used = [], set()
    for comment, declared in declarations(text[opening.end() if opening else 0:]):
        if "namespace detail" in declared:
            continue
        name = name_of(declared)
        anchor = name
        while anchor in used:
            anchor += "-"
        used.add(anchor)
        body += (f'<div class="declared" id="{html.escape(anchor)}"><pre><code>{html.escape(declared)}</code></pre>'
                 f"<p>{html.escape(comment)}</p></div>")
        entries.append((anchor, name, comment))
    return Page(f"api/{path}.html", path, body, "C++ reference", path), entries


# -- Python: stubs and modules

def python_pages() -> Iterator[tuple[Page, list[tuple[str, str, str]]]]:
    for path in sorted((ROOT / "python/exciton").glob("*.py*")):
        if path.suffix not in (".py", ".pyi") or path.name == "__init__.py":
            continue
        module = path.stem if path.suffix == ".py" else "exciton"
        source = path.read_text()
        tree = ast.parse(source)
        title = f"exciton.{module}" if path.suffix == ".py" else "exciton"
        body = f"<h1>{title}</h1><pre>{html.escape(ast.get_docstring(tree) or '')}</pre>"
        entries = []
        for node in tree.body:
            if not isinstance(node, (ast.ClassDef, ast.FunctionDef)) or node.name.startswith("_"):
                continue
            entries.append((node.name, node.name, ast.get_docstring(node) or ""))
            shown = "\n".join(source.splitlines()[node.lineno - 1:node.end_lineno])
            body += f'<div class="declared" id="{node.name}"><pre><code>{html.escape(shown)}</code></pre></div>'
        yield Page(f"api/python/{title}.html", title, body, "Python reference", str(path.relative_to(ROOT))), entries


# -- Notebooks and sources

def notebook_page(path: str, executed: Path | None) -> Page:
    import markdown
    if executed and (executed / Path(path).name).exists():
        book = json.loads((executed / Path(path).name).read_text())
    else:
        book = json.loads((ROOT / path).read_text())
    body, title = "", Path(path).stem
    for cell in book["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            body += markdown.markdown(text, extensions=["tables", "fenced_code"])
            if text.startswith("# "):
                title = text.splitlines()[0][2:]
            continue
        body += f"<pre><code>{html.escape(text)}</code></pre>"
        for output in cell.get("outputs", []):
            if "text" in output:
                body += f"<pre>{html.escape(''.join(output['text']))}</pre>"
            elif "image/png" in output.get("data", {}):
                data = "".join(output["data"]["image/png"]).replace("\n", "")
                body += f'<p><img alt="figure of the cell above" src="data:image/png;base64,{data}"></p>'
    return Page(address_of(path), title, body, "Notebooks", path)


def source_page(path: str) -> Page:
    where = ROOT / path
    if where.is_dir():
        items = "".join(f'<li><a href="{path}/{item.name}">{item.name}</a></li>' for item in sorted(where.iterdir())
                        if tracked(f"{path}/{item.name}"))
        return Page(address_of(path), path, f"<h1>{path}</h1><ul>{items}</ul>", "", path)
    return Page(address_of(path), path, f"<h1>{path}</h1><pre><code>{html.escape(where.read_text())}</code></pre>", "", path)


def tracked(path: str) -> bool:
    return path in FILES or any(name.startswith(path + "/") for name in FILES)


# -- Putting together

def linked(page: Page, pages: dict[str, Page], wanted: list[str]) -> str:
    """The body with links between sources turned into links between pages; what else is linked to is asked for."""
    folder = posixpath.dirname(page.source)
    if page.source and (ROOT / page.source).is_dir():
        folder = ""

    def turned(match: re.Match[str]) -> str:
        attribute, target = match.group(1), html.unescape(match.group(2))
        if re.match(r"[a-z]+:|#", target):
            return match.group(0)
        path, fragment = urldefrag(target)
        path = posixpath.normpath(posixpath.join(folder, unquote(path)))
        if path.startswith(".."):
            return match.group(0)
        if attribute == "src" or path.endswith((".png", ".svg")):
            address = "images/" + posixpath.basename(path)
            images[address] = path
        elif path == "docs/notebooks":
            address = "notebooks/01_first_training.html"
        else:
            address = address_of(path)
            if address not in pages and tracked(path):
                wanted.append(path)
            elif not tracked(path):
                sys.exit(f"make_site.py: {page.source} links to {path}, which is not there")
        relative = posixpath.relpath(address, posixpath.dirname(page.address) or ".")
        return f'{attribute}="{html.escape(relative)}{"#" + slug(unquote(fragment)) if fragment else ""}"'

    return re.sub(r'\b(href|src)="([^"]*)"', turned, page.body)


def whole(page: Page, body: str, menu: list[tuple[str, list[Page]]]) -> str:
    up = "../" * page.address.count("/")
    aside = ""
    for group, members in menu:
        items = "".join(f'<li><a href="{up}{member.address}"{" aria-current=page" if member is page else ""}>'
                        f"{html.escape(member.title)}</a></li>" for member in members)
        shown = f"<ul>{items}</ul>"
        if group.endswith("reference"):
            is_open = " open" if page in members else ""
            aside += f"<details{is_open}><summary>{group}</summary>{shown}</details>"
        else:
            aside += f"<h2>{group}</h2>{shown}"
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(page.title)} - Exciton</title>
<link rel="stylesheet" href="{up}base.css"><link rel="stylesheet" href="{up}site.css"><link rel="icon" href="data:,"></head>
<body data-up="{up}"><nav><div class="inner"><a class="skip" href="#content">To the content</a><a href="{up}index.html"><b>Exciton</b></a>
<button id="menu" type="button">Menu</button>
<form role="search"><label class="skip" for="query">Search</label><input id="query" type="search" placeholder="Search (press /)"
autocomplete="off"><ul id="found" aria-label="Found"></ul></form><button id="theme" type="button" aria-label="Light or dark">Dark</button></div></nav>
<aside aria-label="Pages">{aside}</aside><main id="content">{body}</main>
<script src="{up}index.js"></script><script src="{up}site.js"></script></body></html>
"""


FILES: set[str] = set()
images: dict[str, str] = {}


def write(out: Path, executed: Path | None) -> None:
    FILES.update(subprocess.run(["git", "-C", str(ROOT), "ls-files"], check=True, capture_output=True, text=True).stdout.split("\n"))
    pages: dict[str, Page] = {}
    search: list[tuple[str, str, str, str]] = []
    for group, paths in (("Guide", GUIDES), ("Course", sorted(f for f in FILES if re.fullmatch(r"docs/course/(README|\d.*)\.md", f))),
                         ("Inside", INSIDE)):
        for path in paths:
            page = markdown_page(path, group)
            pages[page.address] = page
            for part in re.split(r"(?=<h[123] id)", page.body):
                head = re.match(r'<h[123] id="([^"]+)">(.*?)<a class', part, flags=re.S)
                if head:
                    search.append((f"{page.address}#{head.group(1)}", text_of(head.group(2)), page.title, text_of(part)[:1500]))
    for path in sorted(f for f in FILES if f.startswith("docs/notebooks/") and f.endswith(".ipynb")):
        page = notebook_page(path, executed)
        pages[page.address] = page
        search.append((page.address, page.title, "notebook", text_of(re.sub(r"<img[^>]*>", "", page.body))[:3000]))
    public = sorted(set(re.findall(r"`([a-z]+/[a-z0-9_/]+\.hpp)`", (ROOT / "docs/api.md").read_text())))
    for page, entries in [header_page(path) for path in public] + list(python_pages()):
        pages[page.address] = page
        search.append((page.address, page.title, page.group, ""))
        search += [(f"{page.address}#{anchor}", name, page.title, " ".join(comment.split())[:400]) for anchor, name, comment in entries]
    # docs/api.md names headers in code: to their pages.
    api = pages["api.html"]
    api.body = re.sub(r"<code>([a-z]+/[a-z0-9_/]+\.hpp)</code>",
                      lambda m: f'<a href="site:api/{m.group(1)}.html"><code>{m.group(1)}</code></a>' if m.group(1) in public else m.group(0),
                      api.body)

    menu = [(group, [p for p in pages.values() if p.group == group])
            for group in ("Guide", "Course", "Notebooks", "Inside", "Python reference", "C++ reference")]
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    done: set[str] = set()
    while set(pages) - done:
        for address in sorted(set(pages) - done):
            page, wanted = pages[address], []
            body = linked(page, pages, wanted).replace('href="site:', 'href="' + "../" * address.count("/"))
            for path in wanted:
                other = source_page(path)
                pages.setdefault(other.address, other)
            target = out / address
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(whole(page, body, menu))
            done.add(address)
    for address, path in images.items():
        (out / "images").mkdir(exist_ok=True)
        shutil.copy(ROOT / path, out / address)
    shutil.copy(ROOT / "apps/page/base.css", out)
    for name in ("site.css", "site.js"):
        shutil.copy(ROOT / "scripts/site" / name, out)
    (out / "index.js").write_text("const SEARCH = " + json.dumps(search, ensure_ascii=False).replace("</", "<\\/") + ";\n")
    print(f"{len(pages)} pages, {len(search)} entries to search in {out}")


# -- The link test

class Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for key, value in attributes:
            if key == "id" and value:
                self.ids.add(value)
            if key in ("href", "src") and value is not None:
                self.targets.append(value)


def check(site: Path) -> int:
    parsed: dict[Path, Links] = {}
    for path in site.rglob("*.html"):
        parsed[path.resolve()] = links = Links()
        links.feed(path.read_text())
    broken, followed = 0, 0
    for path, links in parsed.items():
        for target in links.targets:
            if re.match(r"https?:|data:|mailto:", target):
                continue
            followed += 1
            name, fragment = urldefrag(target)
            there = (path.parent / unquote(name)).resolve() if name else path
            if not there.is_file() or (fragment and there in parsed and unquote(fragment) not in parsed[there].ids):
                print(f"{path.relative_to(site.resolve())}: {target} leads nowhere")
                broken += 1
    print(f"{len(parsed)} pages, {followed} links followed, {broken} broken")
    return 1 if broken or not parsed else 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if len(arguments) == 2 and arguments[0] == "--check":
        sys.exit(check(Path(arguments[1])))
    if len(arguments) not in (1, 3) or (len(arguments) == 3 and arguments[1] != "--notebooks"):
        sys.exit(__doc__)
    write(Path(arguments[0]), Path(arguments[2]) if len(arguments) == 3 else None)
