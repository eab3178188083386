// Where the elements of one tensor lie in another: crops, tiles, slices, joins and permutations are
// all a walk over axes that have one stride on each side.
#pragma once

#include "device.h"

namespace graphc {

// Strides are in elements; a stride of 0 in `from` repeats what lies there.
struct WalkAxis {
    Index size, from, to;
};

struct Walk {
    int rank;
    WalkAxis axes[kAxes];
};

struct WalkPlace {
    Index from, to;
};

// The `i`-th element of the walk, its last axis running fastest.
GRAPHC_DEVICE WalkPlace place_of(const Walk& walk, Index i) {
    WalkPlace place = {0, 0};
    for (int k = walk.rank - 1; k >= 0; --k) {
        const WalkAxis& axis = walk.axes[k];
        const Index at = i % axis.size;
        i /= axis.size;
        place.from += at * axis.from;
        place.to += at * axis.to;
    }
    return place;
}

// to[place] = from[place] for the `i`-th element.
template <class Item>
GRAPHC_DEVICE void copy_element(const Walk& walk, Index i, const Item* from, Item* to) {
    const WalkPlace place = place_of(walk, i);
    to[place.to] = from[place.from];
}

}  // namespace graphc
