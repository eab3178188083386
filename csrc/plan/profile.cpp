#include "plan/profile.h"

#include <algorithm>
#include <cstddef>

namespace graphc::plan {

namespace {

constexpr std::int64_t kNone = -(std::int64_t(1) << 62);

}  // namespace

Profile::Profile(const std::vector<std::int64_t>& live) : size_(std::int32_t(live.size())) {
    std::size_t leaves = 1;
    while (leaves < live.size()) leaves *= 2;
    most_.assign(2 * leaves, kNone);
    more_.assign(2 * leaves, 0);
    std::copy(live.begin(), live.end(), most_.begin() + std::ptrdiff_t(leaves));
    for (std::size_t node = leaves - 1; node > 0; --node) {
        most_[node] = std::max(most_[2 * node], most_[2 * node + 1]);
    }
    size_ = std::int32_t(leaves);
}

std::int64_t Profile::most(std::int32_t first, std::int32_t last) const {
    return first > last ? kNone : most(1, 0, size_ - 1, first, last);
}

std::int64_t Profile::most(std::size_t node, std::int32_t low, std::int32_t high,
                           std::int32_t first, std::int32_t last) const {
    if (first <= low && high <= last) return most_[node];
    const std::int32_t middle = (low + high) / 2;
    std::int64_t found = kNone;
    if (first <= middle) found = most(2 * node, low, middle, first, last);
    if (last > middle) found = std::max(found, most(2 * node + 1, middle + 1, high, first, last));
    return found + more_[node];
}

void Profile::add(std::int32_t first, std::int32_t last, std::int64_t bytes) {
    if (first <= last) add(1, 0, size_ - 1, first, last, bytes);
}

void Profile::add(std::size_t node, std::int32_t low, std::int32_t high, std::int32_t first,
                  std::int32_t last, std::int64_t bytes) {
    if (first <= low && high <= last) {
        most_[node] += bytes;
        more_[node] += bytes;
        return;
    }
    const std::int32_t middle = (low + high) / 2;
    if (first <= middle) add(2 * node, low, middle, first, last, bytes);
    if (last > middle) add(2 * node + 1, middle + 1, high, first, last, bytes);
    most_[node] = std::max(most_[2 * node], most_[2 * node + 1]) + more_[node];
}

std::int32_t Profile::fullest() const {
    std::size_t node = 1;
    const auto leaves = std::size_t(size_);
    while (node < leaves) {
        node = most_[2 * node] >= most_[2 * node + 1] ? 2 * node : 2 * node + 1;
    }
    return std::int32_t(node - leaves);
}

}  // namespace graphc::plan
