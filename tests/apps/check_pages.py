"""Opens a page in headless Chromium and uses it as a person would: charts, selectors, keyboard, both
themes. Usage: check_pages.py PAGE [SCREENSHOT]. Exit code 77: no Chromium here."""
import sys

import browser

path = browser.find()
if not path:
    print("no chromium here")
    sys.exit(77)

# Colours that differ from the first pixel's on a canvas: 0 on an empty one.
INK = """(canvas) => {
  const d = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
  let n = 0;
  for (let i = 0; i < d.length; i += 4) n += d[i + 3] !== d[3] || d[i] !== d[0] || d[i + 1] !== d[1];
  return n;
}"""


def wanted(ok, text):
    if not ok:
        sys.exit(f"{sys.argv[1]}: {text}; console: {page.problems}")


for dark in (False, True):
    page = browser.Browser(path, dark=dark)
    try:
        page.open(sys.argv[1])
        wanted(page.run("document.body.dataset.ready") == "true", "the script failed: " + str(page.run("page.errors")))
        wanted(page.run("document.documentElement.dataset.theme") == ("dark" if dark else "light"), "wrong theme")
        ink = page.run(f"[...document.querySelectorAll('canvas')].map({INK})")
        boxes = page.run("document.querySelectorAll('svg.boxes rect').length")
        wanted((len(ink) > 0 or boxes > 0) and min(ink, default=51) > 50, f"empty charts: {ink}, {boxes} boxes")

        # Every selector redraws something; every box, too.
        for kind, change in (("select", "e.selectedIndex = (e.selectedIndex + 1) % e.options.length"),
                             ("input[type=checkbox]", "e.checked = !e.checked")):
            changed = page.run(
                "(() => { const shots = () => [...document.querySelectorAll('canvas, svg.boxes')].map(e => e.toDataURL ? e.toDataURL() : e.outerHTML).join();"
                f"return [...document.querySelectorAll('{kind}')].filter(e => !e.options || e.options.length > 1).map(e => {{"
                f"const before = shots(); {change}; e.dispatchEvent(new Event('change')); return before !== shots(); }}); }})()")
            wanted(all(changed), f"{kind}: {changed.count(False)} of {len(changed)} change nothing")

        # By keyboard alone: everything that can be used is reached, and is named.
        reachable = page.run("document.querySelectorAll('a[href], button, select, input, [tabindex=\"0\"]').length")
        reached = set()
        page.run("document.activeElement.blur()")
        for _ in range(reachable + 5):
            page.key("Tab")
            reached.add(page.run(
                "[...document.querySelectorAll('a[href], button, select, input, [tabindex=\"0\"]')].indexOf(document.activeElement)"))
        wanted(reached >= set(range(reachable)), f"Tab reaches {len(reached)} of {reachable}")
        wanted(page.run("[...document.querySelectorAll('select, input')].every(e => e.labels.length > 0)"), "a control without a label")
        wanted(page.run("[...document.querySelectorAll('canvas')].every(e => e.getAttribute('aria-label'))"), "a chart without a name")
        page.run("document.getElementById('theme').focus()")
        page.key("Enter", text="\r")
        wanted(page.run("document.documentElement.dataset.theme") == ("light" if dark else "dark"), "the theme does not follow Enter")

        network = page.run("performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith('data:'))")
        wanted(not network, f"it asks the network for {network}")
        wanted(not page.problems, "something on the console")
        if len(sys.argv) > 2 and not dark:
            page.open(sys.argv[1])
            page.screenshot(sys.argv[2], whole=True)
        print(f"{sys.argv[1]}: {'dark' if dark else 'light'}, {len(ink)} charts drawn, {reachable} controls reached")
    finally:
        page.close()
