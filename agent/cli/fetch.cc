// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/fetch.h"

#include "agent/cli/auth.h"
#include "agent/cli/progress.h"
#include "agent/cli/table.h"
#include "runtime/base/strings.h"

namespace berth::cli {

Result<> check_pull_policy(const std::string& policy) {
  if (policy == "missing" || policy == "always" || policy == "never") return {};
  return fail(Code::kInvalidArgument, concat("pull policy ", quote(policy), ": expected missing, always or never"));
}

Result<rootfs::Image> pull_image(Context& context, const std::string& reference, const std::string& platform, FILE* out,
                                 bool quiet) {
  TRY_ASSIGN(const auto images, context.images());
  TRY_ASSIGN(const std::string normalized, rootfs::normalize_reference(reference));
  TRY_ASSIGN(const auto before, images->find(normalized));
  rootfs::PullRequest request;
  request.reference = normalized;
  request.platform = platform;
  TRY_ASSIGN(request.auth, auth_for(normalized));
  PullDisplay display(out, normalized, quiet);
  request.progress = [&display](const rootfs::PullProgress& step) { display.on_progress(step); };
  TRY_ASSIGN(rootfs::Image image, images->pull(request));
  display.finish(image, before && before->id == image.id);
  return image;
}

Result<rootfs::Image> obtain_image(Context& context, const std::string& reference, const std::string& policy,
                                   const std::string& platform, bool quiet) {
  TRY_ASSIGN(const auto images, context.images());
  if (policy != "always") {
    TRY_ASSIGN(auto known, images->find(reference));
    if (known) return std::move(*known);
    if (policy == "never") return fail(Code::kNotFound, concat("no such image: ", quote(reference)));
    if (!quiet) std::fprintf(stderr, "Unable to find image '%s' locally\n", printable(reference).c_str());
  }
  return pull_image(context, reference, platform, stderr, quiet);
}

}  // namespace berth::cli
