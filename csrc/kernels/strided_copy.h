// StridedCopy: a walk over two tensors, prepared so that its innermost loops are long.
#pragma once

#include "core/tensor.h"
#include "strided.h"

namespace graphc {

class StridedCopy {
  public:
    // The two tensors must not overlap, nor elements of the second each other.
    StridedCopy(const Walk& walk, int item);

    void run(const char* from, char* to, int threads) const;

  private:
    // How the innermost elements are moved; `inner` is one axis (two for a transposition).
    enum class Kind { nothing, runs, transposition, elements };

    void arrange(const Walk& walk);
    void choose();
    WalkAxis take(int k);
    template <class Move>
    void each_piece(Index first, Index stop, const Move& move) const;
    template <class Item>
    void copy_units(const Item* from, Item* to, Index first, Index stop) const;

    Walk outer_ = {};
    WalkAxis inner_ = {1, 1, 1};     // written without a gap, unless the kind is `elements`
    WalkAxis crossing_ = {1, 1, 1};  // of a transposition: read without a gap
    Kind kind_ = Kind::nothing;
    int item_ = 1;
    Index piece_ = 1;   // elements of `inner_` that one unit of work takes
    Index pieces_ = 1;  // units of work per place of `outer_`
    Index units_ = 0;
    double work_ = 0;  // nanoseconds
};

}  // namespace graphc
