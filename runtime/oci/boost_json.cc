// SPDX-License-Identifier: Apache-2.0
// The one unit that holds Boost.JSON's definitions for everything that links libruntime, and what replaces exceptions:
// only non-throwing calls are used, so reaching throw_exception is a broken invariant.
#include <boost/json/src.hpp>
#include <cstdlib>
#include <exception>

namespace boost {

[[noreturn]] void throw_exception(const std::exception&) { std::abort(); }
[[noreturn]] void throw_exception(const std::exception&, const source_location&) { std::abort(); }

}  // namespace boost
