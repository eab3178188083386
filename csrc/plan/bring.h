// Bring: a script, made call by call: what is missing is replayed right before it is read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "plan/replay.h"

namespace graphc::plan {

// Who writes a root in the forward.
Lists writers_of(const Net& net);

class Bring {
  public:
    // `writers`: writers_of(net).
    Bring(const Net& net, const Lists& writers);

    // By root, of droppable ones: is it there?
    std::vector<char> present;
    // By root: 0: once replayed, it stays. Another: it does if a root of that group was asked for;
    // what is replayed on the way to others is gone once it is read.
    std::vector<std::int32_t> group;

    // Replay what it takes to have some roots before a call; they are present then.
    void bring(const std::int32_t* first, const std::int32_t* past, std::int32_t before);
    // Let a call of the backward have what it reads.
    void call(std::int32_t at);
    // What has been replayed. Empties this.
    Script script();

    // Roots that a replay would have come too late for; they have to be present.
    std::vector<std::int32_t> stale;
    double us = 0;
    // More replays than this are not made.
    std::size_t most = std::size_t(-1);

    bool is_whole() const { return stale.empty() && made_.size() <= most; }

  private:
    const Net& net_;
    const Lists& writers_;
    Script made_;
    std::vector<std::int32_t> asked_, needed_, passing_, missing_, groups_;
    std::vector<char> is_needed_;  // by call
};

}  // namespace graphc::plan
