// Decodes the test vectors without stubs or packages: node decode.mjs FOLDER
//
// Prints one line for each: its name and "ok", "refused", "skipped" or what is wrong.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

class Refused extends Error {}

const refuseIf = (wrong, why) => {
  if (wrong) throw new Refused(why);
};

// -- protobuf: the fields of a message, each a list of BigInts or of bytes

function reader(bytes) {
  let at = 0;
  const take = (count) => bytes.subarray(at, (at += count));
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const [byte] = take(1);
      refuseIf(byte === undefined, "the message is cut off");
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  return { take, varint, isAtEnd: () => at >= bytes.length };
}

function parse(bytes) {
  const { take, varint, isAtEnd } = reader(bytes);
  const fields = [];
  while (!isAtEnd()) {
    const tag = Number(varint());
    refuseIf(![0, 2].includes(tag & 7), "a wire type that these messages do not have");
    (fields[tag >> 3] ??= []).push(tag & 7 ? take(Number(varint())) : varint());
  }
  return {
    number: (field) => Number(fields[field]?.at(-1) ?? 0n),
    signed: (field) => zigzag(fields[field]?.at(-1) ?? 0n),
    bytes: (field) => fields[field]?.at(-1) ?? new Uint8Array(),
    messages: (field) => fields[field] ?? [],
    numbers: (field) => (fields[field] ?? []).flatMap((part) => unpacked(part)),
  };
}

function unpacked(part) {
  if (typeof part === "bigint") return [part];
  const { varint, isAtEnd } = reader(part);
  const values = [];
  while (!isAtEnd()) values.push(varint());
  return values;
}

const zigzag = (value) => (value >> 1n) ^ -(value & 1n);

// -- chunks, as spike_train.proto says

function integers(part, width, count) {
  refuseIf(![0, 1, 2, 4, 8].includes(width), "an unknown width");
  refuseIf(part.length !== width * count, "a part is not as long as the counts say");
  const view = new DataView(part.buffer, part.byteOffset, part.length);
  const read = {
    0: () => 0n,
    1: (at) => BigInt(view.getUint8(at)),
    2: (at) => BigInt(view.getUint16(at, true)),
    4: (at) => BigInt(view.getUint32(at, true)),
    8: (at) => view.getBigUint64(at, true),
  }[width];
  return Array.from({ length: count }, (_, index) => read(index * width));
}

function gapsOf(count, width, deltas, exceptionCount, positions, wideGaps) {
  refuseIf(count > 262144, "too many spikes");
  const gaps = integers(deltas, width, count);
  const wide = integers(wideGaps, 8, exceptionCount);
  integers(positions, 4, exceptionCount).forEach((position, index) => {
    refuseIf(position >= count, "a position beyond the end");
    gaps[position] = wide[index];
  });
  return gaps;
}

function addUp(base, gaps) {
  refuseIf(gaps.length && gaps[0] !== 0n, "the first gap is not 0");
  let sample = base;
  const samples = gaps.map((gap) => (sample += gap));
  refuseIf(sample >= 2n ** 63n, "a sum beyond 2**63 - 1");
  return samples;
}

function plain(codec) {
  if (codec === 1) throw "skipped"; // who does not ask for zstd is not sent it
  refuseIf(codec !== 0, "an unknown codec");
}

function spikeChunk(bytes) {
  const chunk = parse(bytes);
  plain(chunk.number(7));
  const count = chunk.number(3);
  const gaps = gapsOf(
    count,
    chunk.number(4),
    chunk.bytes(8),
    chunk.number(10),
    chunk.bytes(11),
    chunk.bytes(12),
  );
  const base = BigInt(chunk.number(6));
  return {
    segment_index: chunk.number(1),
    samples: addUp(chunk.signed(2), gaps),
    unit_indices: integers(chunk.bytes(9), chunk.number(5), count).map((unit) => base + unit),
  };
}

function trainChunk(bytes) {
  const chunk = parse(bytes);
  plain(chunk.number(6));
  const [units, counts] = [chunk.numbers(2), chunk.numbers(3).map(Number)];
  const bases = chunk.numbers(4).map(zigzag);
  refuseIf(units.length !== counts.length || units.length !== bases.length, "lists differ");
  const gaps = gapsOf(
    counts.reduce((sum, count) => sum + count, 0),
    chunk.number(5),
    chunk.bytes(7),
    chunk.number(8),
    chunk.bytes(9),
    chunk.bytes(10),
  );
  let end = 0;
  const trains = units.map((unit, index) => ({
    unit_index: unit,
    samples: addUp(bases[index], gaps.slice(end, (end += counts[index]))),
  }));
  return { segment_index: chunk.number(1), trains };
}

function response(bytes, decode) {
  const message = parse(bytes);
  return {
    revision: new TextDecoder().decode(message.bytes(2)),
    spike_count: message.number(3),
    chunks: message.messages(1).map(decode),
  };
}

const DECODERS = {
  "spikewire.v1.SpikeChunk": spikeChunk,
  "spikewire.v1.TrainChunk": trainChunk,
  "spikewire.v1.StreamSpikesResponse": (bytes) => response(bytes, spikeChunk),
  "spikewire.v1.GetUnitSpikeTrainsResponse": (bytes) => response(bytes, trainChunk),
};

// -- the vectors

const asText = (value) =>
  JSON.stringify(value, (_, item) => (["bigint", "number"].includes(typeof item) ? String(item) : item));

function tried(folder, name) {
  const { message, invalid, ...expected } = JSON.parse(readFileSync(join(folder, `${name}.json`)));
  try {
    const decoded = DECODERS[message](readFileSync(join(folder, `${name}.binpb`)));
    if (invalid) return `should be refused: ${invalid}`;
    return asText(decoded) === asText(expected) ? "ok" : `is ${asText(decoded)}`;
  } catch (error) {
    if (error === "skipped") return error;
    if (!(error instanceof Refused)) throw error;
    return invalid ? "refused" : `was refused: ${error.message}`;
  }
}

const folder = process.argv[2] ?? import.meta.dirname;
const names = readdirSync(folder).filter((file) => file.endsWith(".json"));
for (const file of names.sort()) console.log(file.slice(0, -5), tried(folder, file.slice(0, -5)));
