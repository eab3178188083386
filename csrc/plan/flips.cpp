// Polish::local: single replays and pairs of them, put in and left out.
#include <algorithm>
#include <iterator>
#include <utility>

#include "plan/polish.h"

namespace graphc::plan {

namespace {

constexpr std::int64_t kSmall = 3'000;  // calls times calls of the forward
constexpr std::size_t kSingles = 170;   // replays that are known at most

}  // namespace

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
