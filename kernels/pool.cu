// Maxima and means of the windows of images (N, C, H, W), and their gradients.
#include "grid.h"
#include "image.h"
#include "pool.h"
#include "storage.h"

namespace graphc {

struct PoolImage {
    PoolAxis rows, cols;
    Index out_rows, out_cols, samples;
    ImageOrder order;
};

__device__ inline Index outputs_of(const PoolImage& image) {
    return image.samples * image.order.channels * image.out_rows * image.out_cols;
}

// `mask` and `index` may be null: flat indices in the plane, and in the window.
template <class Item, class Where>
__global__ void max_pool(PoolImage image, const Item* x, Item* y, float* mask, Where* index) {
    const PoolAxis &rows = image.rows, &cols = image.cols;
    for (Index i = thread_in_grid(); i < outputs_of(image); i += threads_of_grid()) {
        const ImagePlace at = place_in_memory(image.order, i, image.out_rows, image.out_cols);
        const PoolSpan down = pool_span(rows, at.h), across = pool_span(cols, at.w);
        const Item* const plane = x + start_of_plane(image.order, at, rows.size * cols.size);
        const PoolPeak peak =
            pool_max(plane, cols.size * at.step, down, across, cols.kernel, at.step);
        y[i] = Item(peak.value);
        if (mask) mask[i] = pool_mask(peak, down, across, cols.kernel, cols.size);
        if (index) index[i] = Where(peak.index);
    }
}

template <class Item>
__global__ void mean_pool(PoolImage image, const Item* x, Item* y) {
    const PoolAxis &rows = image.rows, &cols = image.cols;
    for (Index i = thread_in_grid(); i < outputs_of(image); i += threads_of_grid()) {
        const ImagePlace at = place_in_memory(image.order, i, image.out_rows, image.out_cols);
        const PoolSpan down = pool_span(rows, at.h), across = pool_span(cols, at.w);
        const Item* const plane = x + start_of_plane(image.order, at, rows.size * cols.size);
        const float sum = pool_sum<float>(plane, cols.size * at.step, down, across, at.step);
        y[i] = Item(sum / float(pool_extent(rows, at.h) * pool_extent(cols, at.w)));
    }
}

// Every element of dx looks for the windows that it is the maximum of, or without `index` those
// whose mean it is part of, so nothing is added twice.
template <class Item, class Where>
__global__ void pool_gradient(PoolImage image, int adds, const Item* dy, const Where* index,
                              Item* dx) {
    const PoolAxis &rows = image.rows, &cols = image.cols;
    const Index count = image.samples * image.order.channels * rows.size * cols.size;
    for (Index i = thread_in_grid(); i < count; i += threads_of_grid()) {
        const ImagePlace at = place_in_memory(image.order, i, rows.size, cols.size);
        const Index plane = start_of_plane(image.order, at, image.out_rows * image.out_cols);
        const PoolWindows down = pool_windows(rows, at.h, image.out_rows);
        const PoolWindows across = pool_windows(cols, at.w, image.out_cols);
        float sum = adds ? float(dx[i]) : 0.0F;
        for (Index p = down.first; p < down.stop; ++p) {
            const Index row = (at.h - p * rows.stride + rows.pad) * cols.kernel;
            for (Index q = across.first; q < across.stop; ++q) {
                const Index window = plane + (p * image.out_cols + q) * at.step;
                if (!index) {
                    const Index shares = pool_extent(rows, p) * pool_extent(cols, q);
                    sum += float(dy[window]) / float(shares);
                } else if (Index(index[window]) == row + at.w - q * cols.stride + cols.pad) {
                    sum += float(dy[window]);
                }
            }
        }
        dx[i] = Item(sum);
    }
}

}  // namespace graphc
