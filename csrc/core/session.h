// Session: a plan ready to run. One flat loop over prepared steps; nothing is allocated in it.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/kernel.h"
#include "core/memory.h"

namespace graphc {

// Bytes offset .. offset + bytes of region number `region`.
struct Place {
    int region = 0;
    std::size_t offset = 0;
    std::size_t bytes = 0;
};

// One step as the plan tells it. No symbol: a host step, which only calls back. The bytes of
// `poison_before` and `poison_after` hold nothing then, and are filled with NaN in a poisoned run.
// `spent`: operands that no other step reads. `stream`: 0, or that of a step that copies its one
// read to its one write; each such stream has a thread of its own during a run. `waits`: earlier
// steps of the entry, by number, that must be over; those of the same stream are anyway.
struct StepPlan {
    std::string name;
    std::string symbol;
    Problem problem;
    std::vector<Place> reads, writes;
    Place workspace;
    std::vector<Place> poison_before, poison_after;
    std::vector<Place> spent;
    int stream = 0;
    std::vector<int> waits;
};

// What a session asks of its owner while it runs. Both may throw, which ends the run.
class Host {
  public:
    virtual ~Host() = default;
    virtual void call(int step) = 0;
    // Comes every tenth of a second or so, between two steps: a chance to stop.
    virtual void breathe() = 0;
};

// What one run is told. All but the seeds and `drop` are for tests and measurements.
struct Order {
    std::uint64_t seed = 0;  // these two choose the random streams
    std::uint32_t step = 0;
    bool poison = false;   // fill bytes with NaN where nothing lives
    bool audit = false;    // throw Error (GC-C002) if a step writes beside its operands
    bool measure = false;  // note how long each step takes
    bool drop = false;     // give the pages of spent operands back to the system, see Pages::drop
};

class Auditor;

class Session {
  public:
    // `entries`: lists of steps that run() knows by number. Regions are shared, not copied. Throws
    // Error: GC-A001 for a step that lies outside its regions or that no kernel can do, GC-M002.
    Session(std::vector<std::shared_ptr<Pages>> regions,
            const std::vector<std::vector<StepPlan>>& entries, int threads);
    ~Session();

    // Runs an entry until all its streams have ended; one thread at a time (GC-R003). Throws what a
    // kernel has against its data, and what `host` throws; the session can run again.
    void run(int entry, Host& host, const Order& order);

    // The step at which the last run ended early, -1 if it did not.
    int failed() const { return failed_; }

    // Microseconds each step of the last measured run took. Not during a run (GC-R003).
    std::vector<double> times(int entry);

  private:
    struct Step;
    struct Entry;

    Step prepare(const StepPlan& plan) const;
    char* resolve(const Place& place, const char* what, const std::string& step) const;
    char* resolve(const Place& place, const Spec& spec, const std::string& step) const;
    void run_steps(Entry& entry, Host& host, const Order& order, Auditor* auditor);
    void run_streams(Entry& entry, Host& host, const Order& order);
    void run_step(Entry& entry, int at, Host& host, const Order& order, Auditor* auditor);
    void copy_steps(Entry& entry, const std::vector<int>& steps, bool measure);
    void await(Entry& entry, const std::vector<int>& steps, Host& host);

    std::vector<std::shared_ptr<Pages>> regions_;
    std::vector<Entry> entries_;
    int threads_;
    std::atomic<int> failed_{-1};  // others may ask during a run
    std::atomic<bool> running_{false};
};

}  // namespace graphc
