#include "core/streams.h"

#include <algorithm>
#include <cstring>
#include <system_error>

#include "error.h"

namespace graphc {

namespace {

constexpr std::size_t kPiece = std::size_t(4) << 20;

}  // namespace

void Progress::begin() {
    std::fill(over_.begin(), over_.end(), 0);
    stopped_ = false;
}

void Progress::finish(int step) {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        over_[step] = 1;
    }
    changed_.notify_all();
}

void Progress::stop() {
    {
        const std::lock_guard<std::mutex> lock(mutex_);
        stopped_ = true;
    }
    changed_.notify_all();
}

bool Progress::await(const std::vector<int>& steps) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return stopped_ || are_over(steps); });
    return !stopped_;
}

bool Progress::await(const std::vector<int>& steps, std::chrono::milliseconds most) {
    std::unique_lock<std::mutex> lock(mutex_);
    return changed_.wait_for(lock, most, [&] { return are_over(steps); });
}

bool Progress::are_over(const std::vector<int>& steps) const {
    return std::all_of(steps.begin(), steps.end(), [&](int step) { return over_[step] != 0; });
}

Copiers::Copiers(Progress& progress, const std::vector<std::vector<int>>& streams,
                 const std::function<void(const std::vector<int>&)>& work)
    : progress_(progress) {
    threads_.reserve(streams.size());
    try {
        for (const std::vector<int>& steps : streams) {
            threads_.emplace_back([&work, &steps] { work(steps); });
        }
    } catch (const std::system_error&) {
        end();
        throw Error("GC-M002", "the system gives no thread that copies to and from the host",
                    "leave --host out, or let more threads be");
    }
}

Copiers::~Copiers() { end(); }

void Copiers::end() {
    progress_.stop();
    for (std::thread& thread : threads_) thread.join();
}

void copy(char* to, const char* from, std::size_t bytes, const Progress& progress) {
    for (std::size_t at = 0; at < bytes && !progress.is_stopped(); at += kPiece) {
        std::memcpy(to + at, from + at, std::min(kPiece, bytes - at));
    }
}

}  // namespace graphc
