// Options: the ways to treat a block, and which of them are worth remembering.
#pragma once

#include <cstdint>
#include <vector>

namespace graphc::plan {

// What happens to a root of a block's own: it is kept from the forward; once replayed, it stays;
// it is replayed for each reader.
enum Fate : char { kKept, kStays, kPasses };

// Of one way to treat a block: bytes kept, the most alive in its forward and in its backward
// without its input, and microseconds: of replays in its backward, and of making what is kept.
struct Option {
    std::int64_t saved = 0, forward = 0, backward = 0;
    double us = 0, us_forward = 0;
    std::vector<char> fates;  // of the block's own roots
};

// What blocks that are alike have in common.
struct Kind {
    std::vector<Option> saving;    // `out` is there when the backward begins
    std::vector<Option> replayed;  // nothing is there but the input
    std::int64_t passing = 0;      // the most alive in a forward that keeps `out` alone
    double us_passing = 0;         // what that takes
    std::int64_t out = 0;          // bytes
    std::int64_t gradient = 0;     // alive when the backward of the block begins
    std::int64_t growth = 0;       // what its backward leaves until all is over
};

// Options that no other is as good as, few of them, from the fastest on.
std::vector<Option> best_options(std::vector<Option> all);

}  // namespace graphc::plan
