#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the test programs and the bats files, prints each failure and each skip with its reason, and ends with one line
`N passed, N failed, N skipped`.

--unit     only the unit programs' cases without the tag [root] (make check)
NAMES…     only these programs or bats files
"""
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as xml

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.environ.get("BERTH_BUILD", os.path.join(TOP, "build"))
PROGRAM_LIMIT_SECONDS = 900


class Tally:
    def __init__(self):
        self.passed, self.failures, self.skips = 0, [], []

    def add(self, other_passed, failures, skips):
        self.passed += other_passed
        self.failures += failures
        self.skips += skips


def run_catch(program, unit_only):
    """One Catch2 program: a case is one test; a line BERTH-SKIP in its output makes it a skip."""
    name = os.path.basename(program)
    report = os.path.join(BUILD, "tests", name + ".xml")
    command = [program, "--reporter", "junit", "--out", report]
    if unit_only:
        command.append("~[root]")
    failures, skips, passed = [], [], 0
    try:
        done = subprocess.run(command, cwd=TOP, timeout=PROGRAM_LIMIT_SECONDS, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, errors="replace")
        code, printed = done.returncode, done.stdout + done.stderr
    except subprocess.TimeoutExpired as late:
        return 0, [f"{name}: did not end within {PROGRAM_LIMIT_SECONDS} s"], []
    try:
        root = xml.parse(report).getroot()
    except (OSError, xml.ParseError):
        return 0, [f"{name}: ended with {code} and no report\n{printed[-3000:]}"], []
    cases = {}
    for case in root.iter("testcase"):
        # Catch2 reports sections apart; the case is what counts.
        key = case.get("classname", "") + "." + case.get("name", "").split("/")[0]
        bad = [node.text or node.get("message") or "" for kind in ("failure", "error") for node in case.iter(kind)]
        cases.setdefault(key, []).extend(bad)
    reasons = re.findall(r"BERTH-SKIP: (.*)", printed + "\n".join(node.text or "" for node in root.iter("system-out")))
    for key, bad in cases.items():
        if bad:
            failures.append(f"{name}: {key}\n" + "\n".join(bad)[:2000])
    passed = len(cases) - len(failures) - len(set(reasons))
    skips = [f"{name}: {reason}" for reason in dict.fromkeys(reasons)]
    if code != 0 and not failures:
        failures.append(f"{name}: ended with {code}\n{printed[-3000:]}")
    return max(passed, 0), failures, skips


def run_bats(path):
    name = os.path.basename(path)
    failures, skips, passed = [], [], 0
    try:
        done = subprocess.run(["bats", "--tap", path], cwd=TOP, timeout=PROGRAM_LIMIT_SECONDS,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    except subprocess.TimeoutExpired:
        return 0, [f"{name}: did not end within {PROGRAM_LIMIT_SECONDS} s"], []
    lines = done.stdout.splitlines()
    planned = re.match(r"1\.\.(\d+)", lines[0]) if lines else None
    for number, line in enumerate(lines):
        skip = re.match(r"ok \d+ (.*?) # skip ?(.*)", line, re.I)
        if skip:
            skips.append(f"{name}: {skip[1]}: {skip[2] or 'no reason given'}")
        elif line.startswith("ok "):
            passed += 1
        elif line.startswith("not ok "):
            detail = []
            for later in lines[number + 1:]:
                if not later.startswith("#"):
                    break
                detail.append(later)
            failures.append(f"{name}: {line[7:]}\n" + "\n".join(detail[:40]))
    seen = passed + len(failures) + len(skips)
    if not planned or seen != int(planned[1]):
        failures.append(f"{name}: {seen} of {planned[1] if planned else '?'} tests reported\n{(done.stdout + done.stderr)[-2000:]}")
    return passed, failures, skips


def jobs(arguments):
    unit_only = "--unit" in arguments
    names = [a for a in arguments if not a.startswith("--")]
    programs = [os.path.join(BUILD, "tests", f) for f in ("runtime_test", "rootfs_test", "cri_test", "agent_test", "scheduler_test")]
    found = [(p, lambda p=p: run_catch(p, unit_only)) for p in programs if os.path.exists(p)]
    if not unit_only:
        folder = os.path.join(TOP, "tests", "e2e")
        found += [(os.path.join(folder, f), lambda f=f: run_bats(os.path.join(folder, f)))
                  for f in sorted(os.listdir(folder)) if f.endswith(".bats")]
    if names:
        found = [(p, job) for p, job in found if any(n in os.path.basename(p) for n in names)]
    return found


def main():
    tally = Tally()
    for path, job in jobs(sys.argv[1:]):
        name = os.path.basename(path)
        print(f"{name} …", flush=True)
        started = time.monotonic()
        passed, failures, skips = job()
        tally.add(passed, failures, skips)
        print(f"{name}: {passed} passed, {len(failures)} failed, {len(skips)} skipped in {time.monotonic() - started:.1f} s", flush=True)
    for skip in tally.skips:
        print(f"SKIP {skip}")
    for failure in tally.failures:
        print(f"FAIL {failure}\n")
    print(f"{tally.passed} passed, {len(tally.failures)} failed, {len(tally.skips)} skipped")
    return 1 if tally.failures or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
