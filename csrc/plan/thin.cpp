// Polish::faster: which replays of a script there is room to do without.
#include <algorithm>
#include <cstddef>
#include <utility>

#include "plan/polish.h"
#include "plan/profile.h"

namespace graphc::plan {

namespace {

constexpr int kRounds = 8;
constexpr int kAttempts = 3;
constexpr std::int64_t kSlight = 10000;

}  // namespace

// Leave out replays that save the most for the bytes that are then kept, or for bytes times steps.
Found Polish::thinned(const Found& found, std::int64_t most, bool by_length) {
    hold(found.script);
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
    const auto take = [&](std::int64_t limit) {
        Profile left(trial_.live);
        for (const Cut& cut : cuts) {
            if (is_gone[std::size_t(cut.step)]) continue;
            bool fits = true;
            bridge(cut.step, [&](std::int64_t bytes, std::int32_t first, std::int32_t last) {
                fits = fits && (first > last || left.most(first, last) + bytes <= limit);
            });
            if (!fits) continue;
            bridge(cut.step, [&](std::int64_t bytes, std::int32_t first, std::int32_t last) {
                left.add(first, last, bytes);
            });
            remove(cut.step);
            taken.push_back(gone);
        }
    };
    const auto tried = [&] {
        std::vector<char> is_out(found.script.size(), 0);
        for (const auto& each : taken) {
            for (const std::int32_t step : each) is_out[std::size_t(number[std::size_t(step)])] = 1;
        }
        Script script;
        for (std::size_t i = 0; i < is_out.size(); ++i) {
            if (!is_out[i]) script.push_back(found.script[i]);
        }
        return aside(std::move(script));
    };
    // What stays is estimated: as much as it was too little is left free the next time.
    std::int64_t limit = most;
    for (int attempt = 0; attempt < kAttempts; ++attempt) {
        take(limit);
        if (taken.empty()) return found;
        Found next = tried();
        if (next.peak <= most && next.us < found.us) {
            hold_aside(next.script);
            return next;
        }
        const std::int64_t excess = next.peak - most;
        if (excess <= 0 || excess > most / kSlight || attempt + 1 == kAttempts) break;
        limit -= excess;
        for (; !taken.empty(); taken.pop_back()) {
            gone = taken.back();
            restore();
        }
    }
    for (taken.resize(taken.size() / 2); !taken.empty(); taken.resize(taken.size() / 2)) {
        Found next = tried();
        if (next.peak <= most && next.us < found.us) {
            hold_aside(next.script);
            return next;
        }
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

}  // namespace graphc::plan
