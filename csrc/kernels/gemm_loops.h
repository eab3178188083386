// The inner loops of sums of products, for any Simd. Included by gemm_loops_*.cpp only, after the
// instructions are switched on; nothing of the standard library may be used here nor in loops/.
#pragma once

#include "kernels/gemm_types.h"
#include "kernels/loops/copy.h"
#include "kernels/loops/dot.h"
#include "kernels/loops/lay.h"
#include "kernels/loops/narrow.h"
#include "kernels/loops/slide.h"
#include "kernels/loops/tile.h"

namespace graphc {

// The tables are filled by templates that count down; what an Isa has no registers for stays null.
template <class S, int Rows>
constexpr void fill_tiles(GemmLoops& made) {
    made.tile[Rows - 1][0] = &tile<S, Rows, 1>;
    made.tile[Rows - 1][1] = &tile<S, Rows, 2>;
    made.band_tile[Rows - 1][0] = &band_tile<S, Rows, 1>;
    made.band_tile[Rows - 1][1] = &band_tile<S, Rows, 2>;
    if constexpr (Rows > 1) fill_tiles<S, Rows - 1>(made);
}

template <class S, int Columns>
constexpr void fill_narrow(GemmLoops& made) {
    if constexpr (Columns > 0) {
        made.narrow_tile[Columns - 1][0] = &narrow_tile<S, Columns, 1>;
        made.narrow_tile[Columns - 1][1] = &narrow_tile<S, Columns, 2>;
        made.narrow_band_tile[Columns - 1][0] = &narrow_band_tile<S, Columns, 1>;
        made.narrow_band_tile[Columns - 1][1] = &narrow_band_tile<S, Columns, 2>;
        fill_narrow<S, Columns - 1>(made);
    }
}

template <class S, int Rows, int Columns>
constexpr void fill_dots(GemmLoops& made) {
    made.dot[Rows - 1][Columns - 1] = &dot<S, Rows, Columns>;
    if constexpr (Columns > 1) {
        fill_dots<S, Rows, Columns - 1>(made);
    } else if constexpr (Rows > 1) {
        fill_dots<S, Rows - 1, S::dot_columns>(made);
    }
}

template <class S>
constexpr GemmLoops make_loops() {
    GemmLoops made{};
    made.width = S::width;
    made.has_masks = S::has_masks;
    made.tile_rows = S::tile_rows;
    made.dot_rows = S::dot_rows;
    made.dot_columns = S::dot_columns;
    made.lay = &lay<S>;
    made.copy = &copy<S>;
    made.slide = &slide<S>;
    made.sum_lanes = &sum_lanes<S>;
    made.turn = &turn<S>;
    fill_tiles<S, S::tile_rows>(made);
    made.narrow_columns = S::tile_rows < S::width ? S::tile_rows - kNarrower : 0;
    fill_narrow < S, S::tile_rows<S::width ? S::tile_rows - kNarrower : 0>(made);
    fill_dots<S, S::dot_rows, S::dot_columns>(made);
    return made;
}

}  // namespace graphc
