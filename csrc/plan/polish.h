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

  private:
    struct Move;

    // Sees that the trial at hand is that of a script.
    void hold(const Script& script);
    // As hold(), of the script that was last tried aside.
    void hold_aside(const Script& script);

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
    Script held_;  // what the trial at hand is of
    bool is_held_ = false;
    std::vector<std::uint32_t> asked_at_, taken_at_;  // by root, call: the last closure it was in
    std::uint32_t closures_ = 0;
    std::vector<std::int32_t> newest_;  // by root: its last instance
    Lists uses_;                        // of each instance: steps
};

}  // namespace graphc::plan
