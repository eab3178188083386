#include "plan/replay.h"

#include <algorithm>

namespace graphc::plan {

Trial::Trial(const Net& net) : net_(&net) {}

void Trial::run(const Script& script) {
    list(script);
    trace();
    share();
    measure();
}

void Trial::list(const Script& script) {
    const std::int32_t calls = net_->calls();
    order.clear();
    step_of.resize(std::size_t(calls) + 1);
    start.resize(std::size_t(calls) + 1);
    us = 0;
    auto next = script.begin();
    for (std::int32_t call = 0; call < calls; ++call) {
        start[std::size_t(call)] = std::int32_t(order.size());
        for (; next != script.end() && next->before == call; ++next) {
            order.push_back(next->call);
            us += net_->us[std::size_t(next->call)];
        }
        step_of[std::size_t(call)] = std::int32_t(order.size());
        order.push_back(call);
    }
    start[std::size_t(calls)] = step_of[std::size_t(calls)] = std::int32_t(order.size());
}

void Trial::trace() {
    const auto roots = std::size_t(net_->roots()), steps = order.size();
    begin.resize(steps + 1);
    begin[0] = 0;
    std::size_t most = roots;  // instances
    for (std::size_t step = 0, call = 0; step < steps; ++step) {
        const std::int32_t writes = net_->writes.count(order[step]);
        begin[step + 1] = begin[step] + net_->reads.count(order[step]) + writes;
        if (std::int32_t(step) != step_of[call]) {
            most += std::size_t(writes);
        } else {
            ++call;
        }
    }
    operands.resize(std::size_t(begin[steps]));
    for (auto* each : {&first, &last, &before}) each->assign(most, -1);
    root.resize(most);
    now_.resize(roots);
    for (std::size_t r = 0; r < roots; ++r) {
        root[r] = now_[r] = std::int32_t(r);
        if (net_->given[r]) first[r] = last[r] = start[std::size_t(net_->from[r])];
    }
    seen_ = now_;
    stamp_ = net_->writes.items;
    const std::size_t count = follow(roots);
    for (auto* each : {&first, &last, &before, &root}) each->resize(count);
    for (std::size_t r = 0; r < roots; ++r) {
        if (net_->held[r] >= 0 && first[r] >= 0) {
            const std::int32_t end =
                std::min(step_of[std::size_t(net_->held[r])], std::int32_t(steps) - 1);
            last[r] = std::max(last[r], end);
        }
    }
}

// Which instances each step uses, and when; returns how many there are, of `count` at first.
std::size_t Trial::follow(std::size_t count) {
    std::int32_t* out = operands.data();
    const auto use = [&](std::int32_t instance, std::int32_t step) {
        const auto i = std::size_t(instance);
        *out++ = instance;
        if (first[i] < 0) first[i] = step;
        if (last[i] < step) last[i] = step;
    };
    std::size_t call = 0;
    for (std::int32_t step = 0; step < std::int32_t(order.size()); ++step) {
        const std::int32_t runs = order[std::size_t(step)];
        const bool is_replay = step != step_of[call];
        if (!is_replay) ++call;
        for (const std::int32_t r : range(net_->reads, runs)) use(seen_[std::size_t(r)], step);
        if (!is_replay) {
            for (const std::int32_t r : range(net_->writes, runs)) use(r, step);
            continue;
        }
        for (std::int32_t w = net_->writes.begin[std::size_t(runs)];
             w < net_->writes.begin[std::size_t(runs) + 1]; ++w) {
            const auto r = std::size_t(net_->writes.items[std::size_t(w)]);
            // A writer that has written this instance begins the next one.
            if (stamp_[std::size_t(w)] == now_[r]) {
                before[count] = now_[r];
                root[count] = std::int32_t(r);
                now_[r] = std::int32_t(count++);
                if (net_->again[r]) seen_[r] = now_[r];
            }
            stamp_[std::size_t(w)] = now_[r];
            use(now_[r], step);
        }
    }
    return count;
}

void Trial::share() {
    head.resize(root.size());
    spent_.assign(root.size(), 0);
    for (std::size_t i = 0; i < head.size(); ++i) head[i] = std::int32_t(i);
    const std::int32_t roots = net_->roots();
    for (std::int32_t step = 0; step < std::int32_t(order.size()); ++step) {
        const std::int32_t call = order[std::size_t(step)];
        const std::int32_t reads = net_->reads.count(call);
        const std::int32_t* mine = operands.data() + begin[std::size_t(step)];
        for (const std::int32_t* pair = net_->pairs.first(call); pair != net_->pairs.past(call);
             pair += 2) {
            const auto made = std::size_t(mine[reads + pair[0]]);
            const auto old = std::size_t(mine[pair[1]]);
            if (first[made] != step || head[made] != std::int32_t(made)) continue;
            if (last[old] != step || spent_[old]) continue;
            const bool is_given = std::int32_t(made) < roots && net_->given[made];
            const bool is_fixed =
                std::int32_t(old) < roots && (net_->given[old] || net_->held[old] >= 0);
            if (is_given || is_fixed) continue;
            head[made] = head[old];
            spent_[old] = 1;
        }
    }
}

void Trial::measure() {
    const std::size_t steps = order.size();
    live.assign(steps + 1, 0);
    low_ = first;
    high_ = last;
    for (std::size_t i = 0; i < root.size(); ++i) {
        if (head[i] == std::int32_t(i)) continue;
        const auto h = std::size_t(head[i]);
        low_[h] = std::min(low_[h], first[i]);
        high_[h] = std::max(high_[h], last[i]);
    }
    for (std::size_t i = 0; i < root.size(); ++i) {
        if (head[i] != std::int32_t(i) || first[i] < 0) continue;
        const std::int64_t bytes = net_->bytes[std::size_t(root[i])];
        if (low_[i] < std::int32_t(steps)) live[std::size_t(low_[i])] += bytes;
        if (high_[i] < std::int32_t(steps)) live[std::size_t(high_[i]) + 1] -= bytes;
    }
    live.pop_back();
    std::int64_t now = 0;
    peak = 0;
    for (std::size_t step = 0; step < steps; ++step) {
        now += live[step];
        live[step] = now + net_->space[std::size_t(order[step])];
        peak = std::max(peak, live[step]);
    }
}

}  // namespace graphc::plan
