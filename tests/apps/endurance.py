#!/usr/bin/env python3
"""Kills training runs, and fails their system calls, and compares what a resume makes of them.

usage: endurance.py PROGRAM FAULTS.so [--kills N] [--faults N] [--seed N]

Ten kinds of runs on tiny images made here. Each is run once undisturbed. Then N runs are killed
(SIGKILL) at a random moment, several times each, and resumed to their end; and N runs meet one system
call that fails (a full disk, an error of the disk, no rights, ...): they must say so in one line with
the system's reason, and end, resumed, in the same bits as the undisturbed one."""
import argparse
import errno
import gzip
import io
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zlib

KINDS = {
    "mixup": {"data.augment.mixup": 0.2},
    "ema": {"ema_decay": 0.99},
    "adamw": {"optimizer": {"name": "adamw"}},
    "dropout": {"model.dropout": 0.3},
    "shake_shake": {"model": {"name": "se_shake_shake26_2x96d", "blocks": [1, 1, 1]},
                    "data.batch": 32},
    "recompute": {"recompute": "block"},
    "bf16": {"dtype": "bf16"},
    "shuffle_blocks": {"data.shuffle_block": 8, "data.workers": 1},
    "workers": {"data.workers": 3},
    "tar": {"data": {"kind": "webdataset", "dir": "tar", "image_size": 8, "batch": 16,
                     "workers": 0}},
}
# Calls, errors that the system gives to them, and where.
FAULTS = [(call, error, where)
          for call, errors in (("write", (errno.ENOSPC, errno.EIO, errno.EDQUOT)),
                               ("fsync", (errno.EIO, errno.ENOSPC)),
                               ("rename", (errno.EACCES, errno.EIO, errno.ENOSPC)),
                               ("open", (errno.EMFILE, errno.EACCES, errno.EROFS)),
                               ("mkdir", (errno.EACCES, errno.ENOSPC)))
          for error in errors for where in ("checkpoints", "log.jsonl", "recipe.json")
          if (call, where) not in (("rename", "log.jsonl"), ("mkdir", "log.jsonl"),
                                   ("mkdir", "recipe.json"))]


def png(value):
    def chunk(kind, data):
        return (struct.pack(">I", len(data)) + kind + data
                + struct.pack(">I", zlib.crc32(kind + data)))
    rows = b"".join(b"\0" + bytes([value % 256] * 24) for _ in range(8))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def make_data(root):
    rng = random.Random(1)
    os.makedirs(f"{root}/idx")
    for split, count in (("train", 96), ("t10k", 32)):
        labels = bytes(i % 10 for i in range(count))
        pixels = bytes(min(255, label * 20 + rng.randrange(40))
                       for label in labels for _ in range(64))
        with gzip.open(f"{root}/idx/{split}-images-idx3-ubyte.gz", "wb") as out:
            out.write(struct.pack(">IIII", 2051, count, 8, 8) + pixels)
        with gzip.open(f"{root}/idx/{split}-labels-idx1-ubyte.gz", "wb") as out:
            out.write(struct.pack(">II", 2049, count) + labels)
    for split, count in (("train", 96), ("val", 32)):
        os.makedirs(f"{root}/tar/{split}")
        with tarfile.open(f"{root}/tar/{split}/{split}-000000.tar", "w") as out:
            for i in range(count):
                for name, data in ((f"{i:06}.png", png(i * 20)), (f"{i:06}.cls", str(i % 4).encode())):
                    info = tarfile.TarInfo(name)
                    info.size = len(data)
                    out.addfile(info, io.BytesIO(data))


def recipe_of(root, kind):
    recipe = {"model": {"name": "se_resnet20"},
              "data": {"kind": "fashion-mnist", "dir": f"{root}/idx", "batch": 16,
                       "augment": {"pad_crop": 1, "flip": True}},
              "epochs": 3, "threads": 1, "checkpoint": {"every_steps": 2}}
    for key, value in KINDS[kind].items():
        at, *names = recipe, *key.split(".")
        for name in names[:-1]:
            at = at.setdefault(name, {})
        at[names[-1]] = value
    if kind == "tar":
        recipe["data"]["dir"] = f"{root}/tar"
    path = f"{root}/{kind}.json"
    with open(path, "w") as out:
        json.dump(recipe, out)
    return path


def last_bits(run):
    """The stored values of a finished run: what follows the header of its last checkpoint."""
    path = f"{run}/checkpoints/epoch-0003.ckpt"
    with open(path, "rb") as file:
        data = file.read()
    header = struct.unpack("<Q", data[16:24])[0]
    table = json.loads(data[32:32 + header])["tensors"]
    start = (32 + header + 63) // 64 * 64
    return [t["name"] for t in table], data[start:-16]


class Endurance:
    def __init__(self, program, faults, root, seed):
        self.program, self.faults, self.root = program, faults, root
        self.rng = random.Random(seed)
        self.findings = 0
        make_data(root)
        self.whole, self.seconds = {}, {}

    def command(self, kind, run):
        return [self.program, "train", recipe_of(self.root, kind), "--out", run, "--resume"]

    def find(self, what):
        self.findings += 1
        print("FINDING", what, flush=True)

    def finish(self, kind, run, story):
        done = subprocess.run(self.command(kind, run), capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            return self.find(f"{kind}: {story}: the resume fails: {done.stderr.strip()}")
        if last_bits(run) != self.whole[kind]:
            self.find(f"{kind}: {story}: other bits at the end")

    def undisturbed(self, kind):
        run = f"{self.root}/whole-{kind}"
        start = time.monotonic()
        subprocess.run(self.command(kind, run), check=True, stdout=subprocess.DEVNULL, timeout=300)
        self.seconds[kind] = time.monotonic() - start
        self.whole[kind] = last_bits(run)

    def kill(self, kind, number):
        """A run killed up to three times. Returns how many kills met it alive."""
        run, met = f"{self.root}/kill-{number}", 0
        for _ in range(3):
            process = subprocess.Popen(self.command(kind, run), stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)
            time.sleep(self.rng.uniform(0.02, self.seconds[kind]))
            alive = process.poll() is None
            process.send_signal(signal.SIGKILL) if alive else None
            process.wait()
            met += alive
            if not alive:
                break
        self.finish(kind, run, f"killed {met} times")
        shutil.rmtree(run)
        return met

    def fail(self, kind, number):
        """A run that meets one fault. Returns whether it met it."""
        call, error, where = self.rng.choice(FAULTS)
        run, done = f"{self.root}/fault-{number}", f"{self.root}/done"
        which = self.rng.randrange(3 if where == "log.jsonl" else 8 if where == "checkpoints" else 2)
        environment = dict(os.environ, LD_PRELOAD=self.faults, EXCITON_FAULT_DONE=done,
                           EXCITON_FAULT=f"{call}:{which}:{error}:{where}")
        if os.path.exists(done):
            os.remove(done)
        story = f"{call} {which} of {where} gives {errno.errorcode[error]}"
        process = subprocess.run(self.command(kind, run), env=environment, capture_output=True,
                                 text=True, timeout=300)
        met = os.path.exists(done)
        if met and process.returncode == 0 and not (call == "open" and which > 0):
            self.find(f"{kind}: {story}: passed over in silence")
        if process.returncode != 0:
            lines = [l for l in process.stderr.splitlines()
                     if not l.startswith("exciton: oneDNN ")]  # said first where it is not right
            if process.returncode != 1 or len(lines) != 1 or os.strerror(error) not in lines[0]:
                self.find(f"{kind}: {story}: rc {process.returncode}: {process.stderr.strip()}")
        self.finish(kind, run, story)
        shutil.rmtree(run)
        return met


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("program")
    arguments.add_argument("faults")
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--faults-met", type=int, default=200)
    arguments.add_argument("--seed", type=int, default=1)
    a = arguments.parse_args()
    with tempfile.TemporaryDirectory(prefix="exciton-endurance-") as root:
        test = Endurance(os.path.abspath(a.program), os.path.abspath(a.faults), root, a.seed)
        for kind in KINDS:
            test.undisturbed(kind)
        kills = met = number = 0
        while kills < a.kills or met < a.faults_met:
            kind = list(KINDS)[number % len(KINDS)]
            if kills < a.kills:
                kills += test.kill(kind, number)
            if met < a.faults_met:
                met += test.fail(kind, number)
            number += 1
        print(f"endurance: {kills} kills, {met} faults met, {len(KINDS)} kinds of runs, "
              f"{test.findings} findings")
    return test.findings > 0


if __name__ == "__main__":
    sys.exit(main())
