#!/usr/bin/env bash
# Official clients, as they are, against the local process: each on a fresh one on a free port. Ends with 0 only if all went well.
#
#   tests/clients/run.sh [CLIENT..]     CLIENT is conformance, signing, strict, boto3, extensions, nights, judged, js
#                                      or rust; all of them unless given
#
# Installs what it needs below target/ (by pip, npm and cargo), in the versions pinned here. LASTGOOD_LOCAL is the local
# process, target/debug/local unless set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

local_binary=${LASTGOOD_LOCAL:-target/debug/local}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
readonly PYTHON=target/ci/python JS=target/clients/js
readonly LOOKS_MAX=100
readonly LOOK_EVERY_S=0.2

# Nothing of the user's own settings may change what is tested.
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null AWS_EC2_METADATA_DISABLED=true
export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any AWS_DEFAULT_REGION=us-east-1 AWS_REGION=us-east-1
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_DATA_PATH AWS_ENDPOINT_URL

server=
work=

fail() {
  echo "NOT SO: $*" >&2
  exit 1
}

finish() {
  local status=$?
  stop_local
  if ((status == 0)); then
    [[ -z $work ]] || rm -rf "$work"
  elif [[ -n $work ]]; then
    echo "Failed. The last lines of $work/local.log:" >&2
    tail -n 20 "$work/local.log" >&2 || true
  fi
  exit "$status"
}
trap finish EXIT

# start_local ARGUMENT.. : a process with nothing in it.
start_local() {
  local port look
  [[ -x $local_binary ]] || fail "$local_binary is not there. Build it with: cargo build --package local"
  [[ -z $work ]] || rm -rf "$work"
  mkdir -p target
  work=$(mktemp -d target/clients.XXXXXX)
  port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  export AWS_ENDPOINT_URL=http://127.0.0.1:$port
  # In as much detail as anybody may ask for: what is secret must not be there.
  RUST_LOG=trace "$local_binary" --data "$work/data" --port "$port" "$@" >"$work/local.log" 2>&1 &
  server=$!
  for ((look = 1; look <= LOOKS_MAX; look++)); do
    if curl --silent --output /dev/null "$AWS_ENDPOINT_URL/"; then return; fi
    kill -0 "$server" 2>/dev/null || fail "the local process has ended"
    sleep "$LOOK_EVERY_S"
  done
  fail "the local process does not answer"
}

stop_local() {
  [[ -z $server ]] || kill "$server" 2>/dev/null || true
  wait 2>/dev/null || true
  server=
}

# What the walks give to webhooks and custom actions as secrets has this in it.
nothing_secret() {
  grep --quiet 'CreatePipeline' "$work/local.log" || fail "nothing was logged"
  if grep --fixed-strings 'hush' "$work/local.log"; then fail "a secret is in the log"; fi
}

install_python() {
  [[ -x $PYTHON/bin/pip ]] || python3 -m venv "$PYTHON"
  "$PYTHON/bin/pip" install --quiet --disable-pip-version-check --requirement tests/clients/requirements.txt
}

# Node looks for packages beside the script.
install_js() {
  mkdir -p "$JS"
  cp tests/clients/js/package.json tests/clients/js/package-lock.json tests/clients/js/.npmrc "$JS"
  npm ci --prefix "$JS" --no-audit --no-fund --loglevel error
  cp tests/clients/js/*.mjs "$JS"
}

# What the walks take.
pack() {
  local release
  export PIPELINE=tests/clients/pipelines/walk.json RELEASES=$work
  for release in 1 2 3; do
    python3 -m zipfile -c "$work/$release.zip" tests/clients/releases/"$release"/*
  done
}

rust() { cargo run --quiet --locked --manifest-path tests/clients/rust/Cargo.toml --bin "$1"; }

# Which service each client signs for.
signing() {
  install_python
  install_js
  cargo build --quiet --locked --manifest-path tests/clients/rust/Cargo.toml
  local signing="$PYTHON/bin/python tests/clients/signing.py"
  $signing 'AWS CLI' "$PYTHON/bin/aws" codepipeline list-pipelines
  $signing boto3 "$PYTHON/bin/python" -c 'import boto3; boto3.client("codepipeline").list_pipelines()'
  $signing 'JavaScript SDK' node --no-warnings "$JS/list.mjs"
  $signing 'Rust SDK' "$CARGO_TARGET_DIR/debug/list"
}

# Everything signed, and verified.
strict() {
  install_python
  install_js
  cargo build --quiet --locked --manifest-path tests/clients/rust/Cargo.toml
  mkdir -p target
  # Access keys, for as long as this takes.
  (umask 077 && printf '[ana]\naws_access_key_id = AKIAWALK\naws_secret_access_key = %s\n' \
    "$(python3 -c 'import secrets; print(secrets.token_hex(20))')" >target/clients.keys)
  start_local --keys target/clients.keys --strict
  local list
  for list in "$PYTHON/bin/aws codepipeline list-pipelines" "$PYTHON/bin/aws s3 mb s3://walk" "$PYTHON/bin/aws s3 ls" \
    "$PYTHON/bin/aws dynamodb list-tables" "$PYTHON/bin/aws stepfunctions list-state-machines" \
    "$PYTHON/bin/aws cloudwatch list-metrics" "$PYTHON/bin/aws lambda list-functions" \
    "$PYTHON/bin/aws sts get-caller-identity" "node --no-warnings $JS/list.mjs" "$CARGO_TARGET_DIR/debug/list"; do
    if $list >"$work/refused" 2>&1; then fail "'$list' is let in with a key that nobody has"; fi
    AWS_SHARED_CREDENTIALS_FILE=target/clients.keys AWS_PROFILE=ana env -u AWS_ACCESS_KEY_ID -u AWS_SECRET_ACCESS_KEY \
      $list >"$work/answer" || fail "'$list' is not let in"
    echo "   $list: $(grep --only-matching --max-count=1 --extended-regexp \
      'UnrecognizedClientException|InvalidAccessKeyId|InvalidClientTokenId' "$work/refused"), and let in with a key"
  done
  stop_local
  rm target/clients.keys
}

# Every constraint of the service model broken once, in both protocols.
conformance() {
  install_python
  start_local
  "$PYTHON/bin/python" tests/clients/conformance.py
  stop_local
}

boto3() {
  install_python
  start_local
  "$PYTHON/bin/python" tests/clients/walk.py
  nothing_secret
  stop_local
}

extensions() {
  install_python
  AWS_CLI=$PYTHON/bin/aws "$PYTHON/bin/python" tests/clients/extensions.py "$local_binary"
}

nights() {
  install_python
  AWS_CLI=$PYTHON/bin/aws "$PYTHON/bin/python" tests/clients/nights.py "$local_binary"
}

judged() {
  install_python
  AWS_CLI=$PYTHON/bin/aws "$PYTHON/bin/python" tests/clients/judged.py "$local_binary"
}

js() {
  install_js
  start_local
  pack
  node --no-warnings "$JS/walk.mjs"
  nothing_secret
  stop_local
}

rust_sdk() {
  start_local
  pack
  rust walk
  nothing_secret
  stop_local
}

(($# > 0)) || set -- conformance signing strict boto3 extensions nights judged js rust
for client; do
  printf '== %s\n' "$client"
  case $client in
    conformance | signing | strict | boto3 | extensions | nights | judged | js) "$client" ;;
    rust) rust_sdk ;;
    *) fail "there is no client '$client'; there are conformance, signing, strict, boto3, extensions, nights, judged, js and rust" ;;
  esac
done
echo "All clients went well, after ${SECONDS} s."
