"""Recomputes the numbers of figures 6 and 7 from the gates that `exciton inspect --csv DIR` dumped.
Usage: check_figure6.py DIR CLASS...    (the class names in label order)"""
import array
import csv
import math
import pathlib
import sys

folder, names = pathlib.Path(sys.argv[1]), sys.argv[2:]
claimed = {}
with open(folder / "figure6.csv", newline="") as file:
    for row in csv.DictReader(file):
        claimed[row["block"], row["class"], int(row["channel"])] = row

compared, worst = 0, 0.0
for path in sorted((folder / "gates").glob("*.csv")):
    block = path.name[: -len(".csv")]
    with open(path, newline="") as file:
        reader = csv.reader(file)
        channels = len(next(reader)) - 2
        # Gates are single precision: the shortest decimals that name them are not their values.
        rows = [(int(r[1]), list(array.array("f", map(float, r[2:])))) for r in reader]
    for label, name in [(None, "(all)")] + list(enumerate(names)):
        chosen = [gates for own, gates in rows if label is None or own == label]
        for channel in range(channels):
            values = [gates[channel] for gates in chosen]
            mean = math.fsum(values) / len(values) if values else 0
            deviation = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values)) if values else 0
            row = claimed.pop((block, name, channel))
            if int(row["images"]) != len(values):
                sys.exit(f"{block} {name}: {row['images']} images, counted {len(values)}")
            worst = max(worst, abs(float(row["mean"]) - mean))
            # The program takes the deviation from sums of squares, which cost it some digits.
            if abs(float(row["mean"]) - mean) > 1e-9 or abs(float(row["deviation"]) - deviation) > 1e-5:
                sys.exit(f"{block} {name} channel {channel}: {row['mean']} +- {row['deviation']}, "
                         f"computed {mean} +- {deviation}")
            compared += 1
if claimed or not compared:
    sys.exit(f"{len(claimed)} numbers of figure6.csv have no gates behind them")
print(f"{compared} means and deviations agree, means within {worst:.1e}")
