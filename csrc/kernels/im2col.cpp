// "im2col": y[n, c * K + k, p] = x[n, c, window p, tap k], zero in the padding.
// "col2im": the way back, x[n, c, i] = the sum of what lies where y holds x[n, c, i].
// Operands: x; y, or y; x, dense from the channels on. Attributes: those of SpatialOptions.

#include <algorithm>
#include <cstring>
#include <memory>

#include "core/kernel.h"
#include "kernels/parallel.h"
#include "kernels/spatial_options.h"

namespace graphc {

namespace {

// An image and its columns, and where in them the planes lie.
class Columns : public Kernel {
  protected:
    Columns(const Problem& problem, const Spec& x, const Spec& y) {
        const SpatialOptions options(problem.attrs);
        require(x.rank > options.axis && y.rank > options.axis, "axes of x or y");
        const std::size_t axis = std::size_t(options.axis);
        channels_ = x.dims[axis];
        const std::int64_t planes = product({channels_, options.taps()});
        require(y.dims[axis] == planes, "channels of y");
        Extents in = options.size, out;
        std::vector<WindowAxis> axes = options.window_axes();
        for (const WindowAxis& each : axes) out.push_back(each.windows);
        in.insert(in.begin(), channels_);
        out.insert(out.begin(), planes);
        require_image(x, options.axis, in, "x");
        require_image(y, options.axis, out, "y");
        require_flat(x, x.size(), "x");
        require_flat(y, y.size(), "y");
        x_images_ = image_offsets(x, options.axis);
        y_images_ = image_offsets(y, options.axis);
        require(x_images_.size() == y_images_.size(), "y");
        x_channel_ = product(options.size);
        windows_ = std::make_unique<Windows>(std::move(axes));
    }

    static const Problem& checked(const Problem& problem) {
        require(problem.reads.size() == 1 && problem.writes.size() == 1, "number of operands");
        return problem;
    }

    std::unique_ptr<Windows> windows_;
    Extents x_images_, y_images_;
    std::int64_t channels_ = 0, x_channel_ = 0;
};

class Im2col final : public Columns {
  public:
    explicit Im2col(const Problem& problem)
        : Columns(problem, checked(problem).reads[0], problem.writes[0]) {}

    void run(const Run& run) const override {
        const std::int64_t planes = channels_ * windows_->taps();
        share_out(
            std::int64_t(x_images_.size()) * planes, run.threads, [&](std::int64_t task, int) {
                const std::size_t image = std::size_t(task / planes);
                const std::int64_t plane = task % planes, tap = plane % windows_->taps();
                copy_plane(run.in(0) + x_images_[image] + plane / windows_->taps() * x_channel_,
                           tap, run.out(0) + y_images_[image] + plane * windows_->count());
            });
    }

  private:
    void copy_plane(const float* x, std::int64_t tap, float* y) const {
        const std::int64_t row = windows_->row(), step = windows_->step();
        for (std::int64_t i = 0; i * row < windows_->count(); ++i, y += row) {
            const RowMeeting met = windows_->meet(i, tap);
            std::fill(y, y + met.low, 0.0f);
            if (step == 1 && met.low < met.high) {
                std::memcpy(y + met.low, x + met.at + met.low,
                            std::size_t(met.high - met.low) * sizeof(float));
            } else {
                for (std::int64_t p = met.low; p < met.high; ++p) y[p] = x[met.at + p * step];
            }
            std::fill(y + met.high, y + row, 0.0f);
        }
    }
};

class Col2im final : public Columns {
  public:
    explicit Col2im(const Problem& problem)
        : Columns(problem, checked(problem).writes[0], problem.reads[0]) {}

    void run(const Run& run) const override {
        const std::int64_t taps = windows_->taps(), plane = windows_->count();
        share_out(std::int64_t(x_images_.size()) * channels_, run.threads,
                  [&](std::int64_t task, int) {
                      const std::size_t image = std::size_t(task / channels_);
                      const std::int64_t channel = task % channels_;
                      float* x = run.out(0) + x_images_[image] + channel * x_channel_;
                      std::fill_n(x, x_channel_, 0.0f);
                      const float* y = run.in(0) + y_images_[image] + channel * taps * plane;
                      for (std::int64_t tap = 0; tap < taps; ++tap) add(y + tap * plane, tap, x);
                  });
    }

  private:
    void add(const float* y, std::int64_t tap, float* x) const {
        const std::int64_t row = windows_->row(), step = windows_->step();
        for (std::int64_t i = 0; i * row < windows_->count(); ++i, y += row) {
            const RowMeeting met = windows_->meet(i, tap);
            for (std::int64_t p = met.low; p < met.high; ++p) x[met.at + p * step] += y[p];
        }
    }
};

GRAPHC_KERNEL("im2col", Im2col)
GRAPHC_KERNEL("col2im", Col2im)

}  // namespace

}  // namespace graphc
