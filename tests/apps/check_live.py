"""Trains with --live, watches the page in headless Chromium while it does, and the finished run by `exciton watch`.
Usage: check_live.py PROGRAM FOLDER [SCREENSHOT]. Exit code 77: no Chromium here."""
import http.client
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

import browser

path = browser.find()
if not path:
    print("no chromium here")
    sys.exit(77)
program, folder = sys.argv[1], Path(sys.argv[2])
shutil.rmtree(folder, ignore_errors=True)
folder.mkdir(parents=True)


def wanted(ok, text):
    if not ok:
        sys.exit(f"{text}; console: {tab.problems if tab else []}")


def write_images():
    """Stripes across or down, under noise: 400 to train on, 40 to test."""
    seed = 1
    for split, count in (("train", 400), ("test", 40)):
        for i in range(count):
            kind = ("across", "down")[i % 2]
            (folder / "data" / split / kind).mkdir(parents=True, exist_ok=True)
            pixels = bytearray()
            for row in range(32):
                for column in range(32):
                    seed = (1103515245 * seed + 12345) % (1 << 31)
                    value = (150 if ((row if i % 2 == 0 else column) // 4) % 2 else 0) + seed // 65536 % 100
                    pixels += bytes((value, value, value))
            (folder / "data" / split / kind / f"{i}.ppm").write_bytes(b"P6\n32 32\n255\n" + pixels)


def started(*command):
    """The process, and the address it tells."""
    process = subprocess.Popen([program, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in process.stdout:
        found = re.search(r"http://127\.0\.0\.1:\d+/[0-9a-f]{32}/", line)
        if found:
            return process, found.group()
    sys.exit(f"{command} told no address")


def status(address, path=None, host=None):
    url = urlsplit(address)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=5)
    connection.putrequest("GET", path or url.path, skip_host=True)
    connection.putheader("Host", host or url.netloc)
    connection.endheaders()
    return connection.getresponse().status


def listening(port):
    """The addresses that something listens on at this port."""
    out = set()
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(name).read_text().splitlines()[1:]:
            where, state = line.split()[1], line.split()[3]
            if state == "0A" and int(where.split(":")[1], 16) == port:
                out.add(where.split(":")[0])
    return out


tab = None
write_images()
(folder / "recipe.json").write_text(json.dumps({
    "model": {"name": "se_resnet20"}, "data": {"kind": "folder", "dir": str(folder / "data"), "batch": 16, "validation": "test"},
    "schedule": {"lr": 0.05}, "epochs": 20, "threads": 1}))
run = folder / "run"
process, address = started("train", str(folder / "recipe.json"), "--out", str(run), "--live")
try:
    tab = browser.Browser(path)
    # Who may look: this machine, by this address.
    url = urlsplit(address)
    wanted(listening(url.port) == {"0100007F"}, f"it listens on {listening(url.port)}")
    wanted(status(address) == 200, "the page is not there")
    wanted(status(address, host=f"localhost:{url.port}") == 200, "localhost is no name of it")
    for host in ("evil.example.org", f"evil.example.org:{url.port}", f"127.0.0.1:{url.port + 1}"):
        wanted(status(address, host=host) == 403, f"the Host {host} is answered")
    for other in ("/", "/data", "/" + "0" * 32 + "/", url.path + "../run/recipe.json"):
        wanted(status(address, path=other) == 404, f"{other} is answered")

    tab.open(address)
    wanted(tab.run("document.body.dataset.ready") == "true", "the script failed: " + str(tab.run("page.errors")))
    late, seen = [], 0
    deadline = time.monotonic() + 60
    while len(late) < 5 and time.monotonic() < deadline:
        lines = (run / "live.jsonl").read_text().splitlines()
        step = json.loads(lines[-1]).get("step", 0) if lines and lines[-1].endswith("}") else 0
        if step <= seen:
            time.sleep(0.02)
            continue
        seen, since = step, time.monotonic()
        while tab.run("page.live.drawn || 0") < step and time.monotonic() - since < 5:
            time.sleep(0.02)
        late.append(time.monotonic() - since)
    wanted(len(late) == 5 and max(late) < 5, f"steps arrive after {late} s")
    wanted(tab.run("document.querySelectorAll('#gates figure canvas').length") == 9, "not all nine units are there")
    print(f"steps are drawn within {max(late):.2f} s")
finally:
    code = None
    if tab and not tab.problems:
        code = process.wait(timeout=240)
    else:
        process.kill()
wanted(code == 0, f"train ended with {code}")
time.sleep(1.5)
wanted("ended" in tab.run("document.querySelector('[role=status]').textContent"), "the page does not say that the program is gone")
tab.close()

# Nothing listens unless asked.
tab = None
process, address = started("watch", str(run))
for dark in (False, True):
    tab = browser.Browser(path, dark=dark)
    begun = time.monotonic()
    tab.open(address)
    while (tab.run("page.live.epochs.size") or 0) < 20 or not tab.run("page.live.drawn"):
        wanted(time.monotonic() - begun < 10, "the finished run does not come")
        time.sleep(0.02)
    taken = time.monotonic() - begun
    wanted(taken < 30, f"a finished run of 20 epochs takes {taken:.2f} s")
    wanted(tab.run("document.querySelector('[role=status]').textContent") == "finished", "it is not said to be finished")
    ink = tab.run("[...document.querySelectorAll('canvas')].map(c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;"
                  " let n = 0; for (let i = 3; i < d.length; i += 4) n += d[i] > 0; return n; })")
    wanted(len(ink) == 13 and min(ink) > 50, f"empty pictures: {ink}")

    # Back in time, by keyboard.
    tab.run("document.getElementById('time').focus()")
    shot = "document.querySelector('#gates figure canvas').toDataURL()"
    newest, told = tab.run(shot), tab.run("document.querySelector('output').textContent")
    wanted("newest" in told, f"it begins at {told}")
    tab.key("Home")
    wanted(tab.run(shot) != newest and tab.run("document.querySelector('output').textContent").startswith("step 1,"),
           "Home does not lead to the first step: " + tab.run("document.querySelector('output').textContent"))
    tab.key("ArrowRight")
    wanted(not tab.run("document.querySelector('output').textContent").startswith("step 1,"), "the arrow does not move")
    tab.run("(() => { const s = document.querySelector('#gates select'); s.value = 'epoch'; s.dispatchEvent(new Event('change')); })()")
    wanted(tab.run("document.getElementById('time').max") == "19", "twenty epochs are not twenty places")
    wanted(tab.run("[...document.querySelectorAll('select, input')].every(e => e.labels.length > 0)"), "a control without a label")
    foreign = tab.run("performance.getEntriesByType('resource').map(e => e.name).filter(n => !n.startsWith(location.origin) && !n.startsWith('data:'))")
    wanted(not foreign, f"it asks the network for {foreign}")
    wanted(not tab.problems, "something on the console")
    if len(sys.argv) > 3 and not dark:
        tab.screenshot(sys.argv[3], whole=True)
    print(f"a finished run is drawn within {taken:.2f} s, {'dark' if dark else 'light'}")
    tab.close()
process.send_signal(2)
wanted(process.wait(timeout=10) == 0, "Ctrl-C does not end watch")
wanted(not listening(urlsplit(address).port), "something still listens")
