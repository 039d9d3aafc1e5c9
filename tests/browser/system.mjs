// The local process, and what people do without the console: uploads, alarms, calls of the API.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { deflateRawSync } from "node:zlib";

const LOOKS_MAX = 300;
const LOOK_EVERY_MS = 100;
// DynamoDB's stand-in takes any signature, but there has to be one.
const SIGNATURE = { "x-amz-date": "20261201T000000Z",
  authorization: "AWS4-HMAC-SHA256 Credential=any/20261201/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0" };
// DynamoDB's limit.
const ROWS_AT_ONCE = 25;

export async function until(what, look) {
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    const seen = await look();
    if (seen) return seen;
    await sleep(LOOK_EVERY_MS);
  }
  throw new Error(`no sign of ${what}`);
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

export async function start(binary, smokeCheck) {
  const data = mkdtempSync(join(tmpdir(), "lastgood-browser-"));
  const port = await freePort();
  const process_ = spawn(binary, ["--data", join(data, "data"), "--port", `${port}`, "--function", `smoke-check=${smokeCheck}`],
    { stdio: ["ignore", "ignore", "inherit"], env: { PATH: process.env.PATH, RUST_LOG: "error" } });
  const endpoint = `http://127.0.0.1:${port}`;
  const stop = async () => {
    const ended = new Promise((resolve) => process_.once("exit", resolve));
    process_.kill();
    await ended;
    rmSync(data, { recursive: true, force: true });
  };
  try {
    await until("the local process", () => fetch(`${endpoint}/console`).then((answer) => answer.ok, () => {
      if (process_.exitCode !== null) throw new Error(`the local process ended with ${process_.exitCode}`);
    }));
  } catch (error) {
    await stop();
    throw error;
  }
  return { endpoint, stop, ...calls(endpoint) };
}

function calls(endpoint) {
  const json = async (target, members, headers = { "content-type": "application/x-amz-json-1.1" }) => {
    const answer = await fetch(endpoint, { method: "POST", body: JSON.stringify(members),
      headers: { "x-amz-target": target, ...headers } });
    const body = await answer.text();
    if (!answer.ok) throw new Error(`${target}: ${answer.status} ${body}`);
    return body ? JSON.parse(body) : {};
  };
  const put = async (path, body = "", headers = {}) => {
    const answer = await fetch(endpoint + path, { method: "PUT", body, headers });
    if (!answer.ok) throw new Error(`PUT ${path}: ${answer.status} ${await answer.text()}`);
  };
  return {
    codepipeline: (operation, members) => json(`CodePipeline_20150709.${operation}`, members),
    cloudwatch: (operation, members) => json(`GraniteServiceVersion20100801.${operation}`, members),
    bucket: (name) => put(`/${name}`),
    versioned: (name) => put(`/${name}?versioning`, "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"),
    upload: (path, body, summary) => put(path, body, { "x-amz-meta-codepipeline-artifact-revision-summary": summary }),
    // As many pipelines again as there is time for: the rows of one, under other names. No one starts anything in them.
    copies: async (name, count, named) => {
      const dynamodb = (operation, members) => json(`DynamoDB_20120810.${operation}`, members, { "content-type": "application/x-amz-json-1.0", ...SIGNATURE });
      const rows = [];
      for (let start; ;) {
        const { Items, LastEvaluatedKey } = await dynamodb("Scan", { TableName: "lastgood", ExclusiveStartKey: start });
        rows.push(...Items.filter(({ PK, SK }) => [`PIPELINE#${name}`, `EXECUTIONS#${name}`].includes(PK.S) || (PK.S === "PIPELINES" && SK.S.endsWith(name))));
        if (!(start = LastEvaluatedKey)) break;
      }
      const text = JSON.stringify(rows);
      const puts = Array.from({ length: count }, (_, number) => JSON.parse(text.replaceAll(name, named(number))))
        .flat().map((Item) => ({ PutRequest: { Item } }));
      for (let at = 0; at < puts.length; at += ROWS_AT_ONCE) {
        await dynamodb("BatchWriteItem", { RequestItems: { lastgood: puts.slice(at, at + ROWS_AT_ONCE) } });
      }
    },
    site: async (path) => (await fetch(endpoint + path)).text(),
  };
}

// An archive of one file.
export function zip(name, text) {
  const raw = Buffer.from(text);
  const body = deflateRawSync(raw);
  const fields = Buffer.alloc(26);
  [[20, 0], [0, 2], [8, 4], [0, 6], [33, 8]].forEach(([value, at]) => fields.writeUInt16LE(value, at));
  fields.writeUInt32LE(crc32(raw), 10);
  fields.writeUInt32LE(body.length, 14);
  fields.writeUInt32LE(raw.length, 18);
  fields.writeUInt16LE(name.length, 22);
  const local = Buffer.concat([Buffer.from("PK\x03\x04"), fields, Buffer.from(name), body]);
  const central = Buffer.concat([Buffer.from("PK\x01\x02\x14\x00"), fields, Buffer.alloc(14), Buffer.from(name)]);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(1, 4);
  end.writeUInt16LE(1, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(local.length, 12);
  return Buffer.concat([local, central, Buffer.from("PK\x05\x06"), end]);
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (0xedb88320 & -(crc & 1));
  }
  return ~crc >>> 0;
}
