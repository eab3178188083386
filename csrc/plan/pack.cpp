#include "plan/pack.h"

#include <algorithm>
#include <limits>

#include "error.h"

namespace graphc::plan {

namespace {

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();
// What a round costs beside comparisons, in comparisons.
constexpr std::int64_t kPerRound = 4000;
constexpr std::int64_t kTooLarge = std::int64_t(1) << 62;

std::int64_t aligned(std::int64_t offset, std::int64_t align) {
    return (offset + align - 1) / align * align;
}

}  // namespace

// The lowest offset in the smallest gap that takes the item.
std::int64_t Packer::best_gap(const std::vector<Placed>& placed, const Item& item) const {
    std::int64_t top = 0, best = -1, smallest = kNoLimit;
    for (const Placed& other : placed) {
        if (other.first > item.last || other.last < item.first) continue;
        const std::int64_t gap = other.offset - top;
        if (gap >= item.size && gap < smallest) {
            const std::int64_t offset = aligned(top, item.align);
            if (offset + item.size <= other.offset) {
                smallest = gap;
                best = offset;
            }
        }
        top = std::max(top, other.end);
    }
    return best >= 0 ? best : aligned(top, item.align);
}

// The highest offset below the ceiling where nothing is alive with the item; -1 if there is none.
std::int64_t Packer::highest_gap(const std::vector<Placed>& placed, const Item& item) const {
    std::int64_t top = 0, best = -1;
    const auto try_below = [&](std::int64_t end) {
        const std::int64_t offset = (end - item.size) / item.align * item.align;
        if (end >= item.size && offset >= top) best = offset;
    };
    for (const Placed& other : placed) {
        if (other.first > item.last || other.last < item.first) continue;
        try_below(std::min(other.offset, ceiling_));
        top = std::max(top, other.end);
    }
    try_below(ceiling_);
    return best;
}

void Packer::extend(State& state, const Recipe& recipe, std::size_t from, std::size_t to,
                    std::int64_t limit) const {
    for (std::size_t at = from; at < to && state.packing.bytes <= limit; ++at) {
        const auto index = std::size_t(recipe.order[at]);
        const Item& item = items_[index];
        std::int64_t offset = recipe.hangs[index] ? highest_gap(state.placed, item) : -1;
        if (offset < 0) offset = best_gap(state.placed, item);
        if (offset >= kTooLarge - item.size) {
            throw Error("GC-M002", "the plan needs an arena of over 2^62 bytes");
        }
        const auto after =
            std::upper_bound(state.placed.begin(), state.placed.end(), offset,
                             [](std::int64_t value, const Placed& b) { return value < b.offset; });
        state.placed.insert(after, {offset, offset + item.size, item.first, item.last});
        state.packing.offsets[index] = offset;
        state.packing.bytes = std::max(state.packing.bytes, offset + item.size);
    }
}

Packing Packer::place(const Recipe& recipe, std::size_t past) const {
    State state;
    state.packing.offsets.resize(items_.size());
    state.placed.reserve(items_.size());
    extend(state, recipe, 0, past, kNoLimit);
    return std::move(state.packing);
}

// The state of one improve().
class Packer::Search {
  public:
    Search(const Packer& packer, Recipe recipe, std::size_t first, std::size_t past)
        : packer_(packer), best_(std::move(recipe)), first_(first), past_(past) {
        base_.packing.offsets.resize(packer.items_.size());
        packer_.extend(base_, best_, 0, first_, kNoLimit);
        state_ = base_;
        packer_.extend(state_, best_, first_, past_, kNoLimit);
    }

    Recipe run(std::int64_t work) {
        const auto per_round = kPerRound + std::int64_t(past_ * (past_ - first_));
        for (; work > 0 && state_.packing.bytes > packer_.ceiling_; work -= per_round) {
            Recipe changed = best_;
            if (!mutate(changed)) continue;
            State next = base_;
            packer_.extend(next, changed, first_, past_, state_.packing.bytes);
            if (next.packing.bytes <= state_.packing.bytes) {
                state_ = std::move(next);
                best_ = std::move(changed);
            }
        }
        return std::move(best_);
    }

  private:
    bool mutate(Recipe& recipe) {
        collect_culprits();
        if (culprits_.empty()) return false;
        const std::size_t at = culprits_[below(culprits_.size())];
        collect_company(at);
        const std::size_t choice = below(10);
        if (choice < 4) return hoist(recipe, at, first_ + below(at - first_ + 1));
        if (choice < 6) return hoist_before_company(recipe, at);
        if (choice < 7) return flip(recipe, at);
        if (company_.empty()) return false;
        const std::size_t other = company_[below(company_.size())];
        if (choice < 8) return flip(recipe, other);
        return hoist(recipe, other, first_ + below(other - first_ + 1));
    }

    // Positions of the items that reach over the ceiling.
    void collect_culprits() {
        culprits_.clear();
        for (std::size_t at = first_; at < past_; ++at) {
            const auto index = std::size_t(best_.order[at]);
            const std::int64_t end = state_.packing.offsets[index] + packer_.items_[index].size;
            if (end > packer_.ceiling_) culprits_.push_back(at);
        }
    }

    // Positions of the items that are alive with the one at a position.
    void collect_company(std::size_t at) {
        company_.clear();
        const Item& item = packer_.items_[std::size_t(best_.order[at])];
        for (std::size_t i = first_; i < past_; ++i) {
            const Item& other = packer_.items_[std::size_t(best_.order[i])];
            if (i != at && other.first <= item.last && other.last >= item.first) {
                company_.push_back(i);
            }
        }
    }

    static bool hoist(Recipe& recipe, std::size_t from, std::size_t to) {
        const auto begin = recipe.order.begin();
        std::rotate(begin + std::ptrdiff_t(to), begin + std::ptrdiff_t(from),
                    begin + std::ptrdiff_t(from) + 1);
        return from != to;
    }

    // Close before is likelier than far before.
    bool hoist_before_company(Recipe& recipe, std::size_t at) {
        const auto earlier =
            std::size_t(std::lower_bound(company_.begin(), company_.end(), at) - company_.begin());
        if (earlier == 0) return false;
        return hoist(recipe, at, company_[earlier - 1 - below(1 + below(earlier))]);
    }

    static bool flip(Recipe& recipe, std::size_t at) {
        char& hangs = recipe.hangs[std::size_t(recipe.order[at])];
        hangs = char(!hangs);
        return true;
    }

    // xorshift64*: chance that is the same on every machine.
    std::size_t below(std::size_t n) {
        dice_ ^= dice_ >> 12;
        dice_ ^= dice_ << 25;
        dice_ ^= dice_ >> 27;
        return std::size_t((dice_ * 0x2545F4914F6CDD1DULL >> 33) % n);
    }

    const Packer& packer_;
    Recipe best_;
    std::size_t first_, past_;
    State base_, state_;  // without and with the positions that may change
    std::vector<std::size_t> culprits_, company_;
    std::uint64_t dice_ = 0x9E3779B97F4A7C15ULL;
};

Recipe Packer::improve(Recipe recipe, std::size_t first, std::size_t past,
                       std::int64_t work) const {
    return Search(*this, std::move(recipe), first, past).run(work);
}

}  // namespace graphc::plan
