// Maxima and means of the windows of images (N, C, H, W), and their gradients.
#include "grid.h"
#include "pool.h"
#include "storage.h"

namespace graphc {

struct PoolImage {
    PoolAxis rows, cols;
    Index out_rows, out_cols, planes;
};

// `mask` and `index` may be null: flat indices in the plane, and in the window.
template <class Item, class Where>
__global__ void max_pool(PoolImage image, const Item* x, Item* y, float* mask, Where* index) {
    const PoolAxis &rows = image.rows, &cols = image.cols;
    const Index outputs = image.out_rows * image.out_cols;
    for (Index i = thread_in_grid(); i < image.planes * outputs; i += threads_of_grid()) {
        const PoolSpan down = pool_span(rows, i % outputs / image.out_cols);
        const PoolSpan across = pool_span(cols, i % image.out_cols);
        const Item* const plane = x + i / outputs * rows.size * cols.size;
        const PoolPeak peak = pool_max(plane, cols.size, down, across, cols.kernel);
        y[i] = Item(peak.value);
        if (mask) mask[i] = pool_mask(peak, down, across, cols.kernel, cols.size);
        if (index) index[i] = Where(peak.index);
    }
}

template <class Item>
__global__ void mean_pool(PoolImage image, const Item* x, Item* y) {
    const PoolAxis &rows = image.rows, &cols = image.cols;
    const Index outputs = image.out_rows * image.out_cols;
    for (Index i = thread_in_grid(); i < image.planes * outputs; i += threads_of_grid()) {
        const Index p = i % outputs / image.out_cols, q = i % image.out_cols;
        const Item* const plane = x + i / outputs * rows.size * cols.size;
        const float sum = pool_sum<float>(plane, cols.size, pool_span(rows, p), pool_span(cols, q));
        y[i] = Item(sum / float(pool_extent(rows, p) * pool_extent(cols, q)));
    }
}

// Every element of dx looks for the windows that it is the maximum of, so nothing is added twice.
template <class Item, class Where>
__global__ void max_pool_gradient(PoolImage image, int adds, const Item* dy, const Where* index,
                                  Item* dx) {
    const PoolAxis &rows = image.rows, &cols = image.cols;
    const Index area = rows.size * cols.size, outputs = image.out_rows * image.out_cols;
    for (Index i = thread_in_grid(); i < image.planes * area; i += threads_of_grid()) {
        const Index h = i % area / cols.size, w = i % cols.size, plane = i / area * outputs;
        const PoolWindows down = pool_windows(rows, h, image.out_rows);
        const PoolWindows across = pool_windows(cols, w, image.out_cols);
        float sum = adds ? float(dx[i]) : 0.0F;
        for (Index p = down.first; p < down.stop; ++p) {
            const Index row = (h - p * rows.stride + rows.pad) * cols.kernel;
            for (Index q = across.first; q < across.stop; ++q) {
                const Index at = plane + p * image.out_cols + q;
                const Index own = row + w - q * cols.stride + cols.pad;
                if (Index(index[at]) == own) sum += float(dy[at]);
            }
        }
        dx[i] = Item(sum);
    }
}

template <class Item>
__global__ void mean_pool_gradient(PoolImage image, int adds, const Item* dy, Item* dx) {
    const PoolAxis &rows = image.rows, &cols = image.cols;
    const Index area = rows.size * cols.size, outputs = image.out_rows * image.out_cols;
    for (Index i = thread_in_grid(); i < image.planes * area; i += threads_of_grid()) {
        const Index h = i % area / cols.size, w = i % cols.size, plane = i / area * outputs;
        const PoolWindows down = pool_windows(rows, h, image.out_rows);
        const PoolWindows across = pool_windows(cols, w, image.out_cols);
        float sum = adds ? float(dx[i]) : 0.0F;
        for (Index p = down.first; p < down.stop; ++p) {
            const Index height = pool_extent(rows, p);
            for (Index q = across.first; q < across.stop; ++q) {
                const float shares = float(height * pool_extent(cols, q));
                sum += float(dy[plane + p * image.out_cols + q]) / shares;
            }
        }
        dx[i] = Item(sum);
    }
}

}  // namespace graphc
