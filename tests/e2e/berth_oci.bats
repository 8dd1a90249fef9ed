# SPDX-License-Identifier: Apache-2.0
# The OCI command line as its callers use it. BERTH_OCI=/usr/sbin/runc runs the same cases against another runtime.

bats_require_minimum_version 1.5.0

setup_file() {
  export TOP="$(cd "$BATS_TEST_DIRNAME/../.." && pwd)"
  export RT="${BERTH_OCI:-$TOP/build/berth-oci}"
  export WORK="$(mktemp -d /tmp/berth-oci-XXXXXX)"
  mkdir -p "$WORK/fs"/{bin,etc,proc,dev,sys,tmp}
  cp "$(command -v busybox)" "$WORK/fs/bin/"
  for name in sh true false echo sleep cat ls id env ps kill stty tty head test pwd hostname; do
    ln -s busybox "$WORK/fs/bin/$name"
  done
  echo 'root:x:0:0:root:/root:/bin/sh' > "$WORK/fs/etc/passwd"
}

teardown_file() {
  rm -rf "$WORK"
}

setup() {
  cd "$WORK"
  ID="t$$-$BATS_TEST_NUMBER"
  ROOT="$WORK/root-$BATS_TEST_NUMBER"
  BUNDLE="$WORK/bundle-$BATS_TEST_NUMBER"
  mkdir -p "$ROOT" "$BUNDLE"
  bundle '["/bin/true"]'
}

teardown() {
  for id in $("$RT" --root "$ROOT" list -q 2>/dev/null); do "$RT" --root "$ROOT" delete -f "$id"; done
  rm -rf "$ROOT" "$BUNDLE"
}

# bundle ARGS-JSON [PYTHON]: a config.json from `spec`, changed by statements on `c`.
bundle() {
  rm -f "$BUNDLE/config.json"
  "$RT" spec -b "$BUNDLE"
  python3 - "$BUNDLE/config.json" "$WORK/fs" "$1" "${2:-}" <<'PY'
import json, sys
path, rootfs, args, change = sys.argv[1:]
c = json.load(open(path))
c["process"]["args"] = json.loads(args)
c["process"]["terminal"] = False
c["process"].pop("rlimits", None)
c["root"]["path"] = rootfs
c["linux"]["cgroupsPath"] = "/" + path.split("/")[-3] + "-" + path.split("/")[-2]
c["mounts"] = [m for m in c["mounts"] if m["type"] != "cgroup"]
exec(change)
json.dump(c, open(path, "w"))
PY
}

oci() { "$RT" --root "$ROOT" "$@"; }
status_of() { oci state "$1" | python3 -c 'import json,sys; print(json.load(sys.stdin)["status"])'; }
wait_status() {
  for _ in $(seq 200); do
    [ "$(status_of "$1")" = "$2" ] && return 0
    sleep 0.02
  done
  return 1
}

@test "run gives back the program's output and status" {
  bundle '["/bin/sh", "-c", "echo out; echo err >&2; exit 7"]'
  run oci run -b "$BUNDLE" "$ID"
  [ "$status" -eq 7 ]
  [[ "$output" == *out* && "$output" == *err* ]]
  run oci state "$ID"
  [[ "$output" == *"container does not exist"* ]]
}

@test "a program ended by a signal gives 128 and its number" {
  bundle '["/bin/sh", "-c", "kill -9 $$; sleep 5"]' 'c["linux"]["namespaces"]=[n for n in c["linux"]["namespaces"] if n["type"]!="pid"]'
  run oci run -b "$BUNDLE" "$ID"
  [ "$status" -eq 137 ]
}

@test "run reads standard input" {
  bundle '["/bin/cat"]'
  result="$(echo through | oci run -b "$BUNDLE" "$ID")"
  [ "$result" = through ]
}

@test "create start state kill delete: the states in their order" {
  bundle '["/bin/sleep", "100"]'
  oci create -b "$BUNDLE" --pid-file "$BUNDLE/pid" "$ID"
  [ "$(status_of "$ID")" = created ]
  # Digits only: go-runc does not trim.
  [[ "$(od -c "$BUNDLE/pid")" != *'\n'* ]]
  kill -0 "$(cat "$BUNDLE/pid")"
  oci start "$ID"
  [ "$(status_of "$ID")" = running ]
  oci kill "$ID" KILL
  wait_status "$ID" stopped
  oci delete "$ID"
  run oci state "$ID"
  [ "$status" -eq 1 ]
}

@test "options are accepted after the container id" {
  oci create "$ID" --bundle "$BUNDLE"
  oci delete --force "$ID"
}

@test "state is pretty JSON with what callers read" {
  bundle '["/bin/sleep", "100"]' 'c["annotations"]={"k":"v"}'
  oci create -b "$BUNDLE" "$ID"
  oci state "$ID" | python3 -c '
import json, sys
text = sys.stdin.read()
s = json.loads(text)
assert text.startswith("{\n  \"ociVersion\""), text
assert s["pid"] > 0 and s["bundle"].startswith("/") and s["rootfs"].startswith("/") and s["annotations"] == {"k": "v"}, s
assert "T" in s["created"] and s["created"].endswith("Z"), s'
}

@test "a second container of one name is refused" {
  bundle '["/bin/sleep", "100"]'
  oci create -b "$BUNDLE" "$ID"
  run oci create -b "$BUNDLE" "$ID"
  [ "$status" -eq 1 ]
  [[ "$output" == *"container with given ID already exists"* ]]
}

@test "start of a running container and delete of one have runc's words" {
  bundle '["/bin/sleep", "100"]'
  oci run -d -b "$BUNDLE" "$ID" < /dev/null > /dev/null 2>&1
  run oci start "$ID"
  [ "$status" -eq 1 ]
  [[ "$output" == *"cannot start an already running container"* ]]
  run oci delete "$ID"
  [ "$status" -eq 1 ]
  [[ "$output" == *"cannot delete container $ID that is not stopped: running"* ]]
}

@test "a stopped container cannot be signalled or exec'd" {
  oci run -d -b "$BUNDLE" "$ID" < /dev/null > /dev/null 2>&1
  wait_status "$ID" stopped
  run oci kill "$ID" 15
  [ "$status" -eq 1 ]
  [[ "$output" == *"container not running"* ]]
  run oci exec "$ID" /bin/true
  [ "$status" -eq 255 ]
  [[ "$output" == *"cannot exec in a stopped container"* ]]
}

@test "what does not exist is said on standard error and in the JSON log" {
  run oci --log "$BUNDLE/log" --log-format json kill nothing 9
  [ "$status" -eq 1 ]
  [[ "$output" == *"container does not exist"* ]]
  python3 -c '
import json, sys
lines = open(sys.argv[1]).read().splitlines()
assert len(lines) == 1, lines
e = json.loads(lines[0])
assert e["level"] == "error" and "does not exist" in e["msg"] and e["time"].endswith("Z"), e' "$BUNDLE/log"
  oci delete --force nothing
}

@test "a program that is missing is reported by create" {
  bundle '["no-such-program"]'
  # With a log file the bare text is on standard error.
  run oci --log "$BUNDLE/log" create -b "$BUNDLE" --pid-file "$BUNDLE/pid" "$ID"
  [ "$status" -eq 1 ]
  [[ "$output" == *'exec: "no-such-program": executable file not found in $PATH'* ]]
  [ ! -e "$BUNDLE/pid" ]
  run oci list -q
  [ -z "$output" ]
}

@test "a bundle without config.json is an error" {
  rm "$BUNDLE/config.json"
  run oci create -b "$BUNDLE" "$ID"
  [ "$status" -eq 1 ]
  [[ "$output" == *"config.json"* ]]
}

@test "bad container ids are refused" {
  run oci create -b "$BUNDLE" "../x"
  [ "$status" -ne 0 ]
  [[ "$output" == *"invalid container ID format"* ]]
}

@test "wrong argument counts and options print the usage" {
  run oci create
  [ "$status" -eq 1 ]
  [[ "$output" == *"requires exactly 1 argument"* ]]
  run oci kill --bogus "$ID"
  [ "$status" -eq 1 ]
  [[ "$output" == *"flag provided but not defined: -bogus"* ]]
}

@test "exec runs in the container and gives its status back" {
  bundle '["/bin/sleep", "100"]' 'c["hostname"]="inside"'
  oci run -d -b "$BUNDLE" "$ID" < /dev/null > /dev/null 2>&1
  run oci exec "$ID" /bin/sh -c 'hostname; exit 5'
  [ "$status" -eq 5 ]
  [[ "$output" == *inside* ]]
  run oci exec -e WHAT=ever --cwd /tmp --user 12:34 "$ID" /bin/sh -c 'echo $WHAT; pwd; id -u; id -g'
  [ "$status" -eq 0 ]
  [ "$output" = "ever
/tmp
12
34" ]
}

@test "exec of what is not there gives 255" {
  bundle '["/bin/sleep", "100"]'
  oci run -d -b "$BUNDLE" "$ID" < /dev/null > /dev/null 2>&1
  run oci exec "$ID" no-such-program
  [ "$status" -eq 255 ]
  [[ "$output" == *"executable file not found in"* ]]
}

@test "a detached exec writes its pid file and takes process.json" {
  bundle '["/bin/sleep", "100"]'
  oci run -d -b "$BUNDLE" "$ID" < /dev/null > /dev/null 2>&1
  echo '{"args":["/bin/sleep","50"],"cwd":"/","user":{"uid":0,"gid":0}}' > "$BUNDLE/process.json"
  oci exec --process "$BUNDLE/process.json" --detach --pid-file "$BUNDLE/exec.pid" "$ID" < /dev/null > /dev/null 2>&1
  [[ "$(tr '\0' ' ' < "/proc/$(cat "$BUNDLE/exec.pid")/cmdline")" == "/bin/sleep 50 " ]]
  [ "$(oci ps -f json "$ID" | python3 -c 'import json,sys; print(len(json.load(sys.stdin)))')" -eq 2 ]
}

@test "ps lists the container's processes in both formats" {
  bundle '["/bin/sleep", "100"]'
  oci run -d -b "$BUNDLE" "$ID" --pid-file "$BUNDLE/pid" < /dev/null > /dev/null 2>&1
  [ "$(oci ps --format json "$ID")" = "[$(cat "$BUNDLE/pid")]" ]
  run oci ps "$ID"
  [[ "${lines[0]}" == *PID* && "${lines[1]}" == *"sleep 100"* ]]
  [ "${#lines[@]}" -eq 2 ]
}

@test "list prints a table, JSON and ids" {
  bundle '["/bin/sleep", "100"]'
  oci create -b "$BUNDLE" "$ID"
  run oci list
  [[ "${lines[0]}" == "ID "*"PID "*"STATUS "*"BUNDLE "*"CREATED "*"OWNER" ]]
  [[ "${lines[1]}" == "$ID "*created* ]]
  [ "$(oci list -q)" = "$ID" ]
  [ "$(oci list --format=json | python3 -c 'import json,sys; print(json.load(sys.stdin)[0]["status"])')" = created ]
  run "$RT" --root "$WORK/none" list
  [ "$status" -eq 1 ]
  [ ! -e "$WORK/none" ]
}

@test "pause stops, resume continues, and a paused container can be deleted" {
  bundle '["/bin/sleep", "100"]'
  oci run -d -b "$BUNDLE" "$ID" < /dev/null > /dev/null 2>&1
  run oci resume "$ID"
  [[ "$output" == *"container not paused"* ]]
  oci pause "$ID"
  [ "$(status_of "$ID")" = paused ]
  run oci exec "$ID" /bin/true
  [ "$status" -eq 255 ]
  [[ "$output" == *"cannot exec in a paused container"* ]]
  oci resume "$ID"
  [ "$(status_of "$ID")" = running ]
  oci pause "$ID"
  oci delete --force "$ID"
}

@test "update changes limits from flags and from standard input" {
  bundle '["/bin/sleep", "100"]' 'c["linux"]["resources"]["pids"]={"limit":30}'
  oci run -d -b "$BUNDLE" "$ID" --pid-file "$BUNDLE/pid" < /dev/null > /dev/null 2>&1
  path="/sys/fs/cgroup/pids$(grep :pids: "/proc/$(cat "$BUNDLE/pid")/cgroup" | cut -d: -f3)"
  [ -d "$path" ] || skip "pids controller of cgroup v1"
  [ "$(cat "$path/pids.max")" = 30 ]
  oci update --pids-limit 40 "$ID"
  [ "$(cat "$path/pids.max")" = 40 ]
  echo '{"pids":{"limit":50}}' | oci update --resources=- "$ID"
  [ "$(cat "$path/pids.max")" = 50 ]
}

@test "events --stats is one JSON line with the figures containerd reads" {
  bundle '["/bin/sleep", "100"]'
  oci run -d -b "$BUNDLE" "$ID" < /dev/null > /dev/null 2>&1
  oci events --stats "$ID" | python3 -c '
import json, sys
e = json.loads(sys.stdin.read())
assert e["type"] == "stats" and e["data"]["pids"]["current"] == 1, e
assert e["data"]["memory"]["usage"]["usage"] > 0 and e["data"]["cpu"]["usage"]["total"] > 0, e'
}

@test "a terminal goes over the console socket" {
  bundle '["/bin/sh", "-c", "tty; read line; echo got $line"]' 'c["process"]["terminal"]=True'
  run oci create -b "$BUNDLE" "$ID"
  [[ "$output" == *"cannot allocate tty if runc will detach without setting console socket"* ]]
  python3 "$TOP/tests/support/receive_console.py" "$BUNDLE/s" "$BUNDLE/out" hello 3>&- &
  receiver=$!
  for _ in $(seq 200); do [ -S "$BUNDLE/s" ] && break; sleep 0.02; done
  oci create -b "$BUNDLE" --console-socket "$BUNDLE/s" "$ID" < /dev/null
  oci start "$ID"
  wait "$receiver"
  grep -q /dev/pts "$BUNDLE/out"
  grep -q "got hello" "$BUNDLE/out"
}

@test "a console socket without a terminal is refused" {
  run oci create -b "$BUNDLE" --console-socket "$BUNDLE/s" "$ID"
  [ "$status" -eq 1 ]
  [[ "$output" == *"cannot use console socket if runc will not detach or allocate tty"* ]]
}

@test "a foreground terminal prints bare newlines into a pipe" {
  bundle '["/bin/sh", "-c", "echo a"]' 'c["process"]["terminal"]=True'
  [ "$(oci run -b "$BUNDLE" "$ID" < /dev/null | od -An -c | tr -d ' ')" = 'a\n' ]
}

@test "signals to a foreground run reach the program" {
  bundle '["/bin/sh", "-c", "trap \"exit 9\" TERM; echo ready; while :; do sleep 0.05; done"]'
  "$RT" --root "$ROOT" run -b "$BUNDLE" "$ID" > "$BUNDLE/out" 3>&- &
  runner=$!
  for _ in $(seq 200); do grep -q ready "$BUNDLE/out" && break; sleep 0.02; done
  kill -TERM "$runner"
  code=0
  wait "$runner" || code=$?
  [ "$code" -eq 9 ]
}

@test "poststop hooks run after delete" {
  bundle '["/bin/true"]' "c['hooks']={'poststop':[{'path':'/bin/sh','args':['sh','-c','cat > $BUNDLE/hook']}]}"
  oci run -b "$BUNDLE" "$ID"
  python3 -c 'import json,sys; s=json.load(open(sys.argv[1])); assert s["status"] == "stopped", s' "$BUNDLE/hook"
}

@test "delete --force leaves no cgroup behind" {
  bundle '["/bin/sleep", "100"]'
  oci create -b "$BUNDLE" --pid-file "$BUNDLE/pid" "$ID"
  name="$(sed -n 's/^.*"cgroupsPath": "\/\([^"]*\)".*$/\1/p' "$BUNDLE/config.json")"
  [ -n "$(find /sys/fs/cgroup -maxdepth 2 -name "$name")" ]
  oci delete --force "$ID"
  [ -z "$(find /sys/fs/cgroup -maxdepth 2 -name "$name")" ]
  [ -z "$(ls "$ROOT")" ]
}

@test "a runtime killed in the middle of create leaves nothing that delete --force does not remove" {
  bundle '["/bin/sleep", "100"]'
  name="$(sed -n 's/^.*"cgroupsPath": "\/\([^"]*\)".*$/\1/p' "$BUNDLE/config.json")"
  for wait in 0.001 0.002 0.003 0.004 0.006 0.01; do
    timeout -s KILL "$wait" "$RT" --root "$ROOT" create -b "$BUNDLE" "$ID" < /dev/null > /dev/null 2>&1 || true
    oci delete --force "$ID"
    [ -z "$(find /sys/fs/cgroup -maxdepth 2 -name "$name")" ]
    [ -z "$(ls "$ROOT")" ]
  done
}

@test "spec refuses to overwrite and knows --rootless" {
  run "$RT" spec -b "$BUNDLE"
  [ "$status" -eq 1 ]
  [[ "$output" == *exists* ]]
  rm "$BUNDLE/config.json"
  "$RT" spec --rootless -b "$BUNDLE"
  python3 -c 'import json,sys; c=json.load(open(sys.argv[1])); assert {"type":"user"} in c["linux"]["namespaces"] and c["linux"]["uidMappings"]' "$BUNDLE/config.json"
}

@test "features are JSON with nothing on standard error" {
  "$RT" features 2> "$BUNDLE/err" | python3 -c '
import json, sys
f = json.load(sys.stdin)
assert "rro" in f["mountOptions"] and f["linux"]["mountExtensions"]["idmap"]["enabled"] is True, f'
  [ ! -s "$BUNDLE/err" ]
}

@test "the version has the lines that go-runc parses" {
  run "$RT" --version
  [[ "${lines[0]}" == "runc version "* && "${lines[1]}" == "commit: "* && "${lines[2]}" == "spec: "* ]]
}

@test "help is printed per verb and checkpoint says no" {
  run "$RT" create --help
  [ "$status" -eq 0 ]
  [[ "$output" == *--console-socket* ]]
  run "$RT" checkpoint x
  [ "$status" -eq 1 ]
  [[ "$output" == *"not supported"* ]]
}

podman_here() {
  podman --root "$WORK/store" --runroot "$WORK/runroot" --cgroup-manager=cgroupfs --runtime "$RT" "$@"
}

@test "podman runs, execs, stops and removes with it" {
  command -v podman > /dev/null || skip "podman is not installed"
  tar -C "$WORK/fs" -c . | podman_here import - localhost/box > /dev/null
  limits="--network none --ulimit nofile=1024:1024 --ulimit nproc=1000:1000"
  run podman_here run --rm $limits localhost/box /bin/echo from podman
  [ "$status" -eq 0 ]
  [[ "$output" == *"from podman"* ]]
  run podman_here run --rm $limits localhost/box /bin/sh -c 'exit 6'
  [ "$status" -eq 6 ]
  run -127 podman_here run --rm $limits localhost/box no-such-program
  podman_here run -d --name box $limits localhost/box /bin/sleep 100 > /dev/null
  [ "$(podman_here exec box /bin/echo in)" = in ]
  podman_here stop -t 0 box > /dev/null
  podman_here rm -f box > /dev/null
}

@test "containerd runs a task with it" {
  command -v containerd > /dev/null || skip "containerd is not installed"
  printf 'version = 2\nroot = "%s/cd-root"\nstate = "%s/cd-state"\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "%s/cd.sock"\n' "$WORK" "$WORK" "$WORK" > "$WORK/cd.toml"
  containerd -c "$WORK/cd.toml" > "$WORK/cd.log" 2>&1 3>&- &
  daemon=$!
  ctr_here() { ctr -a "$WORK/cd.sock" "$@"; }
  for _ in $(seq 200); do ctr_here version > /dev/null 2>&1 && break; sleep 0.05; done
  code=0
  output="$(ctr_here run --rm --runc-binary "$RT" --rootfs "$WORK/fs" "cd-$ID" /bin/sh -c 'echo from containerd; exit 3' 2>&1)" || code=$?
  kill "$daemon"
  wait "$daemon" || true
  [[ "$output" == *"from containerd"* ]]
  [ "$code" -eq 3 ]
}
