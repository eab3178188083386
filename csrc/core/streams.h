// Streams: copies that run beside the calls of an entry, and what waits for what.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace graphc {

// Which steps of an entry are over. Made once, for any number of runs.
class Progress {
  public:
    explicit Progress(std::size_t steps) : over_(steps, 0) {}

    void begin();
    void finish(int step);
    // Lets nobody wait any longer; who copies ends soon.
    void stop();
    bool is_stopped() const { return stopped_; }
    // False if the run is to end early.
    bool await(const std::vector<int>& steps);
    // As above, for a while; false if it was not long enough.
    bool await(const std::vector<int>& steps, std::chrono::milliseconds most);

  private:
    bool are_over(const std::vector<int>& steps) const;

    std::vector<char> over_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::atomic<bool> stopped_{false};
};

// Threads, one for each stream of copies, that end with this.
class Copiers {
  public:
    // `work` is called with each list of steps on a thread of its own. Throws Error (GC-M002).
    Copiers(Progress& progress, const std::vector<std::vector<int>>& streams,
            const std::function<void(const std::vector<int>&)>& work);
    ~Copiers();
    Copiers(const Copiers&) = delete;
    Copiers& operator=(const Copiers&) = delete;

  private:
    void end();

    Progress& progress_;
    std::vector<std::thread> threads_;
};

// Copies in pieces, so that a run that is stopped ends soon.
void copy(char* to, const char* from, std::size_t bytes, const Progress& progress);

}  // namespace graphc
