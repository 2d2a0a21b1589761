"""Decoding against fastavro: random schemas, data and evolutions, read by both and compared value by value.

`pqlstream decode --field` prints what the decode plan delivers, of the writer's schema alone and resolved to a reader's;
without --field it prints the whole value, which is avro-c's work behind our own walk. PQL_TEST_SEED chooses other
schemas than the usual ones.
"""
import datetime
import decimal
import io
import json
import os
import random
import re
import struct
import subprocess
import tempfile
import unittest
import uuid

import fastavro

BINARY = os.environ["PQL_TEST_BINARY"]
SEED = int(os.environ.get("PQL_TEST_SEED", 1))
PAIRS, RECORDS, MUTANTS = 30, 40, 25
SYMBOLS = ["RED", "GREEN", "BLUE", "WHITE", "BLACK"]
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)


class Generator:
    """Schemas and values. In a union at most one type of each kind of Python value, so that a value tells its type."""

    def __init__(self, seed):
        self.random, self.names = random.Random(seed), 0

    def name(self, prefix):
        self.names += 1
        return f"{prefix}{self.names}"

    # --- schemas ---

    def leaf(self):
        return self.random.choice([
            "boolean", "int", "long", "float", "double", "string", "bytes", "string", "long",
            {"type": "long", "logicalType": "timestamp-millis"}, {"type": "long", "logicalType": "timestamp-micros"},
            {"type": "int", "logicalType": "date"}, {"type": "string", "logicalType": "uuid"},
            {"type": "bytes", "logicalType": "decimal", "precision": 18, "scale": self.random.randrange(9)}])

    def enum(self):
        return {"type": "enum", "name": self.name("E"), "symbols": self.random.sample(SYMBOLS, 3)}

    def fixed(self):
        return {"type": "fixed", "name": self.name("F"), "size": self.random.randrange(1, 9)}

    def record(self, depth):
        name = self.name("R")
        fields = [{"name": f"f{i}", "type": self.type(depth - 1)} for i in range(self.random.randrange(1, 6))]
        if self.random.random() < 0.2:
            fields.append({"name": "again", "type": ["null", name]})
        self.random.shuffle(fields)
        return {"type": "record", "name": name, "fields": fields}

    def type(self, depth):
        kinds = ["leaf"] * 5 + ["enum", "fixed"]
        if depth > 0:
            kinds += ["union"] * 3 + ["array", "map", "record", "record"]
        kind = self.random.choice(kinds)
        if kind == "array":
            return {"type": "array", "items": self.type(depth - 1)}
        if kind == "map":
            return {"type": "map", "values": self.type(depth - 1)}
        if kind == "union":
            return self.union(depth - 1)
        return self.record(depth) if kind == "record" else getattr(self, kind)()

    def union(self, depth):
        some = [self.random.choice(["int", "long"]), self.random.choice(["float", "double"]),
                self.random.choice(["string", self.enum()]), self.random.choice(["bytes", self.fixed()]), "boolean",
                {"type": "array", "items": self.type(depth)}]
        some.append(self.record(depth) if self.random.random() < 0.5 else {"type": "map", "values": self.type(depth)})
        branches = ["null"] + self.random.sample(some, self.random.randrange(1, 4))
        self.random.shuffle(branches)
        return branches

    # --- values ---

    def text(self):
        return "".join(self.random.choice("abc é☃\"\\\n𝄞") for _ in range(self.random.randrange(12)))

    def integer(self, bits):
        return self.random.choice([0, 1, -1, self.random.randrange(-(1 << 20), 1 << 20), (1 << bits - 1) - 1,
                                   -(1 << bits - 1)])

    def real(self):
        return self.random.choice([0.0, -0.5, 1e-7, 2.5e-6, 1e15, self.random.uniform(-1e6, 1e6), 5e-7, 1.5e-6])

    def value(self, schema, named, depth=4):
        if isinstance(schema, list):
            leaves = [s for s in schema if s == "null"] if depth <= 0 else schema
            return self.value(self.random.choice(leaves or schema), named, depth - 1)
        if isinstance(schema, str) and schema in named:
            return self.value(named[schema], named, depth - 1)
        logical = schema.get("logicalType") if isinstance(schema, dict) else None
        kind = schema["type"] if isinstance(schema, dict) else schema
        if "name" in (schema if isinstance(schema, dict) else {}):
            named[schema["name"]] = schema
        if logical == "uuid":
            return uuid.UUID(int=self.random.getrandbits(128))
        if logical == "decimal":
            return decimal.Decimal(self.random.randrange(-10**9, 10**9)).scaleb(-schema["scale"])
        if logical == "date":
            return EPOCH.date() + datetime.timedelta(self.random.randrange(-30000, 60000))
        if logical:
            unit = 1000 if logical == "timestamp-millis" else 1
            return EPOCH + datetime.timedelta(microseconds=self.random.randrange(-10**15, 10**16) // unit * unit)
        count = self.random.randrange(4) if depth > 0 else 0
        return {
            "null": lambda: None, "boolean": lambda: self.random.random() < 0.5, "int": lambda: self.integer(32),
            "long": lambda: self.integer(64), "float": self.real, "double": self.real, "string": self.text,
            "bytes": lambda: self.text().encode("ascii", "ignore"),
            "fixed": lambda: bytes(self.random.choice(b"xyz") for _ in range(schema["size"])),
            "enum": lambda: self.random.choice(schema["symbols"]),
            "array": lambda: [self.value(schema["items"], named, depth - 1) for _ in range(count)],
            "map": lambda: {self.random.choice("abcde"): self.value(schema["values"], named, depth - 1)
                            for _ in range(count)},
            "record": lambda: {f["name"]: self.value(f["type"], named, depth - 1) for f in schema["fields"]},
        }[kind]()

    # --- evolution: every value of the writer stays readable ---

    PROMOTIONS = {"int": ["long", "float", "double"], "long": ["float", "double"], "float": ["double"],
                  "string": ["bytes"], "bytes": ["string"]}

    def evolve(self, schema):
        if isinstance(schema, list):
            return [self.evolve(s) if isinstance(s, dict) else s for s in schema]
        if isinstance(schema, str):
            wider = self.PROMOTIONS.get(schema)
            schema = self.random.choice(wider) if wider and self.random.random() < 0.4 else schema
            return ["null", schema] if schema in self.PROMOTIONS and self.random.random() < 0.15 else schema
        if "logicalType" in schema:
            return schema
        kind = schema["type"]
        if kind in ("array", "map"):
            inner = "items" if kind == "array" else "values"
            return dict(schema, **{inner: self.evolve(schema[inner])})
        if kind == "enum" and self.random.random() < 0.7:
            symbols = self.random.sample(SYMBOLS, 4)
            return dict(schema, symbols=symbols, default=self.random.choice(symbols))
        return self.evolve_record(schema) if kind == "record" else schema

    def evolve_record(self, schema):
        fields = []
        for field in schema["fields"]:
            if field["name"] == "again":
                fields.append(field)
            elif self.random.random() < 0.8:
                evolved = {"name": field["name"], "type": self.evolve(field["type"])}
                if self.random.random() < 0.2:
                    evolved.update(name="new_" + field["name"], aliases=["nobody", field["name"]])
                fields.append(evolved)
        if self.random.random() < 0.7 or not fields:
            fields.append(self.field_with_default())
        self.random.shuffle(fields)
        return dict(schema, fields=fields)

    def field_with_default(self):
        inner = {"type": "record", "name": self.name("D"),
                 "fields": [{"name": "x", "type": "long"}, {"name": "y", "type": "string", "default": "why"}]}
        kind, default = self.random.choice([
            ("int", -7), ("double", 1.5), ("float", 0.1), ("string", "té\"xt"), ("bytes", "raw"), ("boolean", True),
            (["null", "string"], None), (["string", "null"], "first"), ({"type": "array", "items": "int"}, [3, 4]),
            ({"type": "map", "values": "double"}, {"a": 2.5}), (inner, {"x": 5, "y": "given"}), (self.enum(), None)])
        if isinstance(kind, dict) and kind["type"] == "enum":
            default = kind["symbols"][1]
        return {"name": self.name("d"), "type": kind, "default": default}


# --- what the processor must make of a value ---

def paths_of(value, prefix=""):
    """Every path to something inside a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, kid in inner:
        path = f"{prefix}.{key}" if prefix else str(key)
        yield path
        yield from paths_of(kid, path)


def at_path(value, path):
    for step in path.split("."):
        if isinstance(value, dict):
            value = value.get(step)
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def six_places(number):
    with decimal.localcontext() as context:
        context.prec = 100
        return decimal.Decimal(number).quantize(decimal.Decimal("0.000001"), decimal.ROUND_HALF_EVEN)


def instant(micros):
    moment = EPOCH + datetime.timedelta(milliseconds=micros // 1000)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{micros // 1000 % 1000:03d}Z"


def single(number):
    return struct.unpack("<f", struct.pack("<f", number))[0]


def same_slot(got, value):
    """An int promoted to float has single precision; fastavro leaves it a Python float."""
    if got == slot_of(value):
        return True
    return isinstance(value, float) and value.is_integer() and got == six_places(single(value))


def same_json(got, expected):
    """Floats are printed with the digits that tell them apart as single precision."""
    if isinstance(got, dict) and isinstance(expected, dict):
        return got.keys() == expected.keys() and all(same_json(got[key], expected[key]) for key in got)
    if isinstance(got, list) and isinstance(expected, list):
        return len(got) == len(expected) and all(map(same_json, got, expected))
    if isinstance(expected, float):
        return got == expected or single(got) == expected
    return got == expected


def slot_of(value):
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float, decimal.Decimal)):
        return six_places(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime.datetime):
        return instant((value - EPOCH) // datetime.timedelta(microseconds=1))
    if isinstance(value, datetime.date):
        return instant((value - EPOCH.date()).days * 86400 * 10**6)
    return None  # records, arrays, maps


def decode(path, *arguments):
    done = subprocess.run([BINARY, "decode", *arguments, path], capture_output=True, timeout=60, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode("utf-8", "replace")


class Differential(unittest.TestCase):
    def setUp(self):
        print(f"PQL_TEST_SEED={SEED}", flush=True)
        self.folder = tempfile.TemporaryDirectory(prefix="pqlstream-decode-")
        self.addCleanup(self.folder.cleanup)
        self.compared = 0

    def file(self, name):
        return os.path.join(self.folder.name, name)

    def cases(self):
        for number in range(PAIRS):
            generator = Generator(SEED + number)
            schema = generator.record(4)
            records = [generator.value(schema, {}) for _ in range(RECORDS)]
            path = self.file("data.avro")
            with open(path, "wb") as out:
                fastavro.writer(out, schema, records, codec=generator.random.choice(["null", "deflate"]))
            yield number, generator, schema, path

    def compare(self, number, generator, expected, path, *arguments):
        some = sorted({p for value in expected for p in paths_of(value)})
        wanted = generator.random.sample(some, min(len(some), 20)) + ["nobody", "f0.nobody", "f1.0.a"]
        wanted = list(dict.fromkeys(wanted))
        code, error = 2, ""
        while code:  # what is refused is where no datum has a value, and then the others are asked for
            flags = [part for p in wanted for part in ("--field", p)]
            code, out, error = decode(path, *flags, *arguments)
            refused = re.search(r"the schema has no value at '([^']*)'", error)
            self.assertTrue(code == 0 or refused, f"case {number}: {error}")
            if code:
                self.assertEqual({slot_of(at_path(value, refused[1])) for value in expected}, {None}, refused[1])
                wanted.remove(refused[1])
        if not wanted:
            return
        lines = out.strip().split("\n")
        self.assertEqual(len(lines), len(expected), f"case {number}")
        for line, value in zip(lines, expected):
            got = json.loads(line, parse_float=decimal.Decimal, parse_int=decimal.Decimal)
            for p in wanted:
                self.assertTrue(same_slot(got[p], at_path(value, p)), f"case {number}: {got[p]} for {p} of {value}")
                self.compared += got[p] is not None

    def test_writers_schema(self):
        for number, generator, _, path in self.cases():
            with open(path, "rb") as data:
                self.compare(number, generator, list(fastavro.reader(data)), path)
        self.assertGreater(self.compared, PAIRS * RECORDS)

    def test_resolved_to_a_readers_schema(self):
        for number, generator, schema, path in self.cases():
            reader = generator.evolve(schema)
            with open(path, "rb") as data:
                expected = list(fastavro.reader(data, reader))
            with open(self.file("reader.avsc"), "w", encoding="utf-8") as out:
                json.dump(reader, out)
            self.compare(number, generator, expected, path, "--reader", self.file("reader.avsc"))
        self.assertGreater(self.compared, PAIRS * RECORDS)

    def test_whole_values(self):
        unwritten = 0
        for number, _, schema, path in self.cases():
            with open(path, "rb") as data:
                records = list(fastavro.reader(data))
            text = io.StringIO()
            try:
                fastavro.json_writer(text, schema, records)
            except IndexError:  # its JSON writer loses its way in some recursive unions
                unwritten += 1
                continue
            code, out, error = decode(path)
            self.assertEqual(code, 0, f"case {number}: {error}")
            for line, expected in zip(out.strip().split("\n"), text.getvalue().strip().split("\n"), strict=True):
                self.assertTrue(same_json(json.loads(line), json.loads(expected)), f"case {number}: {line}, {expected}")
        self.assertLess(unwritten, PAIRS / 2)

    def test_damaged_files_end_in_a_message(self):
        """Bytes changed behind the header, in an uncompressed block: an error or other values, never a crash."""
        generator = Generator(SEED)
        schema = generator.record(4)
        records = [generator.value(schema, {}) for _ in range(RECORDS)]
        whole = io.BytesIO()
        fastavro.writer(whole, schema, records)
        behind = whole.getvalue().index(whole.getvalue()[-16:]) + 16
        with open(self.file("whole.avro"), "wb") as out:
            out.write(whole.getvalue())
        some = sorted({p for value in records for p in paths_of(value)})
        field = next((p for p in some if decode(self.file("whole.avro"), "--field", p)[0] == 0), "nobody")
        for _ in range(MUTANTS):
            damaged = bytearray(whole.getvalue())
            for _ in range(3):
                damaged[generator.random.randrange(behind, len(damaged))] = generator.random.randrange(256)
            with open(self.file("damaged.avro"), "wb") as out:
                out.write(damaged)
            for arguments in ((), ("--field", field)):
                code, _, error = decode(self.file("damaged.avro"), *arguments)
                self.assertIn(code, (0, 1))
                last = error.splitlines()[-1]
                self.assertTrue(last.startswith("pqlstream decode: " if code else "framing: "), error)


if __name__ == "__main__":
    unittest.main()
