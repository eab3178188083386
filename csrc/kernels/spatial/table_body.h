// Part of a loop file (see loops.h): its table of functions.

namespace graphc::GRAPHC_LOOPS {

const SpatialLoops spatial_loops = {max_block,   mean_block,   wide_max,   wide_sum,
                                    lrn_across,  lrn_within,   block,      unblock,
                                    max_blocked, mean_blocked, lrn_blocked};

}  // namespace graphc::GRAPHC_LOOPS
