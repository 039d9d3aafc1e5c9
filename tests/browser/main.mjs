// The demonstration's story by the console's buttons. Run by run.sh, which names LASTGOOD_LOCAL, SMOKE_CHECK and SCREENSHOTS.
import assert from "node:assert/strict";

import { chromium } from "playwright-core";

import { inspect, open, weigh } from "./looks.mjs";
import { start, until, zip } from "./system.mjs";

const { LASTGOOD_LOCAL, SMOKE_CHECK, SCREENSHOTS, CHROMIUM = "/usr/bin/chromium" } = process.env;
const MARKUP = `<img src=x onerror=alert(1)>"'&`;
const MANY = 1000;
const aws = (category, provider) => ({ category, owner: "AWS", provider, version: "1" });
const step = (what) => console.log(`   ${what}`);

// A site with a smoke check and a watch, behind an approval where it is asked for.
const pipeline = (name, asks) => ({
  name, roleArn: "arn:aws:iam::000000000000:role/lastgood-shop", pipelineType: "V2", executionMode: "QUEUED",
  artifactStore: { type: "S3", location: "artifacts" },
  variables: [{ name: "Color", defaultValue: "green", description: `Of the button ${MARKUP}` }],
  stages: [
    { name: "Source", actions: [{ name: "Upload", actionTypeId: aws("Source", "S3"), outputArtifacts: [{ name: "Site" }],
      configuration: { S3Bucket: "releases", S3ObjectKey: `${name}.zip` } }] },
    { name: "Staging", actions: [
      { name: "Publish", actionTypeId: aws("Deploy", "S3"), inputArtifacts: [{ name: "Site" }], configuration: { BucketName: "staging", Extract: "true" } },
      ...asks ? [{ name: "Look", runOrder: 2, actionTypeId: aws("Approval", "Manual"), configuration: { CustomData: `Is it good? ${MARKUP}` } }] : []] },
    { name: "Deploy", actions: [
      { name: "Publish", actionTypeId: aws("Deploy", "S3"), inputArtifacts: [{ name: "Site" }], configuration: { BucketName: "site", Extract: "true", CacheControl: "no-cache" } },
      { name: "Docs", actionTypeId: aws("Deploy", "S3"), inputArtifacts: [{ name: "Site" }], configuration: { BucketName: "docs", Extract: "true" } },
      { name: "SmokeCheck", runOrder: 2, actionTypeId: aws("Invoke", "Lambda"), inputArtifacts: [{ name: "Site" }],
        configuration: { FunctionName: "smoke-check", UserParameters: JSON.stringify({ url: "/site/index.html", contains: "Welcome" }) } }],
      onFailure: { result: "ROLLBACK" },
      onSuccess: { conditions: [{ result: "ROLLBACK", rules: [{ name: "Errors", ruleTypeId: { category: "Rule", owner: "AWS", provider: "CloudWatchAlarm", version: "1" },
        configuration: { AlarmName: "shop-errors", WaitTime: "60", Watch: "true" } }] }] } },
  ],
});

async function prepare(system) {
  for (const bucket of ["releases", "artifacts", "staging", "site", "docs"]) await system.bucket(bucket);
  await system.versioned("releases");
  await system.cloudwatch("PutMetricAlarm", { AlarmName: "shop-errors", Namespace: "Shop", MetricName: "Errors", Statistic: "Sum", Period: 60,
    EvaluationPeriods: 1, Threshold: 5, ComparisonOperator: "GreaterThanThreshold", TreatMissingData: "ignore" });
  await system.cloudwatch("SetAlarmState", { AlarmName: "shop-errors", StateValue: "OK", StateReason: "Quiet" });
}

const release = (system, name, number, text) =>
  system.upload(`/releases/${name}.zip`, zip("index.html", `<h1>${text} ${number}</h1>`), `Release ${number}: ${number === 3 ? MARKUP : "prices of spring"}`);

const ended = (system, name, number) => until(`the end of execution ${number}`, async () => {
  const { pipelineExecutionSummaries: all } = await system.codepipeline("ListPipelineExecutions", { pipelineName: name });
  return all.length >= number && all.every(({ status }) => !["InProgress", "Stopping"].includes(status)) && all;
});

// Asks the page itself, which renews what moves.
const shows = (page, text) => page.getByText(text).first().waitFor({ timeout: 20_000 });

async function story(system, browser) {
  const { context, page, wrong } = await open(browser, { baseURL: system.endpoint });
  const look = (name) => inspect(page, name, SCREENSHOTS);
  await page.goto("/console");
  await look("pipelines-empty");
  step("an empty installation says what to do");

  await release(system, "shop", 1, "Welcome");
  await system.codepipeline("CreatePipeline", { pipeline: pipeline("shop", false) });
  await page.goto("/console/pipelines/shop");
  await shows(page, "Watched until");
  await page.locator("#stage-Deploy .badge.good").first().waitFor();
  assert.match(await system.site("/site/index.html"), /Welcome 1/);
  step("release 1 goes out while the page is watched, without a reload");

  await release(system, "shop", 2, "Welcome");
  await ended(system, "shop", 2);
  await release(system, "shop", 3, "Broken");
  const three = await ended(system, "shop", 4);
  assert.deepEqual(three.map(({ status }) => status), ["Succeeded", "Failed", "Succeeded", "Succeeded"]);
  assert.match(await system.site("/site/index.html"), /Welcome 2/);
  await page.goto("/console/pipelines/shop/history");
  await shows(page, "Automated rollback");
  await look("history");
  await page.getByRole("row", { name: /Failed/ }).getByRole("link").first().click();
  await shows(page, "Rolled back");
  assert.equal(await page.locator("img").count(), 0);
  await shows(page, MARKUP);
  await look("execution-failed");
  step("release 3 fails, comes back by itself, and its summary's markup is text");

  await release(system, "shop", 4, "Welcome");
  await ended(system, "shop", 5);
  await errors(system);
  await system.cloudwatch("SetAlarmState", { AlarmName: "shop-errors", StateValue: "ALARM", StateReason: "Threshold Crossed: 1 out of the last 1 datapoints "
    + `[7.0 (${stamp(new Date())})] was greater than the threshold (5.0) (minimum 1 datapoint for OK -> ALARM transition).` });
  await ended(system, "shop", 6);
  assert.match(await system.site("/site/index.html"), /Welcome 2/);
  await page.goto("/console/pipelines/shop/history?type=ROLLBACK");
  await page.getByRole("row", { name: /shop-errors/ }).getByRole("link").first().click();
  await shows(page, "What would have changed the verdict");
  await look("execution-rollback");
  assert.ok(await page.locator(".plot .point").count() > 5, "the metric is drawn from before the deploy");
  assert.match(await page.locator(".plot").textContent(), /Shop Errors, Sum, each 1 min[\s\S]*threshold 5/);
  step("release 4 degrades, the alarm brings release 2 back, and the evidence is drawn");

  await page.goto("/console/attention");
  await shows(page, "shop / Deploy");
  await look("attention");
  await page.getByRole("link", { name: "shop / Deploy" }).click();
  await shows(page, "Nothing enters until a person lifts the hold.");
  await look("pipeline-held");
  await page.getByLabel("Why it may go on").fill("Release 5 mends it.");
  await page.getByRole("button", { name: "Lift the hold on Deploy" }).click();
  await shows(page, "The hold was lifted.");
  step("a person lifts the hold");

  await page.getByRole("link", { name: "Go back in Deploy" }).click();
  await look("rollback-candidates");
  await page.locator(".candidate.can", { hasText: "Release 1" }).getByRole("link", { name: /^Preview/ }).click();
  await shows(page, "What changes");
  await page.getByRole("button", { name: "Roll back Deploy" }).click();
  assert.ok(await page.locator("#reason:invalid").count(), "a reason is asked for");
  await page.getByLabel("Why", { exact: true }).fill(`Prices of release 1 ${MARKUP}`);
  await look("rollback-preview");
  await page.getByRole("button", { name: "Roll back Deploy" }).click();
  await shows(page, "The rollback was started.");
  await page.locator("#head .badge.good").waitFor();
  assert.match(await system.site("/site/index.html"), /Welcome 1/);
  assert.equal(await page.locator("img").count(), 0);
  await page.goto("/console/pipelines/shop");
  await page.getByRole("button", { name: "Enable the transition into Deploy" }).click();
  await shows(page, "The transition is enabled.");
  step("a person goes back to release 1 with a reason, watches it arrive, and enables the transition");

  await page.goto("/console/pipelines/shop/rollbacks");
  await look("rollbacks");
  await page.goto("/console/rollbacks");
  await shows(page, "By week");
  await look("rollbacks-of-all");
  await page.goto("/console/pipelines/shop/configure");
  await look("configure");
  const deploy = page.locator("section", { has: page.getByRole("heading", { name: "Deploy" }) });
  await deploy.getByLabel("Do this").selectOption("retry-rollback");
  await deploy.getByLabel("Only tell what it would do").check();
  await deploy.getByRole("button", { name: "Save Deploy" }).click();
  await shows(page, "The pipeline was changed, as a new version.");
  const { pipeline: stored } = await system.codepipeline("GetPipeline", { name: "shop" });
  assert.equal(stored.stages[2].onFailure.retryConfiguration.retryMode, "ALL_ACTIONS");
  assert.equal(stored.stages[2].onSuccess.conditions[0].rules[0].configuration.Shadow, "true");
  step("automatic rollback is changed by its form");

  await page.goto("/console/pipelines/shop/start");
  await look("start");
  await approvals(system, page, look);
  // A name that a browser takes for the way up, unless its address is another.
  await system.codepipeline("CreatePipeline", { pipeline: pipeline("..", false) });
  await page.goto("/console");
  await look("pipelines");
  await page.getByRole("link", { name: "..", exact: true }).click();
  await page.getByRole("heading", { name: "..", exact: true }).waitFor();
  step("a pipeline called .. is reached");
  await page.goto("/console?q=nothing");
  await look("pipelines-none");
  await page.goto("/console/pipelines/none");
  await look("missing");
  assert.deepEqual(wrong, []);
  await context.close();
}

// Twenty quiet minutes, then two that are not.
const errors = (system) => system.cloudwatch("PutMetricData", { Namespace: "Shop", MetricData: Array.from({ length: 22 }, (_, ago) => ({
  MetricName: "Errors", Timestamp: Math.floor(Date.now() / 1000) - 60 * ago, Value: ago < 2 ? 7 : (ago * 7) % 3 })) });

// As CloudWatch writes it.
const stamp = (at) => {
  const two = (number) => `${number}`.padStart(2, "0");
  return `${two(at.getUTCDate())}/${two(at.getUTCMonth() + 1)}/${two(at.getUTCFullYear() % 100)} ${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:00`;
};

async function approvals(system, page, look) {
  await release(system, "handbook", 1, "Welcome");
  await system.codepipeline("CreatePipeline", { pipeline: pipeline("handbook", true) });
  await page.goto("/console/pipelines/handbook");
  await shows(page, "Waits for approval");
  const say = page.getByLabel("What you say to it");
  await say.fill("Looks g");
  // What somebody types in outlives the page's renewals, of which there are some in this time.
  const renewals = [];
  page.on("response", (answer) => renewals.push(answer.url()));
  await until("renewals", async () => renewals.filter((url) => url.endsWith("/handbook")).length >= 2);
  assert.equal(await say.inputValue(), "Looks g");
  await look("pipeline-approval");
  await say.fill("Looks good.");
  await page.getByRole("button", { name: "Approve Look" }).click();
  await shows(page, "You approved.");
  await page.locator("#stage-Deploy .stage > header .badge.good").waitFor({ timeout: 20_000 });
  await look("pipeline");
  await page.getByText("Transition enabled").last().click();
  await page.getByLabel("Why nothing may enter").last().fill("Not on Friday.");
  await page.getByRole("button", { name: "Disable the transition into Deploy" }).click();
  await shows(page, "“Not on Friday.”");
  step("an approval is answered, typing survives renewals, a transition is closed");
}

// Everything by keys alone, without a script.
async function plain(system, browser) {
  const { context, page, wrong } = await open(browser, { baseURL: system.endpoint, javaScriptEnabled: false });
  await page.goto("/console");
  const focused = () => page.locator(":focus");
  await page.keyboard.press("Tab");
  assert.equal(await focused().innerText(), "Skip to the content");
  const reach = async (name) => {
    for (let presses = 0; presses < 80; presses++) {
      if ((await focused().count()) && (await focused().innerText().catch(() => "")).includes(name)) return;
      await page.keyboard.press("Tab");
    }
    throw new Error(`no key leads to ${name}`);
  };
  await reach("shop");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/pipelines/shop");
  await reach("Start");
  await page.keyboard.press("Enter");
  await page.waitForURL("**/start");
  await page.getByLabel("Color").focus();
  await page.keyboard.type("blue");
  await reach("Start");
  await page.getByRole("button", { name: "Start" }).focus();
  await page.keyboard.press("Enter");
  await page.waitForURL("**/executions/**");
  assert.match(await page.locator("main").innerText(), /The execution was started\.[\s\S]*blue/);
  assert.match(await page.locator("time").first().innerText(), / UTC$/);
  assert.deepEqual(wrong, []);
  await context.close();
  step("by keys alone and without a script: a start with a variable; times are in UTC");
}

async function sizes(system) {
  for (const path of ["/console", "/console/attention", "/console/rollbacks", "/console/pipelines/shop", "/console/pipelines/shop/history", "/console/pipelines/shop/rollbacks",
    "/console/pipelines/shop/start", "/console/pipelines/shop/configure", "/console/pipelines/shop/stages/Deploy/rollback"]) {
    const { bytes } = await weigh(system.endpoint + path);
    step(`${path}: ${bytes} bytes in all`);
  }
  // Its middle of a few, which is told and not asserted: a machine may be busy.
  const first = async (what) => {
    for (const [order, query] of [["by name", ""], ["filtered", "?q=service"], ["by change", "?sort=changed"]]) {
      const looks = [];
      for (let look = 0; look < 7; look++) looks.push(await weigh(`${system.endpoint}/console${query}`));
      const took = looks.map(({ took }) => took).sort((a, b) => a - b)[3];
      step(`first page of ${what}, ${order}: ${looks[0].bytes} bytes, ${took.toFixed(0)} ms`);
    }
  };
  await first("2 pipelines");
  await system.copies("handbook", 58, (number) => `team-${number}-service`);
  await first("60 pipelines");
  await system.copies("handbook", MANY - 60, (number) => `team-${number + 58}-service`);
  await first(`${MANY} pipelines`);
}

const system = await start(LASTGOOD_LOCAL, SMOKE_CHECK);
const browser = await chromium.launch({ executablePath: CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync"] });
try {
  await prepare(system);
  await story(system, browser);
  await plain(system, browser);
  await sizes(system);
  console.log("The console is as it should be.");
} finally {
  await browser.close();
  await system.stop();
}
