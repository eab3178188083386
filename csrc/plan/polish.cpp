#include "plan/polish.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <tuple>
#include <utility>

#include "plan/covers.h"
#include "plan/profile.h"

namespace graphc::plan {

namespace {

constexpr int kRounds = 8;
constexpr std::size_t kMost = 8;    // replays for each call from which on a script is too long
constexpr std::size_t kDeep = 400;  // replays that one move may take

}  // namespace

Polish::Polish(const Net& net, const Lists& writers, std::vector<char> large)
    : net_(net),
      writers_(writers),
      large_(std::move(large)),
      trial_(net),
      aside_(net),
      asked_at_(std::size_t(net.roots()), 0),
      taken_at_(std::size_t(net.calls()), 0) {}

void Polish::hold(const Script& script) {
    if (is_held_ && held_ == script) return;
    trial_.run(script);
    held_ = script;
    is_held_ = true;
}

void Polish::hold_aside(const Script& script) {
    std::swap(trial_, aside_);
    held_ = script;
    is_held_ = true;
}

Found Polish::tried(Script script) {
    hold(script);
    return {std::move(script), trial_.peak, trial_.us};
}

// The same, without changing the trial at hand.
Found Polish::aside(Script script) {
    aside_.run(script);
    return {std::move(script), aside_.peak, aside_.us};
}

// Is some instance of a root there right before a step, and needed from then on?
bool Polish::is_alive(std::int32_t root, std::int32_t step) const {
    for (std::int32_t i = newest_[std::size_t(root)]; i >= 0; i = trial_.before[std::size_t(i)]) {
        const auto at = std::size_t(i);
        if (trial_.first[at] >= 0 && trial_.first[at] < step) return trial_.last[at] >= step;
    }
    return false;
}

void Polish::index_uses() {
    const std::size_t count = trial_.root.size();
    newest_.resize(std::size_t(net_.roots()));
    for (std::size_t i = 0; i < count; ++i) {
        newest_[std::size_t(trial_.root[i])] = std::int32_t(i);
    }
    uses_.begin.assign(count + 1, 0);
    for (const std::int32_t i : trial_.operands) ++uses_.begin[std::size_t(i) + 1];
    std::partial_sum(uses_.begin.begin(), uses_.begin.end(), uses_.begin.begin());
    uses_.items.resize(trial_.operands.size());
    std::vector<std::int32_t> next(uses_.begin.begin(), uses_.begin.end() - 1);
    for (std::int32_t step = 0; step < std::int32_t(trial_.order.size()); ++step) {
        for (std::int32_t o = trial_.begin[std::size_t(step)];
             o < trial_.begin[std::size_t(step) + 1]; ++o) {
            const auto i = std::size_t(trial_.operands[std::size_t(o)]);
            uses_.items[std::size_t(next[i]++)] = step;
        }
    }
}

// What has to be replayed to have a root again before a call; -1 if that cannot be.
double Polish::closure(std::int32_t root, std::int32_t before, std::vector<std::int32_t>& calls) {
    const std::int32_t step = trial_.start[std::size_t(before)];
    std::vector<std::int32_t> asked{root};
    asked_at_[std::size_t(root)] = ++closures_;
    calls.clear();
    double us = 0;
    while (!asked.empty()) {
        const std::int32_t r = asked.back();
        asked.pop_back();
        for (const std::int32_t writer : range(writers_, r)) {
            std::uint32_t& taken = taken_at_[std::size_t(writer)];
            if (taken == closures_) continue;
            taken = closures_;
            if (net_.deadline[std::size_t(writer)] < before || writer >= before) return -1;
            if (calls.size() > kDeep) return -1;
            calls.push_back(writer);
            us += net_.us[std::size_t(writer)];
            for (const std::int32_t read : range(net_.reads, writer)) {
                std::uint32_t& asked_last = asked_at_[std::size_t(read)];
                if (!net_.droppable[std::size_t(read)] || asked_last == closures_) continue;
                if (is_alive(read, step)) continue;
                asked_last = closures_;
                asked.push_back(read);
            }
        }
    }
    return us;
}

// So many bytes less from step `first` to `last` for replays before a call.
struct Polish::Move {
    std::int32_t root, first, last, before;
    std::int64_t bytes;
    double worth;   // bytes per microsecond
    bool is_whole;  // with what its operands take; else these are kept until then
};

std::vector<Polish::Move> Polish::moves() {
    std::vector<Move> found;
    const auto worth = [](std::int64_t bytes, double us) { return double(bytes) / (us + 1e-3); };
    std::vector<std::int32_t> calls;
    std::vector<std::int32_t> call_of(trial_.order.size());  // the one that a replay comes before
    for (std::int32_t call = 0; call < net_.calls(); ++call) {
        std::fill(call_of.begin() + trial_.start[std::size_t(call)],
                  call_of.begin() + trial_.step_of[std::size_t(call)] + 1, call);
    }
    for (std::size_t i = 0; i < trial_.root.size(); ++i) {
        const std::int32_t root = trial_.root[i];
        const auto r = std::size_t(root);
        if (!large_[r] || !net_.droppable[r] || net_.bytes[r] == 0) continue;
        const auto uses = range(uses_, std::int32_t(i));
        for (const std::int32_t* use = uses.begin(); use + 1 < uses.end(); ++use) {
            const std::int32_t before = call_of[std::size_t(use[1])];
            if (before < net_.later || call_of[std::size_t(use[0])] == before) continue;
            const std::int32_t last = trial_.start[std::size_t(before)] - 1;
            if (use[0] + 1 > last) continue;
            const double us = closure(root, before, calls);
            if (us < 0) continue;
            found.push_back(
                {root, use[0] + 1, last, before, net_.bytes[r], worth(net_.bytes[r], us), true});
            if (calls.size() < 2 || writers_.count(root) > 1) continue;
            std::int64_t kept = 0;
            for (const std::int32_t read : range(net_.reads, calls[0])) {
                const bool is_there = !net_.droppable[std::size_t(read)] ||
                                      is_alive(read, trial_.start[std::size_t(before)]);
                if (!is_there) kept += net_.bytes[std::size_t(read)];
            }
            if (kept < net_.bytes[r]) {
                const std::int64_t freed = net_.bytes[r] - kept;
                found.push_back({root, use[0] + 1, last, before, freed,
                                 worth(freed, net_.us[std::size_t(calls[0])]), false});
            }
        }
    }
    return found;
}

// Add to a script what frees the most bytes per microsecond where more than `most` are alive.
bool Polish::fill(const Found& found, std::int64_t most, Script& script) {
    hold(found.script);
    index_uses();
    std::vector<Move> all = moves();
    Profile profile(trial_.live);
    script = found.script;
    std::vector<std::int32_t> calls;
    bool is_changed = false;
    std::sort(all.begin(), all.end(), [](const Move& a, const Move& b) {
        if (a.worth != b.worth) return a.worth > b.worth;
        return std::tie(a.root, a.before) < std::tie(b.root, b.before);
    });
    Covers covers(trial_.order.size());
    for (const Move& move : all) covers.add(move.first, move.last);
    // Moves of one root before one call follow each other in this order.
    std::vector<std::size_t> together(all.size());
    std::iota(together.begin(), together.end(), std::size_t(0));
    const auto what = [&](std::size_t i) { return std::pair(all[i].root, all[i].before); };
    const auto is_before = [&](std::size_t a, std::size_t b) { return what(a) < what(b); };
    std::sort(together.begin(), together.end(), is_before);
    // By the fullest step: its best move is the first that covers it.
    while (profile.most() > most) {
        const std::int32_t at = covers.first(profile.fullest());
        if (at < 0) break;
        const Move& move = all[std::size_t(at)];
        is_changed = true;
        profile.add(move.first, move.last, -move.bytes);
        closure(move.root, move.before, calls);
        if (!move.is_whole) calls.resize(1);
        for (const std::int32_t call : calls) script.push_back({move.before, call});
        const auto same =
            std::equal_range(together.begin(), together.end(), std::size_t(at), is_before);
        for (auto i = same.first; i != same.second; ++i) covers.take(*i);
    }
    const auto added = script.begin() + std::ptrdiff_t(found.script.size());
    std::sort(added, script.end());
    std::inplace_merge(script.begin(), added, script.end());
    script.erase(std::unique(script.begin(), script.end()), script.end());
    return is_changed;
}

Found Polish::smaller(Found found, std::int64_t most) {
    Script script;
    for (int round = 0; round < kRounds && found.peak > most; ++round) {
        if (!fill(found, most, script) || script.size() > kMost * net_.us.size()) break;
        Found next = aside(std::move(script));
        if (next.peak >= found.peak) break;
        hold_aside(next.script);
        found = std::move(next);
    }
    return found;
}

}  // namespace graphc::plan
