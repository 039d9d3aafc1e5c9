#!/usr/bin/env bash
# The README's walk-through by the unchanged AWS CLI, as a test: starts the local process on a free port with data of its
# own, goes through every step, and checks each by reading the API and the deployed site. Ends with 0 only if all was so.
#
#   tests/clients/walkthrough.sh [BINARY] [XTASK]     the local process and xtask, in target/debug unless given
#
# Needs bash, curl, python3 and the AWS CLI of requirements.txt in PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

local_binary=${1:-target/debug/local}
xtask=$(realpath --canonicalize-missing "${2:-target/debug/xtask}")
# Each look at the API takes a second or so, most of it the CLI's own start.
readonly LOOKS_MAX=40
readonly LOOK_EVERY_S=0.5

mkdir -p target
work=$(mktemp -d target/walkthrough.XXXXXX)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_DEFAULT_REGION=us-east-1
export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_EC2_METADATA_DISABLED=true
# Nothing of the user's own settings may change what is tested.
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_REGION

# --- what the steps are written with ---------------------------------------------------------------------------------

server=
quiet=

start_local() {
  "$local_binary" --data "$work/data" --port "$port" \
    --function smoke-check=tests/clients/functions/smoke-check/bootstrap \
    --function hand-over=tests/clients/functions/hand-over/bootstrap >>"$work/local.log" 2>&1 &
  server=$!
  until_so 'the local process answers' curl --silent --output /dev/null "$AWS_ENDPOINT_URL/"
}

finish() {
  local status=$?
  [[ -z $server ]] || kill "$server" 2>/dev/null || true
  wait 2>/dev/null || true
  if ((status == 0)); then
    rm -rf "$work"
    echo "The walk-through is as told, after ${SECONDS} s."
  else
    echo "The walk-through failed. The last lines of $work/local.log:" >&2
    tail -n 20 "$work/local.log" >&2 || true
  fi
  exit "$status"
}
trap finish EXIT

step() { printf '\n== %4d s  %s\n' "$SECONDS" "$*"; }

# Shows a command as one would type it, and runs it.
aws() {
  [[ -n $quiet ]] || shown aws "$@" >&2
  command aws "$@"
}
shown() {
  local word line='$'
  for word; do
    [[ $word =~ ^[A-Za-z0-9_./:=,@%+-]+$ ]] || word="'$word'"
    line+=" $word"
  done
  echo "$line"
}

fail() {
  echo "NOT SO: $*" >&2
  exit 1
}

# is WHAT EXPECTED FOUND
is() {
  [[ $2 == "$3" ]] || fail "$1: expected '$2', found '$3'"
  echo "   $1: $3"
}

# has WHAT PART TEXT
has() {
  [[ $3 == *"$2"* ]] || fail "$1: '$2' is not in '$3'"
  echo "   $1: $2"
}

# until_so WHAT COMMAND.. : repeats a command, which says yes by its exit code, a bounded number of times.
until_so() {
  local what=$1 look
  shift
  for ((look = 1; look <= LOOKS_MAX; look++)); do
    if quiet=yes "$@" >"$work/look" 2>&1; then
      echo "   $what"
      return
    fi
    [[ -z $server ]] || kill -0 "$server" 2>/dev/null || fail "the local process has ended while: $what"
    sleep "$LOOK_EVERY_S"
  done
  fail "$what: not within $LOOKS_MAX looks; the last one saw: $(tail -c 600 "$work/look")"
}

# refused EXCEPTION COMMAND.. : the command must be refused with that error of CodePipeline's.
refused() {
  local exception=$1 answer
  shift
  if answer=$("$@" 2>&1); then fail "$* was not refused"; fi
  has 'refused' "($exception)" "$answer"
  echo "   ${answer##*operation: }"
}

# --- what the steps look at ------------------------------------------------------------------------------------------

page() { curl "$AWS_ENDPOINT_URL/shop-site/index.html" --silent --show-error --fail; }
page_shows() { local found; found=$(page) && echo "$found" && [[ $found == *"Release $1<"* ]]; }

# execution PIPELINE ID FIELD: one member of GetPipelineExecution.
execution() {
  aws codepipeline get-pipeline-execution --pipeline-name "$1" --pipeline-execution-id "$2" \
    --query "pipelineExecution.$3" --output text
}
execution_is() { local found; found=$(execution "$1" "$2" status) && echo "$found" && [[ $found == "$3" ]]; }

# latest PIPELINE FIELD [N]: a member of the newest execution, or of the Nth after it.
latest() {
  aws codepipeline list-pipeline-executions --pipeline-name "$1" \
    --query "pipelineExecutionSummaries[${3:-0}].$2" --output text
}
executions_are() { [[ $(latest_count "$1") == "$2" ]]; }
latest_count() {
  aws codepipeline list-pipeline-executions --pipeline-name "$1" --query 'length(pipelineExecutionSummaries)' \
    --output text | tee /dev/stderr
}

# stage PIPELINE STAGE FIELD: a member of a stage's state.
stage() {
  aws codepipeline get-pipeline-state --name "$1" --query "stageStates[?stageName=='$2'] | [0].$3" --output text
}
stage_is() { local found; found=$(stage "$1" "$2" "$3") && echo "$found" && [[ $found == "$4" ]]; }

# pack RELEASE: makes the zip that the pipeline takes.
pack() { rm -f target/shop.zip && python3 -m zipfile -c target/shop.zip tests/clients/releases/"$1"/*; }

# json EXPRESSION: a value out of the JSON document d on standard input.
json() { python3 -c 'import json, sys; d = json.load(sys.stdin); print(eval(sys.argv[1]))' "$1"; }

# --- the walk-through ------------------------------------------------------------------------------------------------

step 'The README tells the same commands'
while IFS= read -r line; do
  grep --quiet --fixed-strings -- "$line" tests/clients/walkthrough.sh || fail "the README says '$line', which is not tried here"
# Those about an account are tried by tests/deployed.
done < <(sed '/^## In your account/,/^## When/d' README.md | sed -n '/^```sh/,/^```/ s/^ *//p' | grep -E '(^|[(])(aws|curl) ' | sed 's/ *#.*//')

step 'The system starts empty'
[[ -x $local_binary ]] || fail "$local_binary is not there. Build it with: cargo build --package local"
[[ -x $xtask ]] || fail "$xtask is not there. Build it with: cargo build --package xtask"
start_local
is 'pipelines' '[]' "$(aws codepipeline list-pipelines --query pipelines --output json)"

step 'Buckets, the first release, an alarm, a pipeline'
aws s3 mb s3://shop-releases
aws s3 mb s3://shop-artifacts
aws s3 mb s3://shop-site
aws s3api put-bucket-versioning --bucket shop-releases --versioning-configuration Status=Enabled
is 'versioning' 'Enabled' "$(aws s3api get-bucket-versioning --bucket shop-releases --query Status --output text)"
pack 1
aws s3 cp target/shop.zip s3://shop-releases/shop.zip --no-progress
aws cloudwatch put-metric-alarm --alarm-name shop-errors --namespace Shop --metric-name Errors --statistic Sum --period 60 --evaluation-periods 1 --threshold 5 --comparison-operator GreaterThanThreshold --treat-missing-data ignore
aws codepipeline create-pipeline --pipeline file://tests/clients/pipelines/shop.json >"$work/created"
is 'version created' '1' "$(json 'd["pipeline"]["version"]' <"$work/created")"

step 'Release 1: creating a pipeline starts it'
first=$(aws codepipeline list-pipeline-executions --pipeline-name shop --query 'pipelineExecutionSummaries[0].pipelineExecutionId' --output text)
until_so "execution $first succeeded" execution_is shop "$first" Succeeded
until_so 'the site serves release 1' page_shows 1
is 'trigger' 'CreatePipeline' "$(execution shop "$first" trigger.triggerType)"
is 'artifact revision' "$(aws s3api list-object-versions --bucket shop-releases --prefix shop.zip --query 'Versions[0].VersionId' --output text)" \
  "$(execution shop "$first" 'artifactRevisions[0].revisionId')"
aws codepipeline get-pipeline-state --name shop >"$work/state"
is 'stages' 'Source Succeeded, Deploy Succeeded' \
  "$(json '", ".join(s["stageName"] + " " + s["latestExecution"]["status"] for s in d["stageStates"])' <"$work/state")"
aws codepipeline list-action-executions --pipeline-name shop --filter pipelineExecutionId="$first" >"$work/actions"
is 'actions, newest first' 'SmokeCheck, Publish, Releases' \
  "$(json '", ".join(a["actionName"] for a in d["actionExecutionDetails"])' <"$work/actions")"
is 'what the function reported' "/shop-site/index.html says 'Welcome'" \
  "$(json 'd["actionExecutionDetails"][0]["output"]["executionResult"]["externalExecutionSummary"]' <"$work/actions")"

step 'Release 2: an upload starts the pipeline'
pack 2
aws s3 cp target/shop.zip s3://shop-releases/shop.zip --no-progress
until_so 'a second execution' executions_are shop 2
good=$(latest shop pipelineExecutionId)
until_so 'the site serves release 2' page_shows 2
until_so "execution $good succeeded" execution_is shop "$good" Succeeded
is 'trigger' 'CloudWatchEvent' "$(execution shop "$good" trigger.triggerType)"

step 'Release 3 is broken: the smoke check fails, and the stage goes back to release 2 by itself'
pack 3
aws s3 cp target/shop.zip s3://shop-releases/shop.zip --no-progress
until_so 'a rollback' executions_are shop 4
failed=$(latest shop pipelineExecutionId 1)
rollback=$(latest shop pipelineExecutionId)
until_so "rollback $rollback succeeded" execution_is shop "$rollback" Succeeded
until_so 'the site serves release 2 again' page_shows 2
is 'the failed execution stays' 'Failed' "$(execution shop "$failed" status)"
has 'and says why' '/shop-site/index.html does not say' \
  "$(aws codepipeline list-action-executions --pipeline-name shop --filter pipelineExecutionId="$failed" --query 'actionExecutionDetails[0].output.executionResult.errorDetails.message' --output text)"
aws codepipeline get-pipeline-execution --pipeline-name shop --pipeline-execution-id "$rollback" >"$work/rollback"
is 'type' 'ROLLBACK' "$(json 'd["pipelineExecution"]["executionType"]' <"$work/rollback")"
is 'trigger' 'AutomatedRollback' "$(json 'd["pipelineExecution"]["trigger"]["triggerType"]' <"$work/rollback")"
is 'undoes' "$failed" \
  "$(json 'json.loads(d["pipelineExecution"]["trigger"]["triggerDetail"])["FailedPipelineExecutionId"]' <"$work/rollback")"
is 'brings back' "$good" \
  "$(json 'd["pipelineExecution"]["rollbackMetadata"]["rollbackTargetPipelineExecutionId"]' <"$work/rollback")"
is 'stage state shows' 'ROLLBACK' "$(stage shop Deploy latestExecution.type)"
is 'revisions of the rollback' "$(execution shop "$good" 'artifactRevisions[0].revisionId')" \
  "$(execution shop "$rollback" 'artifactRevisions[0].revisionId')"

step 'Release 4 deploys well, but then its alarm turns red: back to release 2, and the way in is held'
pack 4
aws s3 cp target/shop.zip s3://shop-releases/shop.zip --no-progress
until_so 'a new execution' executions_are shop 5
worse=$(latest shop pipelineExecutionId)
until_so "execution $worse succeeded" execution_is shop "$worse" Succeeded
until_so 'the site serves release 4' page_shows 4
aws codepipeline get-pipeline-state --name shop --query 'stageStates[1].onSuccessConditionState.conditionStates[].ruleStates[].latestExecution.summary'
watch='onSuccessConditionState.conditionStates[0].ruleStates[0].latestExecution'
is 'the watch' 'InProgress' "$(stage shop Deploy "$watch.status")"
has 'what it says' 'Alarm shop-errors is watched until' "$(stage shop Deploy "$watch.summary")"
aws cloudwatch set-alarm-state --alarm-name shop-errors --state-value ALARM --state-reason 'Customers see errors'
until_so 'a rollback' executions_are shop 6
rollback=$(latest shop pipelineExecutionId)
until_so "rollback $rollback succeeded" execution_is shop "$rollback" Succeeded
until_so 'the site serves release 2 again' page_shows 2
detail=$(execution shop "$rollback" trigger.triggerDetail)
is 'undoes' "$worse" "$(json 'd["FailedPipelineExecutionId"]' <<<"$detail")"
has 'because of' 'alarm:shop-errors' "$(json 'd["AlarmArn"]' <<<"$detail")"
is 'brings back' "$good" "$(execution shop "$rollback" rollbackMetadata.rollbackTargetPipelineExecutionId)"
is 'the watch' 'Failed' "$(stage shop Deploy "$watch.status")"
is 'the way in' 'False' "$(stage shop Deploy inboundTransitionState.enabled)"
has 'the reason' "Held by rollback $rollback" "$(stage shop Deploy inboundTransitionState.disabledReason)"
is 'the alarm' 'ALARM' "$(aws cloudwatch describe-alarms --alarm-names shop-errors --query 'MetricAlarms[0].StateValue' --output text)"
has 'its history' 'to ALARM' \
  "$(aws cloudwatch describe-alarm-history --alarm-name shop-errors --history-item-type StateUpdate --query 'AlarmHistoryItems[].HistorySummary' --output text)"

step 'Release 4 stays away: uploaded again, it is recognised by its content and stopped before the stage'
pack 4
aws s3 cp target/shop.zip s3://shop-releases/shop.zip --no-progress
until_so 'a new execution' executions_are shop 7
again=$(latest shop pipelineExecutionId)
until_so "execution $again stopped" execution_is shop "$again" Stopped
has 'and says why' 'rolled back from in stage Deploy of pipeline shop' "$(execution shop "$again" statusSummary)"
aws codepipeline list-pipeline-executions --pipeline-name shop --query 'pipelineExecutionSummaries[0].[status, stopTrigger.reason]'
has 'in the list as well' 'ReinstateRevision' \
  "$(aws codepipeline list-pipeline-executions --pipeline-name shop --query 'pipelineExecutionSummaries[0].stopTrigger.reason' --output text)"
curl "$AWS_ENDPOINT_URL/" --header 'X-Amz-Target: Lastgood_20261201.ListRevokedRevisions' --header 'Content-Type: application/x-amz-json-1.1' --data '{}' --silent --show-error --fail >"$work/revoked"
is 'revoked by' "$rollback" "$(json 'd["revokedRevisions"][0]["rollbackPipelineExecutionId"]' <"$work/revoked")"

step 'Release 5 waits before the held stage, until a person lets it in'
pack 5
aws s3 cp target/shop.zip s3://shop-releases/shop.zip --no-progress
until_so 'a new execution' executions_are shop 8
fifth=$(latest shop pipelineExecutionId)
until_so 'it waits' stage_is shop Deploy 'inboundExecutions[0].pipelineExecutionId' "$fifth"
has 'the site is left alone' 'Release 2' "$(page)"
aws cloudwatch set-alarm-state --alarm-name shop-errors --state-value OK --state-reason 'Looked into'
aws codepipeline enable-stage-transition --pipeline-name shop --stage-name Deploy --transition-type Inbound
until_so 'the site serves release 5' page_shows 5
until_so "execution $fifth succeeded" execution_is shop "$fifth" Succeeded

step 'What could the stage go back to?'
curl "$AWS_ENDPOINT_URL/" --header 'X-Amz-Target: Lastgood_20261201.ListRollbackCandidates' --header 'Content-Type: application/x-amz-json-1.1' --data '{"pipelineName": "shop", "stageName": "Deploy"}' --silent --show-error --fail >"$work/candidates"
candidate() { json "next(c for c in d['candidates'] if c['pipelineExecutionId'] == '$1')$2" <"$work/candidates"; }
is 'release 1' 'True' "$(candidate "$first" "['eligible']")"
is 'release 2' 'True' "$(candidate "$good" "['eligible']")"
is 'release 3' 'It did not succeed in the stage: Failed.' "$(candidate "$failed" "['reasons'][0]")"
is 'release 4, taken back: only by hand' 'True' "$(candidate "$worse" "['revoked']")"
has 'a rollback' 'It is itself a rollback' "$(candidate "$rollback" "['reasons'][0]")"
is 'succeeded in Deploy, by the AWS filter' 'True' \
  "$(aws codepipeline list-pipeline-executions --pipeline-name shop --filter succeededInStage={stageName=Deploy} --query "contains(pipelineExecutionSummaries[].pipelineExecutionId, '$first')" --output text)"
# The same by the CLI, once it knows the model.
export AWS_DATA_PATH=$PWD/infra/clients/botocore
has 'aws lastgood' "$first" "$(aws lastgood list-rollback-candidates --pipeline-name shop --stage-name Deploy)"
aws lastgood list-kept-artifacts --pipeline-name shop >"$work/kept"
is 'kept: what is live, and the one before it' "$fifth $good" \
  "$(json '" ".join(t["pipelineExecutionId"] for t in d["stages"][0]["targets"])' <"$work/kept")"
is 'by its SHA-256' 'SHA256' "$(json 'd["stages"][0]["targets"][0]["artifacts"][0]["checksum"]["algorithm"]' <"$work/kept")"
kept_key() { json "next(a['key'] for t in d['stages'][0]['targets'] if t['pipelineExecutionId'] == '$1' for a in t['artifacts'])" <"$work/kept"; }
good_key=$(kept_key "$good")
is 'its mark' 'true' "$(aws s3api get-object-tagging --bucket shop-artifacts --key "$good_key" --query "TagSet[?Key=='lastgood:keep'].Value | [0]" --output text)"
aws lastgood preview-rollback --pipeline-name shop --stage-name Deploy >"$work/preview"
is 'the automatic choice' "$good" "$(json 'd["target"]["pipelineExecutionId"]' <"$work/preview")"
is 'with the checksum that was kept' 'True' \
  "$(json 'd["target"]["artifacts"][0]["checksum"] == d["target"]["artifacts"][0]["foundChecksum"]' <"$work/preview")"
aws lastgood get-shadow-scorecard --pipeline-name shop --stage-name Deploy >"$work/scorecard"
is 'the stage is not in shadow mode' 'False 0' "$(json 'str(d["shadow"]) + " " + str(d["wouldHaveRolledBack"])' <"$work/scorecard")"

step 'Somebody writes over what release 2 left: a rollback to it is refused, until it is as it was'
aws s3api get-object --bucket shop-artifacts --key "$good_key" "$work/kept.zip" >/dev/null
aws s3 cp README.md "s3://shop-artifacts/$good_key" --no-progress
is 'the preview' 'False' "$(aws lastgood preview-rollback --pipeline-name shop --stage-name Deploy --target-pipeline-execution-id "$good" --query eligible --output text)"
refused UnableToRollbackStageException aws codepipeline rollback-stage --pipeline-name shop --stage-name Deploy --target-pipeline-execution-id "$good"
aws s3api put-object --bucket shop-artifacts --key "$good_key" --body "$work/kept.zip" --checksum-algorithm SHA256 >/dev/null
is 'the preview' 'True' "$(aws lastgood preview-rollback --pipeline-name shop --stage-name Deploy --target-pipeline-execution-id "$good" --query eligible --output text)"
unset AWS_DATA_PATH
is 'the AWS filter leaves out the failed one' 'False' \
  "$(aws codepipeline list-pipeline-executions --pipeline-name shop --filter succeededInStage={stageName=Deploy} --query "contains(pipelineExecutionSummaries[].pipelineExecutionId, '$failed')" --output text)"

step 'Rollback by hand, to an execution of choice'
manual=$(aws codepipeline rollback-stage --pipeline-name shop --stage-name Deploy --target-pipeline-execution-id "$first" --query pipelineExecutionId --output text)
until_so "rollback $manual succeeded" execution_is shop "$manual" Succeeded
until_so 'the site serves release 1' page_shows 1
is 'trigger' 'ManualRollback' "$(execution shop "$manual" trigger.triggerType)"
has 'by' ':user/any' "$(execution shop "$manual" trigger.triggerDetail)"
aws codepipeline enable-stage-transition --pipeline-name shop --stage-name Deploy --transition-type Inbound

step 'What is refused, with the errors of CodePipeline'
unknown=00000000-0000-4000-8000-000000000000
refused UnableToRollbackStageException aws codepipeline rollback-stage --pipeline-name shop --stage-name Source --target-pipeline-execution-id "$first"
refused UnableToRollbackStageException aws codepipeline rollback-stage --pipeline-name shop --stage-name Deploy --target-pipeline-execution-id "$failed"
refused UnableToRollbackStageException aws codepipeline rollback-stage --pipeline-name shop --stage-name Deploy --target-pipeline-execution-id "$manual"
refused PipelineExecutionNotFoundException aws codepipeline rollback-stage --pipeline-name shop --stage-name Deploy --target-pipeline-execution-id "$unknown"
refused StageNotFoundException aws codepipeline rollback-stage --pipeline-name shop --stage-name Nowhere --target-pipeline-execution-id "$first"
refused PipelineNotFoundException aws codepipeline get-pipeline --name nothing
refused PipelineNameInUseException aws codepipeline create-pipeline --pipeline file://tests/clients/pipelines/shop.json

step 'Closing and opening the way into a stage'
aws codepipeline disable-stage-transition --pipeline-name shop --stage-name Deploy --transition-type Inbound --reason 'Sale until Monday'
is 'the reason' 'Sale until Monday' "$(stage shop Deploy inboundTransitionState.disabledReason)"
# Release 5 was rolled back from by hand: who enabled the transition since lets it pass again.
sale=$(aws codepipeline start-pipeline-execution --name shop --query pipelineExecutionId --output text)
until_so 'an execution waits' stage_is shop Deploy 'inboundExecutions[0].pipelineExecutionId' "$sale"
aws codepipeline enable-stage-transition --pipeline-name shop --stage-name Deploy --transition-type Inbound
until_so "execution $sale succeeded" execution_is shop "$sale" Succeeded
until_so 'the site serves what was uploaded last, release 5' page_shows 5

step 'An edit elsewhere keeps every candidate'
sed 's/"Releases"/"Upload"/' tests/clients/pipelines/shop.json >"$work/edited.json"
is 'version updated' '2' "$(aws codepipeline update-pipeline --pipeline "file://$work/edited.json" --query pipeline.version --output text)"
is 'the current definition' 'Upload' "$(aws codepipeline get-pipeline --name shop --query 'pipeline.stages[0].actions[0].name' --output text)"
is 'listed' 'shop 2' "$(aws codepipeline list-pipelines --query 'pipelines[].[name, version]' --output text | tr '\t' ' ')"
manual=$(aws codepipeline rollback-stage --pipeline-name shop --stage-name Deploy --target-pipeline-execution-id "$good" --query pipelineExecutionId --output text)
until_so "rollback $manual succeeded" execution_is shop "$manual" Succeeded
until_so 'the site serves release 2' page_shows 2

step 'A manual approval; the process is killed while it waits, and started again'
python3 -m zipfile -c target/handbook.zip tests/clients/README.md
aws s3 cp target/handbook.zip s3://shop-releases/handbook.zip --no-progress
aws codepipeline create-pipeline --pipeline file://tests/clients/pipelines/handbook.json >/dev/null
until_so 'it waits for a person' stage_is handbook Publish 'actionStates[0].latestExecution.status' InProgress
kill -KILL "$server"
wait "$server" 2>/dev/null || true
start_local
token=$(aws codepipeline get-pipeline-state --name handbook --query "stageStates[?stageName=='Publish'].actionStates[0].latestExecution.token | [0]" --output text)
refused InvalidApprovalTokenException aws codepipeline put-approval-result --pipeline-name handbook --stage-name Publish --action-name Approve --token "$unknown" --result 'summary=Guessed,status=Approved'
aws codepipeline put-approval-result --pipeline-name handbook --stage-name Publish --action-name Approve --token "$token" --result 'summary=Reads well,status=Approved'
approved=$(latest handbook pipelineExecutionId)
until_so "execution $approved succeeded" execution_is handbook "$approved" Succeeded
has 'published' 'handbook.zip' "$(aws s3 ls s3://shop-site/)"

step 'A rejected approval fails the stage, and rolls nothing back'
rejected=$(aws codepipeline start-pipeline-execution --name handbook --query pipelineExecutionId --output text)
until_so 'it waits for a person' stage_is handbook Publish 'actionStates[0].latestExecution.status' InProgress
token=$(aws codepipeline get-pipeline-state --name handbook --query "stageStates[?stageName=='Publish'].actionStates[0].latestExecution.token | [0]" --output text)
aws codepipeline put-approval-result --pipeline-name handbook --stage-name Publish --action-name Approve --token "$token" --result 'summary=Typing errors,status=Rejected'
until_so "execution $rejected failed" execution_is handbook "$rejected" Failed
has 'because' 'rejected' "$(execution handbook "$rejected" statusSummary)"
is 'executions' '2' "$(latest_count handbook 2>/dev/null)"

step 'An execution is stopped, politely and then at once; its stage is retried'
stopped=$(aws codepipeline start-pipeline-execution --name handbook --query pipelineExecutionId --output text)
until_so 'it waits for a person' stage_is handbook Publish 'actionStates[0].latestExecution.status' InProgress
aws codepipeline stop-pipeline-execution --pipeline-name handbook --pipeline-execution-id "$stopped" --reason 'Not today' >/dev/null
is 'status' 'Stopping' "$(execution handbook "$stopped" status)"
refused DuplicatedStopRequestException aws codepipeline stop-pipeline-execution --pipeline-name handbook --pipeline-execution-id "$stopped"
aws codepipeline stop-pipeline-execution --pipeline-name handbook --pipeline-execution-id "$stopped" --abandon --reason 'Not at all' >/dev/null
until_so "execution $stopped stopped" execution_is handbook "$stopped" Stopped
is 'why' 'Not at all' "$(latest handbook stopTrigger.reason)"
refused PipelineExecutionNotStoppableException aws codepipeline stop-pipeline-execution --pipeline-name handbook --pipeline-execution-id "$stopped"
is 'retried' "$stopped" "$(aws codepipeline retry-stage-execution --pipeline-name handbook --stage-name Publish --pipeline-execution-id "$stopped" --retry-mode ALL_ACTIONS --query pipelineExecutionId --output text)"
until_so 'it waits for a person again' stage_is handbook Publish 'actionStates[0].latestExecution.status' InProgress
token=$(aws codepipeline get-pipeline-state --name handbook --query "stageStates[?stageName=='Publish'].actionStates[0].latestExecution.token | [0]" --output text)
aws codepipeline put-approval-result --pipeline-name handbook --stage-name Publish --action-name Approve --token "$token" --result 'summary=Today then,status=Approved'
until_so "execution $stopped succeeded" execution_is handbook "$stopped" Succeeded
refused StageNotRetryableException aws codepipeline retry-stage-execution --pipeline-name handbook --stage-name Publish --pipeline-execution-id "$stopped" --retry-mode ALL_ACTIONS

step 'Jobs that a worker answers'
aws codepipeline create-pipeline --pipeline file://tests/clients/pipelines/audit.json >/dev/null
until_so 'the job is out' stage_is audit Audit 'actionStates[0].latestExecution.status' InProgress
job=$(aws codepipeline get-pipeline-state --name audit --query "stageStates[?stageName=='Audit'].actionStates[0].latestExecution.externalExecutionId | [0]" --output text)
aws codepipeline put-job-success-result --job-id "$job" --execution-details 'summary=Nothing found' --output-variables findings=0
audited=$(latest audit pipelineExecutionId)
until_so "execution $audited succeeded" execution_is audit "$audited" Succeeded
refused InvalidJobStateException aws codepipeline put-job-failure-result --job-id "$job" --failure-details 'type=JobFailed,message=Too late'
audited=$(aws codepipeline start-pipeline-execution --name audit --query pipelineExecutionId --output text)
until_so 'the job is out' stage_is audit Audit 'actionStates[0].latestExecution.status' InProgress
job=$(aws codepipeline get-pipeline-state --name audit --query "stageStates[?stageName=='Audit'].actionStates[0].latestExecution.externalExecutionId | [0]" --output text)
aws codepipeline put-job-failure-result --job-id "$job" --failure-details 'type=JobFailed,message=Three findings'
until_so "execution $audited failed" execution_is audit "$audited" Failed
refused JobNotFoundException aws codepipeline put-job-success-result --job-id "$unknown"

step 'A worker that asks for the jobs of an action type of its own'
for bucket in walk-releases walk-artifacts walk-site; do aws s3 mb "s3://$bucket"; done
aws s3api put-bucket-versioning --bucket walk-releases --versioning-configuration Status=Enabled
pack 1
aws s3 cp target/shop.zip s3://walk-releases/walk.zip --no-progress
is 'created' 'Probe' "$(aws codepipeline create-custom-action-type --category Test --provider Probe --action-version 1 --input-artifact-details minimumCount=0,maximumCount=5 --output-artifact-details minimumCount=0,maximumCount=5 --configuration-properties name=Page,required=true,key=true,secret=false name=Secret,required=false,key=false,secret=true --query actionType.id.provider --output text)"
aws codepipeline create-pipeline --pipeline file://tests/clients/pipelines/walk.json >/dev/null
is 'what is secret' '****' "$(aws codepipeline get-pipeline --name walk --query 'pipeline.stages[1].actions[1].configuration.Secret' --output text)"
probe=category=Test,owner=Custom,provider=Probe,version=1
has_job() { aws codepipeline poll-for-jobs --action-type-id "$probe" --max-batch-size 1 >"$work/jobs" && grep --quiet '"id"' "$work/jobs"; }
until_so 'a job' has_job
job=$(json 'd["jobs"][0]["id"]' <"$work/jobs")
is 'the worker gets the secret' 'hush' "$(json 'd["jobs"][0]["data"]["actionConfiguration"]["configuration"]["Secret"]' <"$work/jobs")"
refused InvalidNonceException aws codepipeline acknowledge-job --job-id "$job" --nonce another
is 'taken' 'InProgress' "$(aws codepipeline acknowledge-job --job-id "$job" --nonce "$(json 'd["jobs"][0]["nonce"]' <"$work/jobs")" --query status --output text)"
aws codepipeline put-job-success-result --job-id "$job" --execution-details summary=Fine
until_so 'the next stage asks a person' stage_is walk Accept 'actionStates[0].latestExecution.status' InProgress

step 'Tags'
arn=arn:aws:codepipeline:us-east-1:000000000000:walk
aws codepipeline tag-resource --resource-arn "$arn" --tags key=team,value=site key=stage,value=prod
aws codepipeline untag-resource --resource-arn "$arn" --tag-keys stage
is 'tags' 'team=site' "$(aws codepipeline list-tags-for-resource --resource-arn "$arn" --query 'join(`=`, [tags[0].key, tags[0].value])' --output text)"
refused ResourceNotFoundException aws codepipeline list-tags-for-resource --resource-arn "$arn-none"
aws codepipeline delete-pipeline --name walk
aws codepipeline delete-custom-action-type --category Test --provider Probe --action-version 1
refused ActionTypeNotFoundException aws codepipeline poll-for-jobs --action-type-id "$probe"

step 'The services behind it, by the same CLI'
has 'objects' 'index.html' "$(aws s3 ls s3://shop-site)"
aws s3 sync s3://shop-site "$work/site" --no-progress
has 'synchronised' 'Release 2' "$(cat "$work/site/index.html")"
is 'versions of shop.zip' '6' "$(aws s3api list-object-versions --bucket shop-releases --prefix shop.zip --query 'length(Versions)' --output text)"
aws s3api put-bucket-notification-configuration --bucket shop-releases --notification-configuration '{"EventBridgeConfiguration": {}}'
has 'notifications' 'EventBridgeConfiguration' "$(aws s3api get-bucket-notification-configuration --bucket shop-releases)"
is 'pipelines in the table' '3' "$(aws dynamodb query --table-name lastgood --key-condition-expression 'PK = :pipelines' --expression-attribute-values '{":pipelines": {"S": "PIPELINES"}}' --query Count --output text)"
is 'rows' 'True' "$(aws dynamodb scan --table-name lastgood --query 'Count > `20`' --output text)"
machine=$(aws stepfunctions list-state-machines --query "stateMachines[?name=='lastgood-pipeline-execution'].stateMachineArn | [0]" --output text)
run=$(aws stepfunctions list-executions --state-machine-arn "$machine" --query "executions[?starts_with(name, '$manual')].executionArn | [0]" --output text)
is 'the machine that drove the last rollback' 'SUCCEEDED' "$(aws stepfunctions describe-execution --execution-arn "$run" --query status --output text)"
has 'its history' 'ExecutionSucceeded' "$(aws stepfunctions get-execution-history --execution-arn "$run" --query 'events[].type' --output text)"

# A metric of its own: data for the alarm's would have it evaluated anew, at a moment of CloudWatch's choice.
aws cloudwatch put-metric-data --namespace Shop --metric-name Orders --value 12
is 'metrics' 'Orders' "$(aws cloudwatch list-metrics --namespace Shop --query 'Metrics[].MetricName' --output text)"

step 'A past release is judged from an export'
(
  cd "$work"
  printf '{"Metrics": "emf:Shop:Orders", "WaitTime": "30", "Watch": "true"}' >pipeline.json
  "$xtask" judge-export --rule pipeline.json --entered 2026-11-27T08:00:00Z --queries > queries.json
  aws cloudwatch get-metric-data --cli-input-json file://queries.json > release.json
  "$xtask" judge-export --rule pipeline.json --entered 2026-11-27T08:00:00Z release.json >verdict
)
# Nothing was told of that morning; what the judge makes of more is tried by judged.py.
has 'asked for' 'Orders' "$(json '[q["MetricStat"]["Metric"]["MetricName"] for q in d["MetricDataQueries"]]' <"$work/queries.json")"
is 'the verdict' 'NotEnoughData' "$(json 'd["verdict"]' <"$work/verdict")"

step 'Deleting a pipeline'
aws codepipeline delete-pipeline --name audit
refused PipelineNotFoundException aws codepipeline get-pipeline-state --name audit
is 'pipelines left' 'handbook shop' "$(aws codepipeline list-pipelines --query 'sort(pipelines[].name)' --output text | tr '\t' ' ')"
