// SPDX-License-Identifier: Apache-2.0
// Debian ships Boost.JSON as headers only; this unit, and nothing else in it, holds the implementation.
#include <boost/json/src.hpp>
