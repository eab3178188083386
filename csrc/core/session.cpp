#include "core/session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "core/auditor.h"
#include "core/running.h"
#include "core/streams.h"
#include "error.h"

namespace graphc {

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kBreath = std::chrono::milliseconds(100);
constexpr int kStreams = 8;

void check_stream(const StepPlan& plan, int number) {
    const bool is_copy = plan.stream != 0;
    const bool may_copy = plan.symbol.empty() && plan.reads.size() == 1 &&
                          plan.writes.size() == 1 && plan.reads[0].bytes == plan.writes[0].bytes;
    if (plan.stream < 0 || plan.stream >= kStreams || (is_copy && !may_copy)) {
        throw Error("GC-A001",
                    "step " + plan.name + " cannot be on stream " + std::to_string(plan.stream));
    }
    for (const int wait : plan.waits) {
        if (wait < 0 || wait >= number) {
            throw Error("GC-A001", "step " + plan.name + " waits for none that comes before it");
        }
    }
}

}  // namespace

struct Session::Step {
    std::unique_ptr<Kernel> kernel;
    std::vector<const char*> reads;
    std::vector<char*> writes;
    char* workspace = nullptr;
    std::vector<Bytes> poison_before, poison_after;
    std::vector<Bytes> written;  // with workspace; for the auditor
    StepPlan plan;
};

// `copies`: by stream, the numbers of its steps; `all`: those of all steps that copy.
struct Session::Entry {
    std::vector<Step> steps;
    std::vector<double> times;
    std::vector<std::vector<int>> copies;
    std::vector<int> all;
    std::unique_ptr<Progress> progress;
    Clock::time_point breath;
};

Session::Session(std::vector<std::shared_ptr<Pages>> regions,
                 const std::vector<std::vector<StepPlan>>& entries, int threads)
    : regions_(std::move(regions)), threads_(threads) {
    if (threads < 1 || threads > 1024) {
        throw Error("GC-R004", std::to_string(threads) + " threads; 1 to 1024 are possible");
    }
    for (const auto& plans : entries) {
        Entry entry;
        entry.steps.reserve(plans.size());
        for (const StepPlan& plan : plans) entry.steps.push_back(prepare(plan));
        entry.times.resize(plans.size());
        entry.progress = std::make_unique<Progress>(plans.size());
        for (int i = 0; i < int(plans.size()); ++i) {
            check_stream(plans[i], i);
            const std::size_t stream = std::size_t(plans[i].stream);
            if (stream == 0) continue;
            entry.copies.resize(std::max(entry.copies.size(), stream));
            entry.copies[stream - 1].push_back(i);
            entry.all.push_back(i);
        }
        entries_.push_back(std::move(entry));
    }
}

Session::~Session() = default;

char* Session::resolve(const Place& place, const char* what, const std::string& step) const {
    const bool is_known = place.region >= 0 && std::size_t(place.region) < regions_.size();
    const std::size_t size = is_known ? regions_[place.region]->size() : 0;
    if (!is_known || place.offset > size || place.bytes > size - place.offset) {
        throw Error("GC-A001", std::string(what) + " of step " + step + " lies outside its arena");
    }
    if (place.offset % 4 != 0) {
        throw Error("GC-A001", std::string(what) + " of step " + step + " is not aligned");
    }
    return regions_[place.region]->data() + place.offset;
}

char* Session::resolve(const Place& place, const Spec& spec, const std::string& step) const {
    char* const address = resolve(place, "an operand", step);
    const std::size_t item = std::size_t(item_size(spec.dtype));
    std::size_t span = spec.size() > 0 ? item : 0;
    bool is_inside = span <= place.bytes;
    for (int i = 0; span > 0 && i < spec.rank; ++i) {
        const std::size_t steps = std::size_t(spec.dims[i] - 1);
        const std::size_t stride = std::size_t(spec.strides[i]) * item;
        const bool fits =
            span <= place.bytes && (stride == 0 || steps <= (place.bytes - span) / stride);
        span = fits ? span + steps * stride : 0;
        is_inside = is_inside && fits;
    }
    if (!is_inside || place.offset % item != 0) {
        throw Error("GC-A001", "an operand of step " + step + " does not fit its bytes");
    }
    return address;
}

Session::Step Session::prepare(const StepPlan& plan) const {
    const std::vector<Spec>&reads = plan.problem.reads, &writes = plan.problem.writes;
    if (reads.size() != plan.reads.size() || writes.size() != plan.writes.size()) {
        throw Error("GC-A001", "step " + plan.name + " has another number of places than operands");
    }
    Step step;
    step.plan = plan;
    step.plan.problem.threads = threads_;
    for (std::size_t i = 0; i < reads.size(); ++i) {
        step.reads.push_back(resolve(plan.reads[i], reads[i], plan.name));
    }
    for (std::size_t i = 0; i < writes.size(); ++i) {
        step.writes.push_back(resolve(plan.writes[i], writes[i], plan.name));
        step.written.push_back({step.writes[i], 0, &step.plan.problem.writes[i]});
    }
    const auto ranges = [&](const std::vector<Place>& places) {
        std::vector<Bytes> found;
        for (const Place& place : places) {
            found.push_back({resolve(place, "a poisoned range", plan.name), place.bytes, nullptr});
        }
        return found;
    };
    step.poison_before = ranges(plan.poison_before);
    step.poison_after = ranges(plan.poison_after);
    ranges(plan.spent);  // throws for what lies outside
    if (plan.symbol.empty()) return step;
    step.kernel = find_kernel(plan.symbol)(step.plan.problem);
    step.workspace = resolve(plan.workspace, "the workspace", plan.name);
    if (step.kernel->workspace() > plan.workspace.bytes || plan.workspace.offset % 64 != 0) {
        throw Error("GC-A001", "step " + plan.name + " needs " +
                                   std::to_string(step.kernel->workspace()) +
                                   " bytes of workspace, the plan has " +
                                   std::to_string(plan.workspace.bytes));
    }
    step.written.push_back({step.workspace, plan.workspace.bytes, nullptr});
    return step;
}

void Session::run(int entry, Host& host, const Order& order) {
    const Running running(running_, "session");
    failed_ = -1;
    if (entry < 0 || std::size_t(entry) >= entries_.size()) {
        throw Error("GC-A001", "no entry " + std::to_string(entry) + " in this plan");
    }
    std::unique_ptr<Auditor> auditor;
    if (order.audit) auditor = std::make_unique<Auditor>(regions_);
    run_steps(entries_[entry], host, order, auditor.get());
}

void Session::run_steps(Entry& entry, Host& host, const Order& order, Auditor* auditor) {
    entry.breath = Clock::now();
    entry.progress->begin();
    if (!entry.all.empty() && !auditor) {
        run_streams(entry, host, order);
    } else {  // the order of the steps is one that all waits allow
        for (int i = 0; i < int(entry.steps.size()); ++i) run_step(entry, i, host, order, auditor);
    }
    failed_ = -1;
}

void Session::run_streams(Entry& entry, Host& host, const Order& order) {
    const std::function<void(const std::vector<int>&)> work = [&](const std::vector<int>& steps) {
        copy_steps(entry, steps, order.measure);
    };
    const Copiers copiers(*entry.progress, entry.copies, work);
    for (int i = 0; i < int(entry.steps.size()); ++i) {
        const StepPlan& plan = entry.steps[i].plan;
        if (plan.stream != 0) continue;
        if (!plan.waits.empty()) await(entry, plan.waits, host);
        run_step(entry, i, host, order, nullptr);
        entry.progress->finish(i);
    }
    await(entry, entry.all, host);
}

void Session::run_step(Entry& entry, int at, Host& host, const Order& order, Auditor* auditor) {
    const Step& step = entry.steps[at];
    failed_ = at;
    const Clock::time_point start = Clock::now();
    if (start - entry.breath > kBreath) {
        host.breathe();
        entry.breath = start;
    }
    if (order.poison) poison(step.poison_before);
    if (auditor) auditor->before();
    Fault fault;
    if (step.kernel) {
        step.kernel->run({step.reads.data(), step.writes.data(), step.workspace, threads_, &fault,
                          order.seed, order.step});
        if (fault.code) throw Error(fault.code, fault.message, fault.hint);
    } else if (step.plan.stream != 0) {
        copy(step.writes[0], step.reads[0], step.plan.reads[0].bytes, *entry.progress);
    } else {
        host.call(at);
    }
    if (order.measure) {
        entry.times[at] = std::chrono::duration<double, std::micro>(Clock::now() - start).count();
    }
    if (auditor) auditor->after(step.written, step.plan.name);
    if (order.poison) poison(step.poison_after);
    if (order.drop) {
        for (const Place& place : step.plan.spent) {
            regions_[place.region]->drop(place.offset, place.bytes);
        }
    }
}

// On a thread of its own, which must not throw.
void Session::copy_steps(Entry& entry, const std::vector<int>& steps, bool measure) {
    for (const int at : steps) {
        const Step& step = entry.steps[at];
        if (!entry.progress->await(step.plan.waits)) return;
        const Clock::time_point start = Clock::now();
        copy(step.writes[0], step.reads[0], step.plan.reads[0].bytes, *entry.progress);
        if (measure) {
            entry.times[at] =
                std::chrono::duration<double, std::micro>(Clock::now() - start).count();
        }
        entry.progress->finish(at);
    }
}

void Session::await(Entry& entry, const std::vector<int>& steps, Host& host) {
    while (!entry.progress->await(steps, kBreath)) {
        host.breathe();
        entry.breath = Clock::now();
    }
}

std::vector<double> Session::times(int entry) {
    const Running running(running_, "session");
    if (entry < 0 || std::size_t(entry) >= entries_.size()) {
        throw Error("GC-A001", "no entry " + std::to_string(entry) + " in this plan");
    }
    return entries_[entry].times;
}

}  // namespace graphc
