// "lrn_across", "lrn_within": read x, write y. Parameters: radius (half the window), shift, share
// (the weight of one square), beta.

#include "lrn.h"

#include <cstdint>

#include "core/kernel.h"
#include "error.h"
#include "kernels/planes.h"
#include "kernels/spatial/loops.h"
#include "kernels/split.h"

namespace graphc {

namespace {

constexpr double kNsPerElement = 1.5;

class LrnKernel : public Kernel {
  public:
    LrnKernel(const Problem& problem, const std::string& name)
        : loops_(spatial_loops(chosen_isa())) {
        if (problem.reads.size() != 1 || problem.writes.size() != 1 ||
            problem.reads[0].dtype != DType::f32 || problem.writes[0].dtype != DType::f32) {
            throw Error("GC-A001", name + " reads one operand of floats and writes one");
        }
        x_ = Planes(problem.reads[0], name);
        y_ = Planes(problem.writes[0], name);
        if (!x_.has_shape_of(y_)) throw Error("GC-A001", name + ": x and y differ in shape");
        const Attrs& attrs = problem.attrs;
        lrn_ = {attrs.integer("radius"), float(attrs.real("shift")), float(attrs.real("share")),
                float(attrs.real("beta"))};
        if (lrn_.radius < 0 || lrn_.radius > INT32_MAX) {
            throw Error("GC-A001", name + ": the radius is negative or too large");
        }
    }

  protected:
    int threads(const Run& run) const {
        return threads_for(kNsPerElement * double(x_.size()), run.threads);
    }

    const SpatialLoops& loops_;
    Planes x_, y_;
    Lrn lrn_ = {};
};

class LrnAcross final : public LrnKernel {
  public:
    explicit LrnAcross(const Problem& problem) : LrnKernel(problem, "lrn_across") {
        const bool is_flat = x_.height <= 1 || (x_.pitch == x_.width && y_.pitch == x_.width);
        rows_ = is_flat ? 1 : x_.height;
        row_ = is_flat ? x_.height * x_.width : x_.width;
        const Index lines = greater(x_.samples * rows_, 1);
        const Index share = (row_ * lines / kShares + kStep - 1) / kStep * kStep;
        block_ = lesser(greater(share, kStep), kLrnBlock);
        blocks_ = (row_ + block_ - 1) / block_;
    }

    void run(const Run& run) const override {
        const Index units = x_.size() == 0 ? 0 : x_.samples * rows_ * blocks_;
        split(units, threads(run), [&](Index begin, Index end) {
            for (Index unit = begin; unit < end; ++unit) {
                const Index first = unit % blocks_ * block_, line = unit / blocks_;
                const Index n = line / rows_, h = line % rows_;
                loops_.lrn_across(lrn_, run.in(0) + n * x_.sample_step + h * x_.pitch + first,
                                  x_.channel_step,
                                  run.out(0) + n * y_.sample_step + h * y_.pitch + first,
                                  y_.channel_step, x_.channels, lesser(block_, row_ - first));
            }
        });
    }

  private:
    static constexpr Index kShares = 16, kStep = 64;  // enough blocks for threads, none too small

    Index rows_ = 1, row_ = 0;      // runs of pixels, and how long they are
    Index block_ = 0, blocks_ = 0;  // pixels of a block, and blocks of a run
};

class LrnWithin final : public LrnKernel {
  public:
    explicit LrnWithin(const Problem& problem) : LrnKernel(problem, "lrn_within") {
        const Index reach = lesser(lrn_.radius, x_.width - 1);
        if (x_.width + 2 * reach <= kLrnRow) {
            piece_ = x_.width;
        } else if (reach <= kLrnRow / 4) {
            piece_ = kLrnRow - 2 * reach;
        }
    }

    void run(const Run& run) const override {
        const Index units = x_.size() == 0 ? 0 : x_.count() * x_.height;
        split(units, threads(run), [&](Index begin, Index end) {
            for (Index unit = begin; unit < end; ++unit) {
                const Index plane = unit / x_.height, h = unit % x_.height;
                const float* x = run.in(0) + x_.offset(plane);
                float* y = run.out(0) + y_.offset(plane) + h * y_.pitch;
                for (Index w = 0; piece_ > 0 && w < x_.width; w += piece_) {
                    loops_.lrn_within(lrn_, x, x_.height, x_.width, x_.pitch, h, w,
                                      lesser(w + piece_, x_.width), y + w);
                }
                for (Index w = 0; piece_ == 0 && w < x_.width; ++w) {
                    y[w] = lrn_within(lrn_, x, x_.height, x_.width, x_.pitch, h, w);
                }
            }
        });
    }

  private:
    Index piece_ = 0;  // pixels of a row that fit the loop's buffers; 0: one by one
};

GRAPHC_KERNEL("lrn_across", LrnAcross)
GRAPHC_KERNEL("lrn_within", LrnWithin)

}  // namespace

}  // namespace graphc
