#include "plan/blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace graphc::plan {

namespace {

constexpr std::int64_t kEvery = 2'200;  // fates of a block that are all tried
constexpr std::size_t kMany = 26;       // roots from which on only few are
constexpr std::size_t kOptions = 28;    // that are remembered of a block
const double kWeights[] = {0.0, 0.3, 1.0, 4.0};

template <class T>
void put(std::string& key, T value) {
    char raw[sizeof value];
    std::memcpy(raw, &value, sizeof value);
    key.append(raw, sizeof value);
}

// Options that no other is as good as, at most kOptions of them, from the fastest on.
std::vector<Option> front(std::vector<Option> all) {
    const auto top = [](const Option& o) { return std::max(o.forward, o.backward); };
    std::sort(all.begin(), all.end(), [&](const Option& a, const Option& b) {
        if (a.us != b.us) return a.us < b.us;
        if (a.saved != b.saved) return a.saved < b.saved;
        return top(a) < top(b);
    });
    std::vector<Option> kept;
    for (Option& option : all) {
        const bool is_beaten = std::any_of(kept.begin(), kept.end(), [&](const Option& other) {
            return other.saved <= option.saved && other.forward <= option.forward &&
                   other.backward <= option.backward &&
                   other.us + other.us_forward <= option.us + option.us_forward;
        });
        if (!is_beaten) kept.push_back(std::move(option));
    }
    if (kept.size() <= kOptions) return kept;
    // The ends, and what lies evenly between.
    std::vector<Option> some;
    for (std::size_t i = 0; i < kOptions; ++i) {
        some.push_back(kept[i * (kept.size() - 1) / (kOptions - 1)]);
    }
    const auto least =
        std::min_element(kept.begin(), kept.end(),
                         [&](const Option& a, const Option& b) { return top(a) < top(b); });
    some.push_back(*least);
    return some;
}

}  // namespace

// One block by itself: its forward and backward as a Net, in which options are tried.
class Blocks::Room {
  public:
    Room(const Blocks& all, const Part& part) : all_(all), part_(part) {
        const Net& net = all.net_;
        for (std::int32_t call = part.first; call < part.past; ++call) add(call);
        local_.later = local_.calls();
        for (std::int32_t call = part.begin; call < part.end; ++call) add(call);
        for (const std::int32_t r : part.own) own_.push_back(local(r));
        in_bytes_ = part.in >= 0 ? net.bytes[std::size_t(part.in)] : 0;
        if (part.out >= 0) out_ = local(part.out);
        for (std::size_t i = 0; i < roots_.size(); ++i) describe(i);
    }

    std::string key(std::int64_t gradient, std::int64_t growth) const {
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

    Kind kind() {
        Kind kind;
        writers_ = writers_of(local_);
        Bring bring(local_, writers_);
        Trial trial(local_);
        bring_ = &bring;
        trial_ = &trial;
        find(true, kind.saving);
        find(false, kind.replayed);
        std::vector<char> none(own_.size(), kStays);
        Option least;
        with_out_ = true;
        if (attempt(none, least)) {
            kind.passing = least.forward;
            kind.us_passing = least.us_forward;
        }
        kind.out = out_ >= 0 ? local_.bytes[std::size_t(out_)] : 0;
        return kind;
    }

    void set_through(std::int64_t bytes) { through_ = bytes; }
    const std::vector<std::int32_t>& roots() const { return roots_; }

  private:
    std::int32_t local(std::int32_t root) {
        const auto found = ids_.emplace(root, std::int32_t(roots_.size()));
        if (found.second) roots_.push_back(root);
        return found.first->second;
    }

    void add(std::int32_t call) {
        const Net& net = all_.net_;
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

    void describe(std::size_t i) {
        const Net& net = all_.net_;
        const std::int32_t root = roots_[i];
        const auto r = std::size_t(root);
        const std::int32_t first = all_.first_[r], last = all_.last_[r];
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
                if (last >= all_.tail_) bytes = 0;  // counted where it began
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
    bool attempt(const std::vector<char>& fates, Option& option) {
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

    void find(bool with_out, std::vector<Option>& options) {
        with_out_ = with_out;
        const std::size_t count = own_.size();
        std::vector<Option> all;
        Option option;
        std::vector<char> fates(count, with_out ? kKept : kStays);
        if (attempt(fates, option)) all.push_back(option);
        const char kinds = with_out ? 3 : 2;
        if (std::pow(double(kinds), double(count)) <= double(kEvery)) {
            every(0, char(3 - kinds), fates, all);
        } else if (count <= kMany) {
            for (const double weight : kWeights) descend(fates, weight, all);
        } else {
            few(fates, all);
        }
        options = front(std::move(all));
    }

    void every(std::size_t at, char least, std::vector<char>& fates, std::vector<Option>& all) {
        if (at == fates.size()) {
            Option option;
            if (attempt(fates, option)) all.push_back(std::move(option));
            return;
        }
        for (char fate = least; fate <= kPasses; ++fate) {
            fates[at] = fate;
            every(at + 1, least, fates, all);
        }
    }

    // One fate after the other that frees the most bytes per microsecond.
    void descend(std::vector<char> fates, double weight, std::vector<Option>& all) {
        Option now;
        if (!attempt(fates, now)) return;
        const auto need = [&](const Option& o) {
            return double(o.saved) + weight * double(std::max(o.forward, o.backward));
        };
        for (;;) {
            double best = 0;
            Option chosen;
            for (std::size_t i = 0; i < fates.size(); ++i) {
                for (char fate = char(fates[i] + 1); fate <= kPasses; ++fate) {
                    std::vector<char> changed = fates;
                    changed[i] = fate;
                    Option option;
                    if (!attempt(changed, option)) continue;
                    const double gain = need(now) - need(option);
                    const double worth = gain / (std::max(0.0, option.us - now.us) + 1e-3);
                    if (gain > 0 && worth > best) {
                        best = worth;
                        chosen = option;
                    }
                    all.push_back(std::move(option));
                }
            }
            if (best <= 0) return;
            now = chosen;
            fates = now.fates;
        }
    }

    // What is cheapest to make for its size is dropped first.
    void few(std::vector<char> fates, std::vector<Option>& all) {
        std::vector<std::size_t> ranks(fates.size());
        std::vector<double> worth(fates.size());
        for (std::size_t i = 0; i < ranks.size(); ++i) {
            ranks[i] = i;
            for (const std::int32_t w : range(writers_, own_[i])) {
                worth[i] += local_.us[std::size_t(w)];
            }
            worth[i] /= double(local_.bytes[std::size_t(own_[i])]) + 1;
        }
        std::sort(ranks.begin(), ranks.end(),
                  [&](std::size_t a, std::size_t b) { return worth[a] < worth[b]; });
        for (const char fate : {kStays, kPasses}) {
            std::vector<char> changed = fates;
            for (const std::size_t i : ranks) {
                changed[i] = fate;
                Option option;
                if (attempt(changed, option)) all.push_back(std::move(option));
            }
        }
    }

    const Blocks& all_;
    const Part& part_;
    Net local_;
    Lists writers_;
    std::map<std::int32_t, std::int32_t> ids_;
    std::vector<std::int32_t> roots_, own_, targets_;
    std::int32_t out_ = -1;
    std::int64_t in_bytes_ = 0, through_ = 0;
    bool with_out_ = true;
    Bring* bring_ = nullptr;
    Trial* trial_ = nullptr;
};

Blocks::Blocks(const Net& net, const Lists& writers, const std::vector<std::int32_t>& block_of,
               const std::vector<char>& large, const std::vector<std::int32_t>& outs)
    : net_(net), writers_(writers), large_(large) {
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
        Room room(*this, part);
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
