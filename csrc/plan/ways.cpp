// Room::kind: which ways to treat a block are tried.
#include <algorithm>
#include <cmath>
#include <utility>

#include "plan/room.h"

namespace graphc::plan {

namespace {

constexpr std::int64_t kEvery = 2'200;  // fates of a block that are all tried
constexpr std::size_t kMany = 26;       // roots from which on only few are
const double kWeights[] = {0.0, 0.3, 1.0, 4.0};

}  // namespace

Kind Room::kind() {
    Kind kind;
    writers_ = writers_of(local_);
    Bring bring(local_, writers_);
    Trial trial(local_);
    bring_ = &bring;
    trial_ = &trial;
    find(true, kind.saving);
    find(false, kind.replayed);
    std::vector<char> none(own_.size(), kStays);
    Option least;
    with_out_ = true;
    if (attempt(none, least)) {
        kind.passing = least.forward;
        kind.us_passing = least.us_forward;
    }
    kind.out = out_ >= 0 ? local_.bytes[std::size_t(out_)] : 0;
    return kind;
}

void Room::find(bool with_out, std::vector<Option>& options) {
    with_out_ = with_out;
    const std::size_t count = own_.size();
    std::vector<Option> all;
    Option option;
    std::vector<char> fates(count, with_out ? kKept : kStays);
    if (attempt(fates, option)) all.push_back(option);
    const char kinds = with_out ? 3 : 2;
    if (std::pow(double(kinds), double(count)) <= double(kEvery)) {
        every(0, char(3 - kinds), fates, all);
    } else if (count <= kMany) {
        for (const double weight : kWeights) descend(fates, weight, all);
    } else {
        few(fates, all);
    }
    options = best_options(std::move(all));
}

void Room::every(std::size_t at, char least, std::vector<char>& fates, std::vector<Option>& all) {
    if (at == fates.size()) {
        Option option;
        if (attempt(fates, option)) all.push_back(std::move(option));
        return;
    }
    for (char fate = least; fate <= kPasses; ++fate) {
        fates[at] = fate;
        every(at + 1, least, fates, all);
    }
}

// One fate after the other that frees the most bytes per microsecond.
void Room::descend(std::vector<char> fates, double weight, std::vector<Option>& all) {
    Option now;
    if (!attempt(fates, now)) return;
    const auto need = [&](const Option& o) {
        return double(o.saved) + weight * double(std::max(o.forward, o.backward));
    };
    for (;;) {
        double best = 0;
        Option chosen;
        for (std::size_t i = 0; i < fates.size(); ++i) {
            for (char fate = char(fates[i] + 1); fate <= kPasses; ++fate) {
                std::vector<char> changed = fates;
                changed[i] = fate;
                Option option;
                if (!attempt(changed, option)) continue;
                const double gain = need(now) - need(option);
                const double worth = gain / (std::max(0.0, option.us - now.us) + 1e-3);
                if (gain > 0 && worth > best) {
                    best = worth;
                    chosen = option;
                }
                all.push_back(std::move(option));
            }
        }
        if (best <= 0) return;
        now = chosen;
        fates = now.fates;
    }
}

// What is cheapest to make for its size is dropped first.
void Room::few(std::vector<char> fates, std::vector<Option>& all) {
    std::vector<std::size_t> ranks(fates.size());
    std::vector<double> worth(fates.size());
    for (std::size_t i = 0; i < ranks.size(); ++i) {
        ranks[i] = i;
        for (const std::int32_t w : range(writers_, own_[i])) {
            worth[i] += local_.us[std::size_t(w)];
        }
        worth[i] /= double(local_.bytes[std::size_t(own_[i])]) + 1;
    }
    std::sort(ranks.begin(), ranks.end(),
              [&](std::size_t a, std::size_t b) { return worth[a] < worth[b]; });
    for (const char fate : {kStays, kPasses}) {
        std::vector<char> changed = fates;
        for (const std::size_t i : ranks) {
            changed[i] = fate;
            Option option;
            if (attempt(changed, option)) all.push_back(std::move(option));
        }
    }
}

}  // namespace graphc::plan
