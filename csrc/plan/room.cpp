#include "plan/room.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace graphc::plan {

namespace {

template <class T>
void put(std::string& key, T value) {
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    key.append(raw, sizeof value);
}

}  // namespace

Room::Room(const Whole& whole, const Part& part) : whole_(whole), part_(part) {
    const Net& net = whole.net;
    for (std::int32_t call = part.first; call < part.past; ++call) add(call);
    local_.later = local_.calls();
    for (std::int32_t call = part.begin; call < part.end; ++call) add(call);
    for (const std::int32_t r : part.own) own_.push_back(local(r));
    in_bytes_ = part.in >= 0 ? net.bytes[std::size_t(part.in)] : 0;
    if (part.out >= 0) out_ = local(part.out);
    for (std::size_t i = 0; i < roots_.size(); ++i) describe(i);
}

std::string Room::key(std::int64_t gradient, std::int64_t growth) const {
    std::string key;
    put(key, local_.later);
    put(key, gradient);
    put(key, growth);
    put(key, through_);
    put(key, in_bytes_);
    put(key, out_);
    for (const auto* lists : {&local_.reads, &local_.writes, &local_.pairs}) {
        for (const std::int32_t i : lists->begin) put(key, i);
        for (const std::int32_t i : lists->items) put(key, i);
    }
    for (const double each : local_.us) put(key, each);
    for (const std::int64_t each : local_.space) put(key, each);
    for (const std::int64_t each : local_.bytes) put(key, each);
    for (const std::int32_t each : local_.held) put(key, each);
    for (const std::int32_t each : local_.deadline) put(key, each);
    key.append(local_.droppable.begin(), local_.droppable.end());
    key.append(local_.given.begin(), local_.given.end());
    return key;
}

std::int32_t Room::local(std::int32_t root) {
    const auto found = ids_.emplace(root, std::int32_t(roots_.size()));
    if (found.second) roots_.push_back(root);
    return found.first->second;
}

void Room::add(std::int32_t call) {
    const Net& net = whole_.net;
    for (const std::int32_t r : range(net.reads, call)) {
        local_.reads.items.push_back(local(r));
    }
    for (const std::int32_t r : range(net.writes, call)) {
        local_.writes.items.push_back(local(r));
    }
    for (const std::int32_t i : range(net.pairs, call)) local_.pairs.items.push_back(i);
    local_.reads.close();
    local_.writes.close();
    local_.pairs.close();
    local_.us.push_back(net.us[std::size_t(call)]);
    local_.space.push_back(net.space[std::size_t(call)]);
    const std::int32_t dead = call < net.later ? net.deadline[std::size_t(call)] : -1;
    const std::int32_t forward = part_.past - part_.first;
    const bool is_late = dead >= part_.end;
    local_.deadline.push_back(is_late              ? std::numeric_limits<std::int32_t>::max()
                              : dead < part_.begin ? -1
                                                   : dead - part_.begin + forward);
}

void Room::describe(std::size_t i) {
    const Net& net = whole_.net;
    const std::int32_t root = roots_[i];
    const auto r = std::size_t(root);
    const std::int32_t first = whole_.first[r], last = whole_.last[r];
    const bool is_own = std::find(own_.begin(), own_.end(), std::int32_t(i)) != own_.end();
    const bool is_out = std::int32_t(i) == out_;
    const bool is_forward = first < net.later && !(net.given[r] && net.from[r] >= net.later);
    std::int64_t bytes = net.bytes[r];
    std::int32_t held = -1, from = -1;
    if (is_own || is_out) {
        if (is_out) held = local_.later - 1;
    } else if (root == part_.in) {
        from = 0;
        if (last >= part_.end) held = local_.calls() - 1;
    } else if (is_forward) {
        if (last >= net.later || first < part_.first || net.given[r]) bytes = 0;
    } else {
        if (first < part_.begin || (net.given[r] && net.from[r] <= part_.begin)) {
            from = local_.later;
            if (last >= whole_.tail) bytes = 0;  // counted where it began
        }
        if (last >= part_.end) held = local_.calls() - 1;
    }
    local_.bytes.push_back(bytes);
    local_.droppable.push_back(is_own || is_out);
    local_.again.push_back(is_own || is_out);
    local_.given.push_back(from >= 0);
    local_.from.push_back(std::max(from, 0));
    local_.held.push_back(held);
}

// What fates take; false if they cannot be.
bool Room::attempt(const std::vector<char>& fates, Option& option) {
    Bring& bring = *bring_;
    std::fill(bring.present.begin(), bring.present.end(), 0);
    bring.stale.clear();
    option = {};
    option.fates = fates;
    targets_.clear();
    for (std::size_t i = 0; i < own_.size(); ++i) {
        const auto r = std::size_t(own_[i]);
        bring.group[r] = fates[i] == kPasses ? std::int32_t(i) + 1 : 0;
        if (fates[i] == kKept) {
            targets_.push_back(own_[i]);
            option.saved += local_.bytes[r];
        }
    }
    if (with_out_ && out_ >= 0) {
        targets_.push_back(out_);
        bring.us = 0;
        bring.bring(targets_.data(), targets_.data() + targets_.size(), local_.later);
        option.us_forward = bring.us;
        bring.script();
        std::fill(bring.present.begin(), bring.present.end(), 0);
        bring.stale.clear();  // a forward that is not the first can be made in time, or never
    }
    for (const std::int32_t r : targets_) bring.present[std::size_t(r)] = 1;
    for (std::int32_t call = local_.later; call < local_.calls(); ++call) bring.call(call);
    const bool is_whole = bring.is_whole();
    trial_->run(bring.script());
    option.us = trial_->us;
    const auto turn = std::size_t(trial_->start[std::size_t(local_.later)]);
    for (std::size_t step = 0; step < trial_->live.size(); ++step) {
        std::int64_t& most = step < turn ? option.forward : option.backward;
        most = std::max(most, trial_->live[step]);
    }
    option.forward = std::max<std::int64_t>(0, option.forward - in_bytes_);
    option.backward = std::max<std::int64_t>(0, option.backward - in_bytes_) + through_;
    return is_whole;
}

}  // namespace graphc::plan
