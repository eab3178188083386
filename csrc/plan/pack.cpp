#include "plan/pack.h"

#include <algorithm>
#include <limits>

#include "error.h"
#include "plan/occupancy.h"

namespace graphc::plan {

namespace {

constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();
// What a round costs beside comparisons, in comparisons.
constexpr std::int64_t kPerRound = 4000;
constexpr std::int64_t kTooLarge = std::int64_t(1) << 62;

std::int64_t aligned(std::int64_t offset, std::int64_t align) {
    return (offset + align - 1) / align * align;
}

// Finds an item's place among ranges that are shown to it, lowest first.
class Gaps {
  public:
    Gaps(const Item& item, bool hangs, std::int64_t ceiling)
        : item_(item), ceiling_(hangs ? ceiling : -1) {}

    void see(std::int64_t begin, std::int64_t end) {
        const std::int64_t gap = begin - top_;
        if (gap >= item_.size && gap < smallest_) {
            const std::int64_t offset = aligned(top_, item_.align);
            if (offset + item_.size <= begin) {
                smallest_ = gap;
                best_ = offset;
            }
        }
        if (ceiling_ >= 0) hang(std::min(begin, ceiling_));
        top_ = std::max(top_, end);
    }

    // The highest offset below the ceiling, if it hangs and there is one; else the lowest offset in
    // the smallest gap that takes it; 0 for no bytes. Throws Error (GC-M002).
    std::int64_t offset() {
        if (item_.size == 0) return 0;
        if (ceiling_ >= 0) hang(ceiling_);
        const std::int64_t low = best_ >= 0 ? best_ : aligned(top_, item_.align);
        const std::int64_t found = highest_ >= 0 ? highest_ : low;
        if (found >= kTooLarge - item_.size) {
            throw Error("GC-M002", "the plan needs an arena of over 2^62 bytes");
        }
        return found;
    }

  private:
    void hang(std::int64_t end) {
        const std::int64_t offset = (end - item_.size) / item_.align * item_.align;
        if (end >= item_.size && offset >= top_) highest_ = offset;
    }

    const Item& item_;
    std::int64_t ceiling_;
    std::int64_t top_ = 0, best_ = -1, highest_ = -1, smallest_ = kNoLimit;
};

// The state of one improve(): of the items that may be moved, and what they lie beside.
class Search {
  public:
    Search(const std::vector<Item>& items, std::int64_t ceiling, const Packing& base,
           const Recipe& recipe, std::size_t first, std::size_t past)
        : ceiling_(ceiling) {
        for (std::size_t at = first; at < past; ++at) {
            const auto index = std::size_t(recipe.order[at]);
            items_.push_back(items[index]);
            first_end_ = std::min(first_end_, items[index].last);
            last_start_ = std::max(last_start_, items[index].first);
            best_.order.push_back(std::int32_t(at - first));
            best_.hangs.push_back(recipe.hangs[index]);
        }
        base_.offsets.resize(items_.size());
        base_.bytes = base.bytes;
        for (std::size_t at = 0; at < first; ++at) {
            const auto index = std::size_t(recipe.order[at]);
            add_beside(items[index], base.offsets[index]);
        }
        join_beside();
        state_ = placed(best_, kNoLimit);
    }

    // The order of the items, by their numbers of before, and which of these hang.
    Recipe run(std::int64_t work) {
        const auto count = std::int64_t(items_.size());
        const auto per_round = kPerRound + (std::int64_t(base_.placed.size()) + count) * count;
        for (; work > 0 && state_.bytes > ceiling_; work -= per_round) {
            Recipe changed = best_;
            if (!mutate(changed)) continue;
            State next = placed(changed, state_.bytes);
            if (next.bytes <= state_.bytes) {
                state_ = std::move(next);
                best_ = std::move(changed);
            }
        }
        return std::move(best_);
    }

  private:
    struct Placed {
        std::int64_t offset, end, first, last;
    };
    struct State {
        std::vector<Placed> placed;  // sorted by offset
        std::vector<std::int64_t> offsets;
        std::int64_t bytes = 0;
    };

    // What is alive with all of the items needs no times.
    void add_beside(const Item& item, std::int64_t offset) {
        const bool is_through = item.first <= first_end_ && item.last >= last_start_;
        const Placed made{offset, offset + item.size, is_through ? -kNoLimit : item.first,
                          is_through ? kNoLimit : item.last};
        if (item.size > 0) base_.placed.push_back(made);
    }

    void join_beside() {
        auto& all = base_.placed;
        std::sort(all.begin(), all.end(),
                  [](const Placed& a, const Placed& b) { return a.offset < b.offset; });
        std::vector<Placed> joined;
        for (const Placed& each : all) {
            const bool touches = !joined.empty() && joined.back().first == -kNoLimit &&
                                 each.first == -kNoLimit && each.offset <= joined.back().end;
            if (touches) {
                joined.back().end = std::max(joined.back().end, each.end);
            } else {
                joined.push_back(each);
            }
        }
        all = std::move(joined);
    }

    // The items beside the others, until more than `limit` bytes are needed.
    State placed(const Recipe& recipe, std::int64_t limit) const {
        State state = base_;
        for (const std::int32_t number : recipe.order) {
            if (state.bytes > limit) break;
            const auto index = std::size_t(number);
            const Item& item = items_[index];
            Gaps gaps(item, recipe.hangs[index], ceiling_);
            for (const Placed& other : state.placed) {
                if (other.first > item.last || other.last < item.first) continue;
                gaps.see(other.offset, other.end);
            }
            const std::int64_t offset = gaps.offset();
            state.offsets[index] = offset;
            if (item.size == 0) continue;
            const auto after = std::upper_bound(
                state.placed.begin(), state.placed.end(), offset,
                [](std::int64_t value, const Placed& b) { return value < b.offset; });
            state.placed.insert(after, {offset, offset + item.size, item.first, item.last});
            state.bytes = std::max(state.bytes, offset + item.size);
        }
        return state;
    }

    bool mutate(Recipe& recipe) {
        collect_culprits();
        if (culprits_.empty()) return false;
        const std::size_t at = culprits_[below(culprits_.size())];
        collect_company(at);
        const std::size_t choice = below(10);
        if (choice < 4) return hoist(recipe, at, below(at + 1));
        if (choice < 6) return hoist_before_company(recipe, at);
        if (choice < 7) return flip(recipe, at);
        if (company_.empty()) return false;
        const std::size_t other = company_[below(company_.size())];
        if (choice < 8) return flip(recipe, other);
        return hoist(recipe, other, below(other + 1));
    }

    // Positions of the items that reach over the ceiling.
    void collect_culprits() {
        culprits_.clear();
        for (std::size_t at = 0; at < best_.order.size(); ++at) {
            const auto index = std::size_t(best_.order[at]);
            if (state_.offsets[index] + items_[index].size > ceiling_) culprits_.push_back(at);
        }
    }

    // Positions of the items that are alive with the one at a position.
    void collect_company(std::size_t at) {
        company_.clear();
        const Item& item = items_[std::size_t(best_.order[at])];
        for (std::size_t i = 0; i < best_.order.size(); ++i) {
            const Item& other = items_[std::size_t(best_.order[i])];
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

    std::int64_t ceiling_;
    std::vector<Item> items_;
    std::int64_t first_end_ = kNoLimit, last_start_ = -kNoLimit;
    Recipe best_;
    State base_, state_;  // without and with the items
    std::vector<std::size_t> culprits_, company_;
    std::uint64_t dice_ = 0x9E3779B97F4A7C15ULL;
};

}  // namespace

Packing Packer::place(const Recipe& recipe, std::size_t past, std::int64_t limit) const {
    Packing packing;
    packing.offsets.resize(items_.size());
    Occupancy taken(items_);
    for (std::size_t at = 0; at < past && packing.bytes < limit; ++at) {
        const auto index = std::size_t(recipe.order[at]);
        const Item& item = items_[index];
        Gaps gaps(item, recipe.hangs[index], ceiling_);
        for (const Range& range : taken.beside(item)) gaps.see(range.begin, range.end);
        const std::int64_t offset = gaps.offset();
        taken.add(item, offset);
        packing.offsets[index] = offset;
        packing.bytes = std::max(packing.bytes, offset + item.size);
    }
    return packing;
}

Recipe Packer::improve(Recipe recipe, std::size_t first, std::size_t past,
                       std::int64_t work) const {
    Search search(items_, ceiling_, place(recipe, first), recipe, first, past);
    const Recipe found = search.run(work);
    const auto begin = recipe.order.begin();
    const std::vector<std::int32_t> before(begin + std::ptrdiff_t(first),
                                           begin + std::ptrdiff_t(past));
    for (std::size_t at = 0; at < before.size(); ++at) {
        recipe.order[first + at] = before[std::size_t(found.order[at])];
        recipe.hangs[std::size_t(before[at])] = found.hangs[at];
    }
    return recipe;
}

}  // namespace graphc::plan
