// Blocks: a chain that a Program falls into where a single root passes from one part of the
// forward to the next; and what there is to choose in each.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "plan/bring.h"
#include "plan/replay.h"

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

struct Part {
    std::int32_t first, past;       // of the forward
    std::int32_t begin, end;        // of the backward
    std::int32_t in, out;           // the roots that pass; -1
    std::vector<std::int32_t> own;  // large roots written here, without `out`
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

class Blocks {
  public:
    // `block_of[call]`: of forward and backward, -1 for what is in none; `large[root]`: worth a
    // replay; `outs[block]`: the root that passes to the next.
    Blocks(const Net& net, const Lists& writers, const std::vector<std::int32_t>& block_of,
           const std::vector<char>& large, const std::vector<std::int32_t>& outs);

    std::vector<Part> parts;
    std::vector<std::int32_t> kind_of;
    std::vector<Kind> kinds;
    std::int64_t base = 0;  // bytes that are there whatever is chosen

  private:
    class Room;

    void split(const std::vector<std::int32_t>& block_of, const std::vector<std::int32_t>& outs);
    void place(const std::vector<std::int32_t>& block_of);

    const Net& net_;
    const Lists& writers_;
    const std::vector<char>& large_;
    std::vector<std::int32_t> first_, last_;  // uses of each root
    std::int32_t tail_ = 0;                   // where the last block's backward is over
};

}  // namespace graphc::plan
