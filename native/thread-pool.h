// Threads that share the parts of one job. TensorFlow's own pool is out of the C interface's reach.
#pragma once

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace t4 {

class ThreadPool {
 public:
  typedef std::function<void(int64_t)> Body;

  /** For the life of the process: its threads wait for work until the process ends. */
  static ThreadPool& Instance() {
    static ThreadPool* pool = new ThreadPool(Processors());
    return *pool;
  }

  int64_t threads() const { return workers_ + 1; }

  /** Runs body(0) to body(parts - 1), in any order and on any thread, and returns when all are done. */
  void Run(int64_t parts, const Body& body) {
    std::unique_lock<std::mutex> turn(turn_, std::defer_lock);
    // While another job has the threads, this one does its own work: it has a thread of TensorFlow's already.
    if (parts < 2 || parts > kMostParts || workers_ == 0 || !turn.try_lock()) {
      for (int64_t part = 0; part < parts; part++) body(part);
      return;
    }
    body_ = &body;
    parts_ = parts;
    unfinished_ = parts;
    const uint64_t job = JobOf(untaken_) + 1;
    untaken_ = (job << kPartBits) + parts;
    work_.Tell();
    Work(job);
    done_.Await([&] { return unfinished_ == 0; });
  }

 private:
  /**
   * A thread that is asleep. Linux wakes it on the processor of who wakes it where the others have been idle for long, above
   * all in a virtual machine, which takes those for occupied; and it moves it to another one only milliseconds later, when
   * the parts of a job are over.
   */
  class Sleeper {
   public:
    /** Called by who is about to wake it. */
    void LeaveThisProcessor() {
      if (moved_ || sched_getaffinity(0, sizeof allowed_, &allowed_) != 0) return;
      cpu_set_t others = allowed_;
      CPU_CLR(sched_getcpu(), &others);
      moved_ = CPU_COUNT(&others) > 0 && sched_setaffinity(thread_, sizeof others, &others) == 0;
    }

    /** Called by the thread itself, awake: from here on it may run where it could before. */
    void Return() const {
      if (moved_) sched_setaffinity(0, sizeof allowed_, &allowed_);
    }

   private:
    const pid_t thread_ = static_cast<pid_t>(syscall(SYS_gettid));
    bool moved_ = false;
    cpu_set_t allowed_;
  };

  /** One side waits until something holds that the other side has brought about before it tells. */
  class Event {
   public:
    void Tell() {
      if (asleep_ == 0) return;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        for (Sleeper* sleeper : sleepers_) sleeper->LeaveThisProcessor();
      }
      changed_.notify_all();
    }

    /**
     * Looks for a while before the thread is put to sleep: to wake it takes as long as a small op, and the next op mostly
     * follows at once.
     */
    template <typename Condition>
    void Await(const Condition& condition) {
      const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(100);
      while (!condition() && std::chrono::steady_clock::now() < end) {
        for (int i = 0; i < 16; i++) {
#if defined(__x86_64__)
          __builtin_ia32_pause();
#endif
        }
      }
      if (condition()) return;
      Sleeper self;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        sleepers_.push_back(&self);
        asleep_++;
        changed_.wait(lock, condition);
        asleep_--;
        sleepers_.erase(std::find(sleepers_.begin(), sleepers_.end(), &self));
      }
      self.Return();
    }

   private:
    std::atomic<int> asleep_{0};
    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<Sleeper*> sleepers_;
  };

  static constexpr int kPartBits = 24;
  static constexpr int64_t kMostParts = (1 << kPartBits) - 1;

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

  static uint64_t JobOf(uint64_t untaken) { return untaken >> kPartBits; }

  void Work(uint64_t job) {
    uint64_t untaken = untaken_;
    while (JobOf(untaken) == job && (untaken & kMostParts) > 0) {
      if (!untaken_.compare_exchange_weak(untaken, untaken - 1)) continue;
      // The job lasts until the part that has been taken is finished.
      (*body_)(parts_ - static_cast<int64_t>(untaken & kMostParts));
      if (unfinished_.fetch_sub(1) == 1) done_.Tell();
      untaken = untaken_;
    }
  }

  void Wait() {
    uint64_t last = 0;
    for (;;) {
      work_.Await([&] { return JobOf(untaken_) != last; });
      last = JobOf(untaken_);
      Work(last);
    }
  }

  const int workers_;
  std::mutex turn_;
  Event work_;
  Event done_;
  std::atomic<const Body*> body_{nullptr};
  std::atomic<int64_t> parts_{0};
  std::atomic<int64_t> unfinished_{0};
  /** The number of the job, from 1 on, and how many of its parts nobody has taken; in one number, so that none is taken of
   * another job. */
  std::atomic<uint64_t> untaken_{0};
};

}  // namespace t4
