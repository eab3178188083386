#include "plan/pack.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "error.h"

namespace graphc::plan {

namespace {

constexpr std::int64_t kTooLarge = std::int64_t(1) << 62;

// A placed item; kept sorted by `offset`.
struct Placed {
    std::int64_t offset, end, first, last;
};

std::int64_t aligned(std::int64_t offset, std::int64_t align) {
    return (offset + align - 1) / align * align;
}

// The lowest offset in the smallest gap that takes the item.
std::int64_t best_gap(const std::vector<Placed>& placed, const Item& item) {
    std::int64_t top = 0, best = -1, smallest = std::numeric_limits<std::int64_t>::max();
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

// The highest offset below `ceiling` where nothing is alive with the item; -1 if there is none.
std::int64_t highest_gap(const std::vector<Placed>& placed, const Item& item,
                         std::int64_t ceiling) {
    std::int64_t top = 0, best = -1;
    const auto try_below = [&](std::int64_t end) {
        const std::int64_t offset = (end - item.size) / item.align * item.align;
        if (end >= item.size && offset >= top) best = std::max(best, offset);
    };
    for (const Placed& other : placed) {
        if (other.first > item.last || other.last < item.first) continue;
        try_below(std::min(other.offset, ceiling));
        top = std::max(top, other.end);
    }
    try_below(ceiling);
    return best;
}

// xorshift64*: a few bits of chance that are the same on every machine.
class Dice {
  public:
    std::int64_t below(std::int64_t n) {
        state_ ^= state_ >> 12;
        state_ ^= state_ << 25;
        state_ ^= state_ >> 27;
        return std::int64_t((state_ * 0x2545F4914F6CDD1DULL >> 33) % std::uint64_t(n));
    }

  private:
    std::uint64_t state_ = 0x9E3779B97F4A7C15ULL;
};

// Moves an item that touches the top to an earlier place; false if it is the first already.
bool hoist(Order& order, const std::vector<Item>& items, const Packing& packing, Dice& dice) {
    std::vector<std::int64_t> culprits;
    for (std::size_t at = 0; at < order.size(); ++at) {
        const auto item = std::size_t(order[at]);
        if (packing.offsets[item] + items[item].size == packing.bytes) {
            culprits.push_back(std::int64_t(at));
        }
    }
    const std::int64_t from = culprits[std::size_t(dice.below(std::int64_t(culprits.size())))];
    if (from == 0) return false;
    const std::int64_t to = dice.below(from);
    std::rotate(order.begin() + to, order.begin() + from, order.begin() + from + 1);
    return true;
}

}  // namespace

Packing place(const std::vector<Item>& items, const Order& order, std::int64_t ceiling) {
    Packing result;
    result.offsets.assign(items.size(), 0);
    std::vector<Placed> placed;
    placed.reserve(order.size());
    for (const std::int32_t index : order) {
        const Item& item = items[std::size_t(index)];
        std::int64_t offset = item.hangs ? highest_gap(placed, item, ceiling) : -1;
        if (offset < 0) offset = best_gap(placed, item);
        if (offset >= kTooLarge - item.size) {
            throw Error("GC-M002", "the plan needs an arena of over 2^62 bytes");
        }
        const Placed entry{offset, offset + item.size, item.first, item.last};
        const auto after = std::upper_bound(
            placed.begin(), placed.end(), offset,
            [](std::int64_t value, const Placed& other) { return value < other.offset; });
        placed.insert(after, entry);
        result.offsets[std::size_t(index)] = offset;
        result.bytes = std::max(result.bytes, entry.end);
    }
    return result;
}

Packing pack(const std::vector<Item>& items, const std::vector<Order>& orders, std::int64_t bound,
             int rounds) {
    Packing best;
    const Order* start = nullptr;
    std::int64_t ceiling = 0;
    const bool can_hang =
        std::any_of(items.begin(), items.end(), [](const Item& item) { return item.hangs; });
    for (const Order& order : orders) {
        for (const std::int64_t height : {std::int64_t(0), bound}) {
            if (height > 0 && !can_hang) continue;
            Packing packing = place(items, order, height);
            if (start == nullptr || packing.bytes < best.bytes) {
                best = std::move(packing);
                start = &order;
                ceiling = height;
            }
            if (best.bytes <= bound) return best;
        }
    }
    if (start == nullptr) return best;
    Order best_order = *start;
    Dice dice;
    for (int round = 0; round < rounds && best.bytes > bound; ++round) {
        Order order = best_order;
        if (!hoist(order, items, best, dice)) continue;
        Packing packing = place(items, order, ceiling);
        if (packing.bytes <= best.bytes) {
            best = std::move(packing);
            best_order = std::move(order);
        }
    }
    return best;
}

}  // namespace graphc::plan
