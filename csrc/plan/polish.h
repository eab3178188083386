// Polish: from one script to a smaller or a faster one, by what a trial shows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plan/bring.h"
#include "plan/replay.h"

namespace graphc::plan {

struct Found {
    Script script;
    std::int64_t peak = 0;
    double us = 0;
};

class Polish {
  public:
    // `large[root]`: worth a replay.
    Polish(const Net& net, const Lists& writers, std::vector<char> large);

    Found tried(Script script);
    // Replays more, where too much is alive, until no more than `most` bytes are; or nothing helps.
    Found smaller(Found found, std::int64_t most);
    // Replays less, where there is room below `most` bytes.
    Found faster(Found found, std::int64_t most);
    // Single replays and pairs of them, put in and left out, as long as that helps; for small nets.
    Found local(Found found, std::int64_t most);
    // Trials times calls since the beginning.
    std::int64_t effort = 0;

  private:
    struct Move;

    bool fill(const Found& found, std::int64_t most, Script& script);
    double closure(std::int32_t root, std::int32_t before, std::vector<std::int32_t>& calls);
    Found thinned(const Found& found, std::int64_t most, bool by_length);
    std::vector<Move> moves();
    Found aside(Script script);
    bool is_alive(std::int32_t root, std::int32_t step) const;
    void index_uses();

    const Net& net_;
    const Lists& writers_;
    std::vector<char> large_;
    Trial trial_, aside_;
    std::vector<std::int32_t> newest_;  // by root: its last instance
    Lists uses_;                        // of each instance: steps
};

}  // namespace graphc::plan
