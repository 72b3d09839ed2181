"""Opens every page of the site in headless Chromium, in both themes, and searches as a person would.
Usage: check_site.py SITE. Exit code 77: no Chromium here."""
import sys
from pathlib import Path

import browser

path = browser.find()
if not path:
    print("no chromium here")
    sys.exit(77)
site = Path(sys.argv[1]).resolve()
pages = sorted(site.rglob("*.html"))


def wanted(ok, text):
    if not ok:
        sys.exit(f"{text}; console: {tab.problems}")


for dark in (False, True):
    tab = browser.Browser(path, dark=dark)
    try:
        for page in pages:
            tab.open(str(page))
            name = page.relative_to(site)
            wanted(tab.run("document.body.dataset.ready") == "true", f"{name}: the script failed")
            wanted(tab.run("document.documentElement.dataset.theme") == ("dark" if dark else "light"), f"{name}: wrong theme")
            wanted(tab.run("document.querySelectorAll('h1').length") > 0, f"{name}: no heading")
            wanted(tab.run("[...document.images].every(i => i.complete && i.naturalWidth > 0 && i.alt !== null)"),
                   f"{name}: a picture is missing")
            wanted(tab.run("document.documentElement.scrollWidth <= innerWidth"), f"{name}: wider than the window")
            wanted(not tab.problems, f"{name}: something on the console")
        # By keyboard: to the search, to what it finds, and there.
        tab.open(str(site / "index.html"))
        tab.key("/", text="/")
        wanted(tab.run("document.activeElement.id") == "query", "/ does not lead to the search")
        for words, expected in (("residual tail backward", "course/07_residual_tail.html"),
                                ("from_numpy", "api/python/exciton.html#from_numpy"), ("GateRecorder", "api/nn/gates.hpp.html#GateRecorder")):
            tab.run(f"query.value = {words!r}; query.dispatchEvent(new Event('input'))")
            found = tab.run("[...document.querySelectorAll('#found a')].map(a => a.getAttribute('href'))")
            wanted(found and any(expected in address for address in found), f"{words}: found {found}")
        tab.run("query.focus()")
        tab.key("ArrowDown")
        wanted(tab.run("document.activeElement.closest('#found') !== null"), "the arrow does not reach what was found")
        tab.run("document.getElementById('theme').focus()")
        tab.key("Enter", text="\r")
        wanted(tab.run("document.documentElement.dataset.theme") == ("light" if dark else "dark"), "the theme does not follow Enter")
        print(f"{len(pages)} pages, {'dark' if dark else 'light'}")
    finally:
        tab.close()
