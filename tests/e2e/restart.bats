# SPDX-License-Identifier: Apache-2.0
# berthd is killed with -9 under running pods and in the middle of starting them: nothing that was acknowledged is lost,
# and what was not is cleaned up by the next start.
# BATS runs each test in its own process: files below $BATS_FILE_TMPDIR carry what they share.

setup_file() {
  export TOP="$(cd "$BATS_TEST_DIRNAME/../.." && pwd)"
  export WORK="$(mktemp -d /tmp/berth-restart-XXXXXX)"
  mkdir -p "$WORK/registry" "$WORK/cni"
  PORT=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')
  export REGISTRY=127.0.0.1:$PORT
  printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "%s"}\n' "$WORK/registry" "$REGISTRY" > "$WORK/registry.yml"
  docker-registry serve "$WORK/registry.yml" > "$WORK/registry.log" 2>&1 3>&- &
  echo $! > "$WORK/registry.pid"
  curl -sf --retry 50 --retry-connrefused --retry-delay 0 -m 20 "http://$REGISTRY/v2/" > /dev/null
  python3 "$TOP/tests/support/make_image.py" --registry "$REGISTRY" --name web:latest --busybox --cmd 'sh -c "echo ready; exec httpd -f -p 80 -h /www"' > /dev/null
  export BERTH_ADDRESS="unix://$WORK/berth.sock"
  export BERTH="$TOP/build/berth"
  start_berthd
}

teardown_file() {
  stop_berthd TERM
  kill "$(cat "$WORK/registry.pid")" || true
  sh "$TOP/tests/support/remove_bridge.sh" "$WORK/root" "$WORK/root2"
  rm -rf "$WORK"
}

# Host network: the pods of this file need no bridge, and several run at once.
start_berthd() {
  "$TOP/build/berthd" --root "$WORK/root" --state "$WORK/state" --listen "$BERTH_ADDRESS" --cni-conf-dir "$WORK/cni" --network builtin >> "$WORK/berthd.log" 2>&1 3>&- &
  echo $! > "$WORK/berthd.pid"
  for _ in $(seq 200); do "$BERTH" kube ps > /dev/null 2>&1 && return 0; sleep 0.05; done
  tail -n 20 "$WORK/berthd.log" >&2
  return 1
}

stop_berthd() {
  kill -s "$1" "$(cat "$WORK/berthd.pid")" 2> /dev/null || true
  for _ in $(seq 100); do kill -0 "$(cat "$WORK/berthd.pid")" 2> /dev/null || return 0; sleep 0.05; done
}

manifest() { # name, command
  cat > "$WORK/$1.yaml" <<YAML
apiVersion: v1
kind: Pod
metadata: {name: $1, namespace: default}
spec:
  hostNetwork: true
  restartPolicy: Never
  containers:
  - name: main
    image: $REGISTRY/web:latest
    command:
    - sh
    - -c
    - |
      $2
YAML
}

shims() { pgrep -f "berth-shim --dir $WORK/" | wc -l; }
no_residue() {
  [ "$(shims)" = 0 ]
  run mount
  [[ "$output" != *"$WORK"* ]]
  [ -z "$(ls -A "$WORK/state/k8s/pods" 2> /dev/null)" ]
  [ -z "$(ls -A "$WORK/root/snapshots/containers" 2> /dev/null)" ]
}

@test "a pod lives on after kill -9 of berthd, and exec works after the restart" {
  manifest lives 'while :; do sleep 1; done'
  "$BERTH" kube play "$WORK/lives.yaml"
  before=$("$BERTH" kube exec lives -- sh -c 'cat /proc/1/stat' | cut -d' ' -f22)
  stop_berthd KILL
  [ "$(shims)" = 1 ]
  start_berthd
  after=$("$BERTH" kube exec lives -- sh -c 'cat /proc/1/stat' | cut -d' ' -f22)
  [ -n "$before" ]
  [ "$before" = "$after" ]
  "$BERTH" kube down "$WORK/lives.yaml"
  no_residue
}

@test "a container that ended while berthd was dead has its true exit code and its whole log" {
  manifest ends 'for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i; sleep 0.1; done; exit 42'
  "$BERTH" kube play "$WORK/ends.yaml"
  stop_berthd KILL
  sleep 1.8
  start_berthd
  run "$BERTH" kube ps --format json
  echo "$output"
  [ "$(echo "$output" | jq -r '[.. | .exitCode? // .exit_code? // empty] | .[0]')" = 42 ]
  run "$BERTH" kube logs ends
  [ "${#lines[@]}" = 10 ]
  [ "${lines[9]}" = "line 10" ]
  "$BERTH" kube down "$WORK/ends.yaml"
  no_residue
}

@test "kill -9 of berthd at twelve moments of a pod's start leaves what the next start cleans up" {
  manifest half 'sleep 1000'
  for delay in 0.00 0.01 0.02 0.03 0.04 0.05 0.06 0.08 0.10 0.12 0.15 0.20; do
    "$BERTH" kube play "$WORK/half.yaml" > /dev/null 2>&1 3>&- &
    play=$!
    sleep "$delay"
    stop_berthd KILL
    wait $play || true
    start_berthd
    "$BERTH" kube down "$WORK/half.yaml" || true
    # Whatever had begun is gone now, and the same name can be used again at once.
    no_residue
  done
  "$BERTH" kube play "$WORK/half.yaml"
  "$BERTH" kube down "$WORK/half.yaml"
  no_residue
}

@test "a second berthd on the same state directory is refused with one sentence" {
  run timeout 10 "$TOP/build/berthd" --root "$WORK/root" --state "$WORK/state" --listen "unix://$WORK/other.sock"
  [ "$status" -ne 0 ]
  [ "$status" -ne 124 ]
  [[ "$output" == *"$WORK/state"* ]]
}

@test "two berthd with directories of their own do not disturb each other" {
  "$TOP/build/berthd" --root "$WORK/root2" --state "$WORK/state2" --listen "unix://$WORK/two.sock" --cni-conf-dir "$WORK/cni" --network builtin > "$WORK/two.log" 2>&1 3>&- &
  two=$!
  for _ in $(seq 200); do "$BERTH" --address "unix://$WORK/two.sock" kube ps > /dev/null 2>&1 && break; sleep 0.05; done
  manifest one 'sleep 1000'
  "$BERTH" kube play "$WORK/one.yaml"
  run "$BERTH" --address "unix://$WORK/two.sock" kube ps --format json
  [ "$(echo "$output" | jq length)" = 0 ]
  kill $two
  wait $two || true
  "$BERTH" kube exec one -- true
  "$BERTH" kube down "$WORK/one.yaml"
  no_residue
}
