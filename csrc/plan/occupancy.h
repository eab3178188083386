// Occupancy: which addresses are taken, and when.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plan/pack.h"

namespace graphc::plan {

// Addresses `begin` to `end`, past the last.
struct Range {
    std::int64_t begin, end;
};

// A segment tree over the steps in which items begin: items that are alive together are so in one
// of these. Every node knows, as ranges that do not touch, the addresses of the items that are
// alive in one of its steps, and of those that are in all of them. Placed items lie close to each
// other, so these ranges are few, however many items they are of.
class Occupancy {
  public:
    explicit Occupancy(const std::vector<Item>& items);

    // The addresses of the items added so far that are alive with one: ranges that do not touch,
    // lowest first. They last until the next call.
    const std::vector<Range>& beside(const Item& item);

    // Takes an item's addresses from `offset` on.
    void add(const Item& item, std::int64_t offset);

  private:
    using Ranges = std::vector<Range>;
    struct Node {
        Ranges sometimes, always;
    };

    static void join(Ranges& ranges, Range range);
    void collect(std::size_t node, std::size_t low, std::size_t high);
    void insert(std::size_t node, std::size_t low, std::size_t high, Range range);
    // Sets from_ and to_ to the numbers of the steps in which an item is alive, the latter past
    // the last.
    void locate(const Item& item);

    std::vector<std::int64_t> starts_;  // without repetition, in order
    std::vector<Node> nodes_;           // the children of node n are 2 n and 2 n + 1
    std::size_t from_ = 0, to_ = 0;
    Ranges found_;
};

}  // namespace graphc::plan
