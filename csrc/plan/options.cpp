#include "plan/options.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace graphc::plan {

namespace {

constexpr std::size_t kOptions = 28;  // that are remembered of a block

}  // namespace

std::vector<Option> best_options(std::vector<Option> all) {
    const auto top = [](const Option& o) { return std::max(o.forward, o.backward); };
    std::sort(all.begin(), all.end(), [&](const Option& a, const Option& b) {
        if (a.us != b.us) return a.us < b.us;
        if (a.saved != b.saved) return a.saved < b.saved;
        return top(a) < top(b);
    });
    std::vector<Option> kept;
    for (Option& option : all) {
        const bool is_beaten = std::any_of(kept.begin(), kept.end(), [&](const Option& other) {
            return other.saved <= option.saved && other.forward <= option.forward &&
                   other.backward <= option.backward &&
                   other.us + other.us_forward <= option.us + option.us_forward;
        });
        if (!is_beaten) kept.push_back(std::move(option));
    }
    if (kept.size() <= kOptions) return kept;
    // The ends, and what lies evenly between.
    std::vector<Option> some;
    for (std::size_t i = 0; i < kOptions; ++i) {
        some.push_back(kept[i * (kept.size() - 1) / (kOptions - 1)]);
    }
    const auto least =
        std::min_element(kept.begin(), kept.end(),
                         [&](const Option& a, const Option& b) { return top(a) < top(b); });
    some.push_back(*least);
    return some;
}

}  // namespace graphc::plan
