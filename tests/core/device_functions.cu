// Calls everything in kernels/*.h from a GPU kernel, so that a CUDA compiler sees all of it.
#include "convolution.h"
#include "device.h"
#include "gather.h"
#include "grid.h"
#include "image.h"
#include "labels.h"
#include "lrn.h"
#include "lstm.h"
#include "philox.h"
#include "pool.h"
#include "storage.h"
#include "strided.h"

using namespace graphc;

extern "C" __global__ void everything(const float* x, float* y, Walk walk, Lrn lrn, PoolAxis rows,
                                      PoolAxis cols) {
    const Index i = thread_in_grid();
    const PoolSpan down = pool_span(rows, i), across = pool_span(cols, i);
    const PoolPeak peak = pool_max(x, cols.size, down, across, cols.kernel);
    y[0] = peak.value + pool_mask(peak, down, across, cols.kernel, cols.size);
    y[1] = pool_sum<float>(x, cols.size, down, across) / float(pool_extent(rows, i));
    y[2] = float(pool_sum<double>(x, cols.size, down, across));
    y[3] = lrn_across(lrn, x, rows.size, cols.size, i);
    y[4] = lrn_within(lrn, x, rows.size, cols.size, cols.size, i, i);
    y[5] = float(sample_of(x[i], greater(rows.size, 1)));
    GRAPHC_SHARED(float, partial);
    y[6] = block_sum(warp_max(x[i]), partial) + float(threads_of_grid());
    y[7] = unit_of(draw_words({{1, 2}, 3}, i, 4, 5).at[i % 4]);
    y[8] = float(Half(x[i])) + float(Bfloat16(x[i])) + float(pool_windows(rows, i, i).first);
    copy_element(walk, i, x, y);
}
