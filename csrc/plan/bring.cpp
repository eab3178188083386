#include "plan/bring.h"

#include <algorithm>
#include <utility>

namespace graphc::plan {

Lists writers_of(const Net& net) {
    std::vector<std::vector<std::int32_t>> found(std::size_t(net.roots()));
    for (std::int32_t call = 0; call < net.later; ++call) {
        for (const std::int32_t r : range(net.writes, call)) found[std::size_t(r)].push_back(call);
    }
    Lists lists;
    for (const auto& each : found) {
        lists.items.insert(lists.items.end(), each.begin(), each.end());
        lists.close();
    }
    return lists;
}

Bring::Bring(const Net& net, const Lists& writers)
    : present(std::size_t(net.roots()), 1),
      group(std::size_t(net.roots()), 0),
      net_(net),
      writers_(writers),
      is_needed_(std::size_t(net.calls()), 0) {}

void Bring::bring(const std::int32_t* first, const std::int32_t* past, std::int32_t before) {
    asked_.clear();
    groups_.clear();
    if (made_.size() > most) return;
    for (const std::int32_t* r = first; r != past; ++r) {
        if (!present[std::size_t(*r)]) {
            asked_.push_back(*r);
            groups_.push_back(group[std::size_t(*r)]);
            present[std::size_t(*r)] = 1;
        }
    }
    if (asked_.empty()) return;
    needed_.clear();
    passing_.clear();
    while (!asked_.empty()) {
        const std::int32_t root = asked_.back();
        asked_.pop_back();
        for (const std::int32_t writer : range(writers_, root)) {
            if (is_needed_[std::size_t(writer)]) continue;
            is_needed_[std::size_t(writer)] = 1;
            needed_.push_back(writer);
            if (net_.deadline[std::size_t(writer)] < before) {
                const auto made = range(net_.writes, writer);
                stale.insert(stale.end(), made.begin(), made.end());
            }
            for (const std::int32_t r : range(net_.reads, writer)) {
                if (!net_.droppable[std::size_t(r)] || present[std::size_t(r)]) continue;
                present[std::size_t(r)] = 1;
                asked_.push_back(r);
                const std::int32_t own = group[std::size_t(r)];
                if (own && std::find(groups_.begin(), groups_.end(), own) == groups_.end()) {
                    passing_.push_back(r);
                }
            }
        }
    }
    for (const std::int32_t call : needed_) {
        is_needed_[std::size_t(call)] = 0;
        made_.push_back({before, call});
        us += net_.us[std::size_t(call)];
    }
    for (const std::int32_t r : passing_) present[std::size_t(r)] = 0;
}

void Bring::call(std::int32_t at) {
    missing_.clear();
    for (const std::int32_t r : range(net_.reads, at)) {
        if (net_.droppable[std::size_t(r)] && !present[std::size_t(r)]) missing_.push_back(r);
    }
    if (!missing_.empty()) bring(missing_.data(), missing_.data() + missing_.size(), at);
}

Script Bring::script() {
    std::sort(made_.begin(), made_.end());
    made_.erase(std::unique(made_.begin(), made_.end()), made_.end());
    return std::move(made_);
}

}  // namespace graphc::plan
