// "max_pool_gradient": reads dy and the aux index (u8 or i32); "mean_pool_gradient": reads dy. Each
// writes dx, or with `accumulate` (accumulate.h) adds to it. "_blocked": the same of operands in
// blocks of channels, see blocked.h. Parameters: kernel, stride, pad, each (along H, along W), and
// of blocks channels, C.
//
// dx is cut into bands of rows, each of which takes what the windows over it give, in their order;
// so nothing depends on the number of threads.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/accumulate.h"
#include "kernels/field.h"
#include "kernels/pool_windows.h"
#include "kernels/spans.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr Index kManyPlanes = 64;  // from so many on, threads share out whole planes
constexpr Index kRow = 1024;       // pixels of a row that are taken at once

class PoolGradient : public Kernel {
  public:
    PoolGradient(const Problem& problem, const std::string& name, std::size_t reads)
        : adds_(accumulates(problem, name)) {
        const bool is_right = problem.reads.size() == reads + (adds_ ? 1 : 0) &&
                              problem.writes.size() == 1 && problem.reads[0].dtype == DType::f32 &&
                              problem.writes[0].dtype == DType::f32;
        if (!is_right) throw Error("GC-A001", name + " has other operands");
        dy_ = Field(problem.reads[0], problem.attrs, name);
        dx_ = Field(problem.writes[0], problem.attrs, name);
        if (!dx_.goes_with(dy_)) throw Error("GC-A001", name + ": dx and dy do not fit together");
        rows_ = pool_axis(problem.attrs, 0, dx_.height, dy_.height);
        cols_ = pool_axis(problem.attrs, 1, dx_.width, dy_.width);
        if (dx_.lanes > 1) loops_ = &blocked_loops(dx_.lanes);
        const Index share = std::max<Index>(1, dx_.height * dx_.planes / kManyPlanes);
        band_ = dx_.planes < kManyPlanes ? std::max(share, rows_.kernel) : dx_.height;
        band_ = std::max<Index>(1, lesser(band_, dx_.height));
        bands_ = (dx_.height + band_ - 1) / band_;
        work_ = pool_work(rows_, cols_, dy_.size()) + 0.1 * double(dx_.size());
    }

    void run(const Run& run) const override {
        const Index units = dx_.size() == 0 ? 0 : dx_.planes * bands_;
        split(units, threads_for(work_, run.threads), [&](Index from, Index to) {
            for (Index unit = from; unit < to; ++unit) band(run, unit / bands_, unit % bands_);
        });
    }

  protected:
    // Adds what a row of windows, the p-th of a plane, gives the rows `rows` of dx, whose plane
    // starts at `dx`.
    virtual void add(const Run& run, Index plane, Index p, PoolSpan rows, float* dx) const = 0;

    BlockedRow row_of(Index p, PoolSpan rows) const {
        return {cols_, rows, pool_extent(rows_, p), dy_.width, dx_.lanes, false};
    }

    bool adds_;
    Field dx_, dy_;
    PoolAxis rows_ = {}, cols_ = {};
    const SpatialLoops* loops_ = nullptr;  // of blocked operands

  private:
    void band(const Run& run, Index plane, Index number) const {
        float* const dx = run.out(0) + dx_.offset(plane);
        const Index top = number * band_, bottom = lesser(top + band_, dx_.height);
        for (Index h = top; h < bottom && !adds_; ++h) {
            std::fill_n(dx + h * dx_.pitch, dx_.width * dx_.lanes, 0.0F);
        }
        const Index stop =
            lesser((bottom + rows_.pad + rows_.stride - 1) / rows_.stride, dy_.height);
        const Index past = top + rows_.pad - rows_.kernel;  // windows start after it
        for (Index p = past < 0 ? 0 : past / rows_.stride + 1; p < stop; ++p) {
            PoolSpan rows = pool_span(rows_, p);
            rows.first = greater(rows.first, top);
            rows.stop = lesser(rows.stop, bottom);
            if (rows.first < rows.stop) add(run, plane, p, rows, dx);
        }
    }

    Index band_ = 1, bands_ = 1;  // rows of a band, bands of a plane
    double work_ = 0;             // nanoseconds
};

class MaxPoolGradient final : public PoolGradient {
  public:
    explicit MaxPoolGradient(const Problem& problem)
        : PoolGradient(problem, "max_pool_gradient", 2) {
        const Spec& index = problem.reads[1];
        is_bytes_ = index.dtype == DType::u8;
        index_ = Field(index, problem.attrs, "max_pool_gradient");
        const bool is_right = (is_bytes_ || index.dtype == DType::i32) && index_.goes_with(dy_) &&
                              index_.height == dy_.height && index_.width == dy_.width;
        if (!is_right) throw Error("GC-A001", "max_pool_gradient: the index does not fit dy");
        for (Index i = 0; is_bytes_ && i < 256; ++i) {
            down_[i] = std::int32_t(i / cols_.kernel);
            across_[i] = std::int32_t(i % cols_.kernel);
        }
    }

  private:
    void add(const Run& run, Index plane, Index p, PoolSpan rows, float* dx) const override {
        const float* const dy = run.in(0) + dy_.offset(plane) + p * dy_.pitch;
        const Index at = index_.offset(plane) + p * index_.pitch;
        if (is_bytes_) {
            const auto* const index = reinterpret_cast<const std::uint8_t*>(run.reads[1]) + at;
            if (loops_) return loops_->max_gradient_u8(row_of(p, rows), dy, index, dx);
            scatter(rows, dy, index, dx,
                    [&](std::uint8_t i) { return Place{down_[i], across_[i]}; });
        } else {
            const auto* const index = reinterpret_cast<const std::int32_t*>(run.reads[1]) + at;
            if (loops_) return loops_->max_gradient_i32(row_of(p, rows), dy, index, dx);
            scatter(rows, dy, index, dx,
                    [&](std::int32_t i) { return Place{i / cols_.kernel, i % cols_.kernel}; });
        }
    }

    // Where in its window an element lies.
    struct Place {
        Index down, across;
    };

    template <class Int, class Where>
    void scatter(PoolSpan rows, const float* dy, const Int* index, float* dx,
                 const Where& where) const {
        for (Index q = 0; q < dy_.width; ++q) {
            const Place place = where(index[q]);
            const Index h = rows.start + place.down;
            const Index w = q * cols_.stride - cols_.pad + place.across;
            if (h >= rows.first && h < rows.stop && w >= 0 && w < dx_.width) {
                dx[h * dx_.pitch + w] += dy[q];
            }
        }
    }

    bool is_bytes_;
    Field index_;
    std::int32_t down_[256] = {}, across_[256] = {};
};

class MeanPoolGradient final : public PoolGradient {
  public:
    explicit MeanPoolGradient(const Problem& problem)
        : PoolGradient(problem, "mean_pool_gradient", 1), spans_(spans()) {}

  private:
    void add(const Run& run, Index plane, Index p, PoolSpan rows, float* dx) const override {
        const float* const dy = run.in(0) + dy_.offset(plane) + p * dy_.pitch;
        if (loops_) return loops_->mean_gradient(row_of(p, rows), dy, dx);
        const float height = float(pool_extent(rows_, p));
        for (Index left = 0; left < dx_.width; left += kRow) {
            const Index right = lesser(left + kRow, dx_.width);
            float sums[kRow];  // of what the windows give each pixel of a row
            std::fill_n(sums, right - left, 0.0F);
            const Index stop =
                lesser((right + cols_.pad + cols_.stride - 1) / cols_.stride, dy_.width);
            const Index past = left + cols_.pad - cols_.kernel;
            for (Index q = past < 0 ? 0 : past / cols_.stride + 1; q < stop; ++q) {
                const PoolSpan cols = pool_span(cols_, q);
                const float share = dy[q] / (height * float(pool_extent(cols_, q)));
                const Index end = lesser(cols.stop, right);
                for (Index w = greater(cols.first, left); w < end; ++w) sums[w - left] += share;
            }
            for (Index h = rows.first; h < rows.stop; ++h) {
                float* const to = dx + h * dx_.pitch + left;
                spans_.binary_of(Opcode::add)(to, to, sums, right - left);
            }
        }
    }

    const Spans& spans_;
};

using MaxPoolGradientBlocked = MaxPoolGradient;
using MeanPoolGradientBlocked = MeanPoolGradient;

GRAPHC_KERNEL("max_pool_gradient", MaxPoolGradient)
GRAPHC_KERNEL("max_pool_gradient_blocked", MaxPoolGradientBlocked)
GRAPHC_KERNEL("mean_pool_gradient", MeanPoolGradient)
GRAPHC_KERNEL("mean_pool_gradient_blocked", MeanPoolGradientBlocked)

}  // namespace

}  // namespace graphc
