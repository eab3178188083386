// "max_pool": reads x; writes y, then a mask (f32) and the aux index (u8 or i32) if they are asked
// for. "mean_pool": reads x, writes y. Parameters: kernel, stride, pad, each (along H, along W).

#include "pool.h"

#include <cstdint>
#include <vector>

#include "core/kernel.h"
#include "error.h"
#include "kernels/planes.h"
#include "kernels/pool_windows.h"
#include "kernels/spatial/loops.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr Index kIndices = 4096;   // windows whose indices are found at once
constexpr Index kManyPlanes = 64;  // from so many on, threads share out whole planes

class Pool : public Kernel {
  public:
    explicit Pool(const Problem& problem, const std::string& name)
        : loops_(spatial_loops(chosen_isa())) {
        if (problem.reads.size() != 1 || problem.writes.empty()) {
            throw Error("GC-A001", name + " reads one operand and writes at least one");
        }
        x_ = Planes(problem.reads[0], name);
        y_ = Planes(problem.writes[0], name);
        rows_ = pool_axis(problem.attrs, 0, x_.height, y_.height);
        cols_ = pool_axis(problem.attrs, 1, x_.width, y_.width);
        if (problem.reads[0].dtype != DType::f32 || problem.writes[0].dtype != DType::f32 ||
            x_.samples != y_.samples || x_.channels != y_.channels) {
            throw Error("GC-A001", name + ": x and y do not fit together");
        }
        is_wide_ = cols_.kernel > kPoolWidest || y_.width == 1;
        work_ = pool_work(rows_, cols_, y_.size());
        cut(INT64_MAX);
    }

    void run(const Run& run) const override {
        const Index units = y_.size() == 0 ? 0 : y_.count() * down_ * across_;
        split(units, threads_for(work_, run.threads), [&](Index first, Index stop) {
            for (Index unit = first; unit < stop; ++unit) {
                PoolBlock block = {rows_, cols_, x_.pitch, 0, 0, 0, 0};
                const Index plane = unit / (down_ * across_), part = unit % (down_ * across_);
                block.p0 = part / across_ * height_;
                block.p1 = lesser(block.p0 + height_, y_.height);
                block.q0 = part % across_ * width_;
                block.q1 = lesser(block.q0 + width_, y_.width);
                float* y = run.out(0) + y_.offset(plane) + block.p0 * y_.pitch + block.q0;
                pool(run, plane, block, run.in(0) + x_.offset(plane), y);
            }
        });
    }

  protected:
    // `x` is the plane's first element, `y` the block's.
    virtual void pool(const Run& run, Index plane, const PoolBlock& block, const float* x,
                      float* y) const = 0;

    // Cuts planes into blocks of at most so many windows.
    void cut(Index most) {
        width_ = lesser(y_.width, most);
        height_ = lesser(y_.height, most / greater(width_, 1));
        const Index share = greater(y_.height * y_.count() / kManyPlanes, 1);
        if (y_.count() < kManyPlanes) height_ = lesser(height_, share);
        down_ = y_.size() > 0 ? (y_.height + height_ - 1) / height_ : 0;
        across_ = y_.size() > 0 ? (y_.width + width_ - 1) / width_ : 0;
    }

    const SpatialLoops& loops_;
    Planes x_, y_;
    PoolAxis rows_ = {}, cols_ = {};
    bool is_wide_ = false;  // take windows one by one, each in many lanes

  private:
    Index height_ = 0, width_ = 0;  // windows of a block
    Index down_ = 0, across_ = 0;   // blocks of a plane
    double work_ = 0;               // nanoseconds
};

class MaxPool final : public Pool {
  public:
    explicit MaxPool(const Problem& problem) : Pool(problem, "max_pool") {
        for (int i = 1; i < int(problem.writes.size()); ++i) {
            const Spec& spec = problem.writes[i];
            Extra& extra = spec.dtype == DType::f32 ? mask_ : index_;
            const bool holds = spec.dtype != DType::u8 || rows_.kernel <= 256 / cols_.kernel;
            extra = {i, spec.dtype, Planes(spec, "max_pool")};
            if (!extra.planes.has_shape_of(y_) || spec.dtype == DType::i64 || !holds ||
                problem.writes.size() > 3) {
                throw Error("GC-A001", "max_pool: mask and index do not fit y");
            }
        }
        is_indexed_ = problem.writes.size() > 1;
        if (is_indexed_) cut(kIndices);
    }

  private:
    // A second or third thing to write; `write` 0 if nobody asked for it.
    struct Extra {
        int write = 0;
        DType dtype = DType::f32;
        Planes planes;
    };

    void pool(const Run& run, Index plane, const PoolBlock& block, const float* x,
              float* y) const override {
        const bool is_large = rows_.kernel > kIndexable / cols_.kernel;
        if (is_wide_ || (is_indexed_ && is_large)) return one_by_one(run, plane, block, x, y);
        float where[kIndices];
        loops_.max_block(block, x, y, y_.pitch, is_indexed_ ? where : nullptr);
        if (index_.write > 0) put_indices(run, plane, block, where);
        const float* index = where;
        for (Index p = block.p0; mask_.write > 0 && p < block.p1; ++p, y += y_.pitch) {
            for (Index q = block.q0; q < block.q1; ++q) {
                put_mask(run, plane, p, q, {y[q - block.q0], Index(*index++)});
            }
        }
    }

    void one_by_one(const Run& run, Index plane, const PoolBlock& block, const float* x,
                    float* y) const {
        for (Index p = block.p0; p < block.p1; ++p, y += y_.pitch) {
            const PoolSpan rows = pool_span(rows_, p);
            for (Index q = block.q0; q < block.q1; ++q) {
                const PoolSpan cols = pool_span(cols_, q);
                if (is_indexed_) {
                    const PoolPeak peak = pool_max(x, x_.pitch, rows, cols, cols_.kernel);
                    y[q - block.q0] = peak.value;
                    put(run, plane, p, q, peak);
                } else {
                    y[q - block.q0] = loops_.wide_max(x, x_.pitch, rows, cols);
                }
            }
        }
    }

    void put(const Run& run, Index plane, Index p, Index q, PoolPeak peak) const {
        if (mask_.write > 0) put_mask(run, plane, p, q, peak);
        if (index_.write == 0) return;
        char* to = run.writes[index_.write];
        const Index at = place(index_, plane, p, q);
        if (index_.dtype == DType::u8) {
            reinterpret_cast<std::uint8_t*>(to)[at] = std::uint8_t(peak.index);
        } else {
            reinterpret_cast<std::int32_t*>(to)[at] = std::int32_t(peak.index);
        }
    }

    void put_mask(const Run& run, Index plane, Index p, Index q, PoolPeak peak) const {
        run.out(mask_.write)[place(mask_, plane, p, q)] =
            pool_mask(peak, pool_span(rows_, p), pool_span(cols_, q), cols_.kernel, cols_.size);
    }

    void put_indices(const Run& run, Index plane, const PoolBlock& block,
                     const float* where) const {
        char* to = run.writes[index_.write];
        const Index count = block.q1 - block.q0;
        for (Index p = block.p0; p < block.p1; ++p, where += count) {
            const Index at = place(index_, plane, p, block.q0);
            if (index_.dtype == DType::u8) {
                std::uint8_t* row = reinterpret_cast<std::uint8_t*>(to) + at;
                for (Index i = 0; i < count; ++i) row[i] = std::uint8_t(int(where[i]));
            } else {
                std::int32_t* row = reinterpret_cast<std::int32_t*>(to) + at;
                for (Index i = 0; i < count; ++i) row[i] = std::int32_t(where[i]);
            }
        }
    }

    static Index place(const Extra& extra, Index plane, Index p, Index q) {
        return extra.planes.offset(plane) + p * extra.planes.pitch + q;
    }

    Extra mask_, index_;
    bool is_indexed_ = false;
};

class MeanPool final : public Pool {
  public:
    explicit MeanPool(const Problem& problem) : Pool(problem, "mean_pool") {
        if (problem.writes.size() != 1) throw Error("GC-A001", "mean_pool writes one operand");
        for (Index q = 0; y_.size() > 0 && q < y_.width; ++q)
            widths_.push_back(float(pool_extent(cols_, q)));
        is_wide_ = is_wide_ || is_wide_sum(rows_, cols_);
    }

  private:
    void pool(const Run&, Index, const PoolBlock& block, const float* x, float* y) const override {
        if (!is_wide_) {
            return loops_.mean_block(block, x, y, y_.pitch, widths_.data() + block.q0);
        }
        for (Index p = block.p0; p < block.p1; ++p, y += y_.pitch) {
            const PoolSpan rows = pool_span(rows_, p);
            const double height = double(pool_extent(rows_, p));
            for (Index q = block.q0; q < block.q1; ++q) {
                const double sum = loops_.wide_sum(x, x_.pitch, rows, pool_span(cols_, q));
                y[q - block.q0] = float(sum / (height * double(pool_extent(cols_, q))));
            }
        }
    }

    std::vector<float> widths_;
};

GRAPHC_KERNEL("max_pool", MaxPool)
GRAPHC_KERNEL("mean_pool", MeanPool)

}  // namespace

}  // namespace graphc
