// SPDX-License-Identifier: Apache-2.0
// Aligned columns as docker prints them: upper-case headers, three spaces between, nothing after the last column.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace berth::cli {

// Text that came from outside (names, commands, tags) with control bytes and broken UTF-8 written as \xNN, so that no
// name can move the cursor, set the title or forge a line of the table.
std::string printable(std::string_view text);

// At most `width` characters (code points), the last one "…" when something was cut.
std::string shortened(std::string_view text, size_t width);

class Table {
 public:
  explicit Table(std::vector<std::string> headers) { rows_.push_back(std::move(headers)); }
  // Cells are made printable here. A row shorter than the headers is filled up.
  void add(std::vector<std::string> cells);
  std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace berth::cli
