"""Reads a TensorBoard event file without TensorFlow: record framing, both checksums, and the
protocol buffer inside. Usage: check_events.py FILE LOG.JSONL"""
import json
import struct
import sys


def crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = crc32c_table()


def masked_crc(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(data):
    at = 0
    while at < len(data):
        head = data[at:at + 8]
        (length,) = struct.unpack("<Q", head)
        (head_crc,) = struct.unpack("<I", data[at + 8:at + 12])
        body = data[at + 12:at + 12 + length]
        (body_crc,) = struct.unpack("<I", data[at + 12 + length:at + 16 + length])
        assert head_crc == masked_crc(head), f"checksum of the length at {at}"
        assert body_crc == masked_crc(body), f"checksum of the record at {at}"
        yield body
        at += 16 + length


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data):
    """(number, value) of every field; bytes, integers, or floats."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = varint(data, at)
        elif kind == 1:
            value, at = struct.unpack("<d", data[at:at + 8])[0], at + 8
        elif kind == 5:
            value, at = struct.unpack("<f", data[at:at + 4])[0], at + 4
        else:
            assert kind == 2, f"wire type {kind}"
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
        yield key >> 3, value


assert masked_crc(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
with open(sys.argv[1], "rb") as file:
    events = [list(fields(body)) for body in records(file.read())]
with open(sys.argv[2]) as file:
    log = [json.loads(line) for line in file]
assert (3, b"brain.Event:2") in events[0], events[0]
assert len(events) == len(log) + 1, f"{len(events)} events for {len(log)} lines"
last_time = 0
for event, line in zip(events[1:], log):
    event = dict(event)
    assert event[2] == line["epoch"]
    assert event[1] >= last_time > -1 and 1e9 < event[1] < 1e11
    last_time = event[1]
    scalars = {}
    for number, value in fields(event[5]):
        assert number == 1
        value = dict(fields(value))
        scalars[value[1].decode()] = value[2]
    wanted = {"loss/train": "train_loss", "loss/test": "test_loss", "top1/train": "train_top1",
              "top1/test": "test_top1", "top5/test": "test_top5", "lr": "lr", "images_per_second": "images_per_second"}
    for tag, key in wanted.items():
        (single,) = struct.unpack("<f", struct.pack("<f", line[key]))
        assert scalars[tag] == single, f"epoch {line['epoch']}: {tag} is {scalars[tag]}, the log says {line[key]}"
    if "gates" in line:
        assert scalars["gates/dead"] == line["gates"]["dead"]
print(f"{len(events)} records, {len(scalars)} scalars per step, all checksums and values right")
