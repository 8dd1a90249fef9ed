// SPDX-License-Identifier: Apache-2.0
// The parent's half of an error: the child told an index and an errno, the plan knows what that meant.
#include <cerrno>

#include "runtime/base/strings.h"
#include "runtime/plan/container.h"

namespace berth::plan {
namespace {

// Words that engines match on (§2f).
std::string lookup_text(const child::Op& op, const std::string& name, int error) {
  const std::string head = concat("exec: \"", name, "\": ");
  if ((op.flags & child::kSearched) != 0 && error == ENOENT) return head + "executable file not found in $PATH";
  if (error == ENOENT || error == ENOTDIR) return concat(head, "stat ", name, ": ", errno_text(error));
  return head + errno_text(error);
}

}  // namespace

std::string failure_text(const Builder& builder, const child::Report& report) {
  const auto index = static_cast<size_t>(report.op);
  if (report.op < 0 || index >= builder.ops().size()) return concat("malformed report from the child: ", errno_text(report.error));
  const child::Op& op = builder.ops()[index];
  const std::string& doing = builder.doing(index);
  if (op.code == child::OpCode::kLookup) return lookup_text(op, doing, report.error);
  switch (report.detail) {
    case child::kTargetOnProc: return concat(doing, ": the target is inside /proc");
    case child::kCwdOutside:
      return concat(doing, ": current working directory is outside of container mount namespace root -- possible container breakout detected");
    case child::kHookStatus: return concat(doing, ": exit status not zero");
    case child::kNotDevpts: return concat(doing, ": /dev/pts holds no devpts");
    case child::kWrongNode: return concat(doing, ": something else is there already");
    default: break;
  }
  if (op.code == child::OpCode::kHook && report.error == ETIMEDOUT) {
    return concat(doing, ": hook ran past specified timeout of ", op.args[0] / 1000, ".0s");
  }
  return concat(doing, ": ", errno_text(report.error));
}

}  // namespace berth::plan
