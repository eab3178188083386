#include "plan/profile.h"

#include <algorithm>
#include <cstddef>

namespace graphc::plan {

namespace {

constexpr std::int64_t kNone = -(std::int64_t(1) << 62);

}  // namespace

Profile::Profile(const std::vector<std::int64_t>& live) {
    while (leaves_ < live.size() + 2) leaves_ *= 2;
    most_.assign(2 * leaves_, kNone);
    more_.assign(2 * leaves_, 0);
    std::copy(live.begin(), live.end(), most_.begin() + std::ptrdiff_t(leaves_) + 1);
    for (std::size_t node = leaves_ - 1; node > 0; --node) join(node);
}

void Profile::join(std::size_t node) {
    most_[node] = std::max(most_[2 * node], most_[2 * node + 1]) + more_[node];
}

std::int64_t Profile::most(std::int32_t first, std::int32_t last) const {
    if (first > last) return kNone;
    std::size_t left = leaves_ + std::size_t(first), right = leaves_ + std::size_t(last) + 2;
    std::int64_t low = kNone, high = kNone;  // of what lies beside the left path, and the right one
    while ((left ^ right) != 1) {
        if (left % 2 == 0) low = std::max(low, most_[left + 1]);
        if (right % 2 != 0) high = std::max(high, most_[right - 1]);
        left /= 2;
        right /= 2;
        low += more_[left];
        high += more_[right];
    }
    std::int64_t found = std::max(low, high);
    while (left /= 2) found += more_[left];
    return found;
}

void Profile::add(std::int32_t first, std::int32_t last, std::int64_t bytes) {
    if (first > last) return;
    std::size_t left = leaves_ + std::size_t(first), right = leaves_ + std::size_t(last) + 2;
    const auto put = [&](std::size_t node) {
        most_[node] += bytes;
        more_[node] += bytes;
    };
    while ((left ^ right) != 1) {
        if (left % 2 == 0) put(left + 1);
        if (right % 2 != 0) put(right - 1);
        left /= 2;
        right /= 2;
        join(left);
        join(right);
    }
    while (left /= 2) join(left);
}

std::int32_t Profile::fullest() const {
    std::size_t node = 1;
    while (node < leaves_) {
        node = most_[2 * node] >= most_[2 * node + 1] ? 2 * node : 2 * node + 1;
    }
    return std::int32_t(node - leaves_) - 1;
}

}  // namespace graphc::plan
