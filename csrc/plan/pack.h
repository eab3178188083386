// Packing: offsets in one arena for buffers whose lifetimes are known (static allocation).
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace graphc::plan {

// A buffer of `size` bytes, alive from step `first` to step `last`, both included; `align` > 0.
struct Item {
    std::int64_t first, last, size, align;
};

// How items are placed: one by one in `order`, each into the smallest gap that takes it, or, if
// it `hangs` (by item number), as high as there is room below the ceiling.
struct Recipe {
    std::vector<std::int32_t> order;
    std::vector<char> hangs;
};

struct Packing {
    std::int64_t bytes = 0;  // of the arena
    std::vector<std::int64_t> offsets;
};

class Packer {
  public:
    // `ceiling`: what items hang from, and what is good enough: a size no packing can be under.
    Packer(std::vector<Item> items, std::int64_t ceiling)
        : items_(std::move(items)), ceiling_(ceiling) {}

    // Places the first `past` items of the recipe; ends early once that takes `limit` bytes. Throws
    // Error (GC-M002) for an arena of 2^62 bytes or more.
    Packing place(const Recipe& recipe, std::size_t past,
                  std::int64_t limit = std::numeric_limits<std::int64_t>::max()) const;

    // Local search for a recipe whose first `past` items need fewer bytes: an item over the
    // ceiling, or one alive with it, is placed earlier, or hangs or no longer does; changes stay
    // within the order's positions first .. past - 1. Ends at the ceiling, or after about `work`
    // comparisons of two items. The same arguments give the same recipe.
    Recipe improve(Recipe recipe, std::size_t first, std::size_t past, std::int64_t work) const;

  private:
    std::vector<Item> items_;
    std::int64_t ceiling_;
};

}  // namespace graphc::plan
