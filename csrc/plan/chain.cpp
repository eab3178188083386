#include "plan/chain.h"

#include <algorithm>
#include <limits>

namespace graphc::plan {

namespace {

constexpr float kNever = std::numeric_limits<float>::infinity();
constexpr std::int32_t kClose = 40;  // blocks up to which every split is considered
constexpr std::int32_t kFew = 120;   // blocks of a chain from which on it is only
constexpr std::int32_t kNear = 8;    // so many
constexpr double kStep = 1.3;        // and the factor between those that are beyond

// best[i] = min(best[i], a[i - k] + add) from `least` on.
void relax(std::vector<float>& best, std::int32_t least, const float* a, std::int32_t k,
           float add) {
    const auto end = std::int32_t(best.size());
    for (std::int32_t i = std::max(least, k); i < end; ++i) {
        const float time = a[i - k] + add;
        best[std::size_t(i)] = time < best[std::size_t(i)] ? time : best[std::size_t(i)];
    }
}

void relax(std::vector<float>& best, std::int32_t least, const float* a, std::int32_t k,
           const float* b, std::int32_t l, float add) {
    const auto end = std::int32_t(best.size());
    float* out = best.data();
    for (std::int32_t i = std::max(least, std::max(k, l)); i < end; ++i) {
        const float time = a[i - k] + b[i - l] + add;
        out[i] = time < out[i] ? time : out[i];
    }
}

}  // namespace

Chain::Chain(const Net& net, const Lists& writers, const Blocks& blocks, std::int64_t most,
             std::int32_t slots)
    : net_(net), writers_(writers), blocks_(blocks) {
    count_ = std::int32_t(blocks.parts.size());
    unit_ = std::max(1.0, double(most) / slots);
    // What passes most often should be a whole number of slots.
    std::map<std::int64_t, std::int32_t> sizes;
    for (std::int32_t b = 0; b < count_; ++b) ++sizes[kind(b).out];
    const auto usual = std::max_element(sizes.begin(), sizes.end(),
                                        [](auto& a, auto& b) { return a.second < b.second; });
    if (double(usual->first) > unit_) {
        unit_ = double(usual->first) / double(std::int64_t(double(usual->first) / unit_ + 0.5));
    }
    slots_ = std::int32_t(double(most) / unit_) + 1;
    hash_.assign(std::size_t(count_) + 1, 0);
    power_.assign(std::size_t(count_) + 1, 1);
    grown_.assign(std::size_t(count_) + 1, 0);
    for (std::size_t b = 0; b < std::size_t(count_); ++b) {
        constexpr std::uint64_t kBase = 0x9E3779B97F4A7C15ULL;
        hash_[b + 1] = hash_[b] * kBase + std::uint64_t(blocks.kind_of[b]) + 1;
        power_[b + 1] = power_[b] * kBase;
        grown_[b + 1] = grown_[b] + kind(std::int32_t(b)).growth;
    }
    outer_.assign(std::size_t(count_), {});
    for (std::int32_t s = count_ - 1; s >= 0; --s) solve(s);
}

const Kind& Chain::kind(std::int32_t block) const {
    return blocks_.kinds[std::size_t(blocks_.kind_of[std::size_t(block)])];
}

std::int32_t Chain::slots_of(std::int64_t bytes) const {
    const double slots = double(bytes) / unit_ + 0.5;
    return std::int32_t(std::min(slots, 1e9));
}

std::int64_t Chain::growth(std::int32_t s, std::int32_t t) const {
    return grown_[std::size_t(t) + 1] - grown_[std::size_t(s)];
}

// Parts of the chain with the same kinds of blocks have the same key.
std::uint64_t Chain::key(std::int32_t s, std::int32_t t) const {
    const auto length = std::size_t(t - s + 1);
    const std::uint64_t hash = hash_[std::size_t(t) + 1] - hash_[std::size_t(s)] * power_[length];
    return hash ^ (std::uint64_t(length) * 0xD6E8FEB86659FD93ULL);
}

// Of the splits of a long part those whose first or second half is short, or grows by a factor.
bool Chain::is_worth(std::int32_t before, std::int32_t after) const {
    if (before + after <= (count_ > kFew ? kNear : kClose)) return true;
    const std::int32_t less = std::min(before, after);
    if (less <= 6) return before <= 6 || after <= 2;
    std::int32_t next = 6;
    while (next < before) next = std::max(next + 1, std::int32_t(next * kStep));
    return next == before;
}

template <class Visit>
void Chain::choices(std::int32_t s, std::int32_t t, bool is_first, const Visit& visit) const {
    const Kind& own = kind(s);
    const std::int64_t gradient = is_first ? 0 : kind(t).gradient;
    const std::int64_t grown = s < t ? growth(s + 1, t) : 0;
    const bool is_last = s == t;
    for (const Option& o : is_last && !is_first ? own.replayed : own.saving) {
        const bool is_replayed = is_last && !is_first;
        const std::int64_t forward = is_replayed ? 0 : o.forward + gradient;
        const std::int32_t least = std::max(slots_of(forward), slots_of(o.backward + grown));
        const std::int32_t kept = slots_of(o.saved + own.out);
        const double us = o.us + (is_first || is_last ? 0 : o.us_forward);
        visit(Choice{&o, -1, kept, 0}, least, us);
    }
    std::int64_t most = 0;
    double us = 0;
    for (std::int32_t split = s + 1; split <= t; ++split) {
        const Kind& last = kind(split - 1);
        most = std::max(most, last.passing + (split - 1 > s ? kind(split - 2).out : 0));
        us += is_first ? 0 : last.us_passing;
        if (!is_worth(split - s, t - split + 1)) continue;
        visit(Choice{nullptr, split, slots_of(last.out), slots_of(growth(split, t))},
              slots_of(most + gradient), us);
    }
}

const Chain::Table& Chain::known(std::int32_t s, std::int32_t t) const {
    return *memo_.at(key(s, t));
}

const Chain::Table& Chain::inner(std::int32_t s, std::int32_t t) {
    const std::uint64_t own = key(s, t);
    const auto found = memo_.find(own);
    if (found != memo_.end()) return *found->second;
    if (s < t) inner(s + 1, t);
    for (std::int32_t split = s + 1; split <= t; ++split) {
        if (!is_worth(split - s, t - split + 1)) continue;
        inner(split, t);
        inner(s, split - 1);
    }
    Table best(std::size_t(slots_) + 1, kNever);
    choices(s, t, false, [&](const Choice& choice, std::int32_t least, double us) {
        if (choice.split >= 0) {
            relax(best, least, known(choice.split, t).data(), choice.rest,
                  known(s, choice.split - 1).data(), choice.again, float(us));
        } else if (s < t) {
            relax(best, least, known(s + 1, t).data(), choice.rest, float(us));
        } else {
            for (std::int32_t i = least; i <= slots_; ++i) {
                best[std::size_t(i)] = std::min(best[std::size_t(i)], float(us));
            }
        }
    });
    tables_.push_back(std::move(best));
    memo_.emplace(own, &tables_.back());
    return tables_.back();
}

void Chain::solve(std::int32_t s) {
    const std::int32_t t = count_ - 1;
    for (std::int32_t split = s + 1; split <= t; ++split) {
        if (is_worth(split - s, t - split + 1)) inner(s, split - 1);
    }
    Table best(std::size_t(slots_) + 1, kNever);
    choices(s, t, true, [&](const Choice& choice, std::int32_t least, double us) {
        if (choice.split >= 0) {
            relax(best, least, outer_[std::size_t(choice.split)].data(), choice.rest,
                  known(s, choice.split - 1).data(), choice.again, float(us));
        } else if (s < t) {
            relax(best, least, outer_[std::size_t(s) + 1].data(), choice.rest, float(us));
        } else {
            for (std::int32_t i = least; i <= slots_; ++i) {
                best[std::size_t(i)] = std::min(best[std::size_t(i)], float(us));
            }
        }
    });
    outer_[std::size_t(s)] = std::move(best);
}

Chain::Choice Chain::choose(std::int32_t s, std::int32_t t, std::int32_t slots,
                            bool is_first) const {
    Choice best;
    float least_time = kNever;
    choices(s, t, is_first, [&](const Choice& choice, std::int32_t least, double us) {
        if (slots < least) return;
        float time = float(us);
        if (choice.split >= 0 || s < t) {
            const std::int32_t next = choice.split >= 0 ? choice.split : s + 1;
            if (slots < choice.rest || slots < choice.again) return;
            const Table& rest = is_first ? outer_[std::size_t(next)] : known(next, t);
            time += rest[std::size_t(slots - choice.rest)];
            if (choice.split >= 0) {
                time += known(s, choice.split - 1)[std::size_t(slots - choice.again)];
            }
        }
        if (time < least_time) {
            least_time = time;
            best = choice;
        }
    });
    return best;
}

// The backward of one block.
void Chain::run(std::int32_t block, const Option& option, Bring& bring) const {
    const Part& part = blocks_.parts[std::size_t(block)];
    for (std::size_t i = 0; i < part.own.size(); ++i) {
        const auto r = std::size_t(part.own[i]);
        bring.group[r] = option.fates[i] == kPasses ? part.own[i] + 1 : 0;
    }
    if (part.out >= 0) bring.group[std::size_t(part.out)] = 0;
    for (std::int32_t call = part.begin; call < part.end; ++call) bring.call(call);
}

void Chain::weave(std::int32_t s, std::int32_t t, std::int32_t slots, bool is_first,
                  Bring& bring) const {
    const Choice choice = choose(s, t, slots, is_first);
    const std::int32_t now = blocks_.parts[std::size_t(t)].begin;
    const bool is_late = is_first || now >= net_.calls();
    std::vector<std::int32_t> targets;
    if (choice.split >= 0) {
        const std::int32_t out = blocks_.parts[std::size_t(choice.split) - 1].out;
        targets.push_back(out);
        if (is_late) {
            bring.present[std::size_t(out)] = 1;
        } else {
            bring.bring(targets.data(), targets.data() + 1, now);
        }
        weave(choice.split, t, slots - choice.rest, is_first, bring);
        bring.present[std::size_t(out)] = 0;
        weave(s, choice.split - 1, slots - choice.again, false, bring);
        return;
    }
    if (choice.option == nullptr) return;  // no way fits: what is missing is replayed as it is read
    const Part& part = blocks_.parts[std::size_t(s)];
    if (is_first || s < t) {
        for (std::size_t i = 0; i < part.own.size(); ++i) {
            if (choice.option->fates[i] == kKept) targets.push_back(part.own[i]);
        }
        if (part.out >= 0) targets.push_back(part.out);
        if (is_late) {
            for (const std::int32_t r : targets) bring.present[std::size_t(r)] = 1;
        } else {
            bring.bring(targets.data(), targets.data() + targets.size(), now);
        }
    }
    if (s < t) weave(s + 1, t, slots - choice.rest, is_first, bring);
    run(s, *choice.option, bring);
}

bool Chain::script(std::int32_t slots, std::size_t most, Script& found,
                   std::vector<std::int32_t>& stale) const {
    Bring bring(net_, writers_);
    bring.most = most;
    for (const Part& part : blocks_.parts) {
        std::vector<std::int32_t> roots = part.own;
        if (part.out >= 0) roots.push_back(part.out);
        for (const std::int32_t r : roots) {
            bring.present[std::size_t(r)] = 0;
            bring.group[std::size_t(r)] = r + 1;
        }
    }
    weave(0, count_ - 1, std::min(slots, slots_), true, bring);
    const std::int32_t tail = blocks_.parts[0].end;
    for (std::int32_t call = tail; call < net_.calls(); ++call) bring.call(call);
    const bool is_whole = bring.is_whole();
    stale = bring.stale;
    found = bring.script();
    return is_whole;
}

}  // namespace graphc::plan
