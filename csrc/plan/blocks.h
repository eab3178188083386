// Blocks: a chain that a Program falls into where a single root passes from one part of the
// forward to the next; and what there is to choose in each.
#pragma once

#include <cstdint>
#include <vector>

#include "plan/options.h"
#include "plan/replay.h"
#include "plan/room.h"

namespace graphc::plan {

class Blocks {
  public:
    // `block_of[call]`: of forward and backward, -1 for what is in none; `large[root]`: worth a
    // replay; `outs[block]`: the root that passes to the next.
    Blocks(const Net& net, const std::vector<std::int32_t>& block_of,
           const std::vector<char>& large, const std::vector<std::int32_t>& outs);

    std::vector<Part> parts;
    std::vector<std::int32_t> kind_of;
    std::vector<Kind> kinds;
    std::int64_t base = 0;  // bytes that are there whatever is chosen

  private:
    void split(const std::vector<std::int32_t>& block_of, const std::vector<std::int32_t>& outs);
    void place(const std::vector<std::int32_t>& block_of);

    const Net& net_;
    const std::vector<char>& large_;
    std::vector<std::int32_t> first_, last_;  // uses of each root
    std::int32_t tail_ = 0;                   // where the last block's backward is over
};

}  // namespace graphc::plan
