// Covers: ranges of steps in an order of preference; the first that covers a step, again and again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace graphc::plan {

// A segment tree over steps: a range lies at O(log steps) nodes, and those that cover a step are at
// the nodes above its leaf. At each node ranges are in order; what is taken is passed once.
class Covers {
  public:
    explicit Covers(std::size_t steps) {
        while (leaves_ < steps) leaves_ *= 2;
        nodes_.resize(2 * leaves_);
    }

    // Ranges must come in their order; both ends belong to them.
    void add(std::int32_t first, std::int32_t last) {
        const auto number = std::int32_t(is_taken_.size());
        is_taken_.push_back(0);
        std::size_t from = leaves_ + std::size_t(first), to = leaves_ + std::size_t(last) + 1;
        for (; from < to; from /= 2, to /= 2) {
            if (from % 2 != 0) nodes_[from++].ranges.push_back(number);
            if (to % 2 != 0) nodes_[--to].ranges.push_back(number);
        }
    }

    void take(std::size_t number) { is_taken_[number] = 1; }

    // The number of the first range that covers a step and is not taken; -1: there is none.
    std::int32_t first(std::int32_t step) {
        std::int32_t found = -1;
        for (std::size_t at = leaves_ + std::size_t(step); at > 0; at /= 2) {
            Node& node = nodes_[at];
            while (node.next < node.ranges.size() &&
                   is_taken_[std::size_t(node.ranges[node.next])]) {
                ++node.next;
            }
            if (node.next == node.ranges.size()) continue;
            const std::int32_t number = node.ranges[node.next];
            if (found < 0 || number < found) found = number;
        }
        return found;
    }

  private:
    struct Node {
        std::vector<std::int32_t> ranges;
        std::size_t next = 0;
    };

    std::size_t leaves_ = 1;
    std::vector<Node> nodes_;
    std::vector<char> is_taken_;
};

}  // namespace graphc::plan
