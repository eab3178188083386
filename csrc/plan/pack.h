// Packing: offsets in one arena for buffers whose lifetimes are known (static allocation).
#pragma once

#include <cstdint>
#include <vector>

namespace graphc::plan {

// A buffer of `size` bytes, alive from step `first` to step `last`, both included; `align` > 0.
// `hangs`: rather at the top of the arena than at its bottom.
struct Item {
    std::int64_t first, last, size, align;
    bool hangs;
};

struct Packing {
    std::int64_t bytes = 0;  // of the arena
    std::vector<std::int64_t> offsets;
};

using Order = std::vector<std::int32_t>;

// Puts items one by one, in `order`, into the smallest gap that takes them; those that hang as high
// as they can be below `ceiling` (0: none do). Quadratic in the number of items. Throws Error
// (GC-M002) for an arena of 2^62 bytes or more.
Packing place(const std::vector<Item>& items, const Order& order, std::int64_t ceiling);

// The best packing of all orders, each with a ceiling at `bound` and without one; while it is over
// `bound`, for at most `rounds` more placements, an item that touches the top is moved to an
// earlier place in the best order. The same arguments give the same packing. `bound`: a size that
// no packing can be under.
Packing pack(const std::vector<Item>& items, const std::vector<Order>& orders, std::int64_t bound,
             int rounds);

}  // namespace graphc::plan
