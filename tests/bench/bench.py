#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""make bench: berth beside the peers of this machine, interleaved in one run, as ratios. Nothing here is asserted.

Rows: `berth-oci run` of busybox true against crun; `berth run --rm IMAGE true` without network and with the bridge against
podman; pod start (kube play of one pod) p50; proportional memory of berthd and of one shim.
"""
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, "build")
ROUNDS = int(os.environ.get("ROUNDS", "40"))


def timed(command, **kwargs):
    started = time.perf_counter()
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, **kwargs)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.returncode}: {done.stderr.decode(errors='replace')[-500:]}")
    return (time.perf_counter() - started) * 1000


def pair(name, ours, theirs, rounds=ROUNDS):
    """Alternates the two commands; prints minimum and median of each and the ratio of medians."""
    samples = ([], [])
    for _ in range(3):
        timed(ours), timed(theirs)
    for _ in range(rounds):
        samples[0].append(timed(ours))
        samples[1].append(timed(theirs))
    medians = [statistics.median(s) for s in samples]
    print(f"{name:44} {min(samples[0]):8.2f} {medians[0]:8.2f}   {min(samples[1]):8.2f} {medians[1]:8.2f}   {medians[0] / medians[1]:.2f} x", flush=True)


def bundle(folder):
    """A busybox bundle whose config every runtime here accepts."""
    root = os.path.join(folder, "rootfs")
    for name in ("bin", "proc", "dev", "sys", "etc", "tmp"):
        os.makedirs(os.path.join(root, name), exist_ok=True)
    shutil.copy("/bin/busybox", os.path.join(root, "bin", "busybox"))
    for applet in ("true", "sh", "sleep"):
        if not os.path.lexists(os.path.join(root, "bin", applet)):
            os.symlink("busybox", os.path.join(root, "bin", applet))
    subprocess.run(["crun", "spec"], cwd=folder, check=True)
    path = os.path.join(folder, "config.json")
    with open(path) as file:
        config = json.load(file)
    config["process"].update({"terminal": False, "args": ["/bin/true"]})
    config["process"].pop("rlimits", None)
    config["mounts"] = [m for m in config["mounts"] if m["type"] not in ("cgroup", "cgroup2")]
    config["linux"]["namespaces"] = [n for n in config["linux"]["namespaces"] if n["type"] != "cgroup"]
    with open(path, "w") as file:
        json.dump(config, file)


def bench_oci(work):
    folder = os.path.join(work, "bundle")
    os.makedirs(folder)
    bundle(folder)
    ours = [BUILD + "/berth-oci", "--root", work + "/oci", "run", "--bundle", folder, "bench-a"]
    theirs = ["crun", "--root", work + "/crun", "run", "--bundle", folder, "bench-b"]
    # The host's hybrid cgroup mounts make Debian's crun refuse; both run where only v1 is mounted.
    print(f"{'ms':44} {'min':>8} {'median':>8}   {'min':>8} {'median':>8}   ratio")
    pair("berth-oci run true | crun", ours, theirs)


def smaps(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss:"))


def free_port():
    import socket
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start_registry(work):
    registry = f"127.0.0.1:{free_port()}"
    os.makedirs(work + "/registry")
    with open(work + "/registry.yml", "w") as file:
        file.write(f'version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {work}/registry}}}}\nhttp: {{addr: "{registry}"}}\n')
    process = subprocess.Popen(["docker-registry", "serve", work + "/registry.yml"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run(["curl", "-sf", "--retry", "50", "--retry-connrefused", "--retry-delay", "0", f"http://{registry}/v2/"], check=True, stdout=subprocess.DEVNULL)
    subprocess.run([sys.executable, TOP + "/tests/support/make_image.py", "--registry", registry, "--name", "box:latest", "--busybox", "--cmd", "sleep 1000"],
                   check=True, stdout=subprocess.DEVNULL)
    return registry, process


def bench_run(work, registry):
    image = f"{registry}/box:latest"
    berth = [BUILD + "/berth", "--root", work + "/root", "--state", work + "/state", "--network", "builtin", "--cni-conf-dir", work + "/nocni"]
    podman = ["podman", "--root", work + "/podman", "--runroot", work + "/podman-run", "--cgroup-manager", "cgroupfs", "--runtime", "crun"]
    limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--cgroups", "disabled"]
    subprocess.run(berth + ["pull", "-q", image], check=True, stdout=subprocess.DEVNULL)
    if subprocess.run(podman + ["pull", "-q", "--tls-verify=false", image], capture_output=True).returncode != 0:
        print("podman does not work on this machine: rows left out")
        return
    pair("berth run --rm true, no network | podman", berth + ["run", "--rm", "--network", "none", image, "true"],
         podman + ["run", "--rm", "--network", "none"] + limits + [image, "true"], max(ROUNDS // 2, 5))
    pair("berth run --rm true, bridge | podman", berth + ["run", "--rm", image, "true"],
         podman + ["run", "--rm", "--network", "podman"] + limits + [image, "true"], max(ROUNDS // 4, 5))


def bench_pods(work, registry):
    address = f"unix://{work}/berth.sock"
    agent = subprocess.Popen([BUILD + "/berthd", "--root", work + "/aroot", "--state", work + "/astate", "--listen", address,
                              "--network", "builtin", "--cni-conf-dir", work + "/nocni", "--log-level", "error"])
    environment = dict(os.environ, BERTH_ADDRESS=address)
    try:
        for _ in range(200):
            if subprocess.run([BUILD + "/berth", "kube", "ps"], env=environment, capture_output=True).returncode == 0:
                break
            time.sleep(0.05)
        path = work + "/pod.yaml"
        with open(path, "w") as file:
            file.write("apiVersion: v1\nkind: Pod\nmetadata: {name: bench}\nspec:\n  containers:\n"
                       f"  - {{name: box, image: {registry}/box:latest}}\n")
        base = min(timed([BUILD + "/berth", "kube", "ps"], env=environment) for _ in range(10))
        samples = []
        for round_number in range(max(ROUNDS // 2, 5)):
            samples.append(timed([BUILD + "/berth", "kube", "play", path], env=environment) - base)
            if round_number == 0:
                shim = subprocess.run(["pgrep", "-f", f"berth-shim --dir {work}/"], capture_output=True, text=True).stdout.split()[0]
                print(f"memory, PSS: berthd {smaps(agent.pid)} kB, one shim {smaps(shim)} kB")
            timed([BUILD + "/berth", "kube", "down", path], env=environment)
        print(f"pod start (RunPodSandbox + Create + Start), built-in network: p50 {statistics.median(samples):.1f} ms, min {min(samples):.1f} ms")
    finally:
        agent.terminate()
        agent.wait()


def main():
    work = tempfile.mkdtemp(prefix="berth-bench-")
    registry_process = None
    try:
        bench_oci(work)
        registry, registry_process = start_registry(work)
        bench_run(work, registry)
        bench_pods(work, registry)
    finally:
        if registry_process:
            registry_process.terminate()
            registry_process.wait()
        subprocess.run(["sh", TOP + "/tests/support/remove_bridge.sh", work + "/root", work + "/aroot"])
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    if os.environ.get("BERTH_BENCH_V1") is None:
        # Debian's crun refuses a hybrid hierarchy: both sides run in a mount namespace that shows cgroup v1 only.
        os.environ["BERTH_BENCH_V1"] = "1"
        os.execvp("unshare", ["unshare", "-m", "sh", "-c", "umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$0\" \"$@\"", sys.executable] + sys.argv)
    main()
