// Threads that share the parts of one job. TensorFlow's own pool is out of the C interface's reach.
#pragma once

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace t4 {

class ThreadPool {
 public:
  /** For the life of the process: its threads wait for work until the process ends. */
  static ThreadPool& Instance() {
    static ThreadPool* pool = new ThreadPool(Processors());
    return *pool;
  }

  int64_t threads() const { return workers_ + 1; }

  /** Runs body(0) to body(parts - 1), in any order and on any thread, and returns when all are done. */
  void Run(int64_t parts, const std::function<void(int64_t)>& body) {
    std::unique_lock<std::mutex> turn(turn_, std::defer_lock);
    // While another job has the threads, this one does its own work: it has a thread of TensorFlow's already.
    if (parts < 2 || workers_ == 0 || !turn.try_lock()) {
      for (int64_t part = 0; part < parts; part++) body(part);
      return;
    }
    const auto job = std::make_shared<Job>(parts, body);
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      job_ = job;
      jobs_.fetch_add(1);
    }
    work_.notify_all();
    Work(*job);
    Watch([&] { return job->finished == parts; });
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [&] { return job->finished == parts; });
    job_ = nullptr;
  }

 private:
  struct Job {
    Job(int64_t count, const std::function<void(int64_t)>& function) : parts(count), body(function) {}
    const int64_t parts;
    // Not called any more once all parts are finished, when the caller's function is gone.
    const std::function<void(int64_t)>& body;
    std::atomic<int64_t> next{0};
    std::atomic<int64_t> finished{0};
  };

  explicit ThreadPool(int threads) : workers_(threads - 1) {
    for (int i = 0; i < workers_; i++) std::thread([this] { Wait(); }).detach();
  }

  /** TF_NUM_INTRAOP_THREADS, as TensorFlow's own pool has it, or the processors that this process may run on. */
  static int Processors() {
    const char* asked = std::getenv("TF_NUM_INTRAOP_THREADS");
    if (asked != nullptr && std::atoi(asked) > 0) return std::atoi(asked);
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
    return std::max(1u, std::thread::hardware_concurrency());
  }

  void Work(Job& job) {
    for (;;) {
      const int64_t part = job.next.fetch_add(1);
      if (part >= job.parts) return;
      job.body(part);
      if (job.finished.fetch_add(1) + 1 == job.parts) {
        const std::lock_guard<std::mutex> lock(mutex_);
        done_.notify_all();
      }
    }
  }

  /**
   * Looks for a while whether there is something to do before a thread is put to sleep: to wake it takes as long as a small
   * op, and the next op mostly follows at once.
   */
  template <typename Condition>
  static void Watch(const Condition& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(100);
    while (!condition() && std::chrono::steady_clock::now() < end) {
      for (int i = 0; i < 16; i++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
      }
    }
  }

  void Wait() {
    std::shared_ptr<Job> last;
    int64_t seen = 0;
    for (;;) {
      Watch([&] { return jobs_ != seen; });
      seen = jobs_;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        work_.wait(lock, [&] { return job_ != nullptr && job_ != last; });
        last = job_;
      }
      Work(*last);
    }
  }

  const int workers_;
  std::mutex turn_;
  std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable done_;
  std::shared_ptr<Job> job_;
  /** How many there have been. */
  std::atomic<int64_t> jobs_{0};
};

}  // namespace t4
