// How BandedGemm multiplies what it has copied of a band.

#include <algorithm>

#include "kernels/banded_gemm_band.h"

namespace graphc {

namespace {

std::int64_t ceil_div(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

}  // namespace

// Narrow tiles are done two by two.
struct BandedGemm::Narrow {
    BandJob jobs[2];
    int rows[2];
    TileStore stores[2];
    std::int64_t columns = 0;
    int count = 0;
};

void BandedGemm::multiply(const ImplicitGemmRun& run, const Band& band,
                          const DepthBlock& block) const {
    const std::int64_t group_size = ImplicitGemm::packed_size(1, shape_.outputs, depth_);
    const float* packed = run.packed + band.group * group_size;
    const std::int64_t slivers = slivers_.count();
    Narrow narrow;
    for (std::int64_t s = 0; s < slivers; ++s) {
        const std::int64_t start = slivers_.start(s), count = slivers_.start(s + 1) - start;
        // The weights that are needed next: the next sliver's, or the first's for the next block or
        // group.
        const float* next = s + 1 < slivers ? packed + (start + count) * depth_ +
                                                  block.k0 * (slivers_.start(s + 2) - start - count)
                            : block.is_last ? packed + group_size
                                            : packed + block.k1 * slivers_.start(1);
        multiply_sliver(run, band, block, start, count, next, narrow);
        if (narrow.count == 2 || (narrow.count == 1 && s + 1 == slivers)) {
            loops_.narrow_band_tile[narrow.columns - 1][narrow.count - 1](narrow.jobs, narrow.rows,
                                                                          narrow.stores);
            narrow.count = 0;
        }
    }
}

// Outputs output .. output + count - 1 of all windows of the band, but of those of a narrow tile.
void BandedGemm::multiply_sliver(const ImplicitGemmRun& run, const Band& band,
                                 const DepthBlock& block, std::int64_t output, std::int64_t count,
                                 const float* next, Narrow& narrow) const {
    const std::int64_t row = cols_.windows, panel = kTileVectors * loops_.width;
    const std::int64_t windows = (band.stop - band.first - 1) * pitch_ + row;
    const std::int64_t out = band.group * shape_.outputs + output, start = band.first * row;
    BandJob job{};
    job.depth = block.height();
    job.a = run.packed + band.group * ImplicitGemm::packed_size(1, shape_.outputs, depth_) +
            output * depth_ + block.k0 * count;
    job.offsets = offsets_.data() + block.k0;
    job.ahead_step = ceil_div(count, ceil_div(windows, panel));
    job.ahead = next;
    TileStore store{};
    float* y = run.y + shape_.y_images[band.image] + out * shape_.y_channel + start;
    const float* add = block.is_first ? nullptr : y;
    store.row = store.add_row = shape_.y_channel;
    if (block.is_first && run.residual) {
        add = run.residual + shape_.r_images[band.image] + out * shape_.r_channel + start;
        store.add_row = shape_.r_channel;
    }
    if (block.is_last) {
        store.activation = run.activation;
        store.slope = run.slope;
        if (run.bias) store.row_bias = run.bias + out;
    }
    const float* planes = band.planes - block.k0 / taps_ * channel_;
    std::int64_t done = 0;
    for (std::int64_t f = 0; f < windows; f += panel) {
        const std::int64_t stop = std::min(f + panel, windows);
        const std::int64_t kept = find_runs(f, stop, job);
        job.ahead += job.depth * job.ahead_step;
        if (kept == 0) continue;
        store.c = y + done;
        if (add) store.add = add + done;
        job.b = planes + f;
        if (is_narrow(loops_, count, stop - f, job.depth)) {
            narrow.columns = stop - f;
            narrow.jobs[narrow.count] = job;
            narrow.rows[narrow.count] = int(count);
            narrow.stores[narrow.count++] = store;
        } else {
            loops_.band_tile[count - 1][(stop - f - 1) / loops_.width](job, store);
        }
        done += kept;
    }
}

// Which of the columns first .. stop-1 are windows, and how many.
std::int64_t BandedGemm::find_runs(std::int64_t first, std::int64_t stop, BandJob& job) const {
    std::int64_t kept = 0;
    job.run_count = 0;
    if (pitch_ == cols_.windows) {
        job.runs[job.run_count++] = {0, int(stop - first)};
        return stop - first;
    }
    for (std::int64_t at = first; at < stop; at = (at / pitch_ + 1) * pitch_) {
        const std::int64_t count = std::min(stop - at, cols_.windows - at % pitch_);
        if (count <= 0) continue;
        job.runs[job.run_count++] = {int(at - first), int(count)};
        kept += count;
    }
    return kept;
}

}  // namespace graphc
