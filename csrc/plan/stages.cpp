#include "plan/stages.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace graphc::plan {

namespace {

constexpr std::size_t kItems = 16;
constexpr std::size_t kHalf = kItems / 2;
constexpr double kSame = 1e-9;

}  // namespace

Stages::Stages(const Net& net, std::int32_t past) : net_(net) {
    is_possible_ = find_items(past);
    if (!is_possible_) return;
    find_bases();
    find_later();
}

// Calls below `past` that make something which can be made again, and which somebody reads.
bool Stages::find_items(std::int32_t past) {
    const auto roots = std::size_t(net_.roots());
    std::vector<char> is_read(roots, 0);
    for (const std::int32_t r : net_.reads.items) is_read[std::size_t(r)] = 1;
    std::vector<std::int32_t> writers(roots, 0);
    for (const std::int32_t r : net_.writes.items) ++writers[std::size_t(r)];
    calls_.clear();
    std::vector<std::int32_t> item_of(roots, -1);
    for (std::int32_t call = 0; call < past; ++call) {
        const Range made = range(net_.writes, call);
        const auto can = [&](std::int32_t r) { return net_.again[std::size_t(r)] != 0; };
        const auto is_asked = [&](std::int32_t r) { return can(r) && is_read[std::size_t(r)]; };
        if (std::none_of(made.begin(), made.end(), is_asked)) continue;
        for (const std::int32_t r : made) {
            if (!can(r) || writers[std::size_t(r)] != 1) return false;
            item_of[std::size_t(r)] = std::int32_t(calls_.size());
        }
        calls_.push_back(call);
        if (calls_.size() > kItems) return false;
    }
    const auto items = [&](std::int32_t call) {
        Set set = 0;
        for (const std::int32_t r : range(net_.reads, call)) {
            if (item_of[std::size_t(r)] >= 0) set |= Set(1) << item_of[std::size_t(r)];
        }
        return set;
    };
    reads_.clear();
    read_by_.clear();
    for (const std::int32_t call : calls_) reads_.push_back(items(call));
    for (std::int32_t call = 0; call < net_.calls(); ++call) read_by_.push_back(items(call));
    for (auto* part : {&low_, &high_}) part->assign(std::size_t(1) << kHalf, 0);
    for (std::size_t set = 1; set < low_.size(); ++set) {
        std::size_t item = 0;
        while ((set >> item & 1) == 0) ++item;
        low_[set] = low_[set & (set - 1)] + item_bytes(item);
        high_[set] = high_[set & (set - 1)] + item_bytes(item + kHalf);
    }
    return true;
}

std::int64_t Stages::item_bytes(std::size_t item) const {
    std::int64_t bytes = 0;
    if (item >= calls_.size()) return bytes;
    for (const std::int32_t r : range(net_.writes, calls_[item])) {
        bytes += net_.bytes[std::size_t(r)];
    }
    return bytes;
}

void Stages::find_bases() {
    Trial plain(net_);
    plain.run({});
    const std::size_t roots = std::size_t(net_.roots());
    std::vector<char> is_item(roots, 0);
    for (const std::int32_t call : calls_) {
        for (const std::int32_t r : range(net_.writes, call)) is_item[std::size_t(r)] = 1;
    }
    beside_.assign(net_.space.begin(), net_.space.end());
    across_.assign(net_.space.size(), 0);
    std::vector<char> has_item(roots, 0);
    for (std::size_t r = 0; r < roots; ++r) has_item[std::size_t(plain.head[r])] |= is_item[r];
    std::vector<std::int32_t> first = plain.first, last = plain.last;
    for (std::size_t r = 0; r < roots; ++r) {
        const auto head = std::size_t(plain.head[r]);
        if (head == r || has_item[head]) continue;
        first[head] = std::min(first[head], first[r]);
        last[head] = std::max(last[head], last[r]);
        first[r] = -1;
    }
    for (std::size_t r = 0; r < roots; ++r) {
        if (is_item[r] || first[r] < 0) continue;
        const std::int32_t end = std::min(last[r], net_.calls() - 1);
        for (std::int32_t call = first[r]; call <= end; ++call) {
            beside_[std::size_t(call)] += net_.bytes[r];
            const bool is_before = call > first[r] || (net_.given[r] && net_.from[r] == call);
            if (is_before) across_[std::size_t(call)] += net_.bytes[r];
        }
    }
}

void Stages::find_later() {
    const auto calls = std::size_t(net_.calls());
    useful_.assign(calls + 1, 0);
    before_.assign(calls, 0);
    own_.assign(calls, 0);
    for (std::size_t item = 0; item < calls_.size(); ++item) {
        own_[std::size_t(calls_[item])] = Set(1) << item;
        for (auto at = std::size_t(calls_[item]) + 1; at < calls; ++at) {
            before_[at] |= Set(1) << item;
        }
    }
    floor_.assign(calls + 1, 0);
    for (std::size_t at = calls; at-- > 0;) {
        Set set = useful_[at + 1] | read_by_[at];
        for (std::size_t item = calls_.size(); item-- > 0;) {
            if (set >> item & 1) set |= reads_[item];
        }
        useful_[at] = set;
        floor_[at] = std::max(floor_[at + 1], beside_[at] + bytes_of(read_by_[at] | own_[at]));
    }
}

bool Stages::is_beaten(std::int64_t peak, double us) const {
    return std::any_of(known_.begin(), known_.end(), [&](const Point& point) {
        return point.first <= peak && point.second <= us + kSame;
    });
}

// The least time of replays from a call on, however much memory there is.
double Stages::missing_us(std::int32_t at, Set there) const {
    if (std::size_t(at) == read_by_.size()) return 0;
    Set set = 0;
    for (auto call = std::size_t(at); call < read_by_.size(); ++call) set |= read_by_[call];
    there |= ~before_[std::size_t(at)];
    double us = 0;
    for (std::size_t item = calls_.size(); item-- > 0;) {
        if ((set & ~there) >> item & 1) {
            set |= reads_[item];
            us += net_.us[std::size_t(calls_[item])];
        }
    }
    return us;
}

// Would all that come this way be beaten, with at least so many bytes and more microseconds?
bool Stages::is_hopeless(const Ways& ways, std::int64_t peak, double us) const {
    return std::all_of(ways.begin(), ways.end(), [&](std::int32_t way) {
        const Way& until = ways_[std::size_t(way)];
        return is_beaten(std::max(until.peak, peak), until.us + us);
    });
}

// Microseconds of the first item of a set.
double Stages::item_us(Set set) const {
    std::size_t item = 0;
    while ((set >> item & 1) == 0) ++item;
    return net_.us[std::size_t(calls_[item])];
}

// Every set of items, from `item` on, that can be made before a call.
void Stages::make(std::int32_t at, Set there, const Ways& ways, Set made, std::size_t item) {
    if (--left_ < 0) return;
    double us = 0;
    for (Set rest = made; rest; rest &= rest - 1) us += item_us(rest);
    if (made && is_hopeless(ways, floor_[std::size_t(at)], us)) return;
    while (item < calls_.size()) {
        const Set all = there | made;
        // What is there is made again only after others: so it need not stay while these are made.
        const bool is_new = ((made ? ~Set(0) : ~there) & before_[std::size_t(at)]) >> item & 1;
        const bool is_useful = useful_[std::size_t(at)] >> item & 1;
        const bool is_in_time = net_.deadline[std::size_t(calls_[item])] >= at;
        if (is_new && is_useful && is_in_time && (reads_[item] & ~all) == 0) {
            make(at, there, ways, made | Set(1) << item, item + 1);
        }
        ++item;
    }
    if ((read_by_[std::size_t(at)] & ~(there | made)) == 0) stay(at, there, ways, made);
}

// Every set of items that can stay until the next call.
void Stages::stay(std::int32_t at, Set there, const Ways& ways, Set made) {
    std::int64_t bytes[kItems];
    Set alive[kItems], known[kItems];
    std::size_t steps = 0;
    Set needed = read_by_[std::size_t(at)], used = needed;
    double us = 0;
    for (std::size_t item = calls_.size(); item-- > 0;) {
        if ((made >> item & 1) == 0) continue;
        const auto call = std::size_t(calls_[item]);
        const Set self = Set(1) << item;
        alive[steps] = needed | self | reads_[item];
        known[steps] = (there & ~made) | (made & (self | (self - 1)));
        bytes[steps++] = across_[std::size_t(at)] + net_.space[call];
        needed = (needed & ~self) | reads_[item];
        used |= reads_[item];
        us += net_.us[call];
    }
    const Set own = own_[std::size_t(at)];
    const Set all = (there | made | own) & useful_[std::size_t(at) + 1], must = made & ~used;
    if (must & ~all) return;
    const auto peak_of = [&](Set stays) {
        std::int64_t peak = beside_[std::size_t(at)];
        peak += bytes_of(read_by_[std::size_t(at)] | own | stays);
        for (std::size_t step = 0; step < steps; ++step) {
            const Set now = alive[step] | (stays & known[step]);
            peak = std::max(peak, bytes[step] + bytes_of(now));
        }
        return peak;
    };
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    for (const std::int32_t way : ways) least = std::min(least, ways_[std::size_t(way)].peak);
    least = std::max(least, floor_[std::size_t(at) + 1]);
    // Fewer items stay only as long as that takes less memory.
    const std::function<void(Set, std::int64_t, Set)> shrink = [&](Set some, std::int64_t peak,
                                                                   Set open) {
        if (--left_ < 0) return;
        std::int64_t next = std::numeric_limits<std::int64_t>::max();  // if one item more stays
        for (Set rest = all & ~some; rest; rest &= rest - 1) {
            next = std::min(next, peak_of(some | (rest & ~(rest - 1))));
        }
        arrive(at + 1, ways, made, some, peak, next, us);
        if (peak <= least) return;
        for (Set rest = open; rest; rest &= rest - 1) {
            const Set fewer = some & ~(rest & ~(rest - 1));
            shrink(fewer, peak_of(fewer), rest & (rest - 1));
        }
    };
    if (is_hopeless(ways, peak_of(must), us + missing_us(at + 1, all))) return;
    shrink(all, peak_of(all), all & ~must);
}

void Stages::arrive(std::int32_t at, const Ways& from, Set made, Set stays, std::int64_t peak,
                    std::int64_t next, double us) {
    --left_;
    State& state = next_[stays];
    if (state.missing_us < 0) state.missing_us = missing_us(at, stays);
    const auto beats = [](const Way& a, const Way& b) {
        return a.peak <= b.peak && a.us <= b.us + kSame;
    };
    Ways& there = state.ways;
    for (const std::int32_t before : from) {
        const Way& until = ways_[std::size_t(before)];
        const Way way{std::max({peak, until.peak, floor_[std::size_t(at)]}), until.us + us, before,
                      made};
        if (way.peak >= next) continue;  // more may stay for nothing
        if (is_beaten(way.peak, way.us + state.missing_us)) continue;
        const auto is_better = [&](std::int32_t other) {
            return beats(ways_[std::size_t(other)], way);
        };
        if (std::any_of(there.begin(), there.end(), is_better)) continue;
        const auto is_worse = [&](std::int32_t other) {
            return beats(way, ways_[std::size_t(other)]);
        };
        there.erase(std::remove_if(there.begin(), there.end(), is_worse), there.end());
        there.push_back(std::int32_t(ways_.size()));
        ways_.push_back(way);
    }
}

bool Stages::solve(std::vector<Point> known, std::int64_t effort, std::vector<Script>& found) {
    if (!is_possible_) return false;
    known_ = std::move(known);
    left_ = effort;
    ways_.assign(1, {0, 0, -1, 0});
    next_.clear();
    next_[0].ways.push_back(0);
    for (std::int32_t at = 0; at < net_.calls(); ++at) {
        const std::map<Set, State> now = std::move(next_);
        next_.clear();
        for (const auto& [there, state] : now) make(at, there, state.ways, 0, 0);
        if (left_ < 0) return false;
    }
    for (const std::int32_t way : next_[0].ways) found.push_back(script(way));
    return true;
}

Script Stages::script(std::int32_t way) const {
    Script script;
    for (std::int32_t at = net_.calls() - 1; at >= 0; --at) {
        const Way& each = ways_[std::size_t(way)];
        for (std::size_t item = 0; item < calls_.size(); ++item) {
            if (each.made >> item & 1) script.push_back({at, calls_[item]});
        }
        way = each.before;
    }
    std::sort(script.begin(), script.end());
    return script;
}

}  // namespace graphc::plan
