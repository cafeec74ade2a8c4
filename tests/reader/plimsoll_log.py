#!/usr/bin/env python3
"""A second reader of Plimsoll's log, written from wal/FORMAT.md alone.

usage: plimsoll_log.py DIR
       plimsoll_log.py --check DIR...

Prints one JSON line per record, in LSN order, and checks on the way every checksum, the chain, the
order and all that a frame says about itself. Ends with 0; with 1 where the log is damaged (one line
on stderr: the segment's file, the offset, what was expected); with 2 for a wrong command line.
With --check, one JSON line per folder: its number of records, or the damage.
It reads only: a torn tail, which the log's writer would cut, is named on stderr and read up to.
Standard library only, and for codec 2 the libzstd of the system, which dpkg itself needs. It shares
no line with the Rust reader, so that what both say is the format.
"""

import ctypes
import json
import os
import re
import struct
import sys
import uuid
from zlib import crc32

LIMIT_RAW = 1 << 30
LIMIT_SEGMENT_HEADER = 65_536
LIMIT_BEGINNING = 1 << 20
LIMIT_TEXT = 4_096
FRAME_HEADER = 60
KINDS = {
    1: "Transaction", 2: "EpochStart", 3: "FormatDescription", 4: "Heartbeat",
    5: "Membership", 6: "Chunk", 7: "ChunkEnd",
}
CLASSES = {
    1: "rows", 2: "DDL", 3: "CREATE ... SELECT", 4: "XA PREPARE", 5: "XA COMMIT", 6: "XA ROLLBACK",
}


class Damage(Exception):
    """What the bytes should have been, and where they are."""

    def __init__(self, file, offset, expected):
        super().__init__(f"{file} at {offset}: expected {expected}")
        self.file, self.offset, self.expected = file, offset, str(expected)


class Bad(Exception):
    """The same, before the place is known."""


class NoFrame(Exception):
    """Here no whole frame starts."""


def expect(condition, expected):
    if not condition:
        raise Bad(expected)


class Fields:
    """Takes fields off the front of `data`; whatever reaches beyond its end is refused."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def bytes(self, length):
        expect(length <= len(self.data) - self.at, f"{length} bytes more")
        self.at += length
        return self.data[self.at - length:self.at]

    def rest(self):
        return self.bytes(len(self.data) - self.at)

    def done(self):
        expect(self.at == len(self.data), "no byte more")

    def number(self, form):
        return struct.unpack("<" + form, self.bytes(struct.calcsize("<" + form)))[0]

    def u8(self):
        return self.number("B")

    def varint(self):
        value = 0
        for shift in range(0, 70, 7):
            byte = self.u8()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                expect(value < 1 << 64, "a varint of 64 bits")
                return value
        raise Bad("a varint of at most 10 bytes")

    def block(self):
        return self.bytes(self.varint())

    def text(self):
        length = self.varint()
        expect(length <= LIMIT_TEXT, f"a text of at most {LIMIT_TEXT} bytes")
        try:
            return self.bytes(length).decode("utf-8")
        except UnicodeDecodeError:
            raise Bad("a text in UTF-8") from None

    def position(self):
        return {"file": self.text(), "offset": self.varint()}

    def gtid(self):
        kind = self.u8()
        expect(kind <= 2, "a GTID of kind 0, 1 or 2")
        if kind == 0:
            return None
        if kind == 2:
            domain, server, sequence = self.varint(), self.varint(), self.varint()
            expect(max(domain, server) < 1 << 32, "a domain and a server id of 32 bits")
            return f"{domain}-{server}-{sequence}"
        source, tag, number = uuid.UUID(bytes=self.bytes(16)), self.text(), self.varint()
        return f"{source}:{tag}:{number}" if tag else f"{source}:{number}"

    def optional(self, read):
        """u8 0, or u8 1 and what `read` takes."""
        there = self.u8()
        expect(there <= 1, "0 or 1 in front of an optional field")
        return read() if there else None


def lz4_block(body, raw_length):
    """The LZ4 block format: literals, then a copy of what is already there, and so on."""
    out, at = bytearray(), 0

    def length(nibble):
        nonlocal at
        total = nibble
        if nibble == 15:
            while True:
                byte = body[at]
                at += 1
                total += byte
                expect(total <= raw_length, "an LZ4 length within the raw length")
                if byte != 255:
                    break
        return total

    try:
        while True:
            token = body[at]
            at += 1
            literals = length(token >> 4)
            expect(at + literals <= len(body), "LZ4 literals within the body")
            out += body[at:at + literals]
            at += literals
            if at == len(body):
                break
            back = body[at] | body[at + 1] << 8
            at += 2
            expect(0 < back <= len(out), "an LZ4 copy from within what is decoded")
            copied = length(token & 15) + 4
            expect(len(out) + copied <= raw_length, "no more bytes than the raw length")
            start = len(out) - back
            # A copy may overlap what it writes: then it repeats the last `back` bytes.
            piece = bytes(out[start:start + copied])
            out += (piece * (copied // len(piece) + 1))[:copied]
    except IndexError:
        raise Bad("a whole LZ4 sequence") from None
    expect(len(out) == raw_length, f"{raw_length} bytes from the LZ4 block")
    return bytes(out)


def zstd_frame(body, raw_length):
    """One Zstandard frame, by the system's own library."""
    zstd = ctypes.CDLL("libzstd.so.1")
    for function in (zstd.ZSTD_findFrameCompressedSize, zstd.ZSTD_decompress):
        function.restype = ctypes.c_size_t
    length = zstd.ZSTD_findFrameCompressedSize(body, ctypes.c_size_t(len(body)))
    expect(length == len(body) and body[:4] == b"\x28\xb5\x2f\xfd", "one Zstandard frame")
    out = ctypes.create_string_buffer(raw_length)
    sizes = ctypes.c_size_t(raw_length), ctypes.c_size_t(len(body))
    found = zstd.ZSTD_decompress(out, sizes[0], body, sizes[1])
    expect(found == raw_length, f"{raw_length} bytes from the Zstandard frame")
    return out.raw


class Frame:
    """The frame at `at` of `data`. NoFrame: none starts there; Bad: it is whole, but it lies."""

    def __init__(self, data, at):
        header = data[at:at + FRAME_HEADER]
        if len(header) < FRAME_HEADER or header[:2] != b"\xf1\xa6":
            raise NoFrame("the start of a frame, F1 A6")
        if crc32(header[:56]) != struct.unpack_from("<I", header, 56)[0]:
            raise NoFrame("a frame header with its own CRC32")
        (self.codec, self.flags, self.epoch, self.first_lsn, self.count, self.first_timestamp,
         self.last_timestamp, self.raw_length, self.body_length, self.chain_before, self.chain,
         body_crc) = struct.unpack_from("<BBIQIQQIIIII", header, 2)
        expect(self.codec <= 2, "codec 0, 1 or 2")
        expect(self.flags <= 1, "flags 0 or 1")
        expect(self.epoch >= 1, "an epoch from 1")
        expect(self.first_lsn >= 1, "an LSN from 1")
        expect(1 <= self.count <= 65_536, "1 to 65,536 records")
        expect(self.raw_length <= LIMIT_RAW, "a raw length of at most 2^30")
        expect(self.count <= self.raw_length // 3, "at most a third as many records as raw bytes")
        expect(self.last_timestamp >= self.first_timestamp, "a last timestamp not below the first")
        if self.codec == 0:
            expect(self.body_length == self.raw_length, "a stored body of the raw length")
        else:
            most = (255 * self.body_length + 64 if self.codec == 1
                    else (self.body_length // 4 + 1) * 131_072)
            expect(self.body_length <= self.raw_length <= most, "a raw length that the codec can reach")
        self.end = at + FRAME_HEADER + self.body_length
        if self.end > len(data):
            raise NoFrame("the whole body of the frame")
        self.stored = data[at + FRAME_HEADER:self.end]
        if crc32(self.stored) != body_crc:
            raise NoFrame("a body with its own CRC32")

    def body(self):
        raw = self.stored
        if self.codec:
            raw = (lz4_block if self.codec == 1 else zstd_frame)(raw, self.raw_length)
        chained = struct.pack("<IIQ", self.chain_before, self.epoch, self.first_lsn) + raw
        expect(crc32(chained) == self.chain, "the chain of what came before and this body")
        return raw

    def records(self):
        fields, timestamp, descriptions = Fields(self.body()), 0, False
        for index in range(self.count):
            record = Fields(fields.block())
            kind, step = record.u8(), record.varint()
            expect(kind in KINDS, "a kind from 1 to 7")
            expect(step > 0, "a timestamp above the one before")
            timestamp += step
            expect(timestamp < 1 << 64, "a timestamp of 64 bits")
            if index == 0:
                expect(timestamp == self.first_timestamp, "the frame's first timestamp")
            descriptions |= kind in (2, 3)
            expect(kind != 2 or index == 0, "an EpochStart only as first of its frame")
            yield {"lsn": self.first_lsn + index, "timestamp": timestamp, "epoch": self.epoch,
                   "kind": KINDS[kind], **content(kind, record)}
            record.done()
        fields.done()
        expect(timestamp == self.last_timestamp, "the frame's last timestamp")
        expect(descriptions == bool(self.flags & 1), "flag 0 as the frame's records say")


def content(kind, record):
    if kind in (1, 7):
        first = record.u8()
        expect(first & 127 in CLASSES, "a class from 1 to 6")
        start = record.position()
        end_file = start["file"] if first & 128 else record.text()
        end = {"file": end_file, "offset": record.varint()}
        return {"class": CLASSES[first & 127], "start": start, "end": end, "gtid": record.gtid(),
                "commit_time_us": record.number("q"), "crc": record.number("I"),
                **events(record)}
    if kind == 2:
        return {"member": record.text(), "server_uuid": record.text(),
                "server_version": record.text(), "end": record.position(),
                "gtid": record.gtid(), "crc": record.optional(lambda: record.number("I")),
                **events(record)}
    if kind == 3:
        return {"end": record.position(), **events(record)}
    if kind == 4:
        return {"closed_timestamp": record.number("Q")}
    return events(record)


def events(record):
    """The opaque rest of a record, by its length and checksum."""
    rest = record.rest()
    return {"bytes": len(rest), "bytes_crc32": crc32(rest)}


def source_context(fields):
    texts, lsns = [fields.text() for _ in range(3)], [fields.varint(), fields.varint()]
    end, gtid = fields.position(), fields.gtid()
    crc = fields.optional(lambda: fields.number("I"))
    last = fields.optional(lambda: (fields.varint(), fields.position()))
    lsns += [last[0]] if last else []
    expect(min(lsns) >= 1, "LSNs from 1 in the source context")
    return {"texts": texts, "lsns": lsns, "end": end, "gtid": gtid, "crc": crc, "last": last}


class Segment:
    """A segment's header, and its bytes."""

    def __init__(self, folder, name):
        with open(os.path.join(folder, name), "rb") as file:
            self.data = file.read()
        self.name = name
        fields = Fields(self.data)
        expect(fields.bytes(8) == b"PLIMSEG\n", "the magic PLIMSEG")
        self.version = fields.number("H")
        expect(self.version in (1, 2), "version 1 or 2")
        flags = fields.number("H")
        expect(flags <= (self.version == 2), "no flags but bit 0 of version 2")
        self.start = fields.number("I")
        expect(84 <= self.start <= LIMIT_SEGMENT_HEADER, "a header of 84 to 65,536 bytes")
        header = Fields(fields.data[:self.start])
        expect(len(header.data) == self.start, "the whole header")
        expect(crc32(header.data[:-4]) == struct.unpack("<I", header.data[-4:])[0],
               "a header with its own CRC32")
        header.at = fields.at
        self.cluster = header.bytes(16)
        (self.epoch, self.chain_before, self.base, self.timestamp_before, self.base_before,
         self.length_before, self.epoch_before, context) = struct.unpack(
             "<IIQQQQII", header.bytes(48))
        expect(self.epoch >= 1, "an epoch from 1")
        expect(self.base >= 1, "a base LSN from 1")
        expect(name == f"{self.base:020}.seg", "a file name that is the base LSN")
        expect(context + 84 + 20 * flags == self.start, "a header that ends with its CRC32")
        self.context = None
        if context:
            inner = Fields(header.bytes(context))
            self.context = source_context(inner)
            inner.done()
            expect(max(self.context["lsns"]) < self.base, "a source context of LSNs before the base")
        self.length, self.chain_behind = len(self.data), None
        if flags:
            self.length, length, self.chain_behind = struct.unpack("<QQI", header.bytes(20))
            expect(length == len(self.data), "a file written anew of the length that it says")
        self.check_before()

    def check_before(self):
        before = (self.base_before, self.length_before, self.epoch_before, self.timestamp_before)
        if self.base == 1:
            expect(not any(before), "nothing before LSN 1")
            expect(self.chain_before == crc32(self.cluster), "the CRC32 of the cluster id")
        else:
            expect(all(before[2:]), "the record before")
            # The first segment behind a `beginning` has none before it.
            expect(bool(self.base_before) == bool(self.length_before), "both or none of the segment before")
            expect(self.base_before < self.base, "a lower base LSN before")
            expect(self.epoch_before <= self.epoch, "no later epoch before")


class Log:
    """A folder, read from its first record to its last."""

    def __init__(self, folder):
        self.folder = folder
        self.cluster = self.check("identity", self.identity)
        self.flushed = self.read_flushed()
        self.before = self.check("beginning", self.beginning)
        self.names = sorted(name for name in os.listdir(folder) if name.endswith(".seg"))
        for name in self.names:
            if not re.fullmatch(r"[0-9]{20}\.seg", name):
                raise Damage(name, 0, "a name of 20 digits and .seg")

    def check(self, name, read, offset=0):
        try:
            return read()
        except Bad as bad:
            raise Damage(name, offset, bad) from None

    def identity(self):
        with open(os.path.join(self.folder, "identity"), "rb") as file:
            data = file.read(47)
        expect(len(data) == 46, "46 bytes")
        expect(data[:8] == b"PLIMLOG\n", "the magic PLIMLOG")
        expect(crc32(data[:42]) == struct.unpack_from("<I", data, 42)[0], "its own CRC32")
        expect(struct.unpack_from("<H", data, 8)[0] == 1, "version 1")
        return data[10:26]

    def beginning(self):
        """LSN of the last record that is not there; 0 where the log begins with record 1."""
        try:
            with open(os.path.join(self.folder, "beginning"), "rb") as file:
                data = file.read(LIMIT_BEGINNING + 1)
        except FileNotFoundError:
            return 0
        expect(4 <= len(data) <= LIMIT_BEGINNING, f"4 to {LIMIT_BEGINNING} bytes")
        expect(crc32(data[:-4]) == struct.unpack("<I", data[-4:])[0], "its own CRC32")
        fields = Fields(data[:-4])
        expect(fields.bytes(8) == b"PLIMBEG\n", "the magic PLIMBEG")
        expect((fields.number("H"), fields.number("H")) == (1, 0), "version 1, and 0")
        expect(fields.bytes(16) == self.cluster, "the cluster id of the folder's identity")
        lsn, epoch, _, timestamp = [fields.number(form) for form in "QIIQ"]
        expect(min(lsn, epoch, timestamp) >= 1, "LSN, epoch and timestamp from 1")
        ends = [(0, 0)]
        for _ in range(fields.varint()):
            ends.append((fields.number("I"), fields.number("Q")))
            expect(ends[-2][0] < ends[-1][0] and ends[-2][1] < ends[-1][1], "epochs that ascend")
        expect(ends[-1] == (epoch, lsn), "the record before as the end of the last epoch")
        source_context(Fields(fields.block()))
        fields.block()
        fields.done()
        return lsn

    def read_flushed(self):
        """(base LSN of the segment, bytes, last LSN), or None where nothing is known."""
        try:
            with open(os.path.join(self.folder, "flushed"), "rb") as file:
                data = file.read(37)
        except FileNotFoundError:
            return None
        if len(data) != 36 or data[:8] != b"PLIMFLU\n":
            return None
        base, length, last, crc = struct.unpack_from("<QQQI", data, 8)
        return (base, length, last) if crc32(data[:32]) == crc else None

    def records(self):
        before = None
        for name in self.names:
            segment = self.check(name, lambda: Segment(self.folder, name))
            self.check(name, lambda: self.follows(segment, before))
            # The state that a frame must continue: next LSN, epoch, chain, last timestamp.
            self.state = [segment.base, segment.epoch, segment.chain_before,
                          segment.timestamp_before]
            at, newest = segment.start, name == self.names[-1]
            while newest or at < len(segment.data):
                frame = self.frame(segment, at, newest)
                if frame is None:
                    break
                records = self.check(name, lambda: list(self.next(segment, frame)), at)
                yield from records
                at = frame.end
            before = (segment, self.state)
        if not self.names and self.flushed and self.flushed[2]:
            raise Damage(self.folder, 0, f"the flushed record {self.flushed[2]}")

    def follows(self, segment, before):
        expect(segment.cluster == self.cluster, "the cluster id of the folder's identity")
        if before is None:
            if self.before + 1 < segment.base:
                raise Damage("beginning", 0, f"all records in front of {segment.base}")
            return
        previous, (lsn, epoch, chain, timestamp) = before
        expect(segment.base_before == previous.base, f"the segment before, {previous.base}")
        expect(segment.length_before == previous.length, "the length of the segment before")
        expect(previous.chain_behind in (None, chain), "the chain that a file written anew ends with")
        expect(segment.base == lsn, f"the base LSN {lsn}")
        expect(segment.epoch_before == epoch, f"epoch {epoch} before")
        expect(segment.chain_before == chain, "the chain of the segment before")
        expect(segment.timestamp_before == timestamp, "the last timestamp of the segment before")

    def frame(self, segment, at, newest):
        """The frame at `at`, or None where the log ends."""
        try:
            return Frame(segment.data, at)
        except Bad as bad:
            raise Damage(segment.name, at, bad) from None
        except NoFrame as missing:
            if not newest:
                raise Damage(segment.name, at, missing) from None
            if self.flushed:
                base, length, last = self.flushed
                if base > segment.base and last:
                    raise Damage(segment.name, at, f"the flushed record {last}") from None
                if base == segment.base and length > at:
                    raise Damage(segment.name, at, f"flushed bytes: {missing}") from None
            elif any(whole(segment.data, later) for later in frame_marks(segment.data, at)):
                raise Damage(segment.name, at, f"what stands before a whole frame: {missing}") \
                    from None
            if any(segment.data[at:]):
                print(f"{segment.name} at {at}: a torn tail", file=sys.stderr)
            return None

    def next(self, segment, frame):
        lsn, epoch, chain, timestamp = self.state
        expect(segment.version == 2 or frame.codec < 2, "no codec 2 in version 1")
        expect(frame.first_lsn == lsn, f"LSN {lsn}")
        expect(frame.epoch == epoch, f"the segment's epoch, {epoch}")
        expect(frame.chain_before == chain, "the chain of the frame before")
        expect(frame.first_timestamp > timestamp, f"a timestamp above {timestamp}")
        yield from frame.records()
        self.state = [lsn + frame.count, epoch, frame.chain, frame.last_timestamp]


def frame_marks(data, at):
    at = data.find(b"\xf1\xa6", at)
    while at >= 0:
        yield at
        at = data.find(b"\xf1\xa6", at + 1)


def whole(data, at):
    try:
        Frame(data, at)
    except (NoFrame, Bad):
        return False
    return True


def check(folder):
    try:
        return {"records": sum(1 for _ in Log(folder).records())}
    except Damage as damage:
        return {"file": damage.file, "offset": damage.offset, "expected": damage.expected}


def main(arguments):
    if arguments[:1] == ["--check"]:
        for folder in arguments[1:]:
            print(json.dumps(check(folder)))
        return 0
    if len(arguments) != 1:
        print("usage: plimsoll_log.py DIR | --check DIR...", file=sys.stderr)
        return 2
    try:
        for record in Log(arguments[0]).records():
            print(json.dumps(record))
    except Damage as damage:
        print(damage, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
