// SPDX-License-Identifier: Apache-2.0
// Skips with a reason. Catch2 2 cannot skip, so the reason is printed in a form that tests/run_all.py counts.
#pragma once
#include <cstdio>
#define SKIP_UNLESS(condition, reason)                 \
  do {                                                 \
    if (!(condition)) {                                \
      std::printf("BERTH-SKIP: %s\n", reason);         \
      SUCCEED("skipped: " reason);                     \
      return;                                          \
    }                                                  \
  } while (false)
