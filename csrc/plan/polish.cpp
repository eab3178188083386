#include "plan/polish.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <tuple>
#include <utility>

namespace graphc::plan {

namespace {

constexpr int kRounds = 8;
constexpr std::size_t kMost = 8;        // replays for each call from which on a script is too long
constexpr std::size_t kDeep = 400;      // replays that one move may take
constexpr std::int64_t kSmall = 3'000;  // calls times calls of the forward, for local()
constexpr std::size_t kSingles = 170;   // replays that local() knows at most
constexpr std::int64_t kNone = -(std::int64_t(1) << 62);

}  // namespace

Profile::Profile(const std::vector<std::int64_t>& live) : size_(std::int32_t(live.size())) {
    std::size_t leaves = 1;
    while (leaves < live.size()) leaves *= 2;
    most_.assign(2 * leaves, kNone);
    more_.assign(2 * leaves, 0);
    std::copy(live.begin(), live.end(), most_.begin() + std::ptrdiff_t(leaves));
    for (std::size_t node = leaves - 1; node > 0; --node) {
        most_[node] = std::max(most_[2 * node], most_[2 * node + 1]);
    }
    size_ = std::int32_t(leaves);
}

std::int64_t Profile::most(std::int32_t first, std::int32_t last) const {
    return first > last ? kNone : most(1, 0, size_ - 1, first, last);
}

std::int64_t Profile::most(std::size_t node, std::int32_t low, std::int32_t high,
                           std::int32_t first, std::int32_t last) const {
    if (first <= low && high <= last) return most_[node];
    const std::int32_t middle = (low + high) / 2;
    std::int64_t found = kNone;
    if (first <= middle) found = most(2 * node, low, middle, first, last);
    if (last > middle) found = std::max(found, most(2 * node + 1, middle + 1, high, first, last));
    return found + more_[node];
}

void Profile::add(std::int32_t first, std::int32_t last, std::int64_t bytes) {
    if (first <= last) add(1, 0, size_ - 1, first, last, bytes);
}

void Profile::add(std::size_t node, std::int32_t low, std::int32_t high, std::int32_t first,
                  std::int32_t last, std::int64_t bytes) {
    if (first <= low && high <= last) {
        most_[node] += bytes;
        more_[node] += bytes;
        return;
    }
    const std::int32_t middle = (low + high) / 2;
    if (first <= middle) add(2 * node, low, middle, first, last, bytes);
    if (last > middle) add(2 * node + 1, middle + 1, high, first, last, bytes);
    most_[node] = std::max(most_[2 * node], most_[2 * node + 1]) + more_[node];
}

std::int32_t Profile::fullest() const {
    std::size_t node = 1;
    const auto leaves = std::size_t(size_);
    while (node < leaves) {
        node = most_[2 * node] >= most_[2 * node + 1] ? 2 * node : 2 * node + 1;
    }
    return std::int32_t(node - leaves);
}

Polish::Polish(const Net& net, const Lists& writers, std::vector<char> large)
    : net_(net), writers_(writers), large_(std::move(large)), trial_(net), aside_(net) {}

Found Polish::tried(Script script) {
    trial_.run(script);
    effort += std::int64_t(trial_.order.size());
    return {std::move(script), trial_.peak, trial_.us};
}

// The same, without changing the trial at hand.
Found Polish::aside(Script script) {
    aside_.run(script);
    effort += std::int64_t(aside_.order.size());
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
    std::vector<std::int32_t> seen{root};
    calls.clear();
    double us = 0;
    while (!asked.empty()) {
        const std::int32_t r = asked.back();
        asked.pop_back();
        for (const std::int32_t writer : range(writers_, r)) {
            if (std::find(calls.begin(), calls.end(), writer) != calls.end()) continue;
            if (net_.deadline[std::size_t(writer)] < before || writer >= before) return -1;
            if (calls.size() > kDeep) return -1;
            calls.push_back(writer);
            us += net_.us[std::size_t(writer)];
            for (const std::int32_t read : range(net_.reads, writer)) {
                if (!net_.droppable[std::size_t(read)] || is_alive(read, step)) continue;
                if (std::find(seen.begin(), seen.end(), read) != seen.end()) continue;
                seen.push_back(read);
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
    double us;
    bool is_whole;  // with what its operands take; else these are kept until then
};

std::vector<Polish::Move> Polish::moves() {
    std::vector<Move> found;
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
            found.push_back({root, use[0] + 1, last, before, net_.bytes[r], us, true});
            if (calls.size() < 2 || writers_.count(root) > 1) continue;
            std::int64_t kept = 0;
            for (const std::int32_t read : range(net_.reads, calls[0])) {
                const bool is_there = !net_.droppable[std::size_t(read)] ||
                                      is_alive(read, trial_.start[std::size_t(before)]);
                if (!is_there) kept += net_.bytes[std::size_t(read)];
            }
            if (kept < net_.bytes[r]) {
                found.push_back({root, use[0] + 1, last, before, net_.bytes[r] - kept,
                                 net_.us[std::size_t(calls[0])], false});
            }
        }
    }
    return found;
}

// Add to a script what frees the most bytes per microsecond where more than `most` are alive.
bool Polish::fill(const Found& found, std::int64_t most, Script& script) {
    trial_.run(found.script);
    effort += std::int64_t(trial_.order.size());
    index_uses();
    std::vector<Move> all = moves();
    Profile profile(trial_.live);
    script = found.script;
    std::vector<std::int32_t> calls;
    bool is_changed = false;
    const auto worth = [](const Move& m) { return double(m.bytes) / (m.us + 1e-3); };
    std::sort(all.begin(), all.end(), [&](const Move& a, const Move& b) {
        const double x = worth(a), y = worth(b);
        return x != y ? x > y : std::tie(a.root, a.before) < std::tie(b.root, b.before);
    });
    // By the fullest step: its best move is the first that covers it.
    std::vector<char> is_taken(all.size(), 0);
    while (profile.most() > most) {
        const std::int32_t step = profile.fullest();
        std::size_t at = 0;
        while (at < all.size() && (is_taken[at] || all[at].first > step || all[at].last < step)) {
            ++at;
        }
        if (at == all.size()) break;
        const Move& move = all[at];
        is_changed = true;
        profile.add(move.first, move.last, -move.bytes);
        closure(move.root, move.before, calls);
        if (!move.is_whole) calls.resize(1);
        for (const std::int32_t call : calls) script.push_back({move.before, call});
        is_taken[at] = 1;
        for (std::size_t i = 0; i < all.size(); ++i) {
            const bool is_same = all[i].root == move.root && all[i].before == move.before;
            if (is_same) is_taken[i] = 1;
        }
    }
    std::sort(script.begin(), script.end());
    script.erase(std::unique(script.begin(), script.end()), script.end());
    return is_changed;
}

Found Polish::smaller(Found found, std::int64_t most) {
    Script script;
    for (int round = 0; round < kRounds && found.peak > most; ++round) {
        if (!fill(found, most, script) || script.size() > kMost * net_.us.size()) break;
        Found next = tried(script);
        if (next.peak >= found.peak) break;
        found = std::move(next);
    }
    return found;
}

// Leave out replays that save the most for the bytes that are then kept, or for bytes times steps.
Found Polish::thinned(const Found& found, std::int64_t most, bool by_length) {
    trial_.run(found.script);
    effort += std::int64_t(trial_.order.size());
    index_uses();
    Profile profile(trial_.live);
    const std::size_t steps = trial_.order.size();
    std::vector<std::int32_t> readers(trial_.root.size(), 0);
    std::vector<std::int32_t> maker(trial_.root.size(), -1);  // the first replay that writes it
    std::vector<std::int32_t> number(steps, -1);              // of a step's replay in the script
    // Replays that fill a root together are left out together: by the first one's step.
    std::vector<std::int32_t> leader(steps, -1);
    std::vector<std::vector<std::int32_t>> units(steps);
    std::int32_t count = 0, call = 0;
    for (std::size_t step = 0; step < steps; ++step) {
        const bool is_replay = std::int32_t(step) != trial_.step_of[std::size_t(call)];
        if (!is_replay) ++call;
        const std::int32_t runs = trial_.order[step];
        const std::int32_t reads = net_.reads.count(runs);
        for (std::int32_t o = trial_.begin[step]; o < trial_.begin[step + 1]; ++o) {
            const auto i = std::size_t(trial_.operands[std::size_t(o)]);
            if (o - trial_.begin[step] < reads) {
                ++readers[i];
            } else if (is_replay) {
                if (maker[i] < 0) maker[i] = std::int32_t(step);
                leader[step] = leader[std::size_t(maker[i])];
                if (leader[step] < 0) leader[step] = maker[i];
            }
        }
        if (!is_replay) continue;
        number[step] = count++;
        units[std::size_t(leader[step])].push_back(std::int32_t(step));
    }
    // An in-place writer reads what its unit makes; that keeps nothing alive.
    for (const auto& unit : units) {
        for (const std::int32_t step : unit) {
            const std::int32_t runs = trial_.order[std::size_t(step)];
            for (std::int32_t o = 0; o < net_.reads.count(runs); ++o) {
                const auto i =
                    std::size_t(trial_.operands[std::size_t(trial_.begin[std::size_t(step)] + o)]);
                if (maker[i] >= 0 && leader[std::size_t(maker[i])] == leader[std::size_t(step)]) {
                    --readers[i];
                }
            }
        }
    }
    struct Cut {
        double worth;
        std::int32_t step;
    };
    std::vector<char> is_gone(steps, 0);
    std::vector<std::int32_t> gone;
    const auto counts = [&](std::int32_t instance, std::int32_t step) {
        const std::int32_t made = maker[std::size_t(instance)];
        return made < 0 || leader[std::size_t(made)] != leader[std::size_t(step)];
    };
    // Takes a unit out, and those that only it needed; `gone`: their steps.
    const auto remove = [&](std::int32_t first) {
        double us = 0;
        gone = units[std::size_t(first)];
        for (const std::int32_t step : gone) is_gone[std::size_t(step)] = 1;
        for (std::size_t at = 0; at < gone.size(); ++at) {
            const auto step = std::size_t(gone[at]);
            const std::int32_t runs = trial_.order[step];
            us += net_.us[std::size_t(runs)];
            for (std::int32_t o = 0; o < net_.reads.count(runs); ++o) {
                const std::int32_t instance = trial_.operands[std::size_t(trial_.begin[step] + o)];
                const auto i = std::size_t(instance);
                if (!counts(instance, std::int32_t(step))) continue;
                if (--readers[i] > 0 || maker[i] < 0) continue;
                const auto& unit = units[std::size_t(leader[std::size_t(maker[i])])];
                if (unit.empty() || is_gone[std::size_t(unit[0])]) continue;
                bool is_free = true;
                for (const std::int32_t made : unit) {
                    const std::int32_t makes = trial_.order[std::size_t(made)];
                    for (std::int32_t w = trial_.begin[std::size_t(made)] + net_.reads.count(makes);
                         w < trial_.begin[std::size_t(made) + 1]; ++w) {
                        is_free &= readers[std::size_t(trial_.operands[std::size_t(w)])] == 0;
                    }
                }
                if (!is_free) continue;
                for (const std::int32_t made : unit) {
                    is_gone[std::size_t(made)] = 1;
                    gone.push_back(made);
                }
            }
        }
        return us;
    };
    const auto restore = [&] {
        for (const std::int32_t step : gone) {
            is_gone[std::size_t(step)] = 0;
            const std::int32_t runs = trial_.order[std::size_t(step)];
            for (std::int32_t o = 0; o < net_.reads.count(runs); ++o) {
                const std::int32_t instance =
                    trial_.operands[std::size_t(trial_.begin[std::size_t(step)] + o)];
                if (counts(instance, step)) ++readers[std::size_t(instance)];
            }
        }
    };
    // Bytes that stay if a replay is left out, as far as they were not there anyway.
    const auto bridge = [&](std::int32_t step, const auto& visit) {
        const std::int32_t runs = trial_.order[std::size_t(step)];
        for (std::int32_t w = trial_.begin[std::size_t(step)] + net_.reads.count(runs);
             w < trial_.begin[std::size_t(step) + 1]; ++w) {
            const auto i = std::size_t(trial_.operands[std::size_t(w)]);
            if (trial_.before[i] < 0 || readers[i] == 0) continue;
            const auto old = std::size_t(trial_.before[i]);
            visit(net_.bytes[std::size_t(trial_.root[i])], trial_.last[old] + 1,
                  trial_.first[i] - 1);
        }
    };
    std::vector<Cut> cuts;
    for (std::size_t step = 0; step < steps; ++step) {
        if (units[step].empty()) continue;
        double weight = 1;
        bool fits = true;
        bridge(std::int32_t(step), [&](std::int64_t bytes, std::int32_t first, std::int32_t last) {
            weight += double(bytes) * (by_length ? double(std::max(1, last - first + 1)) : 1.0);
            fits = fits && (first > last || profile.most(first, last) + bytes <= most);
        });
        if (!fits) continue;
        const double us = remove(std::int32_t(step));
        restore();
        cuts.push_back({us / weight, std::int32_t(step)});
    }
    std::sort(cuts.begin(), cuts.end(), [](const Cut& a, const Cut& b) {
        return a.worth != b.worth ? a.worth > b.worth : a.step < b.step;
    });
    std::vector<std::vector<std::int32_t>> taken;
    for (const Cut& cut : cuts) {
        if (is_gone[std::size_t(cut.step)]) continue;
        bool fits = true;
        bridge(cut.step, [&](std::int64_t bytes, std::int32_t first, std::int32_t last) {
            fits = fits && (first > last || profile.most(first, last) + bytes <= most);
        });
        if (!fits) continue;
        bridge(cut.step, [&](std::int64_t bytes, std::int32_t first, std::int32_t last) {
            profile.add(first, last, bytes);
        });
        remove(cut.step);
        taken.push_back(gone);
    }
    while (!taken.empty()) {
        std::vector<char> is_out(found.script.size(), 0);
        for (const auto& each : taken) {
            for (const std::int32_t step : each) is_out[std::size_t(number[std::size_t(step)])] = 1;
        }
        Script script;
        for (std::size_t i = 0; i < is_out.size(); ++i) {
            if (!is_out[i]) script.push_back(found.script[i]);
        }
        Found next = aside(std::move(script));
        if (next.peak <= most && next.us < found.us) return next;
        taken.resize(taken.size() / 2);
    }
    return found;
}

Found Polish::faster(Found found, std::int64_t most) {
    // By turns, until neither way helps.
    int misses = 0;
    for (int round = 0; round < kRounds && misses < 2; ++round) {
        Found next = thinned(found, most, round % 2 != 0);
        misses = next.us < found.us ? 0 : misses + 1;
        if (misses == 0) found = std::move(next);
    }
    return found;
}

Found Polish::local(Found found, std::int64_t most) {
    if (std::int64_t(net_.calls()) * net_.later > kSmall) return found;
    std::vector<Script> every;
    for (std::int32_t before = net_.later; before < net_.calls(); ++before) {
        for (std::int32_t root = 0; root < net_.roots(); ++root) {
            if (!net_.droppable[std::size_t(root)] || every.size() > kSingles) continue;
            Script unit;
            bool is_in_time = true;
            for (const std::int32_t call : range(writers_, root)) {
                unit.push_back({before, call});
                is_in_time &= net_.deadline[std::size_t(call)] >= before && call < before;
            }
            const bool is_new =
                std::none_of(every.begin(), every.end(), [&](auto& u) { return u == unit; });
            if (is_in_time && is_new) every.push_back(std::move(unit));
        }
    }
    if (every.size() > kSingles) return found;
    const auto key = [&](const Found& f) { return std::make_pair(std::max(f.peak, most), f.us); };
    const auto flipped = [](const Script& script, const Script& unit) {
        Script changed;
        if (std::includes(script.begin(), script.end(), unit.begin(), unit.end())) {
            std::set_difference(script.begin(), script.end(), unit.begin(), unit.end(),
                                std::back_inserter(changed));
        } else {
            std::set_union(script.begin(), script.end(), unit.begin(), unit.end(),
                           std::back_inserter(changed));
        }
        return changed;
    };
    for (bool is_better = true; is_better;) {
        is_better = false;
        Found best = found;
        const auto consider = [&](Script script) {
            Found next = tried(std::move(script));
            if (key(next) < key(best)) best = std::move(next);
        };
        for (const Script& unit : every) consider(flipped(found.script, unit));
        if (!(key(best) < key(found))) {
            for (std::size_t a = 0; a < every.size(); ++a) {
                const Script once = flipped(found.script, every[a]);
                for (std::size_t b = 0; b < a; ++b) consider(flipped(once, every[b]));
            }
        }
        if (key(best) < key(found)) {
            found = std::move(best);
            is_better = true;
        }
    }
    return found;
}

}  // namespace graphc::plan
