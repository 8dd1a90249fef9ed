// SPDX-License-Identifier: Apache-2.0
// libcurl's functions under their own names, forwarded to the library that is loaded at the first call. Linking libcurl
// brings 25 further libraries and 5 ms into every start of `berth`, of which only a pull has any use.
//
// When the library is missing, every call fails as libcurl itself would: no handle, CURLE_FAILED_INIT.
#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>
#undef curl_easy_setopt
#undef curl_easy_getinfo
#include <cstdarg>

#include "runtime/base/log.h"
#include "runtime/sys/late_library.h"

namespace {

const berth::Result<berth::sys::LateLibrary>& library() {
  static const auto opened = berth::sys::LateLibrary::open("libcurl.so.4");
  return opened;
}

template <typename Function>
Function* load(const char* name) {
  Function* function = nullptr;
  const auto& curl = library();
  const auto bound = curl ? curl->bind(name, function) : std::unexpected(curl.error());
  if (!bound) berth::log_error("a library is missing", {{"error", bound.error().message()}});
  return function;
}

}  // namespace

// A forwarder: NAME(arguments) calls the library's NAME, or gives `missing`.
#define FORWARD(result, name, missing, parameters, arguments)       \
  extern "C" result name parameters {                               \
    static auto* const function = load<result parameters>(#name);   \
    return function == nullptr ? (missing) : function arguments;    \
  }

FORWARD(CURLcode, curl_global_init, CURLE_FAILED_INIT, (long flags), (flags))
FORWARD(CURL*, curl_easy_init, nullptr, (), ())
FORWARD(void, curl_easy_cleanup, void(), (CURL * easy), (easy))
FORWARD(void, curl_easy_reset, void(), (CURL * easy), (easy))
FORWARD(const char*, curl_easy_strerror, "libcurl is missing", (CURLcode code), (code))
FORWARD(CURLM*, curl_multi_init, nullptr, (), ())
FORWARD(CURLMcode, curl_multi_cleanup, CURLM_BAD_HANDLE, (CURLM * multi), (multi))
FORWARD(CURLMcode, curl_multi_add_handle, CURLM_BAD_HANDLE, (CURLM * multi, CURL* easy), (multi, easy))
FORWARD(CURLMcode, curl_multi_remove_handle, CURLM_BAD_HANDLE, (CURLM * multi, CURL* easy), (multi, easy))
FORWARD(CURLMcode, curl_multi_perform, CURLM_BAD_HANDLE, (CURLM * multi, int* running), (multi, running))
FORWARD(CURLMcode, curl_multi_poll, CURLM_BAD_HANDLE, (CURLM * multi, curl_waitfd* extra, unsigned count, int timeout, int* ready),
        (multi, extra, count, timeout, ready))
FORWARD(CURLMsg*, curl_multi_info_read, nullptr, (CURLM * multi, int* left), (multi, left))
FORWARD(curl_slist*, curl_slist_append, nullptr, (curl_slist * list, const char* text), (list, text))
FORWARD(void, curl_slist_free_all, void(), (curl_slist * list), (list))
FORWARD(CURLU*, curl_url, nullptr, (), ())
FORWARD(void, curl_url_cleanup, void(), (CURLU * url), (url))
FORWARD(CURLUcode, curl_url_set, CURLUE_BAD_HANDLE, (CURLU * url, CURLUPart part, const char* text, unsigned flags), (url, part, text, flags))
FORWARD(CURLUcode, curl_url_get, CURLUE_BAD_HANDLE, (CURLU * url, CURLUPart part, char** text, unsigned flags), (url, part, text, flags))
FORWARD(void, curl_free, void(), (void* memory), (memory))

// The variadic ones take exactly one more argument, a pointer or a long: one register on every LP64 system.
extern "C" CURLcode curl_easy_setopt(CURL* easy, CURLoption option, ...) {
  static auto* const function = load<CURLcode(CURL*, CURLoption, ...)>("curl_easy_setopt");
  va_list arguments;
  va_start(arguments, option);
  void* const value = va_arg(arguments, void*);
  va_end(arguments);
  return function == nullptr ? CURLE_FAILED_INIT : function(easy, option, value);
}

extern "C" CURLcode curl_easy_getinfo(CURL* easy, CURLINFO info, ...) {
  static auto* const function = load<CURLcode(CURL*, CURLINFO, ...)>("curl_easy_getinfo");
  va_list arguments;
  va_start(arguments, info);
  void* const value = va_arg(arguments, void*);
  va_end(arguments);
  return function == nullptr ? CURLE_FAILED_INIT : function(easy, info, value);
}
