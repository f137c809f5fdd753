// TensorFlow logs notes about the processor while it starts, whatever TF_CPP_MIN_LOG_LEVEL says: one while its library
// is loaded, before anybody could set a level, others later. `load(path)` loads libtensorflow_framework with standard
// error closed for that moment, and raises the log level of the Abseil inside it to "warning". Errors of the loader are
// not lost: dlopen returns them. With TF_CPP_MIN_LOG_LEVEL=0 all is shown.
#include <dlfcn.h>
#include <fcntl.h>
#include <node_api.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

class StandardErrorClosed {
 public:
  StandardErrorClosed() {
    std::fflush(stderr);
    kept_ = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (kept_ >= 0 && nowhere >= 0) dup2(nowhere, STDERR_FILENO);
    if (nowhere >= 0) close(nowhere);
  }
  ~StandardErrorClosed() {
    if (kept_ < 0) return;
    std::fflush(stderr);
    dup2(kept_, STDERR_FILENO);
    close(kept_);
  }

 private:
  int kept_;
};

// absl::SetMinLogLevel(absl::LogSeverityAtLeast) of the Abseil in TensorFlow 2.21.0.
constexpr char kSetMinLogLevel[] = "_ZN4absl12lts_2025081414SetMinLogLevelENS0_18LogSeverityAtLeastE";
constexpr int kWarning = 1;

napi_value Load(napi_env env, napi_callback_info info) {
  const char* level = std::getenv("TF_CPP_MIN_LOG_LEVEL");
  if (level != nullptr && level[0] == '0') return nullptr;
  napi_value argument;
  size_t count = 1;
  size_t length = 0;
  if (napi_get_cb_info(env, info, &count, &argument, nullptr, nullptr) != napi_ok || count < 1 ||
      napi_get_value_string_utf8(env, argument, nullptr, 0, &length) != napi_ok) {
    napi_throw_type_error(env, nullptr, "load(path): expected a string");
    return nullptr;
  }
  std::string path(length + 1, '\0');
  napi_get_value_string_utf8(env, argument, &path[0], path.size(), &length);
  const StandardErrorClosed closed;
  // A library that cannot be loaded is reported by whoever needs it, right after this.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return nullptr;
  if (void* function = dlsym(library, kSetMinLogLevel)) reinterpret_cast<void (*)(int)>(function)(kWarning);
  return nullptr;
}

napi_value Init(napi_env env, napi_value exports) {
  napi_value function;
  if (napi_create_function(env, "load", NAPI_AUTO_LENGTH, Load, nullptr, &function) == napi_ok) {
    napi_set_named_property(env, exports, "load", function);
  }
  return exports;
}

}  // namespace

NAPI_MODULE(NODE_GYP_MODULE_NAME, Init)
