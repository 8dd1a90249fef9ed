# SPDX-License-Identifier: Apache-2.0
# The command that people type, against the real thing: a registry of this test's own, real containers, no daemon.
# BATS runs each test in its own process: files below $WORK carry what they share.

setup_file() {
  export TOP="$(cd "$BATS_TEST_DIRNAME/../.." && pwd)"
  export WORK="$(mktemp -d /tmp/berth-cli-XXXXXX)"
  mkdir -p "$WORK/registry" "$WORK/cni"
  PORT=$(free_port)
  export REGISTRY=127.0.0.1:$PORT
  printf 'version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: "%s"}\n' "$WORK/registry" "$REGISTRY" > "$WORK/registry.yml"
  docker-registry serve "$WORK/registry.yml" > "$WORK/registry.log" 2>&1 3>&- &
  echo $! > "$WORK/registry.pid"
  curl -sf --retry 50 --retry-connrefused --retry-delay 0 -m 20 "http://$REGISTRY/v2/" > /dev/null
  python3 "$TOP/tests/support/make_image.py" --registry "$REGISTRY" --name web:latest --busybox --cmd 'sh -c "echo ready; echo oops >&2; echo hello > /www/index.html; exec httpd -f -p 80 -h /www"' > /dev/null
  python3 "$TOP/tests/support/make_image.py" --registry "$REGISTRY" --name box:v1 --busybox --cmd 'sh' > /dev/null
  export WEB=$REGISTRY/web:latest BOX=$REGISTRY/box:v1
  export BERTH_ROOT="$WORK/root" BERTH_STATE="$WORK/state" BERTH_CNI_CONF_DIR="$WORK/cni" BERTH_NETWORK=builtin
  b pull -q "$BOX"
}

teardown_file() {
  ids=$(b ps -aq)
  [ -z "$ids" ] || b rm -f $ids
  kill "$(cat "$WORK/registry.pid")" || true
  sh "$TOP/tests/support/remove_bridge.sh" "$WORK/root"
  rm -rf "$WORK"
}

teardown() { for name in $(cat "$WORK/names" 2> /dev/null); do b rm -f "$name" > /dev/null 2>&1 || true; done; rm -f "$WORK/names"; }

free_port() { python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])'; }
# Descriptor 3 is BATS' own: a shim that kept it would make BATS wait for ever.
b() { "$TOP/build/berth" "$@" 3>&-; }
cleanup_name() { echo "$1" >> "$WORK/names"; }

@test "run prints what the container prints and ends with its status" {
  run b run --rm --network host "$BOX" echo hello there
  [ "$status" = 0 ]
  [ "$output" = "hello there" ]
  run b run --rm --network host "$BOX" sh -c 'exit 42'
  [ "$status" = 42 ]
}

@test "run keeps stdout and stderr apart" {
  b run --rm --network host "$BOX" sh -c 'echo out; echo err >&2' > "$WORK/out" 2> "$WORK/err"
  [ "$(cat "$WORK/out")" = out ]
  [ "$(cat "$WORK/err")" = err ]
}

@test "run -i passes standard input on and sees its end" {
  run sh -c "printf 'a\nb\n' | '$TOP/build/berth' run -i --rm --network host '$BOX' cat 3>&-"
  [ "$status" = 0 ]
  [ "$output" = "a
b" ]
}

@test "a missing program is 127, one that cannot be executed 126, berth's own failure 125" {
  # Not with run, which would warn about a 127 of its own.
  for program in /no/such/program nosuchprogram; do
    code=0; b run --rm --network host "$BOX" "$program" 2> "$WORK/err" || code=$?
    [ "$code" = 127 ]
    [ "$(wc -l < "$WORK/err")" = 1 ]
  done
  [ -z "$(b ps -aq)" ]
  run b run --rm --network host "$BOX" /etc
  [ "$status" = 126 ]
  run b run --rm --network host --memory lots "$BOX" true
  [ "$status" = 125 ]
  [ "${#lines[@]}" = 1 ]
}

@test "--rm leaves nothing behind" {
  before=$(b ps -aq | wc -l)
  b run --rm --network host "$BOX" true
  [ "$(b ps -aq | wc -l)" = "$before" ]
  [ -z "$(ls "$WORK/state/default/pods" 2> /dev/null)" ]
}

@test "a detached --rm container is removed when it ends" {
  id=$(b run -d --rm --network host "$BOX" sleep 0.3)
  [ "${#id}" = 64 ]
  for _ in $(seq 100); do [ -z "$(b ps -aq --filter id="$id")" ] && return 0; sleep 0.1; done
  return 1
}

@test "run -d -p serves on the published port; ps, logs, exec, stop, rm follow it" {
  cleanup_name web
  port=$(free_port)
  id=$(b run -d -p "127.0.0.1:$port:80" --name web "$WEB" 2> "$WORK/err")
  [ "${#id}" = 64 ]
  grep -q "Pulling from web" "$WORK/err"
  grep -q "Status: Downloaded newer image for $WEB" "$WORK/err"
  run curl -sf --retry 20 --retry-connrefused --retry-delay 0 -m 10 "http://127.0.0.1:$port/"
  [ "$output" = hello ]
  run b ps
  [ "${lines[0]%% *}" = CONTAINER ]
  [[ "${lines[1]}" == "${id:0:12}"*"$WEB"*"Up "*"127.0.0.1:$port->80/tcp"*web ]]
  [ "$(b logs web 2> /dev/null)" = ready ]
  [ "$(b logs web 2>&1 > /dev/null)" = oops ]
  [ "$(b exec web cat /www/index.html)" = hello ]
  run b exec web sh -c 'exit 7'
  [ "$status" = 7 ]
  [ "$(printf x | "$TOP/build/berth" exec -i -e A=1 -w /tmp web sh -c 'echo $A $PWD $(cat)' 3>&-)" = "1 /tmp x" ]
  code=0; b exec web nosuchprogram || code=$?
  [ "$code" = 127 ]
  run b stop -t 1 web
  [ "$output" = web ]
  [ -z "$(b ps -q)" ]
  [[ "$(b ps -a --filter name=web)" == *"Exited ("* ]]
  ! curl -sf -m 2 "http://127.0.0.1:$port/"
  run b rm web
  [ "$output" = web ]
  [ -z "$(b ps -aq)" ]
}

@test "a port in use is one clear sentence and leaves nothing" {
  port=${REGISTRY#*:}
  run b run -d -p "$port:80" "$BOX" sleep 100
  [ "$status" = 125 ]
  [ "$output" = "berth: port $port/tcp is already in use" ]
  [ -z "$(b ps -aq)" ]
}

@test "a port that another container publishes is in use" {
  cleanup_name holder
  port=$(free_port)
  b run -d --name holder -p "$port:80" "$BOX" sleep 100
  run b run -d -p "$port:80" "$BOX" sleep 100
  [ "$status" = 125 ]
  [[ "$output" == *"port $port/tcp is already in use"* ]]
}

@test "a name can be taken once" {
  cleanup_name once
  b run -d --name once --network host "$BOX" sleep 100
  run b run -d --name once --network host "$BOX" sleep 100
  [ "$status" = 125 ]
  [[ "$output" == *'name "/once" is already in use'* ]]
}

@test "environment, directory, user, volumes and hostname reach the container" {
  mkdir -p "$WORK/data" && echo inside > "$WORK/data/f"
  echo "FROM_FILE=yes" > "$WORK/env"
  run b run --rm --network host -e A=1 --env-file "$WORK/env" -w /tmp -u 1000:50 -v "$WORK/data:/data:ro" "$BOX" \
    sh -c 'echo $A $FROM_FILE $PWD $(id -u) $(id -g) $(cat /data/f); touch /data/x 2>/dev/null || echo ro'
  [ "$status" = 0 ]
  [ "${lines[0]}" = "1 yes /tmp 1000 50 inside" ]
  [ "${lines[1]}" = ro ]
  run b run --rm --hostname box1 "$BOX" hostname
  [ "$output" = box1 ]
}

@test "a named volume outlives the container" {
  b run --rm --network host -v cache:/c "$BOX" sh -c 'echo kept > /c/f'
  run b run --rm --network host -v cache:/c "$BOX" cat /c/f
  [ "$output" = kept ]
}

@test "--memory kills what takes more" {
  run b run --rm --network host --memory 16m "$BOX" sh -c 'x=$(head -c 64000000 /dev/zero | tr "\0" x); echo ${#x}'
  [ "$status" != 0 ]
  [[ "$output" != *64000000* ]]
  cleanup_name limited
  b run -d --name limited --network host --memory 64m "$BOX" sleep 100
  [ "$(b inspect -f '{{.HostConfig.Memory}}' limited)" = 67108864 ]
}

@test "--network none has a loopback only" {
  run b run --rm --network none "$BOX" sh -c 'ls /sys/class/net'
  [ "$status" = 0 ]
  [ "$output" = lo ]
}

@test "signals are passed to a container in the foreground" {
  "$TOP/build/berth" run --rm --network host "$BOX" sh -c 'trap "echo got; exit 9" TERM; echo up; while :; do sleep 0.1; done' > "$WORK/out" 2>&1 3>&- &
  pid=$!
  for _ in $(seq 100); do grep -q up "$WORK/out" && break; sleep 0.1; done
  kill -TERM $pid
  code=0; wait $pid || code=$?
  [ "$code" = 9 ]
  grep -q got "$WORK/out"
}

@test "logs follow until the container ends, tail and timestamps" {
  cleanup_name talker
  b run -d --name talker --network host "$BOX" sh -c 'for i in 1 2 3 4 5; do echo line $i; sleep 0.1; done'
  [ "$(b logs -f talker | wc -l)" = 5 ]
  [ "$(b logs --tail 2 talker)" = "line 4
line 5" ]
  [[ "$(b logs -t --tail 1 talker)" =~ ^20[0-9-]+T[0-9:.]+Z\ line\ 5$ ]]
  [ "$(b wait talker)" = 0 ]
}

@test "kill sends a signal, rm refuses what runs unless forced" {
  cleanup_name victim
  b run -d --name victim --network host "$BOX" sleep 100
  run b rm victim
  [ "$status" = 1 ]
  [[ "$output" == *"container is running"* ]]
  b kill victim
  [ "$(b wait victim)" = 137 ]
  [ "$(b inspect -f '{{.State.Status}}' victim)" = exited ]
  b rm -f victim
}

@test "several operands go on after one that is unknown" {
  cleanup_name one
  b run -d --name one --network host "$BOX" sleep 100
  run b rm -f nosuch one
  [ "$status" = 1 ]
  [[ "$output" == *"Error: "*"o such container: nosuch"* ]]
  [ "${lines[1]}" = one ]
}

@test "stopping lets go of network and namespaces, removing of the log too" {
  cleanup_name gone
  b run -d --name gone "$BOX" sleep 100
  log=$(b inspect -f '{{.LogPath}}' gone)
  [ -f "$log" ]
  b stop -t 0 gone
  [ -z "$(pgrep -f "berth-shim.*$WORK/state" || true)" ]
  [ -f "$log" ]
  b rm gone
  [ ! -e "$(dirname "$log")" ]
}

@test "a terminal is a terminal, and output is not doubled" {
  run script -qec "'$TOP/build/berth' run -t -i --rm --network host '$BOX' sh -c 'test -t 0 && test -t 1 && echo a-tty'" /dev/null < /dev/null 3>&-
  [ "$status" = 0 ]
  [[ "$output" == *a-tty* ]]
  [ "$(echo "$output" | grep -c a-tty)" = 1 ]
}

@test "exec gives a terminal too, and its own user and variables" {
  cleanup_name term
  b run -d --name term --network host "$BOX" sleep 100
  run script -qec "'$TOP/build/berth' exec -t -i term sh -c 'test -t 0 && echo tty'" /dev/null < /dev/null 3>&-
  [ "$status" = 0 ]
  [[ "$output" == *tty* ]]
  [ "$(b exec -u 1000:50 term id -u)" = 1000 ]
  [ "$(b exec -d term sh -c 'echo x > /tmp/made'; sleep 0.3; b exec term cat /tmp/made)" = x ]
}

@test "create makes, start starts" {
  cleanup_name later
  b create --name later --network host "$BOX" echo started
  [ "$(b inspect -f '{{.State.Status}}' later)" = created ]
  run b start -a later
  [ "$status" = 0 ]
  [ "$output" = started ]
}

@test "inspect prints JSON with docker's keys" {
  cleanup_name seen
  b run -d --name seen -l tier=front -p 127.0.0.1:0:80 "$BOX" sleep 100
  b inspect seen > "$WORK/json"
  python3 - "$WORK/json" <<'PY'
import json, sys
[c] = json.load(open(sys.argv[1]))
assert len(c["Id"]) == 64 and c["Name"] == "/seen"
assert c["State"]["Running"] and c["State"]["Pid"] > 0, c["State"]
assert c["Config"]["Labels"] == {"tier": "front"}, c["Config"]
assert c["Config"]["Cmd"] == ["sleep", "100"]
assert c["NetworkSettings"]["IPAddress"] and c["NetworkSettings"]["Ports"]["80/tcp"][0]["HostIp"] == "127.0.0.1"
assert c["LogPath"].endswith("/seen.log")
PY
  [ "$(b ps -q --filter label=tier=front | wc -l)" = 1 ]
  [ -z "$(b ps -q --filter label=tier=back)" ]
}

@test "images, tag, rmi" {
  b tag "$BOX" other:v2
  b images | grep -Eq '^other +v2 +[0-9a-f]{12} '
  [ "$(b images -q | sort -u | wc -l)" -ge 1 ]
  run b rmi other:v2
  [ "$status" = 0 ]
  [[ "$output" == *"Untagged: "*other:v2* ]]
  ! b images | grep -q '^other '
  run b rmi nosuch
  [ "$status" = 1 ]
  [[ "$output" == *"no such image"* ]]
}

@test "pull prints plain lines where there is no terminal, and knows what is up to date" {
  run b pull "$BOX"
  [ "$status" = 0 ]
  [ "${lines[0]}" = "v1: Pulling from box" ]
  [[ "$output" == *"Digest: sha256:"* ]]
  [[ "$output" == *"Status: Image is up to date for $BOX"* ]]
  [ "${lines[-1]}" = "$BOX" ]
}

@test "an unknown image is one sentence and status 125" {
  run b run --rm "$REGISTRY/nosuch:v1" true
  [ "$status" = 125 ]
  [[ "$output" == *nosuch* ]]
  run b run --rm --pull never "$REGISTRY/web:v9" true
  [ "$status" = 125 ]
}

@test "bad flags are refused by name before anything is made" {
  run b run --bogus "$BOX"
  [ "$status" = 125 ]
  [[ "$output" == *--bogus* ]]
  run b run --restart always "$BOX"
  [ "$status" = 125 ]
  [[ "$output" == *restart* ]]
  run b run -p 99999:80 "$BOX"
  [ "$status" = 125 ]
  run b run -v relative "$BOX"
  [ "$status" = 125 ]
  run b run
  [ "$status" = 125 ]
  run b frobnicate
  [ "$status" = 1 ]
  [ -z "$(b ps -aq)" ]
}

@test "--pids-limit is in force" {
  run b run --rm --pids-limit 5 --network host "$BOX" sh -c 'for i in 1 2 3 4 5 6 7 8 9; do sleep 1 & done; wait'
  [[ "$output" == *"fork"* ]]
}
