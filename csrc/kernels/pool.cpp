// "max_pool": reads x; writes y, then a mask (f32) and the aux index (u8 or i32) if they are asked
// for. "mean_pool": reads x, writes y. Parameters: kernel, stride, pad, each (along H, along W).

#include "pool.h"

#include <algorithm>
#include <vector>

#include "core/kernel.h"
#include "error.h"
#include "kernels/planes.h"
#include "kernels/spatial/loops.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr Index kLargestBlocked = 8;  // windows up to this extent are taken in blocks
constexpr Index kBlockWidth = 512;
constexpr Index kFewest = 4;           // columns of windows from which blocks pay
constexpr Index kWide = 16;            // columns of a window from which lanes pay
constexpr double kNsPerElement = 0.5;  // of x, or twice as much of y

class Pool : public Kernel {
  public:
    explicit Pool(const Problem& problem, const std::string& name)
        : loops_(spatial_loops(chosen_isa())) {
        if (problem.reads.size() != 1 || problem.writes.empty()) {
            throw Error("GC-A001", name + " reads one operand and writes at least one");
        }
        x_ = Planes(problem.reads[0], name);
        y_ = Planes(problem.writes[0], name);
        rows_ = axis(problem.attrs, 0, x_.height);
        cols_ = axis(problem.attrs, 1, x_.width);
        if (problem.reads[0].dtype != DType::f32 || problem.writes[0].dtype != DType::f32 ||
            x_.samples != y_.samples || x_.channels != y_.channels) {
            throw Error("GC-A001", name + ": x and y do not fit together");
        }
        cut();
        work_ = kNsPerElement * double(x_.size() + 2 * y_.size());
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
                pool(run, plane, block);
            }
        });
    }

  protected:
    virtual void pool(const Run& run, Index plane, const PoolBlock& block) const = 0;

    float* top(const Run& run, Index plane, Index p, Index q) const {
        return run.out(0) + y_.offset(plane) + p * y_.pitch + q;
    }

    const SpatialLoops& loops_;
    Planes x_, y_;
    PoolAxis rows_ = {}, cols_ = {};
    bool in_blocks_ = false;

  private:
    static PoolAxis axis(const Attrs& attrs, int i, Index size) {
        const auto at = [&](const char* name, Index least) {
            const auto& both = attrs.integers(name);
            if (both.size() != 2 || both[i] < least || both[i] > UINT32_MAX) {
                throw Error("GC-A001", std::string("pooling: bad parameter ") + name);
            }
            return Index(both[i]);
        };
        return {size, at("kernel", 1), at("stride", 1), at("pad", 0)};
    }

    // Cuts each plane into blocks that fit the loops' buffers.
    void cut() {
        in_blocks_ = std::max(rows_.kernel, cols_.kernel) <= kLargestBlocked &&
                     y_.width >= kFewest && rows_.stride <= rows_.kernel;
        width_ = std::min(kBlockWidth, y_.width);
        height_ = y_.height;
        if (in_blocks_) {
            const Index lines = kPoolBlock / width_;
            height_ = std::min((lines - rows_.kernel) / rows_.stride + 1, y_.height);
        }
        down_ = y_.height > 0 ? (y_.height + height_ - 1) / height_ : 0;
        across_ = y_.width > 0 ? (y_.width + width_ - 1) / width_ : 0;
    }

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
            const bool holds = spec.dtype != DType::u8 || rows_.kernel * cols_.kernel <= 256;
            extra = {i, spec.dtype, Planes(spec, "max_pool")};
            if (!extra.planes.has_shape_of(y_) || spec.dtype == DType::i64 || !holds ||
                problem.writes.size() > 3) {
                throw Error("GC-A001", "max_pool: mask and index do not fit y");
            }
        }
    }

  private:
    // A second or third thing to write; `write` 0 if nobody asked for it.
    struct Extra {
        int write = 0;
        DType dtype = DType::f32;
        Planes planes;
    };

    void pool(const Run& run, Index plane, const PoolBlock& block) const override {
        const float* x = run.in(0) + x_.offset(plane);
        const bool is_indexed = mask_.write > 0 || index_.write > 0;
        if (!in_blocks_) return each(run, x, plane, block, is_indexed);
        int where[kPoolBlock];
        float* y = top(run, plane, block.p0, block.q0);
        loops_.max_block(block, x, y, y_.pitch, is_indexed ? where : nullptr);
        if (!is_indexed) return;
        const int* index = where;
        for (Index p = block.p0; p < block.p1; ++p) {
            for (Index q = block.q0; q < block.q1; ++q) {
                put(run, plane, p, q, {*top(run, plane, p, q), *index++});
            }
        }
    }

    void each(const Run& run, const float* x, Index plane, const PoolBlock& block,
              bool is_indexed) const {
        for (Index p = block.p0; p < block.p1; ++p) {
            const PoolSpan rows = pool_span(rows_, p);
            for (Index q = block.q0; q < block.q1; ++q) {
                const PoolSpan cols = pool_span(cols_, q);
                if (is_indexed || cols_.kernel < kWide) {
                    const PoolPeak peak = pool_max(x, x_.pitch, rows, cols, cols_.kernel);
                    *top(run, plane, p, q) = peak.value;
                    if (is_indexed) put(run, plane, p, q, peak);
                } else {
                    *top(run, plane, p, q) = loops_.wide_max(x, x_.pitch, rows, cols);
                }
            }
        }
    }

    void put(const Run& run, Index plane, Index p, Index q, PoolPeak peak) const {
        if (mask_.write > 0) {
            run.out(mask_.write)[place(mask_, plane, p, q)] =
                pool_mask(peak, pool_span(rows_, p), pool_span(cols_, q), cols_.kernel, cols_.size);
        }
        if (index_.write == 0) return;
        char* to = run.writes[index_.write];
        const Index at = place(index_, plane, p, q);
        if (index_.dtype == DType::u8) {
            reinterpret_cast<std::uint8_t*>(to)[at] = std::uint8_t(peak.index);
        } else {
            reinterpret_cast<std::int32_t*>(to)[at] = std::int32_t(peak.index);
        }
    }

    static Index place(const Extra& extra, Index plane, Index p, Index q) {
        return extra.planes.offset(plane) + p * extra.planes.pitch + q;
    }

    Extra mask_, index_;
};

class MeanPool final : public Pool {
  public:
    explicit MeanPool(const Problem& problem) : Pool(problem, "mean_pool") {
        if (problem.writes.size() != 1) throw Error("GC-A001", "mean_pool writes one operand");
        for (Index q = 0; q < y_.width; ++q) extents_.push_back(float(pool_extent(cols_, q)));
    }

  private:
    void pool(const Run& run, Index plane, const PoolBlock& block) const override {
        const float* x = run.in(0) + x_.offset(plane);
        if (in_blocks_) {
            float* y = top(run, plane, block.p0, block.q0);
            return loops_.mean_block(block, x, y, y_.pitch, extents_.data());
        }
        for (Index p = block.p0; p < block.p1; ++p) {
            const PoolSpan rows = pool_span(rows_, p);
            const double extent = double(pool_extent(rows_, p));
            for (Index q = block.q0; q < block.q1; ++q) {
                const PoolSpan cols = pool_span(cols_, q);
                const double sum = cols_.kernel < kWide ? pool_sum<double>(x, x_.pitch, rows, cols)
                                                        : loops_.wide_sum(x, x_.pitch, rows, cols);
                *top(run, plane, p, q) = float(sum / (extent * double(pool_extent(cols_, q))));
            }
        }
    }

    std::vector<float> extents_;
};

GRAPHC_KERNEL("max_pool", MaxPool)
GRAPHC_KERNEL("mean_pool", MeanPool)

}  // namespace

}  // namespace graphc
