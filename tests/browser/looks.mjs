// What has to hold of every page, and its pictures.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PAGE_BYTES_MAX = 100_000;
const WIDE = { width: 1280, height: 900 };
const NARROW = { width: 390, height: 844 };
const POLICY = ["default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"];

// A page with a record of everything that went wrong in it. Chromium's own requests (the icon) count too.
export async function open(browser, options = {}) {
  const context = await browser.newContext({ viewport: WIDE, timezoneId: "Asia/Kolkata", locale: "en-GB", ...options });
  const page = await context.newPage();
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(`script: ${error}`));
  page.on("console", (message) => { if (message.type() === "error" && !/status of 4\d\d/.test(message.text())) wrong.push(message.text()); });
  page.on("dialog", (dialog) => { wrong.push(`dialog: ${dialog.message()}`); dialog.dismiss(); });
  page.on("request", (request) => {
    if (!request.url().startsWith("data:") && !request.url().startsWith(options.baseURL)) wrong.push(`a request to ${request.url()}`);
  });
  return { context, page, wrong };
}

// axe in both schemes, no sideways scrolling at 390 px, a picture of each. axe comes in by the protocol, past the policy.
export async function inspect(page, name, screenshots) {
  for (const [scheme, size, shot] of [["light", WIDE, "light"], ["dark", WIDE, "dark"], ["light", NARROW, "light-narrow"], ["dark", NARROW, "dark-narrow"]]) {
    await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
    await page.setViewportSize(size);
    await page.screenshot({ path: join(screenshots, `${name}-${shot}.png`), fullPage: true });
    const sideways = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.ok(sideways <= 0, `${name} ${shot} scrolls sideways by ${sideways} px`);
    await page.evaluate(AXE);
    const found = await page.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
    const said = found.violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.html.slice(0, 160)} (${node.failureSummary})`).join("\n    ")}`);
    assert.deepEqual(said, [], `${name} ${shot}: axe finds\n  ${said.join("\n  ")}`);
  }
  await page.emulateMedia({ colorScheme: "light", reducedMotion: "no-preference" });
  await page.setViewportSize(WIDE);
}

// Headers, and how much and how long a first visit is. Time is that of the answer's first byte on this machine.
export async function weigh(address) {
  const since = performance.now();
  const answer = await fetch(address);
  const took = performance.now() - since;
  const html = await answer.text();
  for (const rule of POLICY) assert.ok(answer.headers.get("content-security-policy")?.includes(rule), `${address}: ${rule}`);
  assert.equal(answer.headers.get("x-content-type-options"), "nosniff");
  assert.equal(answer.headers.get("cache-control"), "no-store");
  // Without what is in quotes: a text may look like an attribute, and is none.
  const bare = html.replaceAll(/"[^"]*"/g, '""');
  assert.ok(!/<script(?![^>]*\ssrc=)|<style|<[^>]*\s(style|on\w+)=/i.test(bare), `${address} has a script or style in it`);
  let bytes = Buffer.byteLength(html);
  for (const [, asset] of html.matchAll(/(?:href|src)="(\/console\/assets\/[^"]+)"/g)) {
    const file = await fetch(new URL(asset, address));
    assert.ok(file.headers.get("cache-control").includes("immutable"), asset);
    bytes += (await file.arrayBuffer()).byteLength;
  }
  assert.ok(bytes < PAGE_BYTES_MAX, `${address} takes ${bytes} bytes with all it needs`);
  return { bytes, took };
}
