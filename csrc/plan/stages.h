// Stages: the best replays of a small Program, by trying all there are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "plan/replay.h"

namespace graphc::plan {

// Before each call some results of the forward are there, some are made once more,
// and some of both stay until the next call: the stages of Checkmate (Jain et al. 2020, section 4).
// States are the sets of results that are there; of each, what no other way there beats in bytes
// and time is remembered. Sharing in place is not considered: what comes out is to be tried.
class Stages {
  public:
    // (peak, microseconds of replays)
    using Point = std::pair<std::int64_t, double>;

    // Calls below `past` may be replayed.
    Stages(const Net& net, std::int32_t past);

    // Scripts that are smaller or faster than every one of `known`. False: the Program is too
    // large, some results have several writers, or more than `effort` ways would have to be tried.
    bool solve(std::vector<Point> known, std::int64_t effort, std::vector<Script>& found);

  private:
    using Set = std::uint32_t;  // of items: calls that can be replayed, by number
    using Ways = std::vector<std::int32_t>;

    // A way to a state: what it has taken so far, and the items made in its last stage.
    struct Way {
        std::int64_t peak;
        double us;
        std::int32_t before;
        Set made;
    };

    struct State {
        Ways ways;
        double missing_us = -1;
    };

    bool find_items(std::int32_t past);
    std::int64_t item_bytes(std::size_t item) const;
    std::int64_t bytes_of(Set set) const {
        return low_[set & (low_.size() - 1)] + high_[set / low_.size()];
    }
    void find_bases();
    void find_later();
    bool is_beaten(std::int64_t peak, double us) const;
    double missing_us(std::int32_t at, Set there) const;
    bool is_hopeless(const Ways& ways, std::int64_t peak, double us) const;
    double item_us(Set set) const;
    void make(std::int32_t at, Set there, const Ways& ways, Set made, std::size_t item);
    void stay(std::int32_t at, Set there, const Ways& ways, Set made);
    void arrive(std::int32_t at, const Ways& from, Set made, Set stays, std::int64_t peak,
                std::int64_t next, double us);
    Script script(std::int32_t way) const;

    const Net& net_;
    bool is_possible_ = false;
    std::vector<std::int32_t> calls_;   // by item
    std::vector<Set> reads_, read_by_;  // by item, by call: items that it reads
    std::vector<Set> before_, own_;     // by call: items made before it, by it
    std::vector<Set> useful_;           // by call: items that it or a later one needs
    // Bytes of the lower and the higher half of a set; by call: the least alive from it on.
    std::vector<std::int64_t> low_, high_, floor_;
    std::vector<std::int64_t> beside_, across_;  // by call: other bytes in it, and right before it
    std::vector<Point> known_;
    std::vector<Way> ways_;
    std::map<Set, State> next_;
    std::int64_t left_ = 0;
};

}  // namespace graphc::plan
