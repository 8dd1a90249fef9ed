// SPDX-License-Identifier: Apache-2.0
#include "agent/core/joins.h"

namespace berth::core {

Result<std::string> Joins::run(const std::string& key, const std::function<Result<std::string>()>& work) {
  std::shared_ptr<Running> mine;
  {
    std::unique_lock lock(mutex_);
    std::shared_ptr<Running>& slot = running_[key];
    if (slot != nullptr) {
      const std::shared_ptr<Running> other = slot;
      other->done.wait(lock, [&] { return other->result.has_value(); });
      return *other->result;
    }
    slot = std::make_shared<Running>();
    mine = slot;
  }
  Result<std::string> result = work();
  {
    const std::lock_guard lock(mutex_);
    mine->result = result;
    running_.erase(key);
  }
  mine->done.notify_all();
  return result;
}

}  // namespace berth::core
