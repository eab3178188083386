#include "plan/occupancy.h"

#include <algorithm>

namespace graphc::plan {

Occupancy::Occupancy(const std::vector<Item>& items) {
    starts_.reserve(items.size());
    for (const Item& item : items) starts_.push_back(item.first);
    std::sort(starts_.begin(), starts_.end());
    starts_.erase(std::unique(starts_.begin(), starts_.end()), starts_.end());
    std::size_t leaves = 1;
    while (leaves < starts_.size()) leaves *= 2;
    nodes_.resize(2 * leaves);
}

void Occupancy::locate(const Item& item) {
    from_ =
        std::size_t(std::lower_bound(starts_.begin(), starts_.end(), item.first) - starts_.begin());
    to_ =
        std::size_t(std::upper_bound(starts_.begin(), starts_.end(), item.last) - starts_.begin());
}

const std::vector<Range>& Occupancy::beside(const Item& item) {
    locate(item);
    found_.clear();
    collect(1, 0, nodes_.size() / 2);
    std::sort(found_.begin(), found_.end(),
              [](const Range& a, const Range& b) { return a.begin < b.begin; });
    std::size_t last = 0;
    for (std::size_t at = 1; at < found_.size(); ++at) {
        if (found_[at].begin <= found_[last].end) {
            found_[last].end = std::max(found_[last].end, found_[at].end);
        } else {
            found_[++last] = found_[at];
        }
    }
    if (!found_.empty()) found_.resize(last + 1);
    return found_;
}

void Occupancy::collect(std::size_t node, std::size_t low, std::size_t high) {
    if (from_ >= high || to_ <= low) return;
    const bool is_whole = from_ <= low && high <= to_;
    const Ranges& ranges = is_whole ? nodes_[node].sometimes : nodes_[node].always;
    found_.insert(found_.end(), ranges.begin(), ranges.end());
    if (is_whole || nodes_[node].sometimes.empty()) return;
    const std::size_t middle = (low + high) / 2;
    collect(2 * node, low, middle);
    collect(2 * node + 1, middle, high);
}

void Occupancy::add(const Item& item, std::int64_t offset) {
    if (item.size == 0) return;
    locate(item);
    insert(1, 0, nodes_.size() / 2, {offset, offset + item.size});
}

void Occupancy::insert(std::size_t node, std::size_t low, std::size_t high, Range range) {
    if (from_ >= high || to_ <= low) return;
    join(nodes_[node].sometimes, range);
    if (from_ <= low && high <= to_) {
        join(nodes_[node].always, range);
        return;
    }
    const std::size_t middle = (low + high) / 2;
    insert(2 * node, low, middle, range);
    insert(2 * node + 1, middle, high, range);
}

void Occupancy::join(Ranges& ranges, Range range) {
    const auto first =
        std::lower_bound(ranges.begin(), ranges.end(), range.begin,
                         [](const Range& each, std::int64_t value) { return each.end < value; });
    auto past = first;
    for (; past != ranges.end() && past->begin <= range.end; ++past) {
        range.begin = std::min(range.begin, past->begin);
        range.end = std::max(range.end, past->end);
    }
    if (past == first) {
        ranges.insert(first, range);
    } else {
        *first = range;
        ranges.erase(first + 1, past);
    }
}

}  // namespace graphc::plan
