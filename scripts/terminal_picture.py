#!/usr/bin/env python3
"""Draws captured terminal text as an SVG, for the README.

    build/release/exciton summary se_resnet20 | scripts/terminal_picture.py -o docs/images/run.svg \
        --prompt "exciton summary se_resnet20"

Reads standard input (or FILE). Carriage returns overwrite their line, as in a terminal; colours
(SGR 30-37, 90-97) and bold are kept, other escape sequences are dropped. --last N keeps the last N
lines, --cut A:B cuts lines out and marks the place.
"""
import argparse
import re
import sys
from xml.sax.saxutils import escape

COLOURS = ["#484f58", "#ff7b72", "#7ee787", "#e3b341", "#79c0ff", "#d2a8ff", "#76e3ea", "#c9d1d9"]
TEXT, BACKGROUND, DIM = "#c9d1d9", "#0d1117", "#6e7681"
CHAR_WIDTH, LINE_HEIGHT, FONT_SIZE, MARGIN, BAR = 7.83, 18, 13, 16, 30
ESCAPE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


def visible(raw):
    """The characters that stay on the line, each with its colour and weight."""
    cells, column, colour, bold = [], 0, TEXT, False
    at = 0
    while at < len(raw):
        match = ESCAPE.match(raw, at)
        if match:
            at = match.end()
            if match.group(2) == "K":
                del cells[column:]
            if match.group(2) != "m":
                continue
            for code in (int(c or 0) for c in match.group(1).split(";")):
                if code == 0:
                    colour, bold = TEXT, False
                elif code == 1:
                    bold = True
                elif code == 39:
                    colour = TEXT
                elif 30 <= code <= 37 or 90 <= code <= 97:
                    colour = COLOURS[code % 10]
            continue
        if raw[at] == "\r":
            column = 0
        elif raw[at] >= " ":
            cells[column:column + 1] = [(raw[at], colour, bold)]
            column += 1
        at += 1
    return cells


def spans(cells):
    """Runs of cells that look alike, as (column, text, colour, bold)."""
    out = []
    for column, (char, colour, bold) in enumerate(cells):
        if out and out[-1][2:] == (colour, bold):
            out[-1] = (out[-1][0], out[-1][1] + char, colour, bold)
        else:
            out.append((column, char, colour, bold))
    return [s for s in out if s[1].strip()]


def svg(lines, title):
    width = MARGIN * 2 + CHAR_WIDTH * max([60] + [len(cells) for cells in lines])
    height = BAR + MARGIN + LINE_HEIGHT * len(lines) + MARGIN / 2
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
           f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(title)}">',
           f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>']
    for i, colour in enumerate(["#ff5f56", "#ffbd2e", "#27c93f"]):
        out.append(f'<circle cx="{18 + 20 * i}" cy="{BAR / 2 + 3}" r="6" fill="{colour}"/>')
    font = 'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace"'
    out.append(f'<text x="{width / 2:.0f}" y="{BAR / 2 + 7}" text-anchor="middle" {font} '
               f'font-size="12" fill="{DIM}">{escape(title)}</text>')
    out.append(f'<g {font} font-size="{FONT_SIZE}">')
    for row, cells in enumerate(lines):
        y = BAR + MARGIN + LINE_HEIGHT * row + 6
        for column, text, colour, bold in spans(cells):
            weight = ' font-weight="bold"' if bold else ""
            # On each element: browsers do not pass it on from the group.
            out.append(f'<text xml:space="preserve" x="{MARGIN + CHAR_WIDTH * column:.1f}" y="{y}" fill="{colour}"{weight} '
                       f'textLength="{CHAR_WIDTH * len(text):.1f}">{escape(text)}</text>')
    return "\n".join(out + ["</g>", "</svg>", ""])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", nargs="?", help="captured text; standard input when absent")
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--title", default="exciton")
    parser.add_argument("--prompt", help="the command, shown above its output")
    parser.add_argument("--last", type=int, help="keep only so many lines")
    parser.add_argument("--cut", metavar="A:B", help="leave out lines A to B - 1, from 0")
    args = parser.parse_args()

    stream = open(args.file, encoding="utf-8", newline="\n") if args.file else sys.stdin
    raw = stream.read().rstrip("\n").split("\n")
    if args.cut:
        begin, end = (int(n) for n in args.cut.split(":"))
        raw[begin:end] = ["\x1b[90m...\x1b[0m"]
    if args.last:
        raw = raw[-args.last:]
    if args.prompt:
        raw.insert(0, f"\x1b[32m$\x1b[0m \x1b[1m{args.prompt}\x1b[0m")
    with open(args.output, "w", encoding="utf-8") as file:
        file.write(svg([visible(line) for line in raw], args.title))


if __name__ == "__main__":
    main()
