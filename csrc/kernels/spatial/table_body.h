// Part of a loop file (see loops.h): its table of functions.

namespace graphc::GRAPHC_LOOPS {

const SpatialLoops spatial_loops = {
    max_block,           mean_block,      wide_max,         wide_sum,
    lrn_across,          lrn_within,      lrn_within_plane, lrn_across_gradient,
    lrn_within_gradient, block,           unblock,          max_blocked,
    mean_blocked,        max_gradient_u8, max_gradient_i32, mean_gradient,
    lrn_blocked};

}  // namespace graphc::GRAPHC_LOOPS
