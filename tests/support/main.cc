// SPDX-License-Identifier: Apache-2.0
// Catch2's main, compiled once for every test program. SIGPIPE is ignored, as every program of berth ignores it: plugins
// and hooks may end without reading what they are given.
#define CATCH_CONFIG_RUNNER
#include <csignal>

#include "tests/support/catch.h"

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  return Catch::Session().run(argc, argv);
}
