// "max_pool_blocked" (y, and the index if it is asked for), "mean_pool_blocked": max_pool and
// mean_pool for operands in blocks of channels, see blocked.h. Of means of one window, y may also
// be (N, C, 1, 1). Parameters: kernel, stride, pad, each (along H, along W), and channels, C.

#include "kernels/blocked.h"
#include "kernels/planes.h"
#include "kernels/pool_windows.h"
#include "kernels/split.h"

namespace graphc {

namespace {

class PoolBlocked : public Kernel {
  public:
    PoolBlocked(const Problem& problem, const std::string& name) {
        if (problem.reads.size() != 1 || problem.writes.empty() || problem.writes.size() > 2) {
            throw Error("GC-A001", name + " reads one operand and writes one, or an index too");
        }
        x_ = Blocked(problem.reads[0], problem.attrs.integer("channels"), name);
        loops_ = &blocked_loops(x_.lanes);
    }

    void run(const Run& run) const override {
        const double work = pool_work(rows_, cols_, x_.count() * height_ * width_ * x_.lanes);
        const Index units = x_.lanes * width_ == 0 ? 0 : x_.count() * height_;
        split(units, threads_for(work, run.threads), [&](Index first, Index stop) {
            for (Index unit = first; unit < stop; ++unit) {
                const Index i = unit / height_, p = unit % height_;
                const Index extent = pool_extent(rows_, p);
                const BlockedRow row = {cols_,    pool_span(rows_, p),      extent, width_,
                                        x_.lanes, is_wide_sum(rows_, cols_)};
                pool(row, i, p, run);
            }
        });
    }

  protected:
    // The row is the p-th of the i-th block.
    virtual void pool(const BlockedRow& row, Index i, Index p, const Run& run) const = 0;

    void set_windows(const Attrs& attrs, Index height, Index width, bool fits) {
        rows_ = pool_axis(attrs, 0, x_.height, height);
        cols_ = pool_axis(attrs, 1, x_.width, width);
        height_ = height;
        width_ = width;
        if (!fits) throw Error("GC-A001", "blocked pooling: x and y do not fit together");
    }

    bool fits(const Blocked& y) const { return y.samples == x_.samples && y.lanes == x_.lanes; }

    const SpatialLoops* loops_;
    Blocked x_;
    PoolAxis rows_ = {}, cols_ = {};
    Index height_ = 0, width_ = 0;  // windows
};

class MaxPoolBlocked final : public PoolBlocked {
  public:
    explicit MaxPoolBlocked(const Problem& problem) : PoolBlocked(problem, "max_pool_blocked") {
        const std::string name = "max_pool_blocked";
        y_ = Blocked(problem.writes[0], x_.channels, name);
        set_windows(problem.attrs, y_.height, y_.width, fits(y_));
        if (problem.writes.size() < 2) return;
        const Spec& index = problem.writes[1];
        const Index most = index.dtype == DType::u8 ? 256 : kIndexable;
        index_ = Blocked(index, x_.channels, name, index.dtype);
        has_index_ = true;
        is_bytes_ = index.dtype == DType::u8;
        if ((!is_bytes_ && index.dtype != DType::i32) || rows_.kernel > most / cols_.kernel ||
            !fits(index_) || index_.height != y_.height || index_.width != y_.width) {
            throw Error("GC-A001", name + ": the index does not fit y");
        }
    }

  private:
    void pool(const BlockedRow& row, Index i, Index p, const Run& run) const override {
        const float* const x = run.in(0) + x_.offset(i);
        float* const y = run.out(0) + y_.offset(i) + p * y_.width * y_.lanes;
        if (has_index_) {
            indexed(row, i, p, x, y, run.writes[1]);
        } else {
            loops_->max_blocked(row, x, y, nullptr);
        }
        y_.clear_padding(i, y, y_.width);
    }

    // So many windows at once, as their indices have room here.
    void indexed(BlockedRow row, Index i, Index p, const float* x, float* y, char* index) const {
        constexpr Index kWindows = 256;
        float where[kWindows * 16];
        const Index at = index_.offset(i) + p * y_.width * y_.lanes, all = row.windows;
        for (Index q = 0; q < all; q += kWindows) {
            row.windows = lesser(kWindows, all - q);
            row.cols.pad = cols_.pad - q * cols_.stride;  // the q-th window is now the first
            loops_->max_blocked(row, x, y + q * y_.lanes, where);
            const Index count = row.windows * y_.lanes, first = at + q * y_.lanes;
            if (is_bytes_) {
                put(i, where, count, reinterpret_cast<std::uint8_t*>(index) + first);
            } else {
                put(i, where, count, reinterpret_cast<std::int32_t*>(index) + first);
            }
        }
    }

    template <class T>
    void put(Index i, const float* where, Index count, T* index) const {
        for (Index k = 0; k < count; ++k) index[k] = T(std::int32_t(where[k]));
        index_.clear_padding(i, index, count / index_.lanes);
    }

    Blocked y_, index_;
    bool has_index_ = false, is_bytes_ = false;
};

class MeanPoolBlocked final : public PoolBlocked {
  public:
    explicit MeanPoolBlocked(const Problem& problem) : PoolBlocked(problem, "mean_pool_blocked") {
        const std::string name = "mean_pool_blocked";
        if (problem.writes.size() > 1) throw Error("GC-A001", name + " writes one operand");
        const Spec& y = problem.writes[0];
        is_plain_ = y.rank == 4;
        if (is_plain_) {
            plain_ = Planes(y, name);
            set_windows(problem.attrs, 1, 1,
                        y.dtype == DType::f32 && plain_.samples == x_.samples &&
                            plain_.channels == x_.channels && plain_.height == 1 &&
                            plain_.width == 1);
        } else {
            y_ = Blocked(y, x_.channels, name);
            set_windows(problem.attrs, y_.height, y_.width, fits(y_));
        }
    }

  private:
    void pool(const BlockedRow& row, Index i, Index p, const Run& run) const override {
        const float* const x = run.in(0) + x_.offset(i);
        float* y = run.out(0);
        if (is_plain_) {
            float means[16];
            loops_->mean_blocked(row, x, means);
            y +=
                i / x_.blocks * plain_.sample_step + i % x_.blocks * x_.lanes * plain_.channel_step;
            for (Index c = 0; c < x_.used(i); ++c) y[c * plain_.channel_step] = means[c];
            return;
        }
        y += y_.offset(i) + p * y_.width * y_.lanes;
        loops_->mean_blocked(row, x, y);
        y_.clear_padding(i, y, y_.width);
    }

    bool is_plain_ = false;
    Blocked y_;
    Planes plain_;
};

GRAPHC_KERNEL("max_pool_blocked", MaxPoolBlocked)
GRAPHC_KERNEL("mean_pool_blocked", MeanPoolBlocked)

}  // namespace

}  // namespace graphc
