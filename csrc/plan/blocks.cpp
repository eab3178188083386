#include "plan/blocks.h"

#include <algorithm>
#include <map>
#include <string>

namespace graphc::plan {

Blocks::Blocks(const Net& net, const std::vector<std::int32_t>& block_of,
               const std::vector<char>& large, const std::vector<std::int32_t>& outs)
    : net_(net), large_(large) {
    Trial plain(net);
    plain.run({});
    first_ = plain.first;
    last_ = plain.last;
    split(block_of, outs);
    std::map<std::string, std::int32_t> known;
    for (const Part& part : parts) {
        std::int64_t gradient = 0, growth = 0;
        std::vector<std::int32_t> across;
        for (std::int32_t r = 0; r < net.roots(); ++r) {
            const auto i = std::size_t(r);
            const bool is_seed = net.given[i] && net.from[i] >= net.later;
            if (first_[i] < net.later && !is_seed) continue;
            if (last_[i] >= tail_) {
                if (first_[i] >= part.begin && first_[i] < part.end) growth += net.bytes[i];
            } else if ((first_[i] < part.begin || (is_seed && first_[i] <= part.begin)) &&
                       last_[i] >= part.begin) {
                gradient += net.bytes[i];
                if (last_[i] >= part.end) across.push_back(r);
            }
        }
        Room room({net, first_, last_, tail_}, part);
        std::int64_t through = 0;
        for (const std::int32_t r : across) {
            const auto& touched = room.roots();
            if (std::find(touched.begin(), touched.end(), r) == touched.end()) {
                through += net.bytes[std::size_t(r)];
            }
        }
        room.set_through(through);
        const auto found = known.emplace(room.key(gradient, growth), std::int32_t(kinds.size()));
        if (found.second) {
            kinds.push_back(room.kind());
            kinds.back().gradient = gradient;
            kinds.back().growth = growth;
        }
        kind_of.push_back(found.first->second);
    }
    for (std::int32_t r = 0; r < net.roots(); ++r) {
        const auto i = std::size_t(r);
        const bool is_choice = net.droppable[i] && large[i];
        const bool is_seed = net.given[i] && net.from[i] >= net.later;
        if (!is_choice && !is_seed && first_[i] >= 0 && first_[i] < net.later &&
            last_[i] >= net.later) {
            base += net.bytes[i];
        }
    }
}

void Blocks::split(const std::vector<std::int32_t>& block_of,
                   const std::vector<std::int32_t>& outs) {
    const auto count = std::int32_t(outs.size());
    for (std::int32_t b = 0; b < count; ++b) {
        parts.push_back(
            {-1, 0, -1, -1, b ? outs[std::size_t(b) - 1] : -1, outs[std::size_t(b)], {}});
    }
    for (std::int32_t call = 0; call < net_.later; ++call) {
        const std::int32_t b = block_of[std::size_t(call)];
        if (b < 0) continue;
        Part& part = parts[std::size_t(b)];
        if (part.first < 0) part.first = call;
        part.past = call + 1;
        for (const std::int32_t r : range(net_.writes, call)) {
            const auto i = std::size_t(r);
            const bool is_known = std::find(part.own.begin(), part.own.end(), r) != part.own.end();
            if (net_.droppable[i] && large_[i] && r != part.out && !is_known) {
                part.own.push_back(r);
            }
        }
    }
    place(block_of);
}

// Parts of the backward, in the reverse order of the forward's and without gaps.
void Blocks::place(const std::vector<std::int32_t>& block_of) {
    const std::int32_t calls = net_.calls();
    tail_ = net_.later;
    for (std::int32_t call = net_.later; call < calls; ++call) {
        if (block_of[std::size_t(call)] >= 0) tail_ = call + 1;
    }
    std::int32_t most = -1, end = tail_;
    std::vector<std::int32_t> past(parts.size(), -1);  // by block: past its last call
    for (std::int32_t call = tail_ - 1; call >= net_.later; --call) {
        most = std::max(most, block_of[std::size_t(call)]);
        if (most >= 0 && past[std::size_t(most)] < 0) past[std::size_t(most)] = call + 1;
    }
    for (std::size_t b = 0; b < parts.size(); ++b) {
        parts[b].end = end;
        std::int32_t begin = net_.later;
        for (std::size_t next = b + 1; next < parts.size(); ++next) {
            if (past[next] >= 0) {
                begin = past[next];
                break;
            }
        }
        parts[b].begin = std::min(begin, end);
        end = parts[b].begin;
    }
}

}  // namespace graphc::plan
