// A pipeline's whole life by the JavaScript SDK as it is, asserting on what the client makes of every answer. Run by run.sh.
//
// Needs AWS_ENDPOINT_URL of a fresh local process, which serves CodePipeline and S3; PIPELINE and RELEASES name files.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

import { CodePipeline, CodePipelineServiceException, paginateListActionExecutions, paginateListActionTypes,
  paginateListPipelineExecutions, paginateListPipelines, paginateListTagsForResource, paginateListWebhooks,
} from "@aws-sdk/client-codepipeline";
import * as errors from "@aws-sdk/client-codepipeline";
import { S3 } from "@aws-sdk/client-s3";

const LOOKS_MAX = 200;
const LOOK_EVERY_MS = 200;
const UNKNOWN = "00000000-0000-4000-8000-000000000000";
const ARN = "arn:aws:codepipeline:us-east-1:000000000000:walk";
const PROBE = { category: "Test", owner: "Custom", provider: "Probe", version: "1" };
const pipeline = JSON.parse(readFileSync(process.env.PIPELINE, "utf8"));

const client = new CodePipeline({});
const s3 = new S3({ forcePathStyle: true });

const step = (what) => console.log(`   ${what}`);

async function until(what, look) {
  for (let looks = 0; looks < LOOKS_MAX; looks++) {
    const seen = await look();
    if (seen) return seen;
    await sleep(LOOK_EVERY_MS);
  }
  throw new Error(`no sign of ${what}`);
}

// The call must throw the client's own class of that name.
async function refused(exception, call) {
  const error = await call.then((answer) => assert.fail(`${exception} expected, not ${JSON.stringify(answer)}`), (error) => error);
  assert.ok(error instanceof CodePipelineServiceException, `${error}`);
  assert.ok(error instanceof errors[exception], `${exception} expected, not ${error}`);
  assert.equal(error.name, exception);
  assert.ok(error.message && error.$metadata.requestId, `${error}`);
  assert.equal(error.$fault, "client");
}

const release = (number) => readFileSync(`${process.env.RELEASES}/${number}.zip`);
const upload = async (number) =>
  (await s3.putObject({ Bucket: "walk-releases", Key: "walk.zip", Body: release(number) })).VersionId;
const page = async () => (await s3.getObject({ Bucket: "walk-site", Key: "index.html" })).Body.transformToString();
const shows = async (number) => assert.match(await page(), new RegExp(`Release ${number}<`));
const executions = async () => (await client.listPipelineExecutions({ pipelineName: "walk" })).pipelineExecutionSummaries;
const execution = async (id) =>
  (await client.getPipelineExecution({ pipelineName: "walk", pipelineExecutionId: id })).pipelineExecution;
const stage = async (name) =>
  (await client.getPipelineState({ name: "walk" })).stageStates.find((one) => one.stageName === name);

const startedBy = (version) =>
  until(`the execution of ${version}`, async () => (await executions()).find((one) =>
    one.executionType === "STANDARD" && one.sourceRevisions?.[0]?.revisionId === version)?.pipelineExecutionId);

async function ended(id, status) {
  const found = await until(`the end of ${id}`, async () => {
    const found = await execution(id);
    return !["InProgress", "Stopping"].includes(found.status) && found;
  });
  assert.equal(found.status, status, found.statusSummary);
  return found;
}

async function takeJob(id) {
  const [job] = await until(`a job of ${id}`, async () => {
    const { jobs } = await client.pollForJobs({ actionTypeId: PROBE, maxBatchSize: 1 });
    return jobs.length > 0 && jobs;
  });
  assert.equal(job.data.pipelineContext.pipelineExecutionId, id);
  assert.equal(job.data.pipelineContext.action.name, "Probe");
  assert.deepEqual(job.data.actionConfiguration.configuration, { Page: "index.html", Secret: "hush" });
  await refused("InvalidNonceException", client.acknowledgeJob({ jobId: job.id, nonce: "another" }));
  assert.equal((await client.acknowledgeJob({ jobId: job.id, nonce: job.nonce })).status, "InProgress");
  return job;
}

async function succeed(id) {
  const job = await takeJob(id);
  await client.putJobSuccessResult({ jobId: job.id, executionDetails: { summary: "Reads well" } });
  return job;
}

async function answer(id, status) {
  const token = await until("the question", async () => {
    const asked = await stage("Accept");
    const latest = asked.actionStates[0].latestExecution;
    return asked.latestExecution?.pipelineExecutionId === id && latest?.status === "InProgress" && latest.token;
  });
  const asked = { pipelineName: "walk", stageName: "Accept", actionName: "Ask", result: { summary: "Read", status } };
  await refused("InvalidApprovalTokenException", client.putApprovalResult({ ...asked, token: UNKNOWN }));
  const answered = await client.putApprovalResult({ ...asked, token });
  if (status === "Approved") assert.ok(answered.approvedAt instanceof Date, `${answered.approvedAt}`);
  await refused("ApprovalAlreadyCompletedException", client.putApprovalResult({ ...asked, token }));
}

async function create() {
  step("a custom action type");
  const details = { minimumCount: 0, maximumCount: 5 };
  const { actionType, tags } = await client.createCustomActionType({
    category: "Test", provider: "Probe", version: "1", inputArtifactDetails: details, outputArtifactDetails: details,
    configurationProperties: [
      { name: "Page", required: true, key: true, secret: false },
      { name: "Secret", required: false, key: false, secret: true },
    ],
    tags: [{ key: "of", value: "walk" }],
  });
  assert.deepEqual(actionType.id, PROBE);
  assert.deepEqual(tags, [{ key: "of", value: "walk" }]);
  step("buckets, a release, a pipeline");
  for (const name of ["releases", "artifacts", "site"]) await s3.createBucket({ Bucket: `walk-${name}` });
  await s3.putBucketVersioning({ Bucket: "walk-releases", VersioningConfiguration: { Status: "Enabled" } });
  await upload(1);
  await refused("PipelineNotFoundException", client.getPipeline({ name: "walk" }));
  const created = await client.createPipeline({ pipeline, tags: [{ key: "team", value: "shop" }] });
  assert.equal(created.pipeline.version, 1);
  assert.deepEqual(created.tags, [{ key: "team", value: "shop" }]);
  await refused("PipelineNameInUseException", client.createPipeline({ pipeline }));
  const short = { ...pipeline, name: "short", stages: pipeline.stages.slice(0, 1) };
  await refused("InvalidStructureException", client.createPipeline({ pipeline: short }));
  const { metadata } = await client.getPipeline({ name: "walk" });
  assert.equal(metadata.pipelineArn, ARN);
  assert.ok(metadata.created instanceof Date);
}

async function firstRelease() {
  step("release 1: its worker, its approval");
  const [only] = await executions();
  assert.equal(only.trigger.triggerType, "CreatePipeline");
  assert.ok(only.startTime instanceof Date);
  const first = only.pipelineExecutionId;
  const job = await succeed(first);
  await refused("InvalidJobStateException", client.putJobSuccessResult({ jobId: job.id }));
  await refused("JobNotFoundException", client.getJobDetails({ jobId: UNKNOWN }));
  await answer(first, "Approved");
  const found = await ended(first, "Succeeded");
  assert.equal(found.executionMode, "QUEUED");
  assert.equal(found.artifactRevisions[0].name, "Site");
  await shows(1);
  return first;
}

async function badRelease(first) {
  step("release 2 fails its probe: back to release 1 by itself");
  const failed = await startedBy(await upload(2));
  const job = await takeJob(failed);
  await shows(2);
  assert.equal((await client.getJobDetails({ jobId: job.id })).jobDetails.id, job.id);
  await client.putJobFailureResult({ jobId: job.id, failureDetails: { type: "JobFailed", message: "Reads badly" } });
  const rollback = await until("the rollback", async () => (await executions()).find((one) => one.executionType === "ROLLBACK"));
  assert.equal(rollback.trigger.triggerType, "AutomatedRollback");
  assert.equal(JSON.parse(rollback.trigger.triggerDetail).FailedPipelineExecutionId, failed);
  await succeed(rollback.pipelineExecutionId);
  const found = await ended(rollback.pipelineExecutionId, "Succeeded");
  assert.deepEqual(found.rollbackMetadata, { rollbackTargetPipelineExecutionId: first });
  await ended(failed, "Failed");
  await shows(1);
  assert.equal((await stage("Deploy")).latestExecution.type, "ROLLBACK");
  return failed;
}

async function rejectedRelease() {
  step("release 3 is rejected; its stage is retried");
  const third = await startedBy(await upload(3));
  await succeed(third);
  await answer(third, "Rejected");
  await ended(third, "Failed");
  const retry = { pipelineName: "walk", stageName: "Accept", pipelineExecutionId: third, retryMode: "FAILED_ACTIONS" };
  assert.equal((await client.retryStageExecution(retry)).pipelineExecutionId, third);
  await answer(third, "Approved");
  await ended(third, "Succeeded");
  await refused("StageNotRetryableException", client.retryStageExecution(retry));
  await refused("StageNotFoundException", client.retryStageExecution({ ...retry, stageName: "Nowhere" }));
}

async function rollbackByHand(first, failed) {
  step("a rollback by hand");
  const to = (stageName, id) => client.rollbackStage({ pipelineName: "walk", stageName, targetPipelineExecutionId: id });
  await refused("PipelineExecutionNotFoundException", to("Deploy", UNKNOWN));
  await refused("UnableToRollbackStageException", to("Deploy", failed));
  await refused("UnableToRollbackStageException", to("Source", first));
  const rollback = (await to("Deploy", first)).pipelineExecutionId;
  await succeed(rollback);
  const found = await ended(rollback, "Succeeded");
  assert.equal(found.trigger.triggerType, "ManualRollback");
  await shows(1);
  const into = { pipelineName: "walk", stageName: "Deploy", transitionType: "Inbound" };
  await client.disableStageTransition({ ...into, reason: "Sale until Monday" });
  const closed = (await stage("Deploy")).inboundTransitionState;
  assert.equal(closed.enabled, false);
  assert.equal(closed.disabledReason, "Sale until Monday");
  assert.ok(closed.lastChangedAt instanceof Date);
  await client.enableStageTransition(into);
  assert.equal((await stage("Deploy")).inboundTransitionState.enabled, true);
}

async function stop() {
  step("a start, stopped in two ways");
  const begun = { name: "walk", clientRequestToken: "walk-1" };
  const fourth = (await client.startPipelineExecution(begun)).pipelineExecutionId;
  assert.equal((await client.startPipelineExecution(begun)).pipelineExecutionId, fourth);
  const job = await takeJob(fourth);
  const halt = { pipelineName: "walk", pipelineExecutionId: fourth };
  assert.equal((await client.stopPipelineExecution({ ...halt, reason: "Not today" })).pipelineExecutionId, fourth);
  await until("it stopping", async () => (await execution(fourth)).status === "Stopping");
  await refused("DuplicatedStopRequestException", client.stopPipelineExecution(halt));
  await client.stopPipelineExecution({ ...halt, abandon: true });
  await ended(fourth, "Stopped");
  await refused("PipelineExecutionNotStoppableException", client.stopPipelineExecution(halt));
  await refused("InvalidJobStateException", client.putJobSuccessResult({ jobId: job.id }));
}

async function all(pages, member) {
  const lines = [];
  for await (const page of pages) lines.push(...page[member]);
  return lines;
}

async function tags() {
  step("tags");
  await client.tagResource({ resourceArn: ARN, tags: [{ key: "stage", value: "prod" }, { key: "team", value: "site" }] });
  const found = await all(paginateListTagsForResource({ client, pageSize: 1 }, { resourceArn: ARN }), "tags");
  assert.deepEqual(found.map(({ key, value }) => `${key}=${value}`).sort(), ["stage=prod", "team=site"]);
  await client.untagResource({ resourceArn: ARN, tagKeys: ["stage"] });
  await refused("ResourceNotFoundException", client.listTagsForResource({ resourceArn: `${ARN}-none` }));
  await refused("InvalidTagsException", client.tagResource({ resourceArn: ARN, tags: [{ key: "aws:team", value: "x" }] }));
}

async function webhook() {
  step("a webhook that starts the pipeline");
  const hook = {
    name: "walk-hook", targetPipeline: "walk", targetAction: "Upload",
    filters: [{ jsonPath: "$.ref", matchEquals: "refs/heads/main" }],
    authentication: "UNAUTHENTICATED", authenticationConfiguration: {},
  };
  const { webhook: made } = await client.putWebhook({ webhook: hook });
  assert.equal(made.definition.name, "walk-hook");
  await refused("PipelineNotFoundException", client.putWebhook({ webhook: { ...hook, targetPipeline: "none" } }));
  const listed = await all(paginateListWebhooks({ client, pageSize: 1 }, {}), "webhooks");
  assert.deepEqual(listed.map((one) => one.definition.name), ["walk-hook"]);
  const before = (await executions()).length;
  const posted = await fetch(made.url, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ ref: "refs/heads/main" }),
  });
  assert.equal(posted.status, 200);
  await until("the webhook's execution", async () => (await executions()).length > before);
  const [newest] = await executions();
  assert.equal(newest.trigger.triggerType, "Webhook");
  assert.equal(newest.trigger.triggerDetail, made.arn);
  await client.stopPipelineExecution({ pipelineName: "walk", pipelineExecutionId: newest.pipelineExecutionId, abandon: true });
  await ended(newest.pipelineExecutionId, "Stopped");
  await client.deleteWebhook({ name: "walk-hook" });
  await client.deleteWebhook({ name: "walk-hook" });
  await refused("WebhookNotFoundException", client.registerWebhookWithThirdParty({ webhookName: "none" }));
}

async function pages(first) {
  step("pages");
  const paging = { client, pageSize: 1 };
  const summaries = await all(paginateListPipelineExecutions(paging, { pipelineName: "walk" }), "pipelineExecutionSummaries");
  assert.equal(summaries.length, (await executions()).length);
  const filter = { pipelineExecutionId: first };
  const actions = await all(paginateListActionExecutions(paging, { pipelineName: "walk", filter }), "actionExecutionDetails");
  assert.deepEqual(actions.map((one) => one.actionName), ["Ask", "Probe", "Publish", "Upload"]);
  assert.deepEqual((await all(paginateListPipelines(paging, {}), "pipelines")).map((one) => one.name), ["walk"]);
  const types = await all(paginateListActionTypes({ client }, { actionOwnerFilter: "Custom" }), "actionTypes");
  assert.deepEqual(types.map((one) => one.id), [PROBE]);
  await refused("InvalidNextTokenException", client.listPipelines({ nextToken: "made up" }));
}

async function changeAndDelete() {
  step("a new version, the old one, and the end");
  const changed = structuredClone(pipeline);
  changed.stages[2].actions[0].configuration.CustomData = "Well?";
  assert.equal((await client.updatePipeline({ pipeline: changed })).pipeline.version, 2);
  const old = (await client.getPipeline({ name: "walk", version: 1 })).pipeline;
  assert.equal(old.stages[2].actions[0].configuration.CustomData, "Does the site read well?");
  await refused("PipelineVersionNotFoundException", client.getPipeline({ name: "walk", version: 3 }));
  await client.deletePipeline({ name: "walk" });
  await client.deletePipeline({ name: "walk" });
  await refused("PipelineNotFoundException", client.getPipelineState({ name: "walk" }));
  await client.deleteCustomActionType({ category: "Test", provider: "Probe", version: "1" });
  await refused("ActionTypeNotFoundException", client.pollForJobs({ actionTypeId: PROBE }));
  assert.deepEqual((await client.listPipelines({})).pipelines, []);
}

await create();
const first = await firstRelease();
const failed = await badRelease(first);
await rejectedRelease();
await rollbackByHand(first, failed);
await stop();
await tags();
await webhook();
await pages(first);
await changeAndDelete();
console.log("   JavaScript SDK: as told");
