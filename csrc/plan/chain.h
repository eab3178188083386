// Chain: the least time to run a chain of blocks backward within some memory.
#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "plan/blocks.h"

namespace graphc::plan {

// A dynamic program over parts of the chain (Beaumont, Eyraud-Dubois, Shilova 2019, for chains of
// unequal steps; here with several ways to treat a block). To run blocks s to t backward, while
// the input of s is there: keep s in one of its ways, and then s + 1 to t; or run the forward on
// to block s', keep its input alone, run s' to t, and then s to s' - 1 from the start. The forward
// of the Program itself is the first one, and costs nothing.
//
// Memory is counted in slots, rounded to the nearest: what comes out is a proposal, to be tried.
// Parts of the chain that are alike are solved once; of long ones, only some s' are considered.
class Chain {
  public:
    Chain(const Net& net, const Lists& writers, const Blocks& blocks, std::int64_t most,
          std::int32_t slots);

    // By slots of memory: microseconds of replays.
    const std::vector<float>& times() const { return outer_[0]; }
    // The replays that it takes; false if some would come too late.
    bool script(std::int32_t slots, std::size_t most, Script& found,
                std::vector<std::int32_t>& stale) const;

  private:
    using Table = std::vector<float>;
    struct Choice {
        const Option* option = nullptr;
        std::int32_t split = -1, rest = 0, again = 0;  // slots for both parts
    };

    std::int32_t slots_of(std::int64_t bytes) const;
    std::uint64_t key(std::int32_t s, std::int32_t t) const;
    const Kind& kind(std::int32_t block) const;
    std::int64_t growth(std::int32_t s, std::int32_t t) const;
    bool is_worth(std::int32_t before, std::int32_t after) const;
    const Table& inner(std::int32_t s, std::int32_t t);
    const Table& known(std::int32_t s, std::int32_t t) const;
    void solve(std::int32_t s);
    // Calls visit(choice, least slots, table, shift, table or null, shift, us) for each choice.
    template <class Visit>
    void choices(std::int32_t s, std::int32_t t, bool is_first, const Visit& visit) const;
    Choice choose(std::int32_t s, std::int32_t t, std::int32_t slots, bool is_first) const;
    void weave(std::int32_t s, std::int32_t t, std::int32_t slots, bool is_first,
               Bring& bring) const;
    void run(std::int32_t block, const Option& option, Bring& bring) const;

    const Net& net_;
    const Lists& writers_;
    const Blocks& blocks_;
    std::int32_t count_, slots_;
    double unit_;
    std::vector<std::uint64_t> hash_, power_;
    std::vector<std::int64_t> grown_;
    std::vector<Table> outer_;  // by block: from it to the last, in the first forward
    std::deque<Table> tables_;
    std::unordered_map<std::uint64_t, const Table*> memo_;
};

}  // namespace graphc::plan
