#!/usr/bin/env bash
# A webhook from the AWS CLI's side and from GitHub's: put by the one, delivered to by curl with openssl's signatures.
# Starts the local process on a free port with data of its own. Ends with 0 only if all was so.
#
#   tests/clients/webhook.sh [BINARY]     BINARY is the local process, target/debug/local unless given
#
# Needs bash, curl, openssl, python3 and the AWS CLI of requirements.txt in PATH.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

local_binary=${1:-target/debug/local}
readonly PUSH=tests/fixtures/github/push.json SECRET='winter harbour, never logged'

mkdir -p target
work=$(mktemp -d target/webhook.XXXXXX)
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
export AWS_ENDPOINT_URL=http://127.0.0.1:$port AWS_DEFAULT_REGION=us-east-1
export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_EC2_METADATA_DISABLED=true
# Nothing of the user's own settings may change what is tested.
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_REGION

# In as much detail as anybody may ask for: what is secret must not be there.
RUST_LOG=trace "$local_binary" --data "$work/data" --port "$port" >"$work/local.log" 2>&1 &
server=$!

finish() {
  local status=$?
  kill "$server" 2>/dev/null || true
  wait 2>/dev/null || true
  if ((status == 0)); then
    rm -rf "$work"
    echo "The webhook does what it should, after ${SECONDS} s."
  else
    echo "The webhook failed. The last lines of $work/local.log:" >&2
    tail -n 20 "$work/local.log" >&2 || true
  fi
  exit "$status"
}
trap finish EXIT

fail() {
  echo "NOT SO: $*" >&2
  exit 1
}

# is WHAT EXPECTED FOUND
is() {
  [[ $2 == "$3" ]] || fail "$1: expected '$2', found '$3'"
  echo "   $1: $3"
}

# refused EXCEPTION COMMAND.. : the command must be refused with that error of CodePipeline's.
refused() {
  local exception=$1 answer
  shift
  if answer=$("$@" 2>&1); then fail "$* was not refused"; fi
  [[ $answer == *"($exception)"* ]] || fail "$*: '$exception' is not in '$answer'"
  echo "   refused: $exception"
}

# deliver SECRET ID [CURL'S OPTIONS..]: delivers the push to $url as GitHub does; prints the answer's body and status.
deliver() {
  local signature
  signature=$(openssl dgst -sha256 -hmac "$1" "$PUSH")
  curl "$url" --silent --show-error --write-out '\n%{http_code}' --data-binary @"$PUSH" \
    --header 'Content-Type: application/json' --header "X-GitHub-Event: ${EVENT:-push}" --header "X-GitHub-Delivery: $2" \
    --header "X-Hub-Signature-256: sha256=${signature##* }" "${@:3}"
}
status_of() { tail -n 1; }
execution_of() { head -n 1 | python3 -c 'import json, sys; print(json.load(sys.stdin).get("pipelineExecutionId"))'; }

# webhook FIELD: a member of the only webhook in ListWebhooks.
webhook() { aws codepipeline list-webhooks --query "webhooks[0].$1" --output text; }

curl "$AWS_ENDPOINT_URL/" --silent --output /dev/null --retry 40 --retry-delay 1 --retry-connrefused
echo '== A pipeline and its webhook'
aws s3 mb s3://shop-releases
aws s3 mb s3://shop-artifacts
aws s3api put-bucket-versioning --bucket shop-releases --versioning-configuration Status=Enabled
aws codepipeline create-pipeline --pipeline file://tests/clients/pipelines/handbook.json >/dev/null
cat >"$work/webhook.json" <<END
{
  "name": "handbook-push", "targetPipeline": "handbook", "targetAction": "Pages",
  "filters": [{ "jsonPath": "\$.ref", "matchEquals": "refs/heads/main" }],
  "authentication": "GITHUB_HMAC", "authenticationConfiguration": { "SecretToken": "$SECRET" }
}
END
url=$(aws codepipeline put-webhook --webhook "file://$work/webhook.json" --query webhook.url --output text)
is 'secret' '****' "$(webhook definition.authenticationConfiguration.SecretToken)"
is 'url' "$url" "$(webhook url)"
is 'last triggered' None "$(webhook lastTriggered)"

echo '== A push by somebody else, a push, the push again'
is 'wrong signature' 403 "$(deliver 'summer harbour' d-1 | status_of)"
is 'what the owner is told' 403 "$(webhook errorCode)"
started=$(deliver "$SECRET" d-1 | execution_of)
is 'trigger' $'Webhook\tarn:aws:codepipeline:us-east-1:000000000000:webhook:handbook-push' \
  "$(aws codepipeline get-pipeline-execution --pipeline-name handbook --pipeline-execution-id "$started" \
    --query 'pipelineExecution.trigger.[triggerType, triggerDetail]' --output text)"
is 'delivered again' "$started" "$(deliver "$SECRET" d-1 | execution_of)"
is 'what the owner is told' None "$(webhook errorCode)"
[[ $(webhook lastTriggered) != None ]] || fail 'lastTriggered is not there'
is 'a ping' 200 "$(EVENT=ping deliver "$SECRET" d-2 | status_of)"
is 'another method' 405 "$(deliver "$SECRET" d-3 --request PUT | status_of)"

echo '== By hand, and gone'
refused ValidationException aws codepipeline register-webhook-with-third-party --webhook-name handbook-push
aws codepipeline delete-webhook --name handbook-push
is 'delivered to nobody' 404 "$(deliver "$SECRET" d-4 | status_of)"
refused WebhookNotFoundException aws codepipeline deregister-webhook-with-third-party --webhook-name handbook-push
is 'executions' 2 "$(aws codepipeline list-pipeline-executions --pipeline-name handbook \
  --query 'length(pipelineExecutionSummaries)' --output text)"

echo '== What was logged'
if grep --fixed-strings -- "$SECRET" "$work/local.log"; then fail 'the secret is in the log'; fi
is 'lines about the webhook' yes "$(grep --quiet handbook-push "$work/local.log" && echo yes)"
